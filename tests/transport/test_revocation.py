"""Revocation lists: what is read, what is not believed, and what follows for a leaf."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import forgery
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from listening import dial, listening

from quatrefoil.errors import CallerError, ChannelRefused, HostError, MessageRefused, QuatrefoilError, StateCorrupt
from quatrefoil.transport import CertificateAuthority, Identity, PostQuantumTransport, TrustAnchor, profile
from quatrefoil.transport.revocation import (
    NO_REVOCATION,
    RevocationList,
    Revoked,
    fingerprint,
    is_short_lived,
    read_lists,
)
from support import Consortium, clock_at, days_from_now

UNSPECIFIED, STOLEN = x509.ReasonFlags.unspecified, x509.ReasonFlags.key_compromise


def revoked(identity: Identity, reason: x509.ReasonFlags = STOLEN, since: datetime | None = None) -> Revoked:
    when = (since or datetime.now(UTC)).replace(microsecond=0)
    return Revoked(identity.certificate.serial_number, when, reason)


def verify(trust: TrustAnchor, identity: Identity, at: datetime | None = None, claimed: datetime | None = None):
    return trust.verify(identity.certificate_der, at=at or datetime.now(UTC), refusal=MessageRefused, claimed=claimed)


@pytest.fixture
def silo(consortium):
    return consortium.identity("cleveland", "silo")


@pytest.fixture
def short(consortium, tmp_path):
    return consortium.authority.issue("brief", "silo", lifetime=timedelta(days=7), directory=tmp_path / "brief")


# ------------------------------------------------------------------------------------------------ what a leaf is worth


def test_a_leaf_that_a_current_list_does_not_name_is_accepted(consortium, silo):
    other = consortium.identity("hungary", "silo")
    trust = consortium.trust_with(consortium.list_of([revoked(other)]))
    assert verify(trust, silo).name == "cleveland"
    with pytest.raises(MessageRefused, match=r"'hungary' was revoked at .* \(keyCompromise\)") as refusal:
        verify(trust, other)
    assert refusal.value.party == "hungary"


def test_a_long_lived_leaf_without_a_list_is_refused(consortium, silo):
    with pytest.raises(MessageRefused, match=r"no revocation list of its root.*crl\.pem"):
        verify(consortium.trust_with(), silo)


def test_a_long_lived_leaf_is_refused_once_the_list_has_ended(consortium, silo):
    held = consortium.list_of(days=1)
    trust = consortium.trust_with(held)
    assert verify(trust, silo, at=held.ends).name == "cleveland"
    with pytest.raises(MessageRefused, match=r"revocation list 2 ended at .*`quatrefoil ca crl`"):
        verify(trust, silo, at=held.ends + timedelta(seconds=1))


def test_a_list_from_the_future_is_no_list(consortium, silo):
    trust = consortium.trust_with(consortium.list_of(clock=days_from_now(1)))
    with pytest.raises(MessageRefused, match="begins only at"):
        verify(trust, silo)


def test_the_list_of_another_root_does_not_stand_in(consortium, stranger, silo):
    both = TrustAnchor([*consortium.trust.roots, *stranger.trust.roots], lists=stranger.trust.lists)
    assert verify(both, stranger.identity("cleveland", "silo")).name == "cleveland"
    with pytest.raises(MessageRefused, match="no revocation list of its root"):
        verify(both, silo)


def test_a_short_lived_leaf_needs_no_list_and_bears_a_stale_one(consortium, short):
    assert short.certificate.not_valid_after_utc - short.certificate.not_valid_before_utc < timedelta(days=8)
    stale = consortium.list_of(days=1)
    for trust in (consortium.trust_with(), consortium.trust_with(stale)):
        assert verify(trust, short, at=stale.ends + timedelta(days=1)).name == "brief"


def test_a_short_lived_leaf_that_a_list_names_is_refused_even_when_the_list_is_stale(consortium, short):
    stale = consortium.list_of([revoked(short, UNSPECIFIED)], days=1)
    with pytest.raises(MessageRefused, match="was revoked"):
        verify(consortium.trust_with(stale), short, at=stale.ends + timedelta(days=1))


@pytest.mark.parametrize(
    ("days", "extension", "critical", "short_lived"),
    [
        (7, NO_REVOCATION, False, True),
        (7, None, False, False),
        (7, NO_REVOCATION, True, False),
        (7, x509.UnrecognizedExtension(NO_REVOCATION.oid, b"\x01\x01\xff"), False, False),
        (8, NO_REVOCATION, False, False),  # and the five minutes before it was made
        (90, NO_REVOCATION, False, False),
    ],
)
def test_short_lived_is_what_says_so_and_is(consortium, days, extension, critical, short_lived):
    """Only both together: a long leaf cannot excuse itself, a short one may still be listed."""
    recipe = forgery.Recipe(ends=timedelta(days=days), extra=extension, extra_critical=critical)
    _, leaf = forgery.forge(recipe, consortium)
    assert is_short_lived(leaf) is short_lived


@pytest.mark.parametrize(("days", "short_lived"), [(1, True), (7, True), (8, False), (90, False)])
def test_the_authority_marks_what_is_short_lived(consortium, tmp_path, days, short_lived):
    identity = consortium.authority.issue("x", "silo", lifetime=timedelta(days=days), directory=tmp_path / "x")
    assert is_short_lived(identity.certificate) is short_lived


def test_a_remembered_chain_does_not_outlive_its_list(consortium, silo):
    held = consortium.list_of(days=1)
    trust = consortium.trust_with(held)
    verify(trust, silo)
    with pytest.raises(MessageRefused, match="ended at"):
        verify(trust, silo, at=held.ends + timedelta(days=1))
    newer = consortium.trust_with(held, consortium.list_of([revoked(silo)], number=3))
    with pytest.raises(MessageRefused, match="was revoked"):
        verify(newer, silo)


def test_of_two_lists_the_newer_counts_in_either_order(consortium, silo):
    older, newer = consortium.list_of(number=5), consortium.list_of([revoked(silo)], number=6)
    for lists in ([older, newer], [newer, older]):
        trust = consortium.trust_with(*lists)
        assert [one.number for one in trust.lists] == [6]
        with pytest.raises(MessageRefused, match="was revoked"):
            verify(trust, silo)


# ---------------------------------------------------------------------------------------- statements, envelopes, files


def test_a_statement_and_an_envelope_of_a_revoked_signer_are_refused(consortium, silo):
    writer = consortium.transport("cleveland", "silo")
    before = consortium.transport("hub", "aggregator")
    reader = PostQuantumTransport(
        consortium.identity("hub", "aggregator"),
        consortium.trust_with(consortium.list_of([revoked(silo)])),
        clock=consortium.clock,
    )
    recipient, former = reader.new_recipient(), before.new_recipient()
    for read, write in (
        (reader.verify, lambda: writer.sign(b"x")),
        (
            lambda sealed: recipient.open(sealed, context=b"c"),
            lambda: writer.seal(recipient.public, b"x", context=b"c"),
        ),
    ):
        with pytest.raises(MessageRefused, match="was revoked"):
            read(write())
    assert before.verify(writer.sign(b"x")).signer == "cleveland"
    assert former.open(writer.seal(former.public, b"x", context=b"c"), context=b"c").plaintext == b"x"


@pytest.mark.parametrize("reason", [x509.ReasonFlags.superseded, x509.ReasonFlags.cessation_of_operation])
def test_what_was_signed_before_an_honest_end_keeps_its_worth(consortium, silo, reason):
    end = datetime.now(UTC).replace(microsecond=0)
    trust = consortium.trust_with(consortium.list_of([revoked(silo, reason, end)]))
    assert verify(trust, silo, claimed=end - timedelta(seconds=1)).name == "cleveland"
    for claimed in (end, None):
        with pytest.raises(MessageRefused, match="was revoked"):
            verify(trust, silo, claimed=claimed)


@pytest.mark.parametrize("reason", [STOLEN, UNSPECIFIED, x509.ReasonFlags.privilege_withdrawn])
def test_what_a_thief_may_have_signed_has_none_whatever_time_it_claims(consortium, silo, reason):
    end = datetime.now(UTC)
    trust = consortium.trust_with(consortium.list_of([revoked(silo, reason, end)]))
    with pytest.raises(MessageRefused, match="was revoked"):
        verify(trust, silo, claimed=silo.certificate.not_valid_before_utc)


def test_a_claimed_time_does_not_turn_the_clock_of_the_list_back(consortium, silo):
    held = consortium.list_of(days=1)
    with pytest.raises(MessageRefused, match="ended at"):
        verify(
            consortium.trust_with(held), silo, at=held.ends + timedelta(days=1), claimed=held.ends - timedelta(hours=1)
        )


# ------------------------------------------------------------------------------------------------------------ channels


def test_a_revoked_client_is_refused_by_the_server_and_told_so(consortium, silo):
    trust = consortium.trust_with(consortium.list_of([revoked(silo)]))
    with listening(consortium, trust=trust) as server:
        with pytest.raises(ChannelRefused, match="refused our certificate"):
            dial(consortium, server.port)
        assert "was revoked" in str(server.refusal())
        with dial(consortium, server.port, identity=consortium.identity("hungary", "silo")) as channel:
            assert channel.peer.name == "hub"


def test_a_revoked_server_is_refused_by_the_client(consortium):
    trust = consortium.trust_with(consortium.list_of([revoked(consortium.identity("hub", "aggregator"))]))
    with listening(consortium) as server:
        with pytest.raises(ChannelRefused, match="'hub' was revoked"):
            dial(consortium, server.port, trust=trust)
        server.refusal()


def test_nobody_connects_under_an_ended_list(consortium):
    stale = consortium.trust_with(consortium.list_of(clock=days_from_now(-3), days=1))
    with listening(consortium, trust=stale) as server:
        with pytest.raises(ChannelRefused):
            dial(consortium, server.port)
        assert "ended at" in str(server.refusal())


# ---------------------------------------------------------------------------------------------------- what is no list


def made(consortium: Consortium, **changes: object) -> x509.CertificateRevocationList:
    """A list of the consortium's root, wrong in whatever ``changes`` says."""
    root, now = consortium.authority.root, datetime.now(UTC)
    settings: dict[str, object] = {
        "issuer": root.subject,
        "key": consortium.root_key,
        "ends": now + timedelta(days=30),
        "number": 2,
        "authority": x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
        "extra": None,
        "critical": False,
        "entry": None,
    } | changes
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(settings["issuer"])
        .last_update(now - timedelta(minutes=5))
        .next_update(settings["ends"])
    )
    if settings["number"] is not None:
        builder = builder.add_extension(x509.CRLNumber(settings["number"]), critical=False)
    if settings["authority"] is not None:
        builder = builder.add_extension(settings["authority"], critical=False)
    if settings["extra"] is not None:
        builder = builder.add_extension(settings["extra"], critical=settings["critical"])
    if settings["entry"] is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.add_extension(settings["entry"], settings["critical"]).build())
    return builder.sign(settings["key"], None)


ELSEWHERE = [x509.UniformResourceIdentifier("http://elsewhere.example/")]
PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")

WRONG: dict[str, tuple[dict[str, object], str]] = {
    "of another name": (
        {"issuer": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "king")])},
        "names another issuer",
    ),
    "forged": ({"key": mldsa.MLDSA87PrivateKey.generate()}, "not signed by it"),
    "by a weaker key": ({"key": mldsa.MLDSA65PrivateKey.generate()}, "not signed by it"),
    "without a number": ({"number": None}, "lacks extension cRLNumber"),
    "without its key's name": ({"authority": None}, "lacks extension authorityKeyIdentifier"),
    "naming another key": ({"authority": x509.AuthorityKeyIdentifier(b"x" * 20, None, None)}, "names another key"),
    "a delta": ({"extra": x509.DeltaCRLIndicator(1), "critical": True}, "delta, partial or indirect"),
    "a partial one": ({"extra": PARTIAL, "critical": True}, "delta, partial or indirect"),
    "a partial one that hides it": ({"extra": PARTIAL}, "delta, partial or indirect"),
    "with an unknown critical extension": ({"extra": UNKNOWN, "critical": True}, "unknown critical extension 1.3.6"),
    "with an unknown critical extension of an entry": ({"entry": UNKNOWN, "critical": True}, "unknown critical"),
    "an indirect one": ({"entry": x509.CertificateIssuer(ELSEWHERE), "critical": True}, "delta, partial or indirect"),
    "taking back": ({"entry": x509.CRLReason(x509.ReasonFlags.remove_from_crl)}, "takes an entry back"),
}


def test_the_list_that_is_changed_below_is_a_good_one(consortium):
    found = RevocationList.verify(made(consortium, extra=UNKNOWN), consortium.authority.root)
    assert (found.number, dict(found.entries), found.root) == (2, {}, fingerprint(consortium.authority.root))
    listed = RevocationList.verify(made(consortium, entry=x509.CRLReason(STOLEN)), consortium.authority.root)
    assert listed.entries[7].reason is STOLEN


@pytest.mark.parametrize("fault", WRONG)
def test_a_list_that_is_wrong_is_not_believed(consortium, fault):
    changes, expected = WRONG[fault]
    with pytest.raises(HostError, match=expected) as refusal:
        RevocationList.verify(made(consortium, **changes), consortium.authority.root)
    assert "crl.pem" in refusal.value.hint


def test_a_list_whose_bytes_were_changed_is_not_believed(consortium, silo):
    """The attacker takes its own serial number out of the list."""
    serial = silo.certificate.serial_number
    listed = made(consortium, entry=x509.CRLReason(STOLEN))
    assert serial not in RevocationList.verify(listed, consortium.authority.root).entries
    der = listed.public_bytes(Encoding.DER)
    for place in (der.index(b"\x02\x01\x07") + 2, len(der) - 1):
        changed = bytearray(der)
        changed[place] ^= 1
        with pytest.raises(HostError, match="not signed by it"):
            RevocationList.verify(x509.load_der_x509_crl(bytes(changed)), consortium.authority.root)


def root_that_may_not_sign_lists() -> tuple[mldsa.MLDSA87PrivateKey, x509.Certificate]:
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    key = mldsa.MLDSA87PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "r")])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True).add_extension(usage, critical=True)
    return key, builder.add_extension(identifier, critical=False).sign(key, None)


def test_a_root_that_may_not_sign_lists_has_none(consortium):
    key, root = root_that_may_not_sign_lists()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    with pytest.raises(HostError, match="may not sign lists"):
        RevocationList.verify(made(consortium, issuer=root.subject, key=key, authority=authority), root)


def test_an_anchor_takes_no_list_of_a_root_that_it_does_not_hold(consortium, stranger):
    with pytest.raises(CallerError, match="of no root given here"):
        TrustAnchor(consortium.trust.roots, lists=stranger.trust.lists)


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_folder_is_read_with_the_list_beside_its_root(consortium, tmp_path, silo):
    (tmp_path / "root.pem").write_bytes((consortium.directory / "root.pem").read_bytes())
    with pytest.raises(MessageRefused, match="no revocation list"):
        verify(TrustAnchor.load(tmp_path), silo)
    (tmp_path / "crl.pem").write_bytes((consortium.directory / "crl.pem").read_bytes())
    for place in (tmp_path, tmp_path / "root.pem"):
        assert verify(TrustAnchor.load(place), silo).name == "cleveland"


def test_two_roots_and_their_lists_stand_in_one_file_each(consortium, stranger, tmp_path):
    for file in ("root.pem", "crl.pem"):
        parts = [(one.directory / file).read_bytes() for one in (consortium, stranger)]
        (tmp_path / file).write_bytes(b"\n".join(parts))
    trust = TrustAnchor.load(tmp_path)
    assert len(trust.lists) == 2
    for origin in (consortium, stranger):
        assert verify(trust, origin.identity("cleveland", "silo")).name == "cleveland"


def test_two_roots_of_one_name_each_have_their_own_list(consortium, tmp_path):
    twin = Consortium(tmp_path / "ca", "test-root")
    both = [twin.authority.root, consortium.authority.root]
    for origin in (consortium, twin):
        content = (origin.directory / "crl.pem").read_bytes()
        (found,) = read_lists(content, "the list", both)
        assert found.root == fingerprint(origin.authority.root)
    with pytest.raises(HostError, match=r"not signed by it|names another key"):
        read_lists(made(consortium, key=mldsa.MLDSA87PrivateKey.generate()).public_bytes(Encoding.PEM), "x", both)


def damage(content: bytes) -> dict[str, tuple[bytes, type[QuatrefoilError], str]]:
    return {
        "empty": (b"", StateCorrupt, "is empty"),
        "text": (b"hello", StateCorrupt, "not a PEM"),
        "half": (content[: len(content) // 2], StateCorrupt, "not a PEM"),
        "text after it": (content + b"hello", StateCorrupt, "not a PEM"),
        "no list inside": (
            b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            StateCorrupt,
            "cannot be read",
        ),
        "huge": (b" " * ((16 << 20) + 1), HostError, "is over"),
    }


@pytest.mark.parametrize("fault", damage(b""))
def test_a_damaged_file_is_refused_and_not_read_as_no_list(consortium, tmp_path, fault):
    content, error, expected = damage((consortium.directory / "crl.pem").read_bytes())[fault]
    (tmp_path / "root.pem").write_bytes((consortium.directory / "root.pem").read_bytes())
    (tmp_path / "crl.pem").write_bytes(content)
    with pytest.raises(error, match=expected):
        TrustAnchor.load(tmp_path)


def test_a_list_of_another_authority_in_its_place_is_refused(consortium, stranger, tmp_path):
    (tmp_path / "root.pem").write_bytes((consortium.directory / "root.pem").read_bytes())
    (tmp_path / "crl.pem").write_bytes((stranger.directory / "crl.pem").read_bytes())
    with pytest.raises(HostError, match="CN=other-root, which is no trusted root"):
        TrustAnchor.load(tmp_path)


def test_the_clock_of_an_old_authority_makes_old_lists(tmp_path):
    then = days_from_now(-100)
    authority = CertificateAuthority.create(tmp_path / "ca", "old", clock=then)
    identity = authority.issue("west", "silo", lifetime=timedelta(days=365))
    with pytest.raises(MessageRefused, match="revocation list 1 ended"):
        verify(authority.trust, identity)
    assert verify(authority.trust, identity, at=clock_at(then())()).role == "silo"
    assert profile.issued_by(identity.certificate, authority.root)
