"""The ``ca`` command, through its own parser."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from quatrefoil.cli import ca
from quatrefoil.errors import CallerError, HostError, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport, TrustAnchor, profile, system_clock


def run(*arguments: object) -> None:
    parser = argparse.ArgumentParser(prog="quatrefoil ca")
    ca.configure(parser)
    ca.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run("init", tmp_path / "ca", "--name", "hearts")
    return tmp_path / "ca"


def test_init_and_issue_make_identities_that_work(root, capsys):
    run("issue", root, "cleveland", "--role", "silo")
    run("issue", root, "hub", "--role", "aggregator", "--host", "hub.example.org", "--host", "::1", "--days", 7)
    printed = capsys.readouterr().out
    assert "CN=hearts" in printed and "MLDSA65" in printed and "hub.example.org, ::1" in printed
    silo, hub = Identity.load(root / "cleveland"), Identity.load(root / "hub")
    trust = TrustAnchor.load(root / "root.pem")
    signed = PostQuantumTransport(silo, trust, clock=system_clock).sign(b"x")
    assert PostQuantumTransport(hub, trust, clock=system_clock).verify(signed).role == "silo"
    assert profile.hosts_of(silo.certificate) == list(profile.DEFAULT_HOSTS)
    assert (hub.certificate.not_valid_after_utc - system_clock()).days in (6, 7)


def test_request_and_sign_leave_the_key_at_home(root, tmp_path, capsys):
    home = tmp_path / "home"
    run("request", home, "hungary", "--role", "silo")
    run("sign", root, home / "request.pem", "--name", "hungary", "--role", "silo", "--out", home)
    assert Identity.load(home).name == "hungary"
    assert TrustAnchor.load(home).fingerprints == TrustAnchor.load(root).fingerprints
    with pytest.raises(HostError, match="exists already"):
        run("sign", root, home / "request.pem", "--name", "hungary", "--role", "silo", "--out", home)
    assert len(list((root / "issued").iterdir())) == 1


def test_show_prints_the_fingerprint(root, capsys):
    run("issue", root, "cleveland", "--role", "silo", "--out", root / "elsewhere")
    identity = Identity.load(root / "elsewhere")
    for place in (root / "elsewhere", root / "elsewhere" / "certificate.pem"):
        capsys.readouterr()
        run("show", place)
        assert identity.fingerprint.hex() in capsys.readouterr().out
    run("show", root / "root.pem")
    assert "MLDSA87" in capsys.readouterr().out


def test_what_cannot_be_done_is_refused(root, tmp_path):
    with pytest.raises(HostError, match="exists already"):
        run("init", root, "--name", "again")
    with pytest.raises(CallerError, match="cannot be a party's name"):
        run("init", tmp_path / "new", "--name", "a b")
    with pytest.raises(HostError, match="cannot be read"):
        run("issue", tmp_path / "nowhere", "cleveland", "--role", "silo")
    with pytest.raises(CallerError, match="no lifetime"):
        run("issue", root, "cleveland", "--role", "silo", "--days", 0)
    with pytest.raises(CallerError, match="neither a host name"):
        run("issue", root, "cleveland", "--role", "silo", "--host", "*")
    with pytest.raises(HostError, match="cannot be read"):
        run("sign", root, tmp_path / "none.pem", "--name", "x", "--role", "silo", "--out", tmp_path / "out")
    run("request", tmp_path / "home", "hungary", "--role", "silo")
    with pytest.raises(MessageRefused, match="'hungary' as silo"):
        run(
            "sign",
            root,
            tmp_path / "home/request.pem",
            "--name",
            "hungary",
            "--role",
            "keeper",
            "--out",
            tmp_path / "o",
        )
    with pytest.raises(HostError, match="not a PEM certificate"):
        run("show", root / "root.key")


@pytest.mark.parametrize(
    "arguments", [[], ["issue"], ["issue", "ca", "x"], ["issue", "ca", "x", "--role", "king"], ["frobnicate"]]
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2
    assert "usage: quatrefoil ca" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["init", "issue", "request", "sign", "show"])
def test_every_action_has_a_help(action, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(action, "--help")
    assert exit_.value.code == 0 and action in capsys.readouterr().out
