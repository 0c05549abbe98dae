"""Coverage-guided fuzzing of one target, or of all in turn: ``make fuzz``.

    python tests/fuzz/run.py --seconds 60 [TARGET ...]

Atheris (libFuzzer for Python) follows the branches that inputs take through ``quatrefoil``. What it keeps is in
``.fuzz/TARGET`` and is where the next run begins; an input that breaks a target is written to ``.fuzz/broken``: mend
what it breaks, and keep the input in ``tests/fuzz/found``, which the tests replay. Exit code 1: something broke.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = sorted(file.stem for file in Path(__file__).with_name("targets").glob("*.py"))
FOLDER = ROOT / ".fuzz"

SLOWEST = 25
"""Seconds that one input may take, instrumented and on a busy machine."""
MEMORY = 2048
"""MiB."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, metavar="S", help="for each target (default: 60)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    if options.here:
        fuzz(options.targets[0], options.seconds)
        return 0
    broken = []
    for target in options.targets or TARGETS:
        # A process for each: libFuzzer ends its own.
        command = [sys.executable, __file__, "--here", "--seconds", str(options.seconds), target]
        if subprocess.run(command, cwd=ROOT).returncode:
            broken.append(target)
    print(f"broken: {', '.join(broken)}; see {FOLDER / 'broken'}" if broken else "nothing broke")
    return 1 if broken else 0


def fuzz(name: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process, with 0 when nothing broke."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "second_verifier")]
    with atheris.instrument_imports(include=["quatrefoil", "tests.fuzz.targets"]):
        target = importlib.import_module(f"tests.fuzz.targets.{name}")
    corpus, broken = FOLDER / name, FOLDER / "broken"
    for folder in (corpus, broken):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={seconds}",
        f"-max_len={2 * max(map(len, seeds)) + 4096}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={broken}/{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(arguments, target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
