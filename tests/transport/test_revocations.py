"""What an authority takes back is never lost, and its lists only grow in number."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.errors import CallerError, HostError, MessageRefused, StateCorrupt
from quatrefoil.transport import CertificateAuthority, TrustAnchor, files, system_clock
from quatrefoil.transport.identity import LIST_FILE
from quatrefoil.transport.revocations import Revocations
from support import clock_at


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "ca", "root", clock=system_clock)


def refused(authority: CertificateAuthority, certificate: x509.Certificate, match: str = "was revoked") -> None:
    trust = TrustAnchor.load(authority.directory)
    with pytest.raises(MessageRefused, match=match):
        trust.verify(certificate.public_bytes(Encoding.DER), at=system_clock(), refusal=MessageRefused)


def test_a_new_authority_has_a_list_that_names_nobody(authority):
    (held,) = TrustAnchor.load(authority.directory).lists
    assert held.number == 1 and not held.entries
    assert held.ends - system_clock() > timedelta(days=29)


def test_revoking_and_publishing_is_what_parties_see(authority):
    north, south = (authority.issue(name, "silo").certificate for name in ("north", "south"))
    authority.revoke(north, reason="key-compromise")
    made = authority.publish()
    assert (made.number, list(made.entries)) == (2, [north.serial_number])
    refused(authority, north)
    assert authority.trust.lists == TrustAnchor.load(authority.directory).lists == (made,)
    authority.revoke(south, reason="superseded")
    again = CertificateAuthority.load(authority.directory, clock=system_clock).publish(lifetime=timedelta(days=1))
    assert again.number == 3 and set(again.entries) == {north.serial_number, south.serial_number}


def test_killed_before_the_list_the_revocation_stands_in_the_next(authority, monkeypatch):
    north = authority.issue("north", "silo").certificate
    authority.revoke(north, reason="key-compromise")

    def killed(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    for step in ("write_new", "replace"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(files, step, killed)
            authority.publish()
        assert not TrustAnchor.load(authority.directory).lists[0].entries  # the old list, whole
    made = CertificateAuthority.load(authority.directory, clock=system_clock).publish()
    assert made.number == 3  # the number of the list that nobody got is not used again
    refused(authority, north)


def test_a_full_disk_leaves_the_old_list_in_place(authority, monkeypatch):
    before = (authority.directory / LIST_FILE).read_bytes()

    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostError, match="No space left"):
        authority.publish()
    monkeypatch.undo()
    assert (authority.directory / LIST_FILE).read_bytes() == before
    assert not list(authority.directory.glob(".*"))


def test_two_at_once_make_two_lists_and_lose_nothing(authority):
    certificates = [authority.issue(f"silo{number}", "silo").certificate for number in range(8)]

    def revoke(certificate: x509.Certificate) -> None:
        own = CertificateAuthority.load(authority.directory, clock=system_clock)
        own.revoke(certificate, reason="unspecified")
        own.publish()

    threads = [threading.Thread(target=revoke, args=(one,)) for one in certificates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (held,) = TrustAnchor.load(authority.directory).lists
    assert held.number == 9 and set(held.entries) == {one.serial_number for one in certificates}
    assert [file.stem for file in sorted((authority.directory / "lists").iterdir())] == [
        f"{number:010}" for number in range(2, 10)
    ]


def test_a_list_file_put_back_from_a_copy_does_not_turn_the_number_back(authority):
    first = (authority.directory / LIST_FILE).read_bytes()
    authority.publish()
    (authority.directory / LIST_FILE).write_bytes(first)
    assert authority.trust.lists[0].number == 2
    assert authority.publish().number == 3


def test_without_its_list_an_authority_makes_one(authority):
    (authority.directory / LIST_FILE).unlink()
    assert not authority.trust.lists
    assert authority.publish().number == 1


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (("superseded", "key-compromise"), x509.ReasonFlags.key_compromise),
        (("key-compromise", "superseded"), x509.ReasonFlags.key_compromise),
        (("unspecified", "key-compromise"), x509.ReasonFlags.key_compromise),
        (("superseded", "unspecified"), x509.ReasonFlags.unspecified),
        (("superseded", "superseded"), x509.ReasonFlags.superseded),
    ],
)
def test_revoked_twice_it_is_revoked_since_the_first_time_for_the_gravest_reason(authority, reasons, expected):
    north = authority.issue("north", "silo").certificate
    first = system_clock().replace(microsecond=0)
    for number, reason in enumerate(reasons):
        later = clock_at(first + timedelta(minutes=number))
        CertificateAuthority.load(authority.directory, clock=later).revoke(north, reason=reason)
    (entry,) = authority.publish().entries.values()
    assert (entry.since, entry.reason) == (first, expected)


def test_only_what_this_root_has_signed_is_revoked(authority, stranger):
    with pytest.raises(CallerError, match="not of this root"):
        authority.revoke(stranger.identity("north", "silo").certificate, reason="superseded")
    with pytest.raises(CallerError, match="is no reason"):
        authority.revoke(authority.issue("north", "silo").certificate, reason="dislike")
    assert not (authority.directory / "revoked").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({"serial": "7", "since": "2026-01-01T00:00:00", "reason": "superseded"}).encode(),
        json.dumps({"serial": "8", "since": "2026-01-01T00:00:00+00:00", "reason": "superseded"}).encode(),
        json.dumps({"serial": "7", "since": "once", "reason": "superseded"}).encode(),
        json.dumps({"serial": 7, "since": "2026-01-01T00:00:00+00:00", "reason": "superseded"}).encode(),
    ],
)
def test_no_list_is_signed_from_records_that_do_not_read_back(authority, content):
    folder = authority.directory / "revoked"
    folder.mkdir()
    (folder / f"{7:040x}-superseded.json").write_bytes(content)
    with pytest.raises(StateCorrupt, match="does not read back"):
        authority.publish()
    assert authority.trust.lists[0].number == 1


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1)])
def test_a_list_that_is_never_current_is_not_signed(authority, lifetime):
    with pytest.raises(CallerError, match="lifetime"):
        authority.publish(lifetime=lifetime)


def test_an_identity_that_could_not_be_written_can_still_be_taken_back(authority, tmp_path, monkeypatch):
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_new_directory", killed)
        authority.issue("north", "silo", directory=tmp_path / "north")
    (certificate,) = authority.issued()
    authority.revoke(certificate, reason="cessation-of-operation")
    assert list(authority.publish().entries) == [certificate.serial_number]


def test_the_key_is_not_printed(authority):
    key = CertificateAuthority.load(authority.directory, clock=system_clock)
    assert "secret" in repr(Revocations(authority.directory, key._key, authority.root, clock=system_clock))
