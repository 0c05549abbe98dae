"""Another Python for parts that need a package which cannot be installed beside the others: Flower pins versions of its
own. It must run the very code that this one does, or its figures would be of something else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from quatrefoil import strict_json
from quatrefoil.bench.report.records import here
from quatrefoil.errors import CallerError, EvidenceRejected

SECONDS = 60.0

_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from quatrefoil.bench.report.records import here
try:
    found = version(sys.argv[1])
except PackageNotFoundError:
    found = ""
print(json.dumps({"version": found, "code": here().code, "machine": here().machine}))
"""


@dataclass(frozen=True)
class Apart:
    """``program``: as this Python's, of the other one; ``version``: of the package that it has."""

    program: tuple[str, ...]
    version: str


def found_in(python: Path, package: str, program: tuple[str, ...]) -> Apart:
    """``program``: its arguments. ``CallerError`` where ``python`` does not run, lacks the package, or has other code
    of ours than this Python."""
    command = [str(python), "-c", _ASK, package]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CallerError(f"{python} does not run ({type(error).__name__})", hint=_hint(package)) from None
    try:
        said = strict_json.parse(ended.stdout, f"what {python} says", limit=1 << 16)
        version, code, on = (said[name] for name in ("version", "code", "machine"))
    except (EvidenceRejected, KeyError, TypeError):
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise CallerError(f"{python} does not run Quatrefoil ({last})", hint=_hint(package)) from None
    now = here()
    if not isinstance(version, str) or not version:
        raise CallerError(f"{python} has no {package}", hint=_hint(package))
    if code != now.code:
        raise CallerError(
            f"{python} has other code of Quatrefoil than this Python", hint="Install the same checkout into both"
        )
    if on != now.machine:
        raise CallerError(
            f"{python} is another Python than {now.machine['python']}: figures would be of two",
            hint="Make its environment with the same Python",
        )
    return Apart((str(python), *program), version)


def _hint(package: str) -> str:
    return f"Name the Python of an environment that has Quatrefoil and {package}"


__all__ = ["Apart", "found_in"]
