"""``quatrefoil attest keyset``: put public keys into a keyset that evidence can be bound to, and show one."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from quatrefoil.cli import archives
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, table, write_json
from quatrefoil.transport import TrustAnchor, files, system_clock
from quatrefoil.transport.suites import ENVELOPES

NAME = "keyset"
HELP = "put public keys into a keyset that evidence can be bound to, or show one"
SCHEMA = "quatrefoil.attest-keyset/1"

_SKEW_S = 300
"""By how much a keyset is good earlier than it was made: clocks differ."""


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    new = actions.add_parser(
        "new",
        help="write a keyset; give at least one key",
        description="write a keyset; give at least one key, of those that the attested code alone holds",
    )
    archives.add_new_file(new, "the keyset")
    new.add_argument("--tls", metavar="PEM", type=Path, help="certificate or public key that its channels show")
    new.add_argument("--sealing", metavar="CERT", type=Path, help="sealing certificate of its key, with --root")
    new.add_argument("--root", metavar="FILE", type=Path, help="with --sealing: the consortium's root certificate")
    new.add_argument("--receipt", metavar="PEM", type=Path, help="public key that its receipts verify with")
    new.add_argument("--days", metavar="N", type=int, default=7, help="how long it is good (default: %(default)s)")
    add_json_option(new)
    show = actions.add_parser("show", help="say what is in a keyset", description="say what is in a keyset")
    show.add_argument("file", metavar="FILE", type=Path, help="a keyset")
    add_json_option(show)


def run(options: argparse.Namespace) -> None:
    if options.action == "new":
        keyset = _new(options)
        files.write_new(options.out, keyset.encode())
    else:
        keyset = Keyset.decode(files.read(options.file, "keyset"))
    content = {
        "keyset_sha256": keyset.digest().hex(),
        "sealing_suite": _suite(keyset),
        "sealing_sha256": sha256(keyset.sealing_public).hexdigest() if keyset.sealing else "",
        "tls": keyset.tls.hex(),
        "receipt_sha256": sha256(keyset.receipt).hexdigest() if keyset.receipt else "",
        "not_before": keyset.not_before,
        "expires": keyset.expires,
    }
    if not only_json(options):
        rows = [
            ("SHA-256", content["keyset_sha256"]),
            ("sealing key", f"{content['sealing_suite']} {content['sealing_sha256']}".strip() or "none"),
            ("TLS key", content["tls"] or "none"),
            ("receipt key", content["receipt_sha256"] or "none"),
            ("good from", _date(keyset.not_before)),
            ("until", _date(keyset.expires)),
        ]
        drawn = table("Keyset", ("what", "value"), [(name, str(value)) for name, value in rows])
        drawn.columns[1].justify = "left"
        out = console()
        out.print(drawn)
        out.print("Keys are named by the SHA-256 of the key. Whose they are, evidence bound to this keyset says.")
    write_json(options.json, SCHEMA, content)


def _new(options: argparse.Namespace) -> Keyset:
    if not (options.tls or options.sealing or options.receipt):
        raise CallerError("a keyset holds at least one key", hint="Give --tls, --sealing or --receipt")
    if (options.sealing is None) != (options.root is None):
        raise CallerError("--sealing and --root go together", hint="A sealing certificate is verified with its root")
    if not 1 <= options.days <= 3660:
        raise CallerError(f"--days {options.days} is not 1 to 3660", hint="Give the days that the keys are to be used")
    sealing = b""
    if options.sealing:
        found = archives.certified(options.sealing, TrustAnchor.load(options.root))
        sealing = found.suite.identifiers + found.public
    now = int(system_clock().timestamp())
    return Keyset(
        sealing=sealing,
        tls=sha256(_public_key(options.tls)).digest() if options.tls else b"",
        receipt=_public_key(options.receipt) if options.receipt else b"",
        not_before=now - _SKEW_S,
        expires=now + options.days * 86400,
    )


def _public_key(file: Path) -> bytes:
    """The SubjectPublicKeyInfo of the certificate or public key in a PEM file."""
    pem = files.read(file, "key")
    key: PublicKeyTypes
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            key = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise CallerError(
            f"{file} is no certificate or public key in PEM", hint="Give the public half: private ones stay put"
        ) from None


def _suite(keyset: Keyset) -> str:
    if not keyset.sealing:
        return ""
    names = {suite.identifiers: suite.name for suite in ENVELOPES}
    return names.get(keyset.sealing_suite, keyset.sealing_suite.hex())


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
