"""The options by which a command is told which device gives evidence of what it runs on."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from quatrefoil.enclave.collectors import COLLECTORS, Collector, Settings, automatic, collector
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import CallerError

AUTO = "auto"


def add_options(parser: argparse.ArgumentParser, *, required: bool, why: str) -> None:
    """``why``: what the evidence is for, as a help text."""
    parser.add_argument(
        "--collect", choices=[AUTO, *COLLECTORS], required=required, help=f"{why}; {AUTO}: the device that isolates"
    )
    parser.add_argument("--event-log", action="store_true", help="take along the firmware's event log (tdx, tpm)")
    parser.add_argument("--tpm-key", metavar="KEY", default="", help="tpm: attestation key, a handle or a context file")
    parser.add_argument("--pcrs", metavar="LIST", default="0,1,2,3,4,5,6,7", help="tpm: registers (default: 0 to 7)")
    parser.add_argument("--bank", metavar="NAME", default="sha256", help="tpm: bank of the registers (default: sha256)")
    parser.add_argument("--tcti", metavar="TCTI", default=Settings.tcti, help=f"tpm: default {Settings.tcti}")


def attester(options: argparse.Namespace) -> Callable[[bytes], EvidenceSet] | None:
    """What collects, as :func:`add_options`'s options say; None where none is named."""
    collects = chosen(options)
    return None if collects is None else lambda report_data: EvidenceSet(collects.collect(report_data))


def chosen(options: argparse.Namespace) -> Collector | None:
    """The collector that the options name, if any."""
    if options.collect is None:
        return None
    try:
        pcrs = tuple(int(number) for number in options.pcrs.split(","))
    except ValueError:
        raise CallerError(f"--pcrs {options.pcrs[:40]!r} is no list", hint="Write it as 0,2,4,7") from None
    settings = Settings(
        event_log=options.event_log, key=options.tpm_key, pcrs=pcrs, bank=options.bank, tcti=options.tcti
    )
    return automatic(settings) if options.collect == AUTO else collector(options.collect, settings)


__all__ = ["add_options", "attester", "chosen"]
