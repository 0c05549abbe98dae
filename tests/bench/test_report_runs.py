"""The whole run: what is finished is kept, what failed or was cut off is measured again, nothing is left running."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from report_world import COMMANDS, part, program, put, result

from quatrefoil.bench.report import records, running, whole
from quatrefoil.bench.report.apart import Apart, found_in
from quatrefoil.bench.report.parts import NAMES, PARTS, Part, chosen, missing_commands
from quatrefoil.bench.report.records import RESULTS
from quatrefoil.bench.report.whole import Outcome, Progress, measure_all
from quatrefoil.cli import bench_all, main, parser
from quatrefoil.errors import CallerError, HostError

GOOD = "out.write_text(json.dumps(good)); print('a table'); Path(os.environ['SEEN']).open('a').write(name + chr(10))"


@pytest.fixture(autouse=True)
def seen(tmp_path, monkeypatch) -> Path:
    """What the stand-in program has run, a line each."""
    file = tmp_path / "seen"
    file.write_text("")
    monkeypatch.setenv("SEEN", str(file))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return file


@pytest.fixture
def few(monkeypatch) -> tuple[Part, ...]:
    """Three parts, for speed."""
    chosen_parts = tuple(part(name) for name in ("aggregation", "proof", "score"))
    monkeypatch.setattr(whole, "PARTS", chosen_parts)
    return chosen_parts


def ran(seen: Path) -> list[str]:
    names = seen.read_text().split()
    seen.write_text("")
    return names


def run(folder: Path, with_program: tuple[str, ...], **given) -> dict[str, Outcome]:
    said: list[Progress] = given.pop("said", [])
    arguments = {"only": (), "quick": False, "commands": COMMANDS} | given
    found = measure_all(folder / "report", program=with_program, say=said.append, **arguments)
    return {one.part.name: one for one in found}


def states(found: dict[str, Outcome]) -> list[str]:
    return [one.state for one in found.values()]


# --------------------------------------------------------------------------------------------------------- what counts


def test_every_part_is_run_once_and_then_kept(tmp_path, seen, few) -> None:
    said: list[Progress] = []
    asked = program(tmp_path, f"print('working', file=sys.stderr); {GOOD}")
    found = run(tmp_path, asked, said=said)
    assert states(found) == ["measured"] * 3 and ran(seen) == [one.name for one in few]
    assert [(one.number, one.count, one.line) for one in said] == [
        (n, 3, x) for n in (1, 2, 3) for x in ("", "working")
    ]
    assert all(a.left_s >= b.left_s for a, b in itertools.pairwise(said))
    results = tmp_path / "report" / RESULTS
    assert (results / "proof.txt").read_text() == "a table\n"
    assert json.loads((results / "proof.json").read_text())["schema"] == part("proof").schema
    again = run(tmp_path, asked)
    assert states(again) == ["kept"] * 3 and ran(seen) == []
    assert again["score"].kept == found["score"].kept


def test_only_measures_what_is_finished_again_and_leaves_the_rest(tmp_path, seen, few) -> None:
    asked = program(tmp_path, GOOD)
    found = run(tmp_path, asked, only=(part("proof"),))
    assert states(found) == ["not run", "measured", "not run"] and ran(seen) == ["proof"]
    run(tmp_path, asked)
    ran(seen)
    assert states(run(tmp_path, asked, only=(part("proof"),))) == ["kept", "measured", "kept"]
    assert ran(seen) == ["proof"]


def test_quick_results_are_no_full_ones(tmp_path, seen, few) -> None:
    asked = program(tmp_path, GOOD)
    run(tmp_path, asked, quick=True)
    assert states(run(tmp_path, asked, quick=True)) == ["kept"] * 3
    assert states(run(tmp_path, asked, only=(part("proof"),))) == ["older", "measured", "older"]
    assert states(run(tmp_path, asked)) == ["measured", "kept", "measured"]


@pytest.mark.parametrize(
    "changed",
    [{"version": "0"}, {"code": "0" * 64}, {"arguments": ("bench", "proof", "--threads", "2")}, {"peers": {"x": "1"}}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_would_not_be_measured_the_same_is_measured_again(tmp_path, seen, few, changed) -> None:
    which = part("proof")
    put(tmp_path / "report", which, result(which, rows=[]), **changed)
    asked = program(tmp_path, GOOD)
    older = run(tmp_path, asked, only=(part("score"),))["proof"]
    assert older.state == "older" and older.kept is not None and "other code" in older.why
    assert run(tmp_path, asked)["proof"].state == "measured"


def test_a_peer_that_was_installed_since_is_measured(tmp_path, seen, few) -> None:
    which = part("score")
    assert all(peer.installed() for peer in which.peers if peer.distribution == "numpy")
    put(tmp_path / "report", which, result(which, rows=[]), peers={peer.name: "" for peer in which.peers})
    assert run(tmp_path, program(tmp_path, GOOD))["score"].state == "measured"


def test_a_command_that_this_version_lacks_is_missing_and_not_skipped(tmp_path, seen, few) -> None:
    found = run(tmp_path, program(tmp_path, GOOD), commands=COMMANDS - {("bench", "proof")})
    assert states(found) == ["measured", "missing", "measured"] and "bench proof" in found["proof"].why
    assert missing_commands(PARTS, set()) == set(NAMES)


@pytest.fixture
def elsewhere(monkeypatch) -> Part:
    """A part whose package this Python does not have, beside one that needs none."""
    which = dataclasses.replace(part("flower"), apart="no-such-package")
    monkeypatch.setattr(whole, "PARTS", (part("proof"), which))
    return which


def test_a_part_without_a_python_that_has_its_package_is_missing_and_said_so(tmp_path, seen, elsewhere) -> None:
    found = run(tmp_path, program(tmp_path, GOOD))
    assert states(found) == ["measured", "missing"] and ran(seen) == ["proof"]
    assert "no-such-package is not installed" in found["flower"].why


def test_a_part_is_run_by_the_python_that_is_named_for_it(tmp_path, seen, elsewhere) -> None:
    other = tmp_path / "other"
    other.mkdir()
    apart = Apart(program(other, GOOD.replace("name +", "'elsewhere' +")), "1.42")
    found = run(tmp_path, program(tmp_path, GOOD), apart={"no-such-package": apart})
    assert states(found) == ["measured"] * 2 and ran(seen) == ["proof", "elsewhere"]


def test_figures_of_another_python_stay_where_it_is_not_named_again(tmp_path, seen, monkeypatch) -> None:
    which = part("flower")
    monkeypatch.setattr(whole, "PARTS", (which,))
    monkeypatch.setattr(Part, "can_run_here", lambda _: False)
    put(tmp_path / "report", which, result(which), peers={peer.name: "1.42" for peer in which.peers})
    asked = program(tmp_path, GOOD)
    assert states(run(tmp_path, asked)) == ["older"] and ran(seen) == []
    assert states(run(tmp_path, asked, apart={"flwr": Apart(asked, "1.42")})) == ["kept"] and ran(seen) == []
    assert states(run(tmp_path, asked, apart={"flwr": Apart(asked, "1.43")})) == ["measured"]


def test_the_same_python_is_found_and_a_package_that_it_lacks_refused() -> None:
    found = found_in(Path(sys.executable), "numpy", ("-m", "x"))
    assert found.program == (sys.executable, "-m", "x") and found.version == version("numpy")
    with pytest.raises(CallerError, match=r"has no no-such-package.*Name the Python"):
        found_in(Path(sys.executable), "no-such-package", ())


PYTHONS = {
    "is not there": (None, "does not run"),
    "says nothing": ("exit 3", "does not run Quatrefoil"),
    "says garbage": ("echo '[1]'", "does not run Quatrefoil"),
    "has other code": ("""echo '{"version": "1", "code": "0", "machine": {}}'""", "has other code"),
}


@pytest.mark.parametrize("how", PYTHONS)
def test_a_python_that_would_measure_something_else_is_refused(tmp_path, how) -> None:
    body, problem = PYTHONS[how]
    python = tmp_path / "python"
    if body is not None:
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o755)
    with pytest.raises(CallerError, match=problem):
        found_in(python, "flwr", ())


def test_a_python_of_another_version_is_refused(tmp_path, monkeypatch) -> None:
    now = records.here()
    monkeypatch.setattr("quatrefoil.bench.report.apart.here", lambda: dataclasses.replace(now, machine={"python": "4"}))
    with pytest.raises(CallerError, match="another Python than 4"):
        found_in(Path(sys.executable), "numpy", ())


def test_names_of_parts_are_checked() -> None:
    assert [one.name for one in chosen(["score", "proof"])] == ["proof", "score"]
    with pytest.raises(CallerError, match="there is no part everything"):
        chosen(["everything"])


# -------------------------------------------------------------------------------------------------------------- failing

BROKEN = {
    "refuses": ("sys.exit('quatrefoil: tenseal is not installed. Install it')", "failed: tenseal is not installed"),
    "crashes": ("raise RuntimeError('boom')", "failed: RuntimeError: boom"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9"),
    "says nothing": ("sys.exit(3)", "failed: exit code 3"),
    "writes nothing": ("pass", "wrote no result"),
    "writes half": ("out.write_text(json.dumps(good)[:-9])", "is not strict JSON"),
    "writes garbage": ("out.write_bytes(bytes(range(256)))", "is not strict JSON"),
    "writes NaN": ("out.write_text(json.dumps(good | {'x': float('nan')}))", "is not strict JSON"),
    "writes a name twice": ("out.write_text(json.dumps(good)[:-1] + ', \"rows\": []}')", "a name twice"),
    "writes deep": ("out.write_text('[' * 100 + ']' * 100)", "nested deeper"),
    "writes too much": ("out.write_bytes(bytes(17 << 20))", "over the limit"),
    "writes a list": ("out.write_text('[]')", "is not quatrefoil.bench-proof/1"),
    "writes another bench's": ("out.write_text(json.dumps(good | {'schema': 'quatrefoil.plan/1'}))", "is not"),
    "is of another machine": ("out.write_text(json.dumps(good | {'machine': {'cores': 64}}))", "another machine"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_bench_that_fails_is_told_and_stops_nothing(tmp_path, seen, few, how) -> None:
    body, why = BROKEN[how]
    found = run(tmp_path, program(tmp_path, f"if name != 'proof':\n    {GOOD}\nelse:\n    {body}"))
    assert states(found) == ["measured", "failed", "measured"]
    assert why in found["proof"].why and found["proof"].kept is None
    assert not (tmp_path / "report" / RESULTS / "proof.record.json").exists()
    assert states(run(tmp_path, program(tmp_path, GOOD))) == ["kept", "measured", "kept"]


def test_a_bench_that_hangs_is_stopped_with_what_it_started(tmp_path, seen, few, monkeypatch) -> None:
    monkeypatch.setattr(Part, "most_seconds", lambda *_: 1.5)
    monkeypatch.setattr(running, "GRACE", 0.5)
    pid = tmp_path / "pid"
    body = f"""
    if name == "proof":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path({str(pid)!r}).write_text(str(child.pid))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(60)
    """
    found = run(tmp_path, program(tmp_path, body), only=(part("proof"),))
    assert found["proof"].state == "failed" and "took longer than" in found["proof"].why
    assert gone(int(pid.read_text()))


def test_what_a_bench_leaves_running_is_ended_also_where_it_holds_its_pipe(tmp_path, seen, few) -> None:
    pid = tmp_path / "pid"
    body = f"""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path({str(pid)!r}).write_text(str(child.pid))
    """
    assert run(tmp_path, program(tmp_path, body + GOOD), only=(part("proof"),))["proof"].state == "measured"
    assert gone(int(pid.read_text()))


ORPHAN = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while time.process_time() < 0.5:
            pass
        open(sys.argv[1] + ".part", "w").write(str(os.getpid()))
        os.rename(sys.argv[1] + ".part", sys.argv[1])
        if sys.argv[2] == "stays":
            time.sleep(60)
    os._exit(0)
os.wait()
"""
"""Leaves a process in a session of its own behind whose parents have ended, as daemons do; it works half a second."""


@pytest.mark.parametrize("how", ["ends", "stays"])
def test_what_a_bench_started_over_others_that_have_ended_counts_as_its_own(tmp_path, seen, few, how) -> None:
    pid = tmp_path / "pid"
    body = f"""
    subprocess.run([sys.executable, "-c", {ORPHAN!r}, {str(pid)!r}, {how!r}], check=True)
    while not Path({str(pid)!r}).exists():
        time.sleep(0.01)
    """
    before = running._Processors.read().children
    assert run(tmp_path, program(tmp_path, body + GOOD), only=(part("proof"),))["proof"].state == "measured"
    assert running._Processors.read().children - before >= 0.5
    assert not Path("/proc", pid.read_text()).exists()


def test_who_was_started_before_a_bench_is_let_be(tmp_path, seen, few) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as mine:
        run(tmp_path, program(tmp_path, GOOD), only=(part("proof"),))
        assert mine.poll() is None
        mine.communicate()
    assert mine.returncode == 1  # at the end of its input


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends, or is a zombie that waits for who started it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


# ----------------------------------------------------------------------------------------------------- killed, resumed

KILLED = """
import os, signal, sys
# Whoever starts tests in the background has interrupts ignored, and this would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from report_world import COMMANDS, part
from quatrefoil.bench.report import whole
whole.PARTS = tuple(part(name) for name in ("aggregation", "proof", "score"))
program = (sys.executable, sys.argv[2], str(os.getpid()))
whole.measure_all(Path(sys.argv[1]), only=(), quick=False, commands=COMMANDS, program=program, say=print)
"""
CHILD = """
import signal, sys
from quatrefoil.secrecy import ends_with_its_parent
signal.signal(signal.SIGINT, signal.default_int_handler)
ends_with_its_parent(int(sys.argv.pop(1)), signal.SIGINT)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda sent: sent.name)
def test_a_run_that_is_killed_is_resumed_where_it_was(tmp_path, seen, few, sent) -> None:
    pids = tmp_path / "pids"
    body = f"""
    if name == "proof" and not Path({str(pids)!r}).exists():
        server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{server.pid}}")
        try:
            time.sleep(60)
        finally:
            server.kill()
    """
    slow = program(tmp_path, body + GOOD)
    child = tmp_path / "child.py"
    child.write_text(CHILD + Path(slow[1]).read_text())
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "report"), str(child)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        try:
            end = time.monotonic() + 60
            while not (pids.exists() and " " in pids.read_text()) and time.monotonic() < end:
                time.sleep(0.02)
            killed.send_signal(sent)
            killed.wait(30)
        finally:
            killed.kill()
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    assert ran(seen) == ["aggregation"]
    found = run(tmp_path, program(tmp_path, GOOD))
    assert states(found) == ["kept", "measured", "measured"] and ran(seen) == ["proof", "score"]


def test_a_bench_of_a_parent_that_is_gone_already_does_not_begin() -> None:
    body = "import signal; from quatrefoil.secrecy import ends_with_its_parent as e; e(1, signal.SIGTERM); print(1)"
    ended = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "")


def test_two_runs_into_one_folder_are_refused(tmp_path, few, monkeypatch) -> None:
    monkeypatch.setattr(whole, "LOCK_SECONDS", 0.0)
    with whole._alone(tmp_path), pytest.raises(HostError, match="another run measures"), whole._alone(tmp_path):
        pass
    with whole._alone(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(HostError, match="cannot be used"):
        run(tmp_path, ("true",))


# ---------------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_page_and_json_and_fails_where_a_part_did(tmp_path, seen, few, monkeypatch, capfd) -> None:
    body = f"if name != 'proof':\n    {GOOD}\nelse:\n    sys.exit('quatrefoil: no. Do not')"
    asked = program(tmp_path, body)
    monkeypatch.setattr("quatrefoil.cli.bench_all._program", lambda: asked)
    folder, file = tmp_path / "report", tmp_path / "all.json"
    assert main(["bench", "all", "--report", str(folder), "--quick", "--json", str(file)]) == 1
    shown = capfd.readouterr()
    assert "quatrefoil: proof failed; the page says why." in shown.err and "[3/3] score" in shown.err
    assert "failed" in shown.out and "index.html" in shown.out
    content = json.loads(file.read_text())
    assert content["schema"] == "quatrefoil.bench-all/1" and content["quick"] is True
    assert [one["state"] for one in content["parts"]] == ["measured", "failed", "measured"]
    written = json.loads((folder / "report.json").read_text())
    assert written["layers"] == content["layers"] and len(written["code"]) == 64
    assert "no. Do not" in (folder / "index.html").read_text()
    good = program(tmp_path, GOOD)
    monkeypatch.setattr("quatrefoil.cli.bench_all._program", lambda: good)
    assert main(["bench", "all", "--report", str(folder), "--quick", "--json", "-"]) == 0
    assert [one["state"] for one in json.loads(capfd.readouterr().out)["parts"]] == ["kept", "measured", "kept"]


def test_without_matplotlib_nothing_is_measured(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("quatrefoil.bench.report.svg.find_spec", lambda _: None)
    assert main(["bench", "all", "--report", str(tmp_path / "report")]) == 1
    assert "matplotlib is not installed. pip install 'quatrefoil[bench]'" in capfd.readouterr().err
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("arguments", [[], ["--report"], ["--report", "x", "--only", "everything"]])
def test_wrong_usage(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "all", *arguments])
    assert ended.value.code == 2 and "usage:" in capsys.readouterr().err


def test_every_part_names_a_command_with_its_options() -> None:
    assert missing_commands(PARTS, bench_all._commands()) == set()
    for one in PARTS:
        for quick in (False, True):
            assert parser().parse_args([*one.arguments(quick), "--json", "x"]).json == Path("x")


def test_the_whole_is_meant_to_take_less_than_half_an_hour() -> None:
    assert sum(one.about(quick=False) for one in PARTS) < 30 * 60
    assert sum(one.about(quick=True) for one in PARTS) < 10 * 60
