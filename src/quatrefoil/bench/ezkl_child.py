"""EZKL in a process of its own, under any Python that has it: ``python ezkl_child.py FOLDER``.

``FOLDER`` holds ``network.onnx``, whose batch is fixed, ``input.json``, and ``arguments.json``, attributes of EZKL's
``PyRunArgs``. The last line printed is a JSON object: version, the settings that EZKL chose, milliseconds of each step
by the clock and of processor time, and bytes of what is made. Nothing of this project is imported, and nothing is
downloaded: the reference string is made here, which serves for measuring and for nothing else.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAMES = ("network.onnx", "input.json", "settings.json", "circuit", "srs", "pk", "vk", "witness.json", "proof.json")


def main(folder: Path) -> None:
    try:
        import ezkl
    except ImportError as error:
        sys.exit(f"ezkl cannot be imported: {error}")
    model, data, settings, circuit, srs, pk, vk, witness, proof = (str(folder / name) for name in NAMES)
    times: dict[str, tuple[float, float]] = {}

    def step(name: str, work: Callable[[], Any]) -> None:
        print(name, file=sys.stderr, flush=True)
        clock, cpu = time.perf_counter(), time.process_time()
        if asyncio.run(_done(work)) is False:
            sys.exit(f"ezkl failed to {name}")
        times[name] = ((time.perf_counter() - clock) * 1e3, (time.process_time() - cpu) * 1e3)

    arguments = ezkl.PyRunArgs()
    for name, value in json.loads((folder / "arguments.json").read_text()).items():
        setattr(arguments, name, value)
    step("describe", lambda: ezkl.gen_settings(model, settings, py_run_args=arguments))
    step("calibrate", lambda: ezkl.calibrate_settings(data, model, settings, "resources"))
    step("compile", lambda: ezkl.compile_circuit(model, circuit, settings))
    chosen = json.loads(Path(settings).read_text())
    step("make a reference string", lambda: ezkl.gen_srs(srs, chosen["run_args"]["logrows"]))
    step("setup", lambda: ezkl.setup(circuit, vk, pk, srs))
    step("witness", lambda: ezkl.gen_witness(data, circuit, witness, vk, srs))
    step("prove", lambda: ezkl.prove(witness, circuit, pk, proof, srs))
    step("verify", lambda: ezkl.verify(proof, settings, vk, srs))
    found = {
        "version": version("ezkl"),
        "settings": chosen["run_args"],
        "ms": {name: clock for name, (clock, _) in times.items()},
        "cpu_ms": {name: cpu for name, (_, cpu) in times.items()},
        "proof_bytes": len(json.loads(Path(proof).read_text())["proof"]),
        "proving_key_bytes": Path(pk).stat().st_size,
        "verifying_key_bytes": Path(vk).stat().st_size,
        "peak_rss_mb": _peak_mb(),
    }
    print(f"\n{json.dumps(found)}")


async def _done(work: Callable[[], Any]) -> Any:
    """The result of ``work``, for which some of EZKL's functions have to be awaited."""
    result = work()
    return await result if inspect.isawaitable(result) else result


def _peak_mb() -> float:
    """The most memory that this process has held, in 10^6 bytes (proc_pid_status(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
