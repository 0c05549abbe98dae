"""What an aggregator's bytes make of a silo in a committee: an error of who sent or signed them, never its end."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from committee_world import EIGHT, CommitteeWorld
from identities import identity, speaking_as
from quatrefoil.audit.entries import encode
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.committee_messages import (
    Complaint,
    Delivery,
    MemberKey,
    MemberRequest,
    SealedShares,
    ShareReport,
    ShareRequest,
    SharesValue,
)
from quatrefoil.federation.member_shares import LOGGED_REASON, MOST_OF_ONE, logged_complaints
from quatrefoil.federation.messages import Contribution, ProofClaim, RosterProposal, VoidRequest
from quatrefoil.services.seat import KINDS, Seat
from quatrefoil.tlog.tiles import LARGEST_LEAF
from signed_messages import body_of


@dataclasses.dataclass
class Sat:
    """``bari`` in its seat, with all contributions at the aggregator; ``said``: what it asked then."""

    world: CommitteeWorld
    seat: Seat
    said: list[tuple[str, bytes]]
    offer: bytes

    def takes(self, kind: bytes, *content: bytes) -> str:
        """What the silo asks after it was given this to do, and why it has nothing to say."""
        del self.said[:]
        self.seat.take(kind, parts.join(list(content)))
        ((what, body),) = self.said
        return what if what != "silent" else f"silent: {parts.split(body, 2)[1].decode()}"

    def shares(self) -> ShareRequest:
        return ShareRequest.decode(body_of(self.world.desk.shares.request("bari")))

    def signed(self, request: object) -> bytes:
        return self.world.hub_security.sign(request.encode())  # type: ignore[attr-defined]


@pytest.fixture
def sat() -> Sat:
    world = CommitteeWorld()
    world.begin()
    offer = world.open()
    world.send(offer)
    said: list[tuple[str, bytes]] = []

    def ask(what: str, body: bytes) -> bytes:
        said.append((what, body))
        return b""

    return Sat(world, Seat(world.silos["bari"], ask, lambda _: None), said, offer)


def of_faro(delivery: Delivery, **changes: object) -> Delivery:
    """Another contribution that faro signs, with the shares as they were."""
    contribution = dataclasses.replace(Contribution.decode(body_of(delivery.contribution)), **changes)
    return dataclasses.replace(delivery, contribution=speaking_as(identity("faro", "silo")).sign(contribution.encode()))


def delivery_of(sat: Sat, name: str) -> Delivery:
    found = {sat.world.hub_security.verify(one.contribution).signer: one for one in sat.shares().deliveries}
    return found[name]


def test_a_request_with_more_deliveries_than_silos_is_the_aggregators_fault(sat: Sat) -> None:
    request = sat.shares()
    many = dataclasses.replace(request, deliveries=request.deliveries + request.deliveries[:1])
    assert "9 deliveries for a job of 8 silos" in sat.takes(b"shares", sat.offer, sat.signed(many))
    assert sat.world.silos["bari"]._member._open is not None
    assert sat.world.silos["bari"]._member._open[1].claims == {}
    assert sat.takes(b"shares", sat.offer, sat.signed(request)) == "shares"


def test_of_one_silo_no_more_contributions_are_taken_than_it_can_have_sent(sat: Sat) -> None:
    honest = delivery_of(sat, "faro")
    brought = [of_faro(honest, ciphertext=bytes([number]) * 32) for number in range(MOST_OF_ONE + 3)]
    for number, one in enumerate(brought):
        request = dataclasses.replace(sat.shares(), deliveries=(one,))
        said = sat.takes(b"shares", sat.offer, sat.signed(request))
        if number < MOST_OF_ONE:
            assert said == "shares"
        else:
            assert f"brings more than {MOST_OF_ONE} contributions of faro" in said
    seat = sat.world.silos["bari"]._member._open
    assert seat is not None and len(seat[1].claims) == MOST_OF_ONE
    # Those that were there before can still be asked about.
    again = dataclasses.replace(sat.shares(), deliveries=(brought[0],))
    assert sat.takes(b"shares", sat.offer, sat.signed(again)) == "shares"


def claim(**changes: object) -> Callable[[Contribution], Contribution]:
    def change(one: Contribution) -> Contribution:
        return dataclasses.replace(one, claims=(dataclasses.replace(one.claims[0], **changes),))

    return change


def value(**changes: object) -> Callable[[Contribution], Contribution]:
    def change(one: Contribution) -> Contribution:
        said = dataclasses.replace(SharesValue.decode(one.claims[0].value), **changes)
        return claim(value=said.encode())(one)

    return change


SIGNED = (
    claim(content=b""),
    claim(root=bytes(31)),
    claim(root=bytes(33)),
    claim(value=b""),
    claim(value=b"\xff" * 40),
    value(commitments=()),
    value(commitments=(b"",) * 8),
    value(commitments=(bytes(32),) * 9),
    value(values=b""),
    value(values=b"\xff" * 80),
    lambda one: dataclasses.replace(one, claims=()),
    lambda one: dataclasses.replace(one, claims=one.claims * 2),
    lambda one: dataclasses.replace(one, claims=(ProofClaim(b"", b"", b"", b""),)),
)


def test_whatever_a_silo_signs_is_a_complaint_about_it(sat: Sat) -> None:
    faro = speaking_as(identity("faro", "silo"))
    for first in range(0, len(SIGNED), MOST_OF_ONE):
        seat = sat.world.silos["bari"]._member._open
        assert seat is not None
        seat[1].claims.clear()
        for change in SIGNED[first : first + MOST_OF_ONE]:
            honest = delivery_of(sat, "faro")
            changed = change(Contribution.decode(body_of(honest.contribution)))
            one = dataclasses.replace(honest, contribution=faro.sign(changed.encode()))
            request = dataclasses.replace(sat.shares(), deliveries=(one,))
            assert sat.takes(b"shares", sat.offer, sat.signed(request)) == "shares"
            report = ShareReport.decode(body_of(sat.said[0][1]))
            assert [complaint.silo for complaint in report.complaints] == ["faro"]


@pytest.mark.parametrize("share", [b"", bytes(1 << 20)])
def test_a_sealed_share_of_any_bytes_is_a_complaint(sat: Sat, share: bytes) -> None:
    honest = delivery_of(sat, "faro")
    faro = speaking_as(identity("faro", "silo"))
    key = sat.world.silos["bari"]._member._open
    assert key is not None
    context = sat.shares().context
    for sealed in (share, faro.seal(key[1].recipient.public, share, context=context)):
        digests = list(honest.digests)
        digests[1] = sha256(sealed)
        one = dataclasses.replace(
            of_faro(honest, sealed_key=SealedShares(tuple(digests)).digest()), digests=tuple(digests), share=sealed
        )
        request = dataclasses.replace(sat.shares(), deliveries=(one,))
        assert sat.takes(b"shares", sat.offer, sat.signed(request)) == "shares"
        assert [one.silo for one in ShareReport.decode(body_of(sat.said[0][1])).complaints] == ["faro"]


def test_bytes_that_are_nothing_get_silence(sat: Sat) -> None:
    nothing = [b"", b"\x00" * 40, b"\xff" * 4, parts.join([b"", b""]), parts.join([b"x"])]
    for kind, content in itertools.product(sorted(KINDS), nothing):
        del sat.said[:]
        sat.seat.take(kind, content)
        assert [what for what, _ in sat.said] == ["silent"]


def test_a_member_request_with_more_shown_shares_than_silos_is_refused(sat: Sat) -> None:
    sat.world.propose()
    request = sat.world.desk.answers.request("bari", sat.world.proposal)
    many = dataclasses.replace(MemberRequest.decode(request), opened=(b"",) * 9)
    assert "9 shown shares for a job of 8 silos" in sat.takes(b"answer", sat.offer, many.encode())


def test_a_roster_of_any_form_gets_silence(sat: Sat) -> None:
    proposal = RosterProposal.decode(body_of(sat.world.propose()))
    for change in (
        {"contributors": ()},
        {"contributors": ("ambon",) * 8},
        {"contributors": EIGHT[:7]},
        {"contributions": ()},
        {"contributions": (b"",) * 8},
        {"context": b""},
    ):
        false = dataclasses.replace(proposal, **change)  # type: ignore[arg-type]
        request = sat.world.desk.answers.request("bari", sat.signed(false))
        assert sat.takes(b"answer", sat.offer, request).startswith("silent: ")


def test_a_void_for_the_longest_reason_is_signed(sat: Sat) -> None:
    wanted = VoidRequest.decode(body_of(sat.world.aggregator.void_request("test")))
    assert (
        sat.takes(b"void", sat.offer, sat.signed(dataclasses.replace(wanted, reason="\U0001f4a3" * 90_000))) == "void"
    )


def test_complaints_of_every_silo_fit_into_one_entry_of_the_log() -> None:
    complaints = [Complaint(f"{number:064d}", bytes(32), "\U0001f4a3" * 400) for number in range(256)]
    body = {"round": 1, "attempt": 0, "context": "00" * 32, "accepted": 0, "complaints": logged_complaints(complaints)}
    assert len(body["complaints"]) == 256  # type: ignore[arg-type]
    assert len(encode(datetime.now(UTC), "shares-checked", body, {})) < LARGEST_LEAF
    assert all(len(reason) <= LOGGED_REASON for reason in logged_complaints(complaints).values())


def test_a_reason_that_fills_a_log_ends_no_aggregator(sat: Sat) -> None:
    honest = delivery_of(sat, "faro")
    told = Complaint("faro", sha256(honest.contribution), "x" * 70_000)
    report = ShareReport(sat.shares().context, 2, (), (told,))
    with pytest.raises(MessageRefused, match="a reason of 70000 characters"):
        sat.world.desk.shares.take_report("bari", speaking_as(identity("bari", "silo")).sign(report.encode()))
    assert sat.world.logged("complaint") == []


@pytest.mark.parametrize("key", [b"", bytes(31), b"\xff" * 1216])
def test_a_member_whose_key_is_none_is_named_and_ends_nobody(key: bytes) -> None:
    world = CommitteeWorld()
    world.begin()
    world.desk.opening.begin(world.aggregator.open_request())
    given = MemberKey.decode(body_of(world.silos["bari"].member_key(world.desk.opening.request)))
    bari = speaking_as(identity("bari", "silo"))
    with pytest.raises(MessageRefused):
        world.desk.opening.take_key("bari", bari.sign(dataclasses.replace(given, key=key).encode()))
    assert [body["silo"] for body in world.logged("refusal")] == ["bari"]
    world.down = {"bari"}
    world.send(world.open())
