"""``quatrefoil seal-key``: long-lived keys that files are sealed to."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.cli import archives
from quatrefoil.transport import TrustAnchor, files, sealed
from quatrefoil.transport.sealed.keys import CERTIFICATE_FILE

NAME = "seal-key"
HELP = "make a key that files are sealed to, and certify that it is yours"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="ACTION", required=True)

    new = commands.add_parser("new", help="make a key, and a sealing certificate to hand to whoever is to seal")
    new.add_argument("directory", metavar="DIR", type=Path, help="new folder for the key")
    archives.add_identity(new)
    archives.add_root(new)
    archives.add_suite(new)
    new.set_defaults(action=_new)

    certify = commands.add_parser("certify", help="certify a key again, with an identity issued since")
    certify.add_argument("directory", metavar="DIR", type=Path, help="the folder of the key")
    archives.add_identity(certify)
    archives.add_root(certify)
    archives.add_new_file(certify, "the sealing certificate")
    certify.set_defaults(action=_certify)

    show = commands.add_parser("show", help="verify a sealing certificate and say whose it is")
    show.add_argument("certificate", metavar="CERT", type=Path, help="a sealing certificate, or the folder of a key")
    archives.add_root(show)
    show.set_defaults(action=_show)


def run(args: argparse.Namespace) -> None:
    args.action(args)


def _new(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    identity = archives.signer(args.identity, trust)
    key = sealed.RecipientKey.generate(sealed.named(args.suite))
    certificate = sealed.certify(key, identity)
    key.save(args.directory, certificate)
    _print(args.directory / CERTIFICATE_FILE, trust)
    print(f"Give {args.directory / CERTIFICATE_FILE} to whoever is to seal. Nothing but this key opens what they seal.")


def _certify(args: argparse.Namespace) -> None:
    trust = TrustAnchor.load(args.root)
    identity = archives.signer(args.identity, trust)
    certificate = sealed.certify(sealed.RecipientKey.load(args.directory), identity)
    files.write_new(args.out, certificate)
    _print(args.out, trust)


def _show(args: argparse.Namespace) -> None:
    file = args.certificate / CERTIFICATE_FILE if args.certificate.is_dir() else args.certificate
    _print(file, TrustAnchor.load(args.root))


def _print(certificate: Path, trust: TrustAnchor) -> None:
    found = archives.certified(certificate, trust)
    rows = [("party", f"{found.name} ({found.role})"), ("suite", found.suite.name), ("key", found.fingerprint.hex())]
    archives.show("Sealing certificate", rows)
