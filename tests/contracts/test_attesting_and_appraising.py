"""What every backend of ``IsolationAttester`` and ``IsolationAppraiser`` must do, by pairs of them. A new kind joins by
one line in ``PAIRS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attested_keepers as made
from quatrefoil.contracts import IsolationAppraiser, IsolationAttester
from quatrefoil.errors import PeerError
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.isolation import CollectingAttester
from quatrefoil.policy import BACKENDS, COMMITTEE, ISOLATION, STAND_INS
from quatrefoil.stack import EXISTING

ROUND, OTHER_ROUND = bytes(range(32)), bytes(range(1, 33))


@dataclass(frozen=True)
class Pair:
    attester: IsolationAttester
    appraiser: IsolationAppraiser


def collected(kind: str) -> Pair:
    return Pair(CollectingAttester(made.COLLECTORS[kind]()), made.appraiser(kind))


def stand_in() -> Pair:
    software = SoftwareIsolation(accept_insecure="software-keeper")
    return Pair(software, software)


PAIRS: dict[str, Callable[[], Pair]] = {
    "software": stand_in,
    "tpm": lambda: collected("tpm"),
    "sev-snp": lambda: collected("sev-snp"),
    "tdx": lambda: collected("tdx"),
    "nitro": lambda: collected("nitro"),
}


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        yield


@pytest.fixture(params=PAIRS, scope="module")
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]()


def test_every_backend_that_can_be_built_is_here() -> None:
    assert set(PAIRS) == set(EXISTING["enclave"]) - {COMMITTEE}, "a committee has no machine to attest"


def test_evidence_is_accepted_for_what_it_is_bound_to(pair: Pair) -> None:
    assert isinstance(pair.attester, IsolationAttester) and isinstance(pair.appraiser, IsolationAppraiser)
    found = pair.appraiser.appraise(pair.attester.collect(ROUND), report_data=ROUND)
    assert found.kind == pair.attester.kind == pair.appraiser.accepts
    assert found.kind in BACKENDS["enclave"]


def test_what_a_kind_is_said_to_isolate_is_what_its_evidence_shows(pair: Pair) -> None:
    """The planner credits the first, silos log the second: they are one."""
    found = pair.appraiser.appraise(pair.attester.collect(ROUND), report_data=ROUND)
    assert found.isolation == pair.attester.isolation == ISOLATION[found.kind]


def test_a_stand_in_says_so_and_real_evidence_names_the_policy_that_accepted_it(pair: Pair) -> None:
    found = pair.appraiser.appraise(pair.attester.collect(ROUND), report_data=ROUND)
    assert found.insecure == (("enclave", found.kind) in STAND_INS.values())
    assert found.policy == (b"" if found.insecure else made.policy().digest())


def test_evidence_of_another_round_is_refused(pair: Pair) -> None:
    evidence = pair.attester.collect(ROUND)
    for other in (OTHER_ROUND, bytes(32), ROUND[:31] + b"\0"):
        with pytest.raises(PeerError):
            pair.appraiser.appraise(evidence, report_data=other)


def test_evidence_of_every_other_kind_is_refused(pair: Pair) -> None:
    others = [one().attester for name, one in PAIRS.items() if name != pair.appraiser.accepts]
    for attester in others:
        with pytest.raises(PeerError):
            pair.appraiser.appraise(attester.collect(ROUND), report_data=ROUND)


def test_bytes_that_are_no_evidence_are_refused(pair: Pair) -> None:
    evidence = pair.attester.collect(ROUND)
    for damaged in (b"", b"\x80", evidence[:-1], evidence + b"\0", evidence[::-1]):
        with pytest.raises(PeerError):
            pair.appraiser.appraise(damaged, report_data=ROUND)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 1 << 16))
def test_whatever_is_spliced_into_evidence_is_refused_or_changes_nothing(pair: Pair, piece: bytes, at: int) -> None:
    evidence = pair.attester.collect(ROUND)
    start = at % len(evidence)
    spliced = evidence[:start] + piece + evidence[start + len(piece) :]
    for shown in (piece, spliced):
        with pytest.raises(PeerError):
            # Data that the evidence was never bound to: whatever is shown, it must not be accepted for them.
            pair.appraiser.appraise(shown, report_data=OTHER_ROUND)


def test_no_bit_of_what_is_signed_can_be_turned(pair: Pair) -> None:
    """Sampled here; tests of each verifier turn every one."""
    evidence = pair.attester.collect(ROUND)
    for position in range(0, min(len(evidence), 600), 41):
        turned = bytearray(evidence)
        turned[position] ^= 0x10
        with pytest.raises(PeerError):
            pair.appraiser.appraise(bytes(turned), report_data=ROUND)
