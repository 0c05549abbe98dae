"""The ``quatrefoil`` command. Each command is one module of this package with ``NAME``, ``HELP``,
``configure(parser)`` and ``run(args)``; ``run`` raises ``QuatrefoilError`` to refuse.

Exit codes: 0 done, 1 refused or failed with one readable line on standard error, 2 usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module, metadata

from quatrefoil import secrecy
from quatrefoil.errors import QuatrefoilError
from quatrefoil.output import fail, require_writable
from quatrefoil.output.progress import shape

COMMANDS = (
    *("demo", "plan", "calibrate", "bench", "doctor", "security-level"),
    *("ca", "keeper", "aggregator", "silo", "flower", "audit", "simulate"),
    *("seal-key", "seal", "open", "rewrap"),
    *("proof", "model", "data", "attest", "broker"),
    *("serve", "predict", "proxy", "relay", "score", "table-key"),
)

PUBLIC = ("demo", "plan", "calibrate", "bench", "doctor", "security-level", "simulate")
"""Commands whose own process holds nobody's key or data. Of every other one there is no core file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    options = parser().parse_args(arguments)
    shape(getattr(options, "log_format", "text"), command=options.run.__module__.rpartition(".")[2])
    if options.holds_secrets:
        secrecy.no_core_file()
    try:
        require_writable(getattr(options, "json", None))
        options.run(options)
    except QuatrefoilError as error:
        fail(str(error), error=type(error).__name__)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        fail("interrupted")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line, also used by the tests that read every help text."""
    root = argparse.ArgumentParser(
        prog="quatrefoil", description="Confidential AI pipelines, routed by policy. Unaudited."
    )
    root.add_argument(
        "--version", action="version", version=f"quatrefoil {metadata.version('quatrefoil')}", help="print the version"
    )
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"quatrefoil.cli.{name.replace('-', '_')}")
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(run=module.run, holds_secrets=name not in PUBLIC)
    return root
