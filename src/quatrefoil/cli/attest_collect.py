"""``quatrefoil attest collect``: evidence from this machine's own device, into a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.cli.hexadecimal import octets
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.collectors import COLLECTORS, Settings, automatic, collector
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import add_json_option, console, only_json, require_writable, table, write_json

NAME = "collect"
HELP = "collect evidence of what runs on this machine from its own device, bound to report data"
SCHEMA = "quatrefoil.attest-collect/1"
AUTO = "auto"
LARGEST_KEYSET = 64 << 10


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind",
        metavar="KIND",
        choices=[AUTO, *COLLECTORS],
        help=f"{', '.join(COLLECTORS)}, or {AUTO}: the device here that isolates",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="write the evidence to FILE")
    bound = parser.add_mutually_exclusive_group(required=True)
    bound.add_argument("--report-data", metavar="HEX", help="what the evidence is bound to, 1 to 64 bytes")
    bound.add_argument("--nonce", metavar="HEX", help="a verifier's 32 bytes, bound with --keyset and --purpose")
    parser.add_argument("--keyset", metavar="FILE", type=Path, help="with --nonce: the keys to bind, encoded")
    parser.add_argument("--purpose", metavar="TEXT", help="with --nonce: what the evidence is for")
    parser.add_argument("--event-log", action="store_true", help="take along the event log (tdx, tpm, azure-*)")
    parser.add_argument("--privilege-level", metavar="N", type=int, help="sev-snp: VMPL of the report")
    parser.add_argument("--without-host-certificates", action="store_true", help="sev-snp, azure-snp: take none along")
    parser.add_argument("--key", metavar="KEY", default="", help="tpm: attestation key, a handle or a context file")
    parser.add_argument("--pcrs", metavar="LIST", default="0,1,2,3,4,5,6,7", help="tpm, azure-*: default 0 to 7")
    parser.add_argument("--bank", metavar="NAME", default="sha256", help="tpm, azure-*: their bank (default: sha256)")
    parser.add_argument("--tcti", metavar="TCTI", default=Settings.tcti, help=f"tpm, azure-*: default {Settings.tcti}")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.out)
    require_writable(options.json)
    wanted, settings = _report_data(options), _settings(options)
    chosen = automatic(settings) if options.kind == AUTO else collector(options.kind, settings)
    evidence = chosen.collect(wanted)
    try:
        options.out.write_bytes(evidence.encode())
    except OSError as error:
        raise HostError(f"{options.out} cannot be written ({error.strerror})", hint="Name another file") from None
    if not only_json(options):
        _show(evidence, wanted, options.out)
    content = {
        "kind": evidence.kind,
        "report_data": wanted.hex(),
        "report_bytes": len(evidence.report),
        "certificates": len(evidence.certificates),
        "event_log_bytes": len(evidence.event_log),
        "evidence_sha256": evidence.digest().hex(),
        "file": str(options.out),
    }
    write_json(options.json, SCHEMA, content)


def _settings(options: argparse.Namespace) -> Settings:
    try:
        pcrs = tuple(int(number) for number in options.pcrs.split(","))
    except ValueError:
        raise CallerError(f"--pcrs {options.pcrs[:40]!r} is no list", hint="Write it as 0,2,4,7") from None
    return Settings(
        privilege_level=options.privilege_level,
        host_certificates=not options.without_host_certificates,
        event_log=options.event_log,
        key=options.key,
        pcrs=pcrs,
        bank=options.bank,
        tcti=options.tcti,
    )


def _report_data(options: argparse.Namespace) -> bytes:
    if options.nonce is None:
        if options.keyset is not None or options.purpose is not None:
            raise CallerError("--keyset and --purpose go with --nonce", hint="Give --nonce in place of --report-data")
        return octets("--report-data", options.report_data)
    if options.keyset is None or options.purpose is None:
        raise CallerError("--nonce is bound together with keys and a purpose", hint="Add --keyset and --purpose")
    try:
        with options.keyset.open("rb") as stream:
            keyset = stream.read(LARGEST_KEYSET)
    except OSError as error:
        raise CallerError(f"{options.keyset} cannot be read ({error.strerror})", hint="Name a keyset's file") from None
    return report_data(Keyset.decode(keyset), octets("--nonce", options.nonce), b"", options.purpose)


def _show(evidence: Evidence, wanted: bytes, file: Path) -> None:
    rows = [
        ("report", f"{len(evidence.report)} bytes"),
        ("certificates", str(len(evidence.certificates))),
        ("event log", f"{len(evidence.event_log)} bytes"),
        ("bound to", wanted.hex()),
        ("written to", str(file)),
    ]
    drawn = table(f"{evidence.kind}: evidence of this machine", ("what", "value"), rows)
    drawn.columns[1].justify = "left"
    out = console()
    out.print(drawn)
    out.print("Nothing of it is believed until a relying party verifies it: quatrefoil attest verify.")
