"""Recovery: t operators give the key back, and whatever else is handed over is refused by its name."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta

import pytest
from ceremonies import KEY, OPERATORS, ROOT, Ceremonies
from cryptography import x509

from quatrefoil.audit import MemoryLog
from quatrefoil.broker import root_ceremony, root_log, root_recovery, shares
from quatrefoil.broker.root_ceremony import Ceremony
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_recovery import HandedOver
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import sealed, statement, system_clock
from quatrefoil.transport.revocation import Revoked
from quatrefoil.transport.sealed import HYBRID_1024, RecipientKey
from support import Consortium, days_from_now


@pytest.fixture(scope="module")
def hall(consortium: Consortium) -> Ceremonies:
    return Ceremonies(consortium)


@pytest.fixture(scope="module")
def made(hall):
    return hall.hold()


@pytest.fixture(scope="module")
def held(hall, made):
    return hall.verified(made)


# ------------------------------------------------------------------------------------------------------- it works


@pytest.mark.parametrize("who", list(itertools.combinations(OPERATORS, 2)), ids="-".join)
def test_any_two_operators_give_the_key_back(hall, made, held, who):
    found = hall.recover(held, [hall.hand_over(made, name) for name in who])
    assert found.key == KEY and found.contributors == who and not found.expired
    assert KEY.hex() not in repr(found) and repr(KEY) not in repr(found)


def test_all_three_do_too_in_any_order(hall, made, held):
    found = hall.recover(held, [hall.hand_over(made, name) for name in reversed(OPERATORS)])
    assert found.key == KEY and found.contributors == OPERATORS


def test_an_operator_may_open_her_own_share_where_she_is(hall, made, held):
    """The machine that recovers is hers: her share is as the ceremony sealed it, the others are handed over to her."""
    own = HandedOver("anna.share", made.sealed_shares["anna"])
    other = hall.hand_over(made, "carla", to=hall.keys["anna"])
    assert hall.recover(held, [own, other], key=hall.keys["anna"]).key == KEY


def test_the_statement_says_what_was_done(hall, made, held):
    said = made.ceremony
    assert (said.root, said.threshold) == (ROOT, 2)
    assert [one.name for one in said.operators] == list(OPERATORS)
    assert {one.key for one in said.operators} == {key.fingerprint for key in hall.keys.values()}
    assert held.holder.name == "vault" and held.ceremony == said
    for secret in (bytes(KEY), bytes(KEY[:16]), bytes(KEY[16:])):
        assert all(secret not in public for public in (made.signed, *made.sealed_shares.values()))


def test_shares_are_split_anew_for_others(hall, made, held):
    found = hall.recover(held, [hall.hand_over(made, name) for name in OPERATORS[:2]])
    again = hall.hold(found.key, threshold=2, operators=OPERATORS[1:], previous=held.ceremony.digest())
    assert again.ceremony.previous == held.ceremony.digest()
    both = [hall.hand_over(again, name) for name in OPERATORS[1:]]
    assert hall.recover(hall.verified(again), both).key == KEY
    with pytest.raises(MessageRefused, match=r"anna.handed, handed over by 'anna', is of another ceremony"):
        hall.recover(hall.verified(again), [hall.hand_over(made, "anna"), both[0]])


# ------------------------------------------------------------------------------------------------ refused by name


@pytest.mark.parametrize("who", [(), ("anna",), ("carla",)], ids=["none", "anna", "carla"])
def test_too_few_are_refused_and_told_whom_to_ask(hall, made, held, who):
    missing = ", ".join(name for name in OPERATORS if name not in who)
    with pytest.raises(MessageRefused, match=f"2 shares give the key, and {len(who)} are here.*more of: {missing}"):
        hall.recover(held, [hall.hand_over(made, name) for name in who])


def test_one_operator_twice_is_not_two(hall, made, held):
    with pytest.raises(MessageRefused, match="is the share of 'anna' again") as refused:
        hall.recover(held, [hall.hand_over(made, "anna"), hall.hand_over(made, "anna")])
    assert refused.value.party == "anna"


def test_a_share_of_another_ceremony_of_the_same_key_is_refused(hall, made, held):
    other = hall.hold()
    with pytest.raises(MessageRefused, match="handed over by 'bruno', is of another ceremony") as refused:
        hall.recover(held, [hall.hand_over(made, "anna"), hall.hand_over(other, "bruno")])
    assert refused.value.party == "bruno"


def test_an_operator_cannot_hand_over_the_share_of_another(hall, made, held):
    """Somebody who has carla's key, and not her identity."""
    stolen = hall.hand_over(made, "carla", by=hall.operator("anna"))
    with pytest.raises(MessageRefused, match=r"share of 'carla', was handed over by 'anna' \(auditor\)") as refused:
        hall.recover(held, [hall.hand_over(made, "anna"), stolen])
    assert refused.value.party == "carla"


def test_the_holder_cannot_hand_over_for_an_operator(hall, made, held):
    """Who held the ceremony and kept what opens the shares, against the threshold of operators."""
    kept = hall.hand_over(made, "carla", by=hall.holder)
    with pytest.raises(MessageRefused, match=r"share of 'carla', was handed over by 'vault' \(keeper\)"):
        hall.recover(held, [hall.hand_over(made, "anna"), kept])


def test_the_same_name_in_another_role_is_another(hall, made, held):
    stolen = hall.hand_over(made, "carla", by=hall.consortium.identity("carla", "silo"))
    with pytest.raises(MessageRefused, match=r"handed over by 'carla' \(silo\)"):
        hall.recover(held, [stolen])


def test_a_share_that_was_altered_is_refused(hall, made, held):
    good, other = hall.hand_over(made, "bruno"), hall.hand_over(made, "anna")
    for place in range(0, len(good.content), 211):
        altered = bytearray(good.content)
        altered[place] ^= 1
        with pytest.raises(MessageRefused):
            hall.recover(held, [other, HandedOver("altered", bytes(altered))])
    for cut in (0, 10, len(good.content) // 2, len(good.content) - 1):
        with pytest.raises(MessageRefused):
            hall.recover(held, [other, HandedOver("cut", good.content[:cut])])


def test_a_share_for_another_key_is_refused(hall, made, held):
    with pytest.raises(MessageRefused, match="the share of 'anna', is refused: the file is not sealed to this key"):
        hall.recover(held, [hall.hand_over(made, "anna", to=RecipientKey.generate(HYBRID_1024))])


def test_two_halves_of_two_shares_are_no_share(hall, made, held):
    """The payload of one with the wrapping of another."""
    anna, bruno = (hall.hand_over(made, name).content for name in OPERATORS[:2])
    front = len(sealed.layout.MAGIC)
    size = 4 + int.from_bytes(anna[front : front + 4], "big")
    mixed = anna[: front + size] + bruno[front + 4 + int.from_bytes(bruno[front : front + 4], "big") :]
    with pytest.raises(MessageRefused, match="share of 'bruno', is refused: the wrapping of 'anna' belongs to another"):
        hall.recover(held, [HandedOver("mixed", mixed)])


# -------------------------------------------------------------------------------------------------------- expired


def test_expired_shares_are_refused_by_name_and_taken_only_on_purpose(hall):
    made = hall.hold(lifetime=timedelta(days=1))
    held = hall.verified(made)
    handed = [hall.hand_over(made, name) for name in OPERATORS[:2]]
    for clock in (days_from_now(2), days_from_now(600)):
        with pytest.raises(MessageRefused, match=r"were good until .* UTC \(anna, bruno, carla\).*--accept-expired"):
            hall.recover(held, handed, clock=clock)
    found = hall.recover(held, handed, clock=days_from_now(2), accept_expired=True)
    assert found.key == KEY and found.expired


def test_certificates_may_end_before_the_shares_do(hall, consortium, tmp_path):
    """What was signed while they were valid counts on: a backup is for years."""
    short = consortium.authority.issue("shortly", "keeper", lifetime=timedelta(days=2), directory=tmp_path / "shortly")
    made = hall.hold(holder=short)
    handed = [hall.hand_over(made, name) for name in OPERATORS[:2]]
    later = days_from_now(5)
    held = root_ceremony.verify(made.signed, consortium.trust, clock=later)
    assert hall.recover(held, handed, clock=later).key == KEY


# ------------------------------------------------------------------------------- a holder or somebody else who lies


def resealed(hall, made, name: str, content: bytearray, *, by=None, index: int | None = None):
    """What a liar seals to ``name`` in the place of her share, in the ceremony that she says it is."""
    operator = next(one for one in made.ceremony.operators if one.name == name)
    share = shares.Share.decode(content)
    share.index = index or operator.index
    share.ceremony = made.ceremony.ceremony
    sealed_share, payload = root_ceremony._seal(
        share, hall.recipient(name), by or hall.holder, sealed.HYBRID_768, system_clock
    )
    listed = tuple(
        dataclasses.replace(one, payload=payload) if one.name == name else one for one in made.ceremony.operators
    )
    said = dataclasses.replace(made.ceremony, operators=listed)
    signed = statement.sign(said.encode(), hall.holder)
    return dataclasses.replace(
        made, ceremony=said, signed=signed, sealed_shares={**made.sealed_shares, name: sealed_share}
    )


def test_a_holder_who_seals_another_share_than_was_committed_to_is_found(hall):
    made = hall.hold()
    lie = resealed(hall, made, "bruno", shares.split(KEY, 2, 3, bytes(32))[1].encode())
    with pytest.raises(MessageRefused, match="share of 'bruno', is not the one that the ceremony committed to") as said:
        hall.recover(hall.verified(lie), [hall.hand_over(lie, name) for name in OPERATORS[:2]])
    assert said.value.party == "bruno" and "vault sealed something else" in said.value.hint
    others = [hall.hand_over(lie, name) for name in ("anna", "carla")]
    assert hall.recover(hall.verified(lie), others).key == KEY


def test_shares_that_another_party_sealed_are_refused(hall):
    made = hall.hold()
    mallory = hall.consortium.identity("mallory", "keeper")
    lie = resealed(hall, made, "bruno", shares.split(KEY, 2, 3, bytes(32))[1].encode(), by=mallory)
    with pytest.raises(MessageRefused, match="share of 'bruno', is refused: the file was sealed by 'mallory'"):
        hall.recover(hall.verified(lie), [hall.hand_over(lie, "bruno")])


def test_shares_that_another_certificate_of_the_holder_sealed_are_refused(hall):
    made = hall.hold()
    namesake = hall.consortium.identity("vault", "silo")
    lie = resealed(hall, made, "bruno", shares.split(KEY, 2, 3, bytes(32))[1].encode(), by=namesake)
    with pytest.raises(MessageRefused, match="sealed with another certificate of 'vault'"):
        hall.recover(hall.verified(lie), [hall.hand_over(lie, "bruno")])


def test_a_key_of_another_identity_comes_out_as_nothing(hall):
    """The holder splits another key than the statement names."""
    lie = hall.hold(KEY[::-1], root=ROOT)
    with pytest.raises(MessageRefused, match=r"the shares give root key.*and the ceremony names") as refused:
        hall.recover(hall.verified(lie), [hall.hand_over(lie, name) for name in OPERATORS[:2]])
    assert refused.value.party == "vault"
    assert FileRootKey(KEY[::-1]).identity().hex()[:16] in str(refused.value)


def test_a_ceremony_that_somebody_holds_of_a_key_of_their_own_is_refused(hall):
    mallory = hall.consortium.identity("mallory", "keeper")
    own = hall.hold(KEY[::-1], root=FileRootKey(KEY[::-1]).identity(), holder=mallory)
    handed = [hall.hand_over(own, name) for name in OPERATORS[:2]]
    with pytest.raises(MessageRefused, match="the ceremony of 'mallory' is of root key") as refused:
        hall.recover(hall.verified(own), handed)
    assert refused.value.party == "mallory"


def test_a_holder_whose_key_was_compromised_is_refused(hall, made, consortium):
    serial = hall.holder.certificate.serial_number
    compromised = Revoked(serial, system_clock(), x509.ReasonFlags.key_compromise)
    trust = consortium.trust_with(consortium.list_of([compromised]))
    with pytest.raises(MessageRefused, match="vault"):
        root_ceremony.verify(made.signed, trust, clock=system_clock)


# ------------------------------------------------------------------------------------------------- the statement


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"threshold": 1}, "asks for 1 of 3 shares"),
        ({"threshold": 4}, "asks for 4 of 3 shares"),
        ({"threshold": 0}, "asks for 0 of 3 shares"),
        ({"operators": ()}, "asks for 2 of 0 shares"),
        ({"root": bytes(31)}, "names no root key"),
        ({"ceremony": bytes(16)}, "names no root key or no ceremony"),
        ({"previous": bytes(5)}, "names no ceremony before it"),
        ({"expires": 0}, "ends before it begins"),
        ({"made_at": 1 << 63, "expires": 1 << 63}, "at no time that there is"),
    ],
    ids=str,
)
def test_statements_that_nobody_can_recover_by_are_refused(hall, made, changes, problem):
    signed = statement.sign(dataclasses.replace(made.ceremony, **changes).encode(), hall.holder)
    with pytest.raises(MessageRefused, match=problem):
        root_ceremony.verify(signed, hall.consortium.trust, clock=system_clock)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"index": 1}, "does not number its operators"),
        ({"name": "anna"}, "gives two shares to one operator"),
        ({"commitment": bytes(31)}, "no key, commitment or payload"),
        ({"payload": b""}, "no key, commitment or payload"),
        ({"key": bytes(33)}, "no key, commitment or payload"),
    ],
    ids=str,
)
def test_operators_who_are_not_told_apart_are_refused(hall, made, changes, problem):
    first, second, third = made.ceremony.operators
    listed = (first, dataclasses.replace(second, **changes), third)
    signed = statement.sign(dataclasses.replace(made.ceremony, operators=listed).encode(), hall.holder)
    with pytest.raises(MessageRefused, match=problem):
        root_ceremony.verify(signed, hall.consortium.trust, clock=system_clock)


def test_an_altered_statement_is_refused(hall, made):
    for place in range(0, len(made.signed), 131):
        altered = bytearray(made.signed)
        altered[place] ^= 1
        with pytest.raises(MessageRefused):
            root_ceremony.verify(bytes(altered), hall.consortium.trust, clock=system_clock)


def test_one_person_gets_one_share(hall):
    with pytest.raises(CallerError, match="two operators have one name"):
        hall.hold(operators=("anna", "anna"))
    with pytest.raises(CallerError, match="by a key alone"):
        root_ceremony._check_operators([hall.keys["anna"].recipient])
    one, other = hall.recipient("anna"), dataclasses.replace(hall.recipient("anna"), name="bruno")
    with pytest.raises(CallerError, match="two operators have one key"):
        root_ceremony._check_operators([one, other])


def test_a_weak_key_is_not_sealed_to(hall):
    with pytest.raises(CallerError, match="at least hybrid-1024"):
        root_ceremony.hold(
            bytearray(KEY),
            ROOT,
            threshold=2,
            operators=[hall.recipient(name) for name in OPERATORS],
            holder=hall.holder,
            minimum=HYBRID_1024,
            clock=system_clock,
        )


def test_shares_are_wiped_when_the_ceremony_ends(hall, monkeypatch):
    seen = []
    real = shares.split

    def watched(*args, **options):
        seen.extend(real(*args, **options))
        return seen

    monkeypatch.setattr(shares, "split", watched)
    hall.hold()
    assert len(seen) == 3 and all(one.value == bytes(32) and one.salt == bytes(32) for one in seen)


def test_shares_are_wiped_when_the_recovery_fails(hall, made, held, monkeypatch):
    seen = []
    real = shares.Share.decode

    def watched(content):
        seen.append(real(content))
        return seen[-1]

    monkeypatch.setattr(shares.Share, "decode", watched)
    with pytest.raises(MessageRefused):
        hall.recover(held, [hall.hand_over(made, "anna")])
    assert len(seen) == 1 and seen[0].value == bytes(32)


# -------------------------------------------------------------------------------------------------------- the log


def test_ceremony_and_recovery_are_logged_once_with_their_statements(hall, made, held):
    log, trust = MemoryLog(), hall.consortium.trust
    found = hall.recover(held, [hall.hand_over(made, name) for name in OPERATORS[:2]])
    said = root_recovery.state(found, held, "recover", hall.holder, clock=system_clock)
    for signed in (made.signed, said):
        assert root_log.append(log, signed, trust, clock=system_clock)
        assert not root_log.append(log, signed, trust, clock=system_clock)
    ceremony, recovery = log.entries()
    assert (ceremony.kind, ceremony.body["operators"], ceremony.body["by"]) == (
        "root-ceremony",
        list(OPERATORS),
        "vault",
    )
    assert (recovery.kind, recovery.body["contributors"]) == ("root-recovery", ["anna", "bruno"])
    assert recovery.body["ceremony"] == ceremony.body["ceremony"] and recovery.body["expired"] is False
    assert log.payload(recovery.attached["statement"].sha256) == said


@pytest.mark.parametrize("what", ["altered", "another"])
def test_nothing_else_is_logged(hall, made, what):
    log = MemoryLog()
    signed = made.signed[:-1] + bytes([made.signed[-1] ^ 1])
    if what == "another":
        signed = statement.sign(made.ceremony.operators[0].encode(), hall.holder)
    with pytest.raises(MessageRefused):
        root_log.append(log, signed, hall.consortium.trust, clock=system_clock)
    assert list(log.entries()) == []


def test_a_key_without_backup_says_so(hall):
    made = root_ceremony.without_backup(ROOT, holder=hall.holder, clock=system_clock)
    held = hall.verified(made)
    assert held.ceremony.operators == () and made.sealed_shares == {}
    with pytest.raises(MessageRefused):
        hall.recover(held, [], accept_expired=True)


def test_the_ceremony_ends_when_it_says(hall):
    assert Ceremony.VERSION == 1
    made = hall.hold(lifetime=timedelta(hours=1))
    assert made.ceremony.expires - made.ceremony.made_at == 3600
