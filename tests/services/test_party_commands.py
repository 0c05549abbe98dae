"""The commands of a job's parties: what they refuse at their start, how they are stopped, what they leave on disk."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from process_memory import is_private
from quatrefoil.audit import MemoryLog, TileLog
from quatrefoil.cli import keeper, main
from quatrefoil.cli.parties import PartyFiles, Refusals
from quatrefoil.errors import ChannelRefused, HostError, MessageRefused
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import availability
from support import Consortium, days_from_now
from world import POLICY

PHASE = """
[[phases]]
name = "{kind}"
kind = "{kind}"
data = "{data}"
{parameters}
silos = 3
rounds = 1
latency_ms = 10000
"""
WORKLOAD = 'name = "toy"' + "".join(
    PHASE.format(
        kind=kind, data="key" if kind == "keys" else "update", parameters="" if kind == "keys" else "parameters = 4"
    )
    for kind in ("collect", "aggregate", "keys")
)
LIMITS = {
    "minimum_silos": 3,
    "colluding_silos": 1,
    "difference": 1,
    "on_excess": "refuse",
    "clip": 1.0,
    "rounds": 20,
    "largest_sample_count": 1000,
    "threat": "",
    "norm": "",
    "receipts": "ml-dsa+ed25519",
    "witnesses": 0,
}


@dataclass
class Site:
    """Files of a consortium; ``command`` makes a whole command line of a party from them."""

    folder: Path
    people: Consortium

    def command(self, role: str, state: Path, **changes: str) -> list[str]:
        options = {
            "--identity": str(self.people.folder(role, role)),
            "--root": str(self.people.directory / "root.pem"),
            "--policy": str(self.folder / "policy.toml"),
            "--state": str(state),
        }
        options |= {
            "keeper": {"--listen": "127.0.0.1:0"},
            "aggregator": {
                **{"--workload": str(self.folder / "workload.toml"), "--costs": str(self.folder / "costs.json")},
                **{"--listen": "127.0.0.1:0", "--keeper": "127.0.0.1:1", "--silos": "a,b,c", "--job": "toy"},
                **{"--initial": str(self.folder / "model.npz"), "--give-up": "0"},
            },
            "silo": {
                **{"--aggregator": "127.0.0.1:1", "--train": "site_of_tests:train", "--give-up": "0"},
                **{"--data": str(self.folder / "data.npz")},
            },
        }[role]
        options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return [role, *(part for option in options.items() for part in option)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    people = Consortium(folder / "ca")
    for role in ("keeper", "aggregator", "silo"):
        people.identity(role, role)
    (folder / "policy.toml").write_text(POLICY.format(backend="additive-rlwe", accept='"software-keeper"', **LIMITS))
    (folder / "workload.toml").write_text(WORKLOAD)
    (folder / "site_of_tests.py").write_text("def train(parameters, data):\n    return parameters\n")
    np.savez(folder / "model.npz", np.zeros(4))
    np.savez(folder / "data.npz", x=np.zeros((5, 4)))
    calibrate(availability(), lambda: None, bytes, seconds=0.1).save(folder / "costs.json")
    return Site(folder, people)


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is the site's, where the training module lies."""
    monkeypatch.chdir(site.folder)
    monkeypatch.syspath_prepend(str(site.folder))
    return site.folder


def test_whoever_finds_a_partys_roots_beside_its_log_finds_their_lists(
    here: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roots before lists, and whoever reads a log that has just begun cannot tell whose it is."""
    put: list[str] = []
    monkeypatch.setattr(TileLog, "keep_trust", lambda self, files: put.extend(files))
    parser = argparse.ArgumentParser()
    keeper.configure(parser)
    with PartyFiles(parser.parse_args(site.command("keeper", tmp_path / "state")[1:]), "keeper"):
        assert put == ["crl.pem", "root.pem"]


def refusal(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a refused command, progress and warnings aside."""
    assert main(command) == 1
    *_, last = shown = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "".join(shown)
    assert sum(line.startswith("quatrefoil: ") for line in shown) == 1 and last.startswith("quatrefoil: ")
    return last


ROLES = ("keeper", "aggregator", "silo")

# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("option", ["identity", "root", "policy"])
def test_a_file_that_is_missing_is_named(site, here, tmp_path, capsys, role, option):
    assert "nowhere" in refusal(site.command(role, tmp_path / "state", **{option: "nowhere"}), capsys)
    assert not (tmp_path / "state").exists()  # nothing was begun


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("option", ["root", "policy"])
def test_a_file_of_garbage_is_named(site, here, tmp_path, capsys, role, option):
    (tmp_path / "garbage").write_bytes(b"\xff\x00garbage")
    assert "garbage" in refusal(site.command(role, tmp_path / "state", **{option: str(tmp_path / "garbage")}), capsys)


@pytest.mark.parametrize("role", ROLES)
def test_an_identity_of_another_role_is_refused(site, here, tmp_path, capsys, role):
    other = "silo" if role != "silo" else "keeper"
    command = site.command(role, tmp_path / "state", identity=str(site.people.folder(other, other)))
    assert f"is {other} {other}, and the role needed is {role}" in refusal(command, capsys)


@pytest.mark.parametrize("role", ROLES)
def test_an_identity_of_another_consortium_is_refused_at_the_start(site, here, tmp_path, capsys, role, stranger):
    stranger.identity(role, role)
    command = site.command(role, tmp_path / "state", identity=str(stranger.folder(role, role)))
    assert "is signed by no trusted root" in refusal(command, capsys)


def test_an_expired_identity_is_refused_at_the_start(site, tmp_path, capsys):
    past = Consortium(tmp_path / "ca", clock=days_from_now(-100))
    past.identity("keeper", "keeper")
    command = site.command(
        "keeper",
        tmp_path / "state",
        identity=str(past.folder("keeper", "keeper")),
        root=str(past.directory / "root.pem"),
    )
    assert "expired" in refusal(command, capsys)


def test_a_party_without_a_list_is_refused_at_the_start(site, here, tmp_path, capsys):
    (tmp_path / "root.pem").write_bytes((site.people.directory / "root.pem").read_bytes())
    command = site.command("keeper", tmp_path / "state", root=str(tmp_path / "root.pem"))
    assert "no revocation list of its root" in refusal(command, capsys)


def test_what_ends_soon_is_said_at_the_start(site, here, tmp_path, capsys):
    late = Consortium(tmp_path / "ca", clock=days_from_now(-25))
    late.identity("silo", "silo")
    changes = {"identity": str(late.folder("silo", "silo")), "root": str(late.directory / "root.pem")}
    assert main(site.command("silo", tmp_path / "state", **changes)) == 1
    assert "soon: revocation list 1 of CN=test-root ends at" in capsys.readouterr().err


def test_what_was_begun_under_a_certificate_that_is_gone_is_not_gone_on_with(site, here, tmp_path, capsys):
    people = Consortium(tmp_path / "ca")
    people.identity("silo", "silo")
    folder = people.folder("silo", "silo")
    command = site.command("silo", tmp_path / "state", identity=str(folder), root=str(people.directory / "root.pem"))
    assert "does not answer" in refusal(command, capsys)
    people.authority.renew(folder)
    assert "does not answer" in refusal(command, capsys)
    (folder / "certificate.pem").unlink()
    assert "was signed with certificate" in refusal(command, capsys)


@pytest.mark.parametrize("role", ROLES)
def test_a_state_folder_that_is_a_file_is_refused(site, here, tmp_path, capsys, role):
    (tmp_path / "file").touch()
    assert "cannot be made" in refusal(site.command(role, tmp_path / "file"), capsys)


def test_a_state_in_use_is_refused(site, tmp_path, capsys):
    with TileLog(tmp_path / "state", site.people.identity("keeper", "keeper"), site.people.trust):
        assert "in use" in refusal(site.command("keeper", tmp_path / "state"), capsys)


@pytest.mark.parametrize("role", ["aggregator", "silo"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(site, here, tmp_path, capsys, role):
    for out in (tmp_path / "nowhere" / "model.npz", tmp_path):
        command = site.command(role, tmp_path / "state", out=str(out))
        assert "cannot be written" in refusal(command, capsys)
    assert not (tmp_path / "state").exists()


def test_a_port_in_use_is_refused(site, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert listen in refusal(site.command("keeper", tmp_path / "state", listen=listen), capsys)


def test_an_address_of_another_host_is_refused(site, tmp_path, capsys):
    command = site.command("keeper", tmp_path / "state", listen="192.0.2.1:1")
    assert "192.0.2.1:1 cannot be listened on" in refusal(command, capsys)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"workload": "nowhere"}, "nowhere"),
        ({"initial": "nowhere.npz"}, "nowhere"),
        ({"initial": "site_of_tests:absent"}, "no function absent"),
        ({"silos": ""}, "0"),
        ({"silos": "a,b"}, "says 3 silos, there are 2"),
        ({"silos": "a,b,../c"}, "cannot be a party's name"),
        ({"costs": "nowhere"}, "nowhere"),
        ({"backend": "plain"}, "not plain"),
        ({}, "the keeper does not answer"),
    ],
)
def test_an_aggregator_that_cannot_begin_says_why(site, here, tmp_path, capsys, changes, expected):
    assert expected in refusal(site.command("aggregator", tmp_path / "state", **changes), capsys)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": "nowhere.npz"}, "nowhere.npz"),
        ({"train": "nowhere:train"}, "no module nowhere"),
        ({"train": "site_of_tests:absent"}, "no function absent"),
        ({"backend": "plain"}, "does not allow"),
        ({}, "the aggregator does not answer"),
    ],
)
def test_a_silo_that_cannot_begin_says_why(site, here, tmp_path, capsys, changes, expected):
    assert expected in refusal(site.command("silo", tmp_path / "state", **changes), capsys)


@pytest.mark.parametrize(
    ("role", "option", "value"),
    [
        *(("keeper", "listen", value) for value in ("nowhere", "host:", ":80", "h:65536", "h:-1", "h:x", "")),
        *(("aggregator", "deadline", value) for value in ("nan", "inf", "-1", "soon")),
        *(("silo", "give_up", value) for value in ("nan", "-0.5")),
        *((role, "threads", value) for role in ROLES for value in ("0", "-1", "many")),
        ("silo", "samples", "few"),
        *((role, "pin", value) for role in ("silo", "aggregator") for value in ("", "abc", "0" * 63)),
    ],
)
def test_a_value_of_the_wrong_form_is_a_usage_error(site, tmp_path, capsys, role, option, value):
    with pytest.raises(SystemExit) as ended:
        main(site.command(role, tmp_path / "state", **{option: value}))
    assert ended.value.code == 2
    assert f"--{option.replace('_', '-')}" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ what is left


def test_what_a_party_remembers_is_for_its_owner_only(site, here, tmp_path, capsys):
    old = os.umask(0)
    try:
        refusal(site.command("silo", tmp_path / "state"), capsys)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "state.sqlite").stat().st_mode) == 0o600


# ---------------------------------------------------------------------------------------------------- how they stop


def started(command: list[str], folder: Path, until: str) -> subprocess.Popen[str]:
    """A party in a process of its own, once it has said ``until``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quatrefoil.cli", *command], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stderr is not None
    for line in process.stderr:
        if until in line:
            return process
    raise AssertionError(f"it never said {until!r}")


@pytest.mark.parametrize("role", ROLES)
def test_a_party_leaves_no_core_file_and_its_memory_to_nobody(site, tmp_path, role):
    changes, until = ({}, "listens on") if role == "keeper" else ({"give_up": "never"}, "does not answer")
    process = started(site.command(role, tmp_path / "state", **changes), site.folder, until)
    try:
        assert is_private(process.pid)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_keeper_is_stopped_by_a_signal_and_ends_well(site, tmp_path, name):
    process = started(site.command("keeper", tmp_path / "state"), tmp_path, "keeper keeper listens on 127.0.0.1:")
    process.send_signal(name)
    _, rest = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize(
    ("role", "name"), [("aggregator", signal.SIGTERM), ("aggregator", signal.SIGINT), ("silo", signal.SIGTERM)]
)
def test_a_party_that_waits_is_stopped_by_a_signal_and_says_that_it_goes_on(site, tmp_path, role, name):
    process = started(site.command(role, tmp_path / "state", give_up="never"), site.folder, "does not answer")
    process.send_signal(name)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "stopped: started again with the same --state it goes on\n")


def test_an_interrupt_of_a_silo_is_one_line(site, tmp_path):
    process = started(site.command("silo", tmp_path / "state", give_up="60"), site.folder, "does not answer")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (1, "quatrefoil: interrupted\n")


def test_a_keeper_tells_programs_that_it_is_ready(site, tmp_path):
    command = [*site.command("keeper", tmp_path / "state", metrics="127.0.0.1:0"), "--log-format", "json"]
    process = started(command, tmp_path, '"message": "keeper keeper listens on 127.0.0.1:')
    process.terminate()
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def test_every_line_of_a_keeper_for_programs_is_one_object_the_warning_of_stand_ins_too(site, tmp_path):
    command = [*site.command("keeper", tmp_path / "state"), "--log-format", "json"]
    keeper = [sys.executable, "-m", "quatrefoil.cli", *command]
    with subprocess.Popen(keeper, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(json.loads(line))
            if "listens on" in line:
                process.terminate()
    assert {(line["level"], line["message"]) for line in said if "INSECURE" in line["message"]} == {
        ("warning", "INSECURE stand-in accepted by the policy: software-keeper")
    }


@pytest.mark.parametrize("role", ROLES)
def test_what_others_could_read_is_not_listened_on(site, here, tmp_path, capsys, role):
    command = site.command(role, tmp_path / "state", metrics="0.0.0.0:0")
    assert "metrics are for this machine" in refusal(command, capsys)


@pytest.mark.parametrize("role", ROLES)
def test_a_refusal_for_programs_is_one_object(site, here, tmp_path, capsys, role):
    command = [*site.command(role, tmp_path / "state", database="mysql://here"), "--log-format", "json"]
    assert main(command) == 1
    *_, last = capsys.readouterr().err.splitlines()
    said = json.loads(last)
    assert (said["level"], said["command"], said["error"]) == ("error", role, "CallerError")
    assert said["message"] == "'mysql' is no database. Write postgresql://HOST/DATABASE"


# ---------------------------------------------------------------------------------------------- refused connections


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_refused_connection_is_logged_and_shown(capsys):
    log = MemoryLog()
    Refusals(log).connection("192.0.2.1:5", ChannelRefused("offers only classical key exchange", hint="Upgrade"))
    (entry,) = log.entries()
    assert entry.body == {"address": "192.0.2.1:5", "reason": "offers only classical key exchange"}
    assert capsys.readouterr().err == "refused 192.0.2.1:5: offers only classical key exchange. Upgrade\n"


def test_a_flood_of_refused_connections_does_not_fill_the_log(capsys):
    log, clock = MemoryLog(), Seconds()
    refusals = Refusals(log, clock)
    for _ in range(1000):
        refusals.connection("192.0.2.1:5", ChannelRefused("x", hint="y"))
    assert len(list(log.entries())) == len(capsys.readouterr().err.splitlines()) == Refusals.MOST_A_MINUTE
    clock.now = 61
    refusals.connection("192.0.2.1:6", ChannelRefused("x", hint="y"))
    *_, last = log.entries()
    assert last.body["left_out"] == 1000 - Refusals.MOST_A_MINUTE
    refusals.connection("192.0.2.1:7", ChannelRefused("x", hint="y"))
    *_, last = log.entries()
    assert "left_out" not in last.body


def test_a_log_that_takes_nothing_more_is_said_and_stops_no_server(capsys):
    class Full(MemoryLog):
        def append(self, kind, body, attached=None):
            raise HostError("the log's disk is full", hint="Free space")

    Refusals(Full()).connection("192.0.2.1:5", ChannelRefused("x", hint="y"))
    assert "the log's disk is full. Free space" in capsys.readouterr().err


def test_a_refused_question_is_shown_with_who_asked(capsys):
    Refusals(MemoryLog()).question("bari", MessageRefused("bari contributes twice", hint="Leave it"))
    assert capsys.readouterr().err == "bari was refused: bari contributes twice. Leave it\n"
