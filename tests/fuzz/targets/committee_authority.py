"""What a silo is shown of a committee: offers, voids and releases, signed by whom it says and otherwise anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.fuzz import committees
from tests.fuzz.held import refused_or

from quatrefoil.federation import parts
from quatrefoil.federation.authorities import read_contributors, read_offer, read_void
from quatrefoil.federation.committee_messages import (
    CommitteeRelease,
    CommitteeVoid,
    MemberAnswer,
    MemberKey,
    MemberKeys,
    SignedKeys,
)
from quatrefoil.federation.messages import RosterProposal, RoundContext, RoundOffer, RoundVoid

OFFER, VOID, RELEASE = range(3)
SIGNERS = (*committees.SILOS, "hub")
HUB = len(committees.SILOS)
FORGED = 0x80
"""Set in the byte of who signs: the statement is taken as it lies there."""


def seeds() -> list[bytes]:
    offered = committees.offer()
    digest = offered.context.digest()
    void = RoundVoid(committees.job().digest, 1, 0, digest, True, "test").encode()
    proposal = RosterProposal(digest, committees.SILOS, (bytes(32),) * 4)
    answers = [MemberAnswer(digest, proposal.digest(), member, bytes(32)).encode() for member in range(1, 5)]
    keys = [MemberKey(committees.opening().digest(), bytes([member]) * 40).encode() for member in range(4)]
    fewer = MemberKeys((b"", b"", *MemberKeys.decode(offered.context.sealing_key).keys[2:]))
    other = replace(offered.context, sealing_key=fewer.encode())
    contexts = (offered.context.encode(), other.encode())
    twice = replace(proposal, contributors=("east", "east", "north", "south"))
    return [
        _input(OFFER, [bytes([HUB]) + offered.encode()]),
        _input(OFFER, [contexts[0], *(bytes([who]) + key for who, key in enumerate(_true_keys()))]),
        *(_input(OFFER, [context, *(bytes([who]) + key for who, key in enumerate(keys))]) for context in contexts),
        _input(VOID, [bytes([who]) + void for who in range(4)]),
        _input(VOID, [bytes([0]) + void] * 4),
        _input(VOID, [bytes([who]) + void for who in range(2)]),
        _input(RELEASE, [_by(HUB, proposal.encode()), *(_by(who, one) for who, one in enumerate(answers))]),
        _input(RELEASE, [_by(HUB, twice.encode()), *(_by(who, one) for who, one in enumerate(answers))]),
        _input(RELEASE, [_by(0, proposal.encode()), *(_by(who, answers[0]) for who in range(4))]),
    ]


def one(data: bytes) -> None:
    """What it is, and what is signed there, each behind the byte of who signs it."""
    given = refused_or(lambda: parts.split_list(data[1:], len(SIGNERS) + 1))
    if not data or not given:
        return
    job, security = committees.job(), committees.security("east")
    how = data[0] % 3
    if how == OFFER:
        offered = refused_or(lambda: read_offer(job, security, _offer(given)))
        assert offered is None or len(MemberKeys.decode(offered.context.sealing_key).keys) == len(committees.SILOS)
    elif how == VOID:
        void = CommitteeVoid(_signed(given)).encode()
        read = refused_or(lambda: read_void(job, security, void))
        assert read is None or _authors(given, RoundVoid.decode) >= committees.THRESHOLD.recovery
    else:
        signed = _signed(given)
        release = CommitteeRelease(signed[0], signed[1:]).encode()
        context = committees.context().digest()
        names = refused_or(lambda: read_contributors(job, security, release, context))
        if names is not None:
            assert set(names) <= set(committees.SILOS) and len(set(names)) == len(names)
            assert _authors(given[1:], MemberAnswer.decode) >= committees.THRESHOLD.recovery


def _offer(given: list[bytes]) -> bytes:
    """One part: an offer. Several: a context, and behind it members' keys, of which the aggregator makes an offer."""
    if len(given) == 1:
        return _signed(given)[0]
    context = RoundContext.decode(given[0])
    evidence = SignedKeys(_signed(given[1:])).encode()
    return committees.sign_as("hub", RoundOffer(context, evidence).encode())


def _signed(given: list[bytes]) -> tuple[bytes, ...]:
    return tuple(
        one[1:] if not one or one[0] & FORGED else committees.sign_as(SIGNERS[one[0] % len(SIGNERS)], one[1:])
        for one in given
    )


def _authors(given: list[bytes], decode: Callable[[bytes], object]) -> int:
    """How many members signed something of a kind there, whatever it says."""
    own = (one for one in given if one and not one[0] & FORGED and refused_or(lambda one=one: decode(one[1:])))
    return len({SIGNERS[one[0] % len(SIGNERS)] for one in own} - {"hub"})


def _true_keys() -> list[bytes]:
    opening = committees.opening().digest()
    return [MemberKey(opening, recipient.public).encode() for recipient in committees.recipients().values()]


def _by(who: int, body: bytes) -> bytes:
    return bytes([who]) + body


def _input(how: int, given: list[bytes]) -> bytes:
    return bytes([how]) + parts.join(given)
