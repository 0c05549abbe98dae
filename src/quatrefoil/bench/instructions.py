"""Instructions that each step of the kernel takes, counted by Valgrind's callgrind: the same in every run, however busy
the machine is. Valgrind has no AVX-512, so that copy of the hot loops is never counted."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet
from quatrefoil.bench.kernel import PARAMETER_SET, STEPS
from quatrefoil.errors import DependencyMissing, HostError

COUNTED = ("avx2", "portable")
_TIMES = (2, 12)

# Loads the kernel alone: the rest of the package would take longer to import, under Valgrind, than the step.
_PROGRAM = """
import importlib.machinery, importlib.util, sys
path, level, step, times, *numbers, digest = sys.argv[1:]
loader = importlib.machinery.ExtensionFileLoader("quatrefoil._core", path)
core = importlib.util.module_from_spec(importlib.util.spec_from_loader("quatrefoil._core", loader))
loader.exec_module(core)
if level not in core.processor_levels():
    sys.exit(f"no level {level}")
core.limit_processor(level)
core.run_step(core.Layout(*map(int, numbers), bytes.fromhex(digest)), step, int(times))
"""


def count_instructions(progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each copy that can be counted: instructions of each step of a block of 4,096 words.

    ``DependencyMissing`` where ``valgrind`` is not installed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise DependencyMissing(
            "valgrind is not installed, so no instructions are counted",
            hint="Install it (Debian: apt-get install valgrind), or leave --instructions out",
        )
    rows = []
    for level in (level for level in COUNTED if level in _core.processor_levels()):
        row: dict[str, Any] = {"level": level}
        for step in STEPS:
            progress(f"instructions of {step}, {level}")
            # What starting takes is in both, and falls out.
            few, many = (_instructions(valgrind, level, step, times) for times in _TIMES)
            row[step] = round((many - few) / (_TIMES[1] - _TIMES[0]))
        rows.append(row)
    return rows


def _instructions(valgrind: str, level: str, step: str, times: int) -> int:
    chosen = ParameterSet.named(PARAMETER_SET)
    numbers = (chosen.value_bits, chosen.slots, chosen.slot_width, chosen.delta)
    arguments = [str(_core.__file__), level, step, str(times), *map(str, numbers), chosen.digest().hex()]
    command = [
        valgrind,
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        sys.executable,
        "-I",
        "-S",
        "-c",
        _PROGRAM,
    ]
    ran = subprocess.run(  # noqa: S603 - our own program, on numbers
        [*command, *arguments], capture_output=True, text=True, check=False
    )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or found is None:
        last = ran.stderr.strip().rpartition("\n")[2]
        raise HostError(
            f"valgrind counted nothing for {step}, {level}: {last}",
            hint="Run it by hand on any program, to see whether it works on this processor",
        )
    return int(found.group(1))


__all__ = ["COUNTED", "count_instructions"]
