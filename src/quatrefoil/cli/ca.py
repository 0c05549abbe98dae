"""``quatrefoil ca``: the certificate authority of a consortium."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from rich.markup import escape

from quatrefoil import output
from quatrefoil.cli import revoking
from quatrefoil.errors import CallerError, HostError
from quatrefoil.transport import (
    ROLES,
    CertificateAuthority,
    Identity,
    authority,
    files,
    leaf_keys,
    profile,
    system_clock,
)
from quatrefoil.transport.authority import LEAF_LIFETIME, ROOT_LIFETIME
from quatrefoil.transport.identity import CERTIFICATE_FILE, LIST_FILE, ROOT_FILE, generations, read_roots
from quatrefoil.transport.request import REQUEST_FILE, read_request, request, request_renewal
from quatrefoil.transport.revocation import REASONS, read_lists
from quatrefoil.transport.revocations import LIST_LIFETIME

NAME = "ca"
HELP = "make the root of a consortium, and give its parties ML-DSA identities in one role each"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="ACTION", required=True)

    init = commands.add_parser("init", help="make an ML-DSA-87 root in a new folder")
    _add_folder(init)
    init.add_argument("--name", required=True, help="what the root is called in certificates")
    _add_days(init, ROOT_LIFETIME, "how long it is valid")
    init.set_defaults(action=_init)

    issue = commands.add_parser("issue", help="make a key and a certificate for a party")
    _add_folder(issue)
    issue.add_argument("name", metavar="NAME", help="the party")
    _add_grant(issue)
    _add_algorithm(issue)
    issue.add_argument("--out", metavar="FOLDER", type=Path, help="new folder for the identity (default: DIR/NAME)")
    issue.set_defaults(action=_issue)

    renew = commands.add_parser("renew", help="make the next key and certificate of a party, beside the old ones")
    _add_folder(renew)
    renew.add_argument("name", metavar="NAME", help="the party")
    renew.add_argument("--identity", metavar="FOLDER", type=Path, help="where its identity is (default: DIR/NAME)")
    _add_hosts(renew, "as in the certificate before")
    renew.add_argument("--days", type=int, help="how long it is valid (default: as long as the one before)")
    _add_algorithm(renew, renewing=True)
    renew.set_defaults(action=_renew)

    asking = commands.add_parser("request", help="make a key that stays here, and a request for its certificate")
    asking.add_argument("directory", metavar="DIR", type=Path, help="new folder for the identity")
    asking.add_argument("name", metavar="NAME", nargs="?", help="the party")
    asking.add_argument("--role", choices=ROLES, help="what it will act as")
    asking.add_argument(
        "--renew", action="store_true", help="ask for the next certificate of the identity in DIR, with a new key"
    )
    _add_algorithm(asking, renewing=True)
    asking.set_defaults(action=_request)

    sign = commands.add_parser("sign", help="certify the key in a request, for one name and role")
    _add_folder(sign)
    sign.add_argument("request", metavar="CSR", type=Path, help="the request.pem of `ca request`")
    sign.add_argument("--name", required=True, help="the party that you know this request to come from")
    _add_grant(sign)
    sign.add_argument(
        "--out", metavar="FOLDER", type=Path, required=True, help="where to put certificate.pem, root.pem and crl.pem"
    )
    sign.set_defaults(action=_sign)

    revoke = commands.add_parser("revoke", help="take a certificate back, and sign a new list that says so")
    _add_folder(revoke)
    revoke.add_argument(
        "what", metavar="NAME|SERIAL|CERT", help="a party, a serial number, or a PEM file or folder that holds it"
    )
    revoke.add_argument(
        "--reason", choices=REASONS, default="unspecified", help="why; what is signed before counts on under some"
    )
    revoke.add_argument("--all", action="store_true", help="every valid certificate of the party NAME")
    _add_days(revoke, LIST_LIFETIME, "how long the new list is current")
    revoke.set_defaults(action=_revoke)

    crl = commands.add_parser("crl", help="sign a new list of what was taken back, before the last one ends")
    _add_folder(crl)
    _add_days(crl, LIST_LIFETIME, "how long it is current")
    crl.set_defaults(action=_crl)

    show = commands.add_parser("show", help="print what a certificate, a request or a revocation list says")
    show.add_argument("certificate", metavar="CERT", type=Path, help="a PEM file, or the folder of an identity")
    show.set_defaults(action=_show)


def run(args: argparse.Namespace) -> None:
    args.action(args)


def _init(args: argparse.Namespace) -> None:
    made = CertificateAuthority.create(args.directory, args.name, clock=system_clock, lifetime=_lifetime(args))
    _print(made.root)
    root, crl, key = (args.directory / file for file in (ROOT_FILE, LIST_FILE, authority.ROOT_KEY_FILE))
    _say(f"Give {root} and {crl} to every party. Keep {key} offline.")


def _issue(args: argparse.Namespace) -> None:
    ca = CertificateAuthority.load(args.directory, clock=system_clock)
    folder = args.directory / args.name if args.out is None else args.out
    identity = ca.issue(
        args.name,
        args.role,
        hosts=_hosts(args),
        lifetime=_lifetime(args),
        algorithm=args.algorithm,
        directory=args.out,
    )
    _print(identity.certificate)
    _say(f"{folder} is the whole identity. Whoever has it is {args.name!r}.")


def _renew(args: argparse.Namespace) -> None:
    ca = CertificateAuthority.load(args.directory, clock=system_clock)
    folder = args.directory / args.name if args.identity is None else args.identity
    old = Identity.load(folder)
    if old.name != args.name:
        raise CallerError(f"{folder} is the identity of {old.name!r}, not of {args.name!r}", hint="Name its folder")
    made = ca.renew(
        folder,
        hosts=tuple(args.host) if args.host else None,
        lifetime=None if args.days is None else _lifetime(args),
        algorithm=args.algorithm,
    )
    _print(made.certificate)
    _say(
        f"{generations(folder)[-1]} is shown by new channels from now on. The old key still ends the jobs that it "
        f"began; its certificate is valid until {old.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC."
    )


def _request(args: argparse.Namespace) -> None:
    if args.renew != (args.name is None) or args.renew != (args.role is None):
        raise CallerError(
            "a renewal keeps name and role, and a first request needs both", hint="Give NAME and --role, or --renew"
        )
    place: Path = args.directory
    if args.renew:
        place = request_renewal(args.directory, algorithm=args.algorithm)
    else:
        request(args.directory, args.name, args.role, algorithm=args.algorithm or leaf_keys.DEFAULT)
    _say(f"Send {place / REQUEST_FILE} to the authority; put what it returns into {place}.")


def _sign(args: argparse.Namespace) -> None:
    ca = CertificateAuthority.load(args.directory, clock=system_clock)
    for file in (CERTIFICATE_FILE, *ca.public_files()):
        if (args.out / file).exists():
            raise HostError(f"{args.out / file} exists already", hint="Name another place; nothing is overwritten")
    certificate = ca.sign_request(
        files.read(args.request, "request"),
        name=args.name,
        role=args.role,
        hosts=_hosts(args),
        lifetime=_lifetime(args),
    )
    files.write_new(args.out / CERTIFICATE_FILE, authority.to_pem(certificate))
    for file, content in ca.public_files().items():
        files.write_new(args.out / file, content)
    _print(certificate)


def _revoke(args: argparse.Namespace) -> None:
    ca = CertificateAuthority.load(args.directory, clock=system_clock)
    chosen = revoking.choose(ca, args.what, every=args.all, at=system_clock())
    lifetime = _lifetime(args)
    for certificate in chosen:
        ca.revoke(certificate, reason=args.reason)
        _print(certificate)
    _publish(args, ca, lifetime)


def _crl(args: argparse.Namespace) -> None:
    _publish(args, CertificateAuthority.load(args.directory, clock=system_clock), _lifetime(args))


def _publish(args: argparse.Namespace, ca: CertificateAuthority, lifetime: timedelta) -> None:
    made = ca.publish(lifetime=lifetime)
    _say(
        f"{args.directory / LIST_FILE} is list {made.number} with {len(made.entries)} revoked, current until "
        f"{made.ends:%Y-%m-%d %H:%M} UTC. Give it to every party: until then it goes by the list before."
    )


def _show(args: argparse.Namespace) -> None:
    if args.certificate.is_file() and b"CERTIFICATE REQUEST" in (content := files.read(args.certificate, "request")):
        _table("Request", read_request(content).describe())
    elif args.certificate.is_file() and b"X509 CRL" in files.read(args.certificate, "revocation list"):
        _show_lists(args.certificate)
    else:
        _print(revoking.read_certificate(args.certificate))


def _show_lists(file: Path) -> None:
    """Each list in ``file``, under the roots beside it: nothing is shown that they have not signed."""
    roots = read_roots(file.with_name(ROOT_FILE))
    for one in read_lists(files.read(file, "revocation list"), f"revocation list {file}", roots):
        revoked = [
            (f"{entry.serial:x}", f"since {entry.since:%Y-%m-%d %H:%M} UTC ({entry.reason.value})")
            for entry in one.entries.values()
        ]
        rows = [("number", str(one.number)), ("begins", f"{one.begins:%Y-%m-%d %H:%M} UTC")]
        _table("Revocation list", [*rows, ("ends", f"{one.ends:%Y-%m-%d %H:%M} UTC"), *revoked])


def _print(certificate: x509.Certificate) -> None:
    _table("Certificate", profile.describe(certificate))


def _table(title: str, fields: list[tuple[str, str]]) -> None:
    rows = [(field, escape(value)) for field, value in fields]
    output.console().print(output.table(title, ("field", "value"), rows))


def _say(text: str) -> None:
    output.console().print(text, markup=False, soft_wrap=True)


def _hosts(args: argparse.Namespace) -> tuple[str, ...]:
    return tuple(args.host) if args.host else profile.DEFAULT_HOSTS


def _lifetime(args: argparse.Namespace) -> timedelta:
    if not 1 <= args.days <= 36500:
        raise CallerError(f"{args.days} days is no lifetime", hint="Give --days between 1 and 36500")
    return timedelta(days=args.days)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help="the authority's folder")


def _add_grant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", required=True, choices=ROLES, help="what it may act as")
    _add_hosts(parser, ", ".join(profile.DEFAULT_HOSTS))
    _add_days(parser, LEAF_LIFETIME)


def _add_hosts(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--host",
        metavar="HOST",
        action="append",
        help=f"a host name or address it answers for; repeat for more (default: {default})",
    )


def _add_algorithm(parser: argparse.ArgumentParser, *, renewing: bool = False) -> None:
    parser.add_argument(
        "--algorithm",
        choices=leaf_keys.ALGORITHMS,
        default=None if renewing else leaf_keys.DEFAULT,
        help=f"what the party signs with (default: {'as before, or ' if renewing else ''}{leaf_keys.DEFAULT})",
    )


def _add_days(
    parser: argparse.ArgumentParser, default: timedelta, what: str = "how long it is valid; up to 7, it needs no list"
) -> None:
    parser.add_argument("--days", type=int, default=default.days, help=f"{what} (default: %(default)s)")
