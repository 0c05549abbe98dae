"""What the commands of a job's parties refuse at their start, and what they leave on disk."""

from __future__ import annotations

import argparse
import json
import os
import socket
import stat
from pathlib import Path

import pytest
from party_site import ROLES, Site, refusal

from quatrefoil.audit import TileLog
from quatrefoil.cli import keeper, main
from quatrefoil.parties.party import PartyFiles
from support import Consortium, days_from_now


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


def test_what_a_party_remembers_is_for_its_owner_only(site, here, tmp_path, capsys):
    old = os.umask(0)
    try:
        refusal(site.command("silo", tmp_path / "state"), capsys)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "state.sqlite").stat().st_mode) == 0o600


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
