"""Shares of a key, and the sums of them that members answer with: whatever a dealer or a member sends.

A share is checked against what its dealer signed. What passes fits that dealer's commitment; only one that nobody
changed does.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from tests.fuzz import committees
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.aggregation import sharing
from quatrefoil.federation import parts
from quatrefoil.federation.committee_messages import SharesValue
from quatrefoil.federation.messages import Contribution
from quatrefoil.transport.statement import Signed

CHECK, ADD, RECOVER = range(3)
MEMBERS = len(committees.SILOS)
DEALT = 2
"""Keys in the sums that seeds hold."""


def seeds() -> list[bytes]:
    honest, shares, answers = contribution(), committees.shares(), sums()
    (claim,) = honest.claims
    value = SharesValue.decode(claim.value)
    lies = [
        b"",
        replace(value, commitments=value.commitments[:-1]).encode(),
        replace(value, commitments=(*value.commitments[:-1], bytes(31))).encode(),
        replace(value, values=value.values[:-1]).encode(),
        replace(value, values=b"\xff" * len(value.values)).encode(),
    ]
    lying = [replace(honest, claims=(replace(claim, value=lie),)) for lie in lies]
    lying += [replace(honest, claims=()), replace(honest, claims=(replace(claim, root=claim.root[:31]),))]
    checked = [_input(CHECK, member, [honest.encode(), shares[member - 1]]) for member in (1, MEMBERS)]
    checked += [_input(CHECK, 1, [lie.encode(), shares[0]]) for lie in lying]
    checked += [_input(CHECK, member, [honest.encode(), b""]) for member in (0, MEMBERS + 1)]
    all_ones = answers[0][:-8] + b"\xff" * 8
    wrong = answers[0][:-8] + bytes(8)
    return [
        *checked,
        _input(ADD, DEALT, [shares[0], shares[0]]),
        _input(ADD, DEALT, list(shares[:2])),
        _input(ADD, 1, [shares[0][:-1]]),
        _input(ADD, 1, [shares[0][:32] + b"\xff" * 8 + shares[0][40:]]),
        _input(RECOVER, DEALT, answers),
        _input(RECOVER, DEALT, [wrong, *answers[1:]]),
        _input(RECOVER, DEALT, [all_ones, *answers[1:]]),
        _input(RECOVER, DEALT, answers[:2]),
        _input(RECOVER, 0, [b"", *answers[1:]]),
    ]


def one(data: bytes) -> None:
    """What to do, a number, and byte strings in one frame."""
    if len(data) < 2:
        return
    how, number = data[0] % 3, data[1]
    given = refused_or(lambda: parts.split_list(data[2:], MEMBERS))
    if given is None:
        return
    if how == CHECK:
        _check(number, given)
    elif how == ADD:
        _add(given)
    else:
        _recover(number, given)


def _check(member: int, given: list[bytes]) -> None:
    """By a member, of what a silo signed. Nothing for a share stands for the true one."""
    if len(given) != 2:
        return
    body, share = given
    said = refused_or_same(lambda: Contribution.decode(body), lambda value: value.encode(), body)
    if said is None:
        return
    share = share or committees.shares()[(member - 1) % MEMBERS]
    subject = committees.job().subject(committees.context(), "north")
    passes = refused_or(lambda: committees.proofs().check_share(subject, said, member, share) or True)
    if passes and said.claims == contribution().claims and said.sealed_key == contribution().sealed_key:
        assert share == committees.shares()[member - 1], "a share that was changed passes"


def _add(given: list[bytes]) -> None:
    added = refused_or(lambda: sharing.add(committees.SET, given, committees.THRESHOLD))
    assert added is None or len(added) == len(sums()[0])


def _recover(count: int, given: list[bytes]) -> None:
    """By the aggregator, and by whoever has the answers alone: an empty one is of a member that is silent."""
    answers = {member: answer for member, answer in enumerate(given, 1) if answer}
    found = refused_or(lambda: sharing.liars(answers))
    assert found is None or set(found) < set(answers)
    recovered = refused_or(
        lambda: sharing.recover(
            committees.SET, answers, committees.THRESHOLD, count=count, decrypts=lambda key: key == combined()
        )
    )
    if recovered is not None:
        # Only the true key decrypts; and who is not named has answered what is true.
        true = dict(enumerate(sums(), 1))
        assert recovered.combined_key == combined()
        assert {member for member, answer in answers.items() if answer != true[member]} == set(recovered.liars)


def _input(how: int, number: int, given: list[bytes]) -> bytes:
    return bytes([how, number]) + parts.join(given)


@cache
def contribution() -> Contribution:
    return Contribution.decode(Signed.decode(committees.dealer()[1][0]).body)


@cache
def sums() -> list[bytes]:
    """By member: the sum of its shares of north's key and of another one."""
    other = sharing.deal(committees.SET, bytes(32), committees.THRESHOLD, bytearray(32)).shares
    both = zip(committees.shares(), other, strict=True)
    return [sharing.add(committees.SET, two, committees.THRESHOLD) for two in both]


@cache
def combined() -> bytes:
    answers = dict(enumerate(sums(), 1))
    recovered = sharing.recover(committees.SET, answers, committees.THRESHOLD, count=DEALT, decrypts=lambda _: True)
    assert recovered.liars == ()
    return recovered.combined_key
