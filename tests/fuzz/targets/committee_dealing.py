"""What goes between a dealer, the aggregator and members: keys, deliveries, reports with complaints, shown shares and
answers, signed by whom it says and otherwise anything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

from tests.fuzz import committees
from tests.fuzz.held import refused_or

from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.committee_messages import (
    Complaint,
    Delivery,
    MemberAnswer,
    MemberKey,
    OpenedShare,
    SealedShares,
    ShareReport,
)
from quatrefoil.federation.desk import Desk
from quatrefoil.federation.desk_members import Asked
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.member_shares import MemberSeat, MemberShares
from quatrefoil.federation.messages import RosterProposal
from quatrefoil.federation.proving import share_digests
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.federation.spool import MemorySpool
from quatrefoil.state import MemoryState

SIGNERS = (*committees.SILOS, "hub")
FORGED = 0x80
"""Set in the byte of who signs: what follows is taken as it lies there."""
MOST_PARTS = 6

DEALER = "north"
MEMBER = "west"
NUMBER = committees.SILOS.index(MEMBER) + 1


def seeds() -> list[bytes]:
    digest = committees.context().digest()
    signed, sealed, *_ = committees.dealer()[1]
    name, shares = sha256(signed), committees.shares()
    complaint = Complaint(DEALER, name, "it does not fit")
    reports = [
        ShareReport(digest, NUMBER, (), (complaint,)),
        ShareReport(digest, 1, (name,), ()),
        ShareReport(digest, NUMBER, (name, bytes(32)), (complaint, complaint)),
        ShareReport(digest, NUMBER, (), (Complaint("east", name, "x" * (LONGEST_REASON + 1)),)),
    ]
    complaining, accepting, both, wrong = (one.encode() for one in reports)
    shown = OpenedShare(digest, name, NUMBER, shares[NUMBER - 1]).encode()
    lie = OpenedShare(digest, name, NUMBER, bytes(len(shares[0]))).encode()
    own = parts.split(sealed, len(committees.SILOS))[NUMBER - 1]
    delivery = Delivery(signed, share_digests(sealed, len(committees.SILOS)), own)
    key = MemberKey(committees.opening().digest(), committees.recipients()["east"].public).encode()
    proposal = roster().digest()
    answers = [MemberAnswer(digest, proposal, number, sha256(bytes(8))).encode() for number in (1, NUMBER)]
    west, east, north = (committees.SILOS.index(one) for one in ("west", "east", "north"))
    return [
        _input("dealer", [_by(west, complaining)]),
        _input("dealer", [_by(west, complaining), _by(east, accepting)]),
        _input("dealer", [_by(west, complaining), _by(east, ShareReport(digest, 1, (), (complaint,)).encode())]),
        _input("dealer", [_by(west, both), _by(west, wrong), _by(north, complaining)]),
        _input("member", [delivery.encode()]),
        _input("member", [Delivery(signed, delivery.digests[:3], own).encode()]),
        _input("member", [_by(1, committees.shares()[NUMBER - 1])]),
        _input("member", [_by(1, b""), _by(0, shares[0])]),
        _input("desk", [_by(west, complaining), _by(east, accepting), _by(north, shown)]),
        _input("desk", [_by(west, wrong), _by(west, complaining), _by(north, lie), _by(east, shown)]),
        _input("keys", [_by(east, key), _by(west, key), _by(west, MemberKey(bytes(32), b"key").encode())]),
        _input("answers", [_by(east, answers[0]) + bytes(8), _by(west, answers[1]) + bytes(8), _by(west, answers[0])]),
    ]


def one(data: bytes) -> None:
    """By the first byte: who is told; and what, each behind the byte of who signs it."""
    given = refused_or(lambda: parts.split_list(data[1:], MOST_PARTS))
    if data and given:
        list(TOLD.values())[data[0] % len(TOLD)](given)


def _dealer(given: list[bytes]) -> None:
    """Reports, to a dealer: it shows the shares of one member at the most, and only of one that complains of it."""
    sound, message = committees.dealer()
    dealer = copy.copy(sound)
    dealer._log, dealer._dealt = committees.log(), copy.deepcopy(sound._dealt)
    for reports in (given[:1], given):
        shown = refused_or(
            lambda reports=reports: dealer.open(
                committees.job(), committees.context(), sha256(message[0]), [_signed(one) for one in reports]
            )
        )
        for signed in parts.split_list(shown, MOST_PARTS) if shown else []:
            said = OpenedShare.decode(committees.security("hub").verify(signed).body)
            assert said.share == committees.shares()[said.member - 1]
    assert len(dealer._dealt[committees.context().digest()].opened) <= committees.POLICY.key_authority.liars


def _member(given: list[bytes]) -> None:
    """Deliveries, to a member: it has the true share, or complains, or refuses what the aggregator brings."""
    seat = MemberSeat(committees.recipients()[MEMBER])
    shares = MemberShares(committees.security(MEMBER), committees.proofs())
    for part in given:
        delivery = refused_or(lambda part=part: _delivery(part))
        if delivery is None:
            continue
        name = refused_or(
            lambda delivery=delivery: shares.take(committees.job(), committees.context(), seat, NUMBER, delivery)
        )
        assert name is None or (name in seat.shares) != (name in seat.complaints)
    assert all(bytes(share) == committees.shares()[NUMBER - 1] for share in seat.shares.values())
    assert all(0 < len(one.reason) <= LONGEST_REASON for one in seat.complaints.values())


def _delivery(part: bytes) -> Delivery:
    """As it lies there; or with a share that a silo seals, of which the digests are as they should be."""
    if part[:1] >= b"\x83":
        return Delivery.decode(part)
    sealed = committees.dealer()[1][1]
    who = SIGNERS[part[0] % len(SIGNERS)] if part else DEALER
    digest, public = committees.context().digest(), committees.recipients()[MEMBER].public
    share = committees.security(who).seal(public, part[1:], context=digest)
    digests = (*share_digests(sealed, len(committees.SILOS))[:-1], sha256(share))
    contribution = _contribution_with(SealedShares(digests).digest())
    return Delivery(committees.sign_as(DEALER, contribution), digests, share)


def _contribution_with(sealed_key: bytes) -> bytes:
    """The dealer's contribution, for shares of this digest: its proof is of others."""
    encoded, true = _contribution(), committees.proofs().sealed_digest(committees.dealer()[1][1])
    assert encoded.count(true) == 1
    return encoded.replace(true, sealed_key)


@cache
def _contribution() -> bytes:
    return committees.security("hub").verify(committees.dealer()[1][0]).body


def _desk(given: list[bytes]) -> None:
    """Reports and shown shares, to the aggregator: no complaint but of who is there, and no share but the true one."""
    desk = _open_desk()
    name, complained = sha256(committees.dealer()[1][0]), False
    for part in given:
        who, signed = SIGNERS[part[0] % len(SIGNERS)] if part else "hub", _signed(part)
        refused_or(lambda who=who, signed=signed: desk.shares.take_report(who, signed))
        now = desk.members.current()
        complained = complained or bool(now.complaints)
        assert complained or not now.shown
        refused_or(lambda who=who, signed=signed: desk.shares.take_shown(who, parts.join([signed])))
    now = desk.members.current()
    assert {contribution for contribution, _ in now.complaints} <= {name} and set(now.shown) <= set(now.complaints)
    for (_, member), signed in now.shown.items():
        said = OpenedShare.decode(committees.security("hub").verify(signed).body)
        assert said.share == committees.shares()[desk.members.number(member) - 1]
    desk.shares.unresolved(), desk.shares.lacking(), desk.shares.complaints(DEALER)


def _keys(given: list[bytes]) -> None:
    """Members' keys, to the aggregator: no two members have one, and to each something can be sealed."""
    desk = _open_desk()
    desk.opening.begin(committees.sign_as("hub", committees.opening().encode()))
    for part in given:
        who = SIGNERS[part[0] % len(SIGNERS)] if part else "hub"
        refused_or(lambda who=who, part=part: desk.opening.take_key(who, _signed(part)))
    keys = [key for key, _ in desk.members.current().keys.values()]
    assert len(set(keys)) == len(keys) and set(desk.members.current().keys) <= set(committees.SILOS)
    for key in keys:
        committees.security("hub").seal(key, b"", context=bytes(32))


def _answers(given: list[bytes]) -> None:
    """Answers with sums, to the aggregator: each is of who signed it, and nothing comes of so few."""
    desk = _open_desk()
    for part in given:
        who, body, total = SIGNERS[part[0] % len(SIGNERS)] if part else "hub", part[:-8], part[-8:]
        message = parts.join([_signed(body), total])
        refused_or(lambda who=who, message=message: desk.answers.take(who, message))
    now = desk.members.current()
    assert set(desk.answers.liars) <= set(now.answers) <= set(committees.SILOS)
    for name, (_, total, answer) in now.answers.items():
        assert (answer.member, answer.sum) == (desk.members.number(name), sha256(total))
    if desk.answers.can_try:
        assert refused_or(desk.answers.trial()) is None, "sums of eight bytes give no key"


TOLD: dict[str, Callable[[list[bytes]], None]] = {
    "dealer": _dealer,
    "member": _member,
    "desk": _desk,
    "keys": _keys,
    "answers": _answers,
}


def _open_desk() -> Desk:
    desk = Desk(
        committees.job(),
        security=committees.security("hub"),
        aggregation=committees.aggregation(),
        proofs=committees.proofs(),
        state=MemoryState(),
        log=committees.log(),
        attempt=gathering,
    )
    desk.members.now = Asked(committees.opening())
    return desk


@cache
def gathering() -> Gathering:
    """The dealer's contribution, and the roster that has it alone."""
    signed, sealed, ciphertext, proof = committees.dealer()[1]
    found = Gathering(committees.context(), b"", committees.aggregation(), MemorySpool())
    found.add(DEALER, signed, sealed, ciphertext, proof, digest=sha256(ciphertext))
    found.proposal = found.roster()
    return found


def roster() -> RosterProposal:
    return gathering().roster()


def _signed(part: bytes) -> bytes:
    if not part or part[0] & FORGED:
        return part[1:]
    return committees.sign_as(SIGNERS[part[0] % len(SIGNERS)], part[1:])


def _by(who: int, body: bytes) -> bytes:
    return bytes([who]) + body


def _input(told: str, given: list[bytes]) -> bytes:
    return bytes([list(TOLD).index(told)]) + parts.join(given)
