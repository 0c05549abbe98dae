"""The ``ca`` command, through its own parser."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from quatrefoil.cli import ca
from quatrefoil.errors import CallerError, HostError, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport, TrustAnchor, profile, system_clock
from quatrefoil.transport.identity import generations
from quatrefoil.transport.leaf_keys import key_digest


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


@pytest.mark.parametrize("action", ["init", "issue", "renew", "request", "sign", "revoke", "crl", "show"])
def test_every_action_has_a_help(action, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(action, "--help")
    assert exit_.value.code == 0 and action in capsys.readouterr().out


def lists_of(root: Path) -> tuple[int, int]:
    (held,) = TrustAnchor.load(root).lists
    return held.number, len(held.entries)


def test_revoke_takes_a_party_a_serial_number_or_a_certificate(root, capsys):
    for name in ("north", "south", "west"):
        run("issue", root, name, "--role", "silo")
    serial = Identity.load(root / "south").certificate.serial_number
    run("revoke", root, "north", "--reason", "key-compromise")
    run("revoke", root, f"{serial:x}")
    run("revoke", root, root / "west", "--reason", "superseded", "--days", 3)
    printed = capsys.readouterr().out
    assert "is list 4 with 3 revoked" in printed and "Give it to every party" in printed
    assert lists_of(root) == (4, 3)


def test_crl_renews_the_list(root, capsys):
    run("crl", root, "--days", 3)
    assert "is list 2 with 0 revoked" in capsys.readouterr().out
    assert lists_of(root) == (2, 0)


def test_a_name_with_several_certificates_is_revoked_only_when_all_are_meant(root):
    run("issue", root, "north", "--role", "silo")
    run("issue", root, "north", "--role", "keeper", "--out", root / "second")
    with pytest.raises(CallerError, match=r"2 valid certificates: [0-9a-f]+ \((silo|keeper)\), "):
        run("revoke", root, "north")
    assert lists_of(root) == (1, 0)
    run("revoke", root, "north", "--all")
    assert lists_of(root) == (2, 2)
    with pytest.raises(CallerError, match="expired or is revoked"):
        run("revoke", root, "north")


def test_what_cannot_be_revoked_is_refused(root, tmp_path):
    run("init", tmp_path / "other", "--name", "other")
    run("issue", tmp_path / "other", "north", "--role", "silo")
    for what, error, expected in (
        ("nobody", CallerError, "nothing was issued here to 'nobody'"),
        ("7f", CallerError, "nothing was issued here"),
        (tmp_path / "other" / "north", CallerError, "not of this root"),
        (tmp_path / "other" / "root.key", HostError, "not a PEM certificate"),
        (tmp_path / "none.pem", HostError, "cannot be read"),
    ):
        with pytest.raises(error, match=expected):
            run("revoke", root, what)
    with pytest.raises(CallerError, match="no lifetime"):
        run("crl", root, "--days", 0)
    assert lists_of(root) == (1, 0)


def test_sign_hands_out_the_list_too(root, tmp_path):
    home = tmp_path / "home"
    run("request", home, "hungary", "--role", "silo")
    run("sign", root, home / "request.pem", "--name", "hungary", "--role", "silo", "--out", home)
    assert TrustAnchor.load(home).lists == TrustAnchor.load(root).lists


def test_renew_puts_the_next_key_beside_the_old(root, capsys):
    run("issue", root, "hub", "--role", "aggregator", "--host", "hub.example.org", "--days", 30)
    old = Identity.load(root / "hub")
    run("renew", root, "hub")
    assert "is shown by new channels" in capsys.readouterr().out
    new = Identity.load(root / "hub")
    assert new.fingerprint != old.fingerprint and new.algorithm == old.algorithm == "ml-dsa-65"
    assert (new.name, new.role, profile.hosts_of(new.certificate)) == ("hub", "aggregator", ["hub.example.org"])
    assert (new.certificate.not_valid_after_utc - system_clock()).days in (29, 30)
    run("renew", root, "hub", "--host", "other.example.org", "--days", 7, "--algorithm", "ml-dsa-87")
    third = Identity.load(root / "hub")
    assert third.algorithm == "ml-dsa-87" and profile.hosts_of(third.certificate) == ["other.example.org"]
    assert [place.name for place in generations(root / "hub")] == ["hub", "0001", "0002"]


def test_a_renewal_may_be_requested_so_that_the_key_stays(root, tmp_path, capsys):
    home = tmp_path / "home"
    run("request", home, "hungary", "--role", "silo", "--algorithm", "ml-dsa-87")
    run("sign", root, home / "request.pem", "--name", "hungary", "--role", "silo", "--out", home)
    old = Identity.load(home)
    run("request", home, "--renew")
    place = home / "renewed" / "0001"
    assert str(place / "request.pem") in capsys.readouterr().out
    assert Identity.load(home).fingerprint == old.fingerprint
    run("sign", root, place / "request.pem", "--name", "hungary", "--role", "silo", "--out", place)
    new = Identity.load(home)
    assert new.fingerprint != old.fingerprint and new.algorithm == "ml-dsa-87"


def test_what_cannot_be_renewed_is_refused(root, tmp_path):
    run("issue", root, "hub", "--role", "aggregator")
    with pytest.raises(CallerError, match="is the identity of 'hub', not of 'north'"):
        run("renew", root, "north", "--identity", root / "hub")
    with pytest.raises(HostError, match="not a directory"):
        run("renew", root, "north")
    with pytest.raises(CallerError, match="no lifetime"):
        run("renew", root, "hub", "--days", 0)
    run("init", tmp_path / "other", "--name", "other")
    with pytest.raises(CallerError, match="of another root"):
        run("renew", tmp_path / "other", "hub", "--identity", root / "hub")
    assert not (root / "hub" / "renewed").exists()


@pytest.mark.parametrize("arguments", [["north"], ["--role", "silo"], [], ["north", "--role", "silo", "--renew"]])
def test_a_request_is_a_first_one_or_a_renewal(tmp_path, arguments):
    with pytest.raises(CallerError, match="or --renew"):
        run("request", tmp_path / "home", *arguments)
    assert not (tmp_path / "home").exists()


def test_show_prints_what_is_to_be_pinned_before_the_key_is_in_use(root, tmp_path, capsys):
    home = tmp_path / "home"
    run("request", home, "hungary", "--role", "silo")
    capsys.readouterr()
    run("show", home / "request.pem")
    asked = capsys.readouterr().out
    run("sign", root, home / "request.pem", "--name", "hungary", "--role", "silo", "--out", home)
    pin = key_digest(Identity.load(home).certificate.public_key()).hex()
    capsys.readouterr()
    run("show", home)
    assert pin in asked and pin in capsys.readouterr().out
    begin, end = b"-----BEGIN CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----\n"
    (tmp_path / "bad.pem").write_bytes(begin + b"AAAA\n" + end)
    with pytest.raises(MessageRefused, match="cannot be read"):
        run("show", tmp_path / "bad.pem")


def test_show_prints_a_list_that_the_root_beside_it_has_signed(root, tmp_path, capsys):
    run("issue", root, "north", "--role", "silo")
    run("revoke", root, "north", "--reason", "superseded")
    capsys.readouterr()
    run("show", root / "crl.pem")
    printed = capsys.readouterr().out
    serial = Identity.load(root / "north").certificate.serial_number
    assert f"{serial:x}" in printed and "(superseded)" in printed
    run("init", tmp_path / "other", "--name", "hearts")
    (tmp_path / "other" / "crl.pem").write_bytes((root / "crl.pem").read_bytes())
    with pytest.raises(HostError, match="not signed by it"):
        run("show", tmp_path / "other" / "crl.pem")
