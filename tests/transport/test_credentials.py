"""What a running party shows and believes changes with its files and with nothing else, and never to the worse."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ReasonFlags
from listening import dial, listening

from quatrefoil.errors import CallerError, ChannelRefused, HostError, MessageRefused, QuatrefoilError, StateCorrupt
from quatrefoil.transport import (
    CertificateAuthority,
    FolderCredentials,
    Identity,
    PostQuantumTransport,
    RotatingCredentials,
    Standing,
    TrustAnchor,
    credentials,
    files,
    system_clock,
)
from quatrefoil.transport.authority import to_pem
from quatrefoil.transport.credentials import CurrentTrust
from quatrefoil.transport.expiry import ends_soon
from quatrefoil.transport.identity import generations, next_generation
from quatrefoil.transport.request import request_renewal
from quatrefoil.transport.revocation import Revoked
from quatrefoil.transport.seen_lists import SeenLists
from support import Consortium, clock_at


class Home:
    """A party's files, its credentials, and a clock of seconds that only the test moves."""

    def __init__(self, folder: Path) -> None:
        self.people = Consortium(folder / "ca")
        self.authority = self.people.authority
        self.folder, self.trust = folder / "hub", folder / "trust"
        self.authority.issue("hub", "aggregator", directory=self.folder)
        self.trust.mkdir()
        self.take_trust()
        self.seconds = 0.0
        self.problems: list[QuatrefoilError] = []
        self.changes: list[Standing] = []
        self.credentials = self.load()

    def load(self) -> FolderCredentials:
        return FolderCredentials(
            self.folder,
            self.trust / "root.pem",
            clock=system_clock,
            on_problem=self.problems.append,
            on_change=self.changes.append,
            now=lambda: self.seconds,
        )

    def take_trust(self) -> None:
        for file, content in self.authority.public_files().items():
            files.replace(self.trust / file, content)

    def later(self) -> Standing:
        self.seconds += 1.1
        return self.credentials.current()

    @property
    def standing(self) -> Standing:
        return self.credentials.current()


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


# ----------------------------------------------------------------------------------------------------------- from files


def test_nothing_changed_is_the_same_standing(home):
    first = home.standing
    assert all(home.later() is first for _ in range(3))
    for file in (home.folder / "key.pem", home.trust / "root.pem"):  # touched, and still what it was
        file.touch()
    assert home.later().identity is first.identity
    assert home.problems == []


def test_files_are_looked_at_once_a_second(home):
    first = home.standing
    home.authority.renew(home.folder)
    home.seconds = 0.9
    assert home.standing is first
    home.seconds = 1.0
    assert home.standing is not first


def test_a_renewed_identity_is_shown_and_the_old_one_stays_on_disk(home):
    old = home.standing.identity
    new = home.authority.renew(home.folder)
    assert new.fingerprint != old.fingerprint
    assert (new.name, new.role) == (old.name, old.role)
    assert home.later().identity.fingerprint == new.fingerprint
    assert [one.identity.fingerprint for one in home.changes] == [new.fingerprint]
    assert Identity.load(home.folder).fingerprint == new.fingerprint
    for one in (old, new):
        assert Identity.load(home.folder, fingerprint=one.fingerprint).fingerprint == one.fingerprint
    with pytest.raises(HostError, match="does not hold the certificate 0000"):
        Identity.load(home.folder, fingerprint=bytes(32))


def test_a_new_list_is_believed_and_the_identity_stays(home):
    silo = home.people.identity("north", "silo")
    identity = home.standing.identity
    trust = CurrentTrust(home.credentials)
    assert trust.verify(silo.certificate_der, at=system_clock(), refusal=MessageRefused).name == "north"
    home.authority.revoke(silo.certificate, reason="key-compromise")
    home.authority.publish()
    home.take_trust()
    assert home.later().identity is identity
    with pytest.raises(MessageRefused, match="was revoked"):
        trust.verify(silo.certificate_der, at=system_clock(), refusal=MessageRefused)
    assert [one.number for one in trust.lists] == [2]


def test_statements_are_judged_by_the_list_as_it_is_now(home):
    silo = home.people.identity("north", "silo")
    reader = PostQuantumTransport(home.standing.identity, CurrentTrust(home.credentials), clock=system_clock)
    signed = PostQuantumTransport(silo, home.people.trust, clock=system_clock).sign(b"x")
    assert reader.verify(signed).signer == "north"
    home.authority.revoke(silo.certificate, reason="key-compromise")
    home.authority.publish()
    home.take_trust()
    home.seconds += 2
    with pytest.raises(MessageRefused, match="was revoked"):
        reader.verify(signed)


def test_a_key_that_waits_for_its_certificate_changes_nothing(home):
    first = home.standing
    place = request_renewal(home.folder)
    assert home.later() is first and Identity.load(home.folder).fingerprint == first.identity.fingerprint
    asked = (place / "request.pem").read_bytes()
    certificate = home.authority.sign_request(asked, name="hub", role="aggregator")
    (place / "certificate.pem").write_bytes(to_pem(certificate))
    assert home.later().identity.certificate == certificate
    assert home.problems == []


def test_a_half_written_certificate_is_reported_once_and_taken_when_it_is_whole(home):
    first = home.standing
    place = request_renewal(home.folder)
    certificate = home.authority.sign_request((place / "request.pem").read_bytes(), name="hub", role="aggregator")
    pem = to_pem(certificate)
    (place / "certificate.pem").write_bytes(pem[: len(pem) // 2])
    for _ in range(3):
        assert home.later() is first
    assert len(home.problems) == 1 and isinstance(home.problems[0], StateCorrupt)
    (place / "certificate.pem").write_bytes(pem)
    assert home.later().identity.certificate == certificate
    assert len(home.problems) == 1


def put(home: Home, identity_folder: Path) -> None:
    """What somebody copies to where the next key of the party belongs."""
    place = next_generation(home.folder)
    place.parent.mkdir(exist_ok=True)
    shutil.copytree(identity_folder, place)


def test_a_key_with_anothers_certificate_is_refused(home, tmp_path):
    first = home.standing
    home.authority.renew(home.folder)
    newest = generations(home.folder)[-1]
    shutil.copy(home.folder / "certificate.pem", newest / "certificate.pem")
    assert home.later() is first
    assert "does not hold an ML-DSA key with its own certificate" in str(home.problems[0])


@pytest.mark.parametrize(("name", "role"), [("mallory", "aggregator"), ("hub", "keeper")])
def test_a_renewal_for_another_name_or_role_is_refused(home, tmp_path, name, role):
    first = home.standing
    home.authority.issue(name, role, directory=tmp_path / "other")
    put(home, tmp_path / "other")
    assert home.later() is first
    assert f"the new identity is {role} {name}, not aggregator hub" in str(home.problems[0])


def test_a_renewal_of_another_root_is_refused(home, stranger, tmp_path):
    first = home.standing
    stranger.authority.issue("hub", "aggregator", directory=tmp_path / "other")
    put(home, tmp_path / "other")
    assert home.later() is first and "no trusted root" in str(home.problems[0])


def test_an_expired_or_revoked_renewal_is_refused(home, tmp_path):
    first = home.standing
    past = clock_at(system_clock() - timedelta(days=20))
    old = CertificateAuthority(home.people.directory, home.people.root_key, home.authority.root, clock=past)
    old.issue("hub", "aggregator", lifetime=timedelta(days=10), directory=tmp_path / "expired")
    put(home, tmp_path / "expired")
    assert home.later() is first and "expired" in str(home.problems[-1])
    revoked = home.authority.issue("hub", "aggregator", directory=tmp_path / "revoked")
    home.authority.revoke(revoked.certificate, reason="unspecified")
    home.authority.publish()
    home.take_trust()
    put(home, tmp_path / "revoked")
    assert home.later().identity is first.identity and "was revoked" in str(home.problems[-1])


def test_a_key_open_to_others_is_refused(home):
    first = home.standing
    home.authority.renew(home.folder)
    (generations(home.folder)[-1] / "key.pem").chmod(0o644)
    assert home.later() is first and "open to others" in str(home.problems[0])
    (generations(home.folder)[-1] / "key.pem").chmod(0o600)
    assert home.later() is not first


@pytest.mark.parametrize("step", ["_write_durably", "rename"])
def test_a_renewal_killed_midway_leaves_the_old_identity_whole(home, monkeypatch, step):
    first = home.standing

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*((Path, step) if step == "rename" else (files, step)), killed)
        home.authority.renew(home.folder)
    assert home.later() is first and home.problems == []
    assert Identity.load(home.folder).fingerprint == first.identity.fingerprint
    new = home.authority.renew(home.folder)
    assert home.later().identity.fingerprint == new.fingerprint


def test_the_old_list_put_back_is_not_believed(home):
    old = (home.trust / "crl.pem").read_bytes()
    home.authority.publish()
    home.take_trust()
    newer = home.later()
    files.replace(home.trust / "crl.pem", old)
    assert home.later() is newer
    assert "revocation list 1 is older than list 2" in str(home.problems[0])


def test_an_old_list_is_not_believed_after_a_restart_either(home, tmp_path):
    seen = SeenLists(tmp_path / "state" / "lists")
    old = (home.trust / "crl.pem").read_bytes()
    home.authority.publish()
    home.take_trust()
    home.later()
    home.credentials.remember_in(seen)
    files.replace(home.trust / "crl.pem", old)
    with pytest.raises(HostError, match="list 1 is older than list 2"):
        home.load().remember_in(SeenLists(tmp_path / "state" / "lists"))
    home.take_trust()
    home.load().remember_in(seen)


def test_what_was_seen_must_read_back(home, tmp_path):
    seen = SeenLists(tmp_path / "lists")
    home.credentials.remember_in(seen)
    (file,) = (tmp_path / "lists").iterdir()
    file.write_bytes(b"many")
    with pytest.raises(StateCorrupt, match="does not read back"):
        home.load().remember_in(seen)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force(home, stranger, content):
    first = home.standing
    files.replace(home.trust / "crl.pem", (stranger.directory / "crl.pem").read_bytes() if content is None else content)
    assert home.later() is first and home.later() is first
    assert len(home.problems) == 1 and isinstance(home.problems[0], HostError)


def test_a_list_that_revokes_ones_own_key_is_believed_all_the_same(home):
    own = home.standing.identity
    silo = home.people.identity("north", "silo")
    for one in (own, silo):
        home.authority.revoke(one.certificate, reason="key-compromise")
    home.authority.publish()
    home.take_trust()
    with pytest.raises(MessageRefused, match="'north' was revoked"):
        home.later().trust.verify(silo.certificate_der, at=system_clock(), refusal=MessageRefused)
    new = home.authority.renew(home.folder)
    assert home.later().identity.fingerprint == new.fingerprint


def test_at_the_start_wrong_files_are_an_error(home):
    (home.trust / "crl.pem").unlink()
    with pytest.raises(HostError, match="no revocation list"):
        home.load()
    home.take_trust()
    shutil.rmtree(home.folder)
    with pytest.raises(HostError, match="not a directory"):
        home.load()


def test_a_disk_that_takes_nothing_more_keeps_no_revocation_from_counting(home, tmp_path, monkeypatch):
    seen = SeenLists(tmp_path / "state")
    home.credentials.remember_in(seen)
    silo = home.people.identity("north", "silo")
    home.authority.revoke(silo.certificate, reason="key-compromise")
    home.authority.publish()
    home.take_trust()

    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        for _ in range(2):
            with pytest.raises(MessageRefused, match="was revoked"):
                home.later().trust.verify(silo.certificate_der, at=system_clock(), refusal=MessageRefused)
    assert len(home.problems) == 1 and "No space left" in str(home.problems[0])
    home.later()
    assert (tmp_path / "state").joinpath(f"{home.authority.trust.fingerprints[0].hex()}.number").read_bytes() == b"2\n"


def test_whoever_is_told_of_a_change_may_ask_what_it_is(home):
    told = []
    home.credentials = FolderCredentials(
        home.folder,
        home.trust,
        clock=system_clock,
        on_problem=home.problems.append,
        on_change=lambda standing: told.append(home.credentials.current() is standing),
        now=lambda: home.seconds,
    )
    home.authority.renew(home.folder)
    home.later()
    assert told == [True]


# -------------------------------------------------------------------------------------------------------- from programs


def test_a_program_rotates_its_identity(home, tmp_path):
    held = RotatingCredentials(home.standing.identity, home.standing.trust, clock=system_clock)
    new = home.authority.issue("hub", "aggregator", directory=tmp_path / "new")
    held.rotate(new)
    assert held.current().identity is new and held.current() is held.current()
    home.credentials.rotate(new)
    assert home.standing.identity is new


def test_a_program_cannot_rotate_to_what_nobody_would_accept(home, stranger, tmp_path):
    held = RotatingCredentials(home.standing.identity, home.standing.trust, clock=system_clock)
    before = held.current()
    other = home.authority.issue("other", "aggregator", directory=tmp_path / "other")
    with pytest.raises(CallerError, match="aggregator other, not aggregator hub"):
        held.rotate(other)
    with pytest.raises(HostError, match="no trusted root"):
        held.rotate(stranger.identity("hub", "aggregator"))
    with pytest.raises(HostError, match="no trusted root"):
        RotatingCredentials(home.standing.identity, stranger.trust, clock=system_clock)
    held.believe(home.people.trust_with(home.people.list_of(number=7)))
    with pytest.raises(HostError, match="list 6 is older than list 7"):
        held.believe(home.people.trust_with(home.people.list_of(number=6)))
    assert held.current().identity is before.identity


# -------------------------------------------------------------------------------------------------------- a root's end


def test_a_root_is_followed_by_the_next_while_both_are_trusted(home, tmp_path):
    """Old and new root side by side, then leaves under the new one, then the new root alone: nobody is shut out."""
    next_people = Consortium(tmp_path / "next", "next-root")
    old_silo, new_silo = home.people.identity("north", "silo"), next_people.identity("north", "silo")

    def accepted(silo: Identity) -> bool:
        try:
            home.later().trust.verify(silo.certificate_der, at=system_clock(), refusal=MessageRefused)
        except MessageRefused:
            return False
        return True

    assert (accepted(old_silo), accepted(new_silo)) == (True, False)
    for file, content in home.authority.public_files().items():
        files.replace(home.trust / file, content + next_people.authority.public_files()[file])
    assert (accepted(old_silo), accepted(new_silo)) == (True, True)

    with pytest.raises(CallerError, match="is of another root"):
        next_people.authority.renew(home.folder)
    place = request_renewal(home.folder)
    asked = (place / "request.pem").read_bytes()
    certificate = next_people.authority.sign_request(asked, name="hub", role="aggregator")
    files.write_new(place / "certificate.pem", to_pem(certificate))
    assert home.later().identity.certificate.issuer == next_people.authority.root.subject

    for file, content in next_people.authority.public_files().items():
        files.replace(home.trust / file, content)
        home.later()  # between the two files nothing fits: what was there before stays in force
    assert (accepted(old_silo), accepted(new_silo)) == (False, True)
    with listening(home.people, credentials=home.credentials) as server:
        with dial(next_people, server.port) as channel:
            assert channel.peer.certificate == certificate
        with pytest.raises(ChannelRefused):
            dial(home.people, server.port)


# ------------------------------------------------------------------------------------------------------------ warnings


def test_what_ends_soon_is_said_while_there_is_time(home):
    own, held = home.standing.identity.certificate, home.standing.trust.lists[0]
    assert ends_soon(home.standing, at=system_clock()) == []
    (said,) = ends_soon(home.standing, at=held.ends - timedelta(days=9))
    assert said.startswith("revocation list 1 of CN=test-root ends at")
    late = own.not_valid_after_utc - timedelta(days=20)
    fresh = Standing(home.standing.identity, home.people.trust_with(home.people.list_of(clock=clock_at(late))))
    (said,) = ends_soon(fresh, at=late)
    assert said.startswith("the certificate of hub ends at") and "ca renew" in said
    (said,) = ends_soon(Standing(home.standing.identity, home.people.trust_with()), at=system_clock())
    assert said.startswith("there is no revocation list of CN=test-root")
    end = home.authority.root.not_valid_after_utc - timedelta(days=100)
    assert "trust its successor" in ends_soon(home.standing, at=end)[-1]


def test_a_short_lived_certificate_is_not_late_from_its_first_day(home, tmp_path):
    brief = home.authority.issue("hub", "aggregator", lifetime=timedelta(days=7), directory=tmp_path / "brief")
    standing = Standing(brief, home.standing.trust)
    assert ends_soon(standing, at=system_clock() + timedelta(days=4)) == []
    assert len(ends_soon(standing, at=system_clock() + timedelta(days=5))) == 1


def test_require_own_names_the_list_that_says_so(home):
    own = home.standing.identity
    entry = Revoked(own.certificate.serial_number, system_clock(), ReasonFlags.superseded)
    with pytest.raises(HostError, match=r"'hub' was revoked at .* \(superseded\)"):
        credentials.require_own(own, home.people.trust_with(home.people.list_of([entry])), system_clock())
    assert isinstance(home.standing.trust, TrustAnchor)
