"""The blocks of code in the pages, run as a new user would: in a fresh folder, with the installed command."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, Block, blocks, commands, pages

from quatrefoil.demo.processes import free_port

SECONDS = 100

each_python = pytest.mark.parametrize("block", [b for page in pages() for b in blocks(page, "python")], ids=str)
consoles = [block for page in pages() for block in blocks(page, "console")]
by_make = [block for block in consoles if all(line.startswith("make ") for line in commands(block).splitlines())]


def starting_folder(block: Block, clone: Path) -> Path:
    """The page's own folder in the copy; pages outside the examples begin in the root."""
    folder = clone / block.page.parent.relative_to(ROOT)
    return folder if folder.is_dir() else clone


@each_python
def test_python_runs(block: Block, clone: Path, environment: dict[str, str]) -> None:
    compile(block.text, str(block), "exec")
    for module in re.findall(r"^import (\w+)", block.text, re.M):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=starting_folder(block, clone),
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("block", [block for block in consoles if block not in by_make], ids=str)
def test_console_runs(block: Block, clone: Path, environment: dict[str, str]) -> None:
    # Other ports than those printed: two tests may run at a time.
    script = commands(block)
    for port in set(re.findall(r"127\.0\.0\.1:(\d+)", script)):
        script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    with (clone / "output").open("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-euc", script],
            cwd=starting_folder(block, clone),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(SECONDS)
        finally:  # also what the block left running in the background when it failed
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        output.seek(0)
        assert code == 0, output.read()[-2000:]


def test_what_make_does_is_checked_by_name_only() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {line.removeprefix("make ") for block in by_make for line in commands(block).splitlines()}
    assert {"demo", "test"} <= named <= targets


def test_the_page_of_own_models_shows_both_ways() -> None:
    page = ROOT / "docs" / "own-model.md"
    assert "quatrefoil.run(" in "".join(block.text for block in blocks(page, "python"))
    script = "".join(map(commands, blocks(page, "console")))
    for command in ("ca init", "ca issue", "keeper", "aggregator", "silo", "audit show", "plan", "doctor"):
        assert re.search(rf"quatrefoil {command}\b", script)
