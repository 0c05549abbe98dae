"""One build serves every x86-64 processor: it asks for nothing beyond the first of them, and holds every copy of the
hot loops. Other processors are emulated by qemu."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet

QEMU = shutil.which("qemu-x86_64")
CHOSEN = ParameterSet.named("sum-256-w16")

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="not an x86-64 processor")

# The kernel alone: the rest of the package would take longer to start, emulated, than this does.
PROGRAM = """
import hashlib, importlib.machinery, importlib.util, sys
import numpy as np
path, digest, *numbers = sys.argv[1:]
loader = importlib.machinery.ExtensionFileLoader("quatrefoil._core", path)
core = importlib.util.module_from_spec(importlib.util.spec_from_loader("quatrefoil._core", loader))
loader.exec_module(core)
layout = core.Layout(*map(int, numbers), bytes.fromhex(digest))
values = np.linspace(-0.5, 0.5, 9000, dtype=np.float32)
for level in core.processor_levels():
    core.limit_processor(level)
    made = core.encrypt(layout, b"", values, clip=1.0, factor=1000.0, context=bytes(32), key_seed=b"k" * 32,
                        noise_seed=b"n" * 32, threads=1)
    print(level, hashlib.sha256(made).hexdigest())
"""


def test_the_build_asks_for_nothing_beyond_plain_x86_64() -> None:
    """A build with ``-C target-cpu=native`` would end on other processors with an illegal instruction."""
    assert _core.BUILT_WITH == []


@pytest.mark.slow
@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed")
@pytest.mark.parametrize(
    ("processor", "levels"), [("Nehalem", ["portable"]), ("Haswell", ["avx2", "portable"])], ids=lambda v: str(v)
)
def test_it_runs_on_processors_without_the_wide_registers(processor: str, levels: list[str]) -> None:
    values = np.linspace(-0.5, 0.5, 9000, dtype=np.float32)
    here = _core.encrypt(
        CHOSEN.layout,
        b"",
        values,
        clip=1.0,
        factor=1000.0,
        context=bytes(32),
        key_seed=b"k" * 32,
        noise_seed=b"n" * 32,
        threads=1,
    )
    numbers = (CHOSEN.value_bits, CHOSEN.slots, CHOSEN.slot_width, CHOSEN.delta)
    arguments = [str(_core.__file__), CHOSEN.digest().hex(), *map(str, numbers)]
    emulated = subprocess.run(
        [str(QEMU), "-cpu", processor, sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"OPENBLAS_NUM_THREADS": "1"},
    )
    expected = [f"{level} {hashlib.sha256(here).hexdigest()}" for level in levels]
    assert emulated.stdout.splitlines() == expected
