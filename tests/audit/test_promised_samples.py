"""Proofs that were promised: what a verdict says where a sample is smaller, or is not there at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from party_logs import AT, ROOT

import made_inferences as made
from quatrefoil.audit import PartyLog
from quatrefoil.audit.checks.promises import PROMISED, Promise
from quatrefoil.audit.checks.samples import Extra, Proven, Sampling
from quatrefoil.audit.report import render
from quatrefoil.audit.sampling import draw
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.errors import CallerError
from quatrefoil.transport import TrustAnchor
from sampled import Cosigners, quiet, serve, server, terms

CHALLENGE = bytes(32)
POPULATION = 19
GIVEN = Promise("policy", made.POLICY, Fraction("0.3"))
"""Of 19 receipts that are 6."""


def everything(data: bytes, logs: Mapping[str, PartyLog], anchor: TrustAnchor, at: datetime) -> Proven:
    """A proof of the receipts that it lists."""
    return Proven(frozenset(data[at : at + 32] for at in range(0, len(data), 32)), b"w" * 32, 101.5)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serve(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def promising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a server that says itself what its policy promises."""
    state = serve(tmp_path_factory.mktemp("promising"))
    with made.server_log(state) as log:
        log.append(PROMISED, {"policy": made.POLICY.hex(), "plan": "", "share": "0.3"})
    return state


def examined(
    state: Path, drawn: int | None, promised: Sequence[Promise] = (), *, proven: int | None = None, sample: bool = True
) -> Examined:
    """``drawn``: by the terms, None for no terms; ``proven``: so many of them, all where None."""
    if drawn is None:
        return examine(state, trust=ROOT, policy=None, relied=None, at=AT, sampling=None, promised=promised)
    asked = terms(drawn, challenge=CHALLENGE)
    found = draw(server(state), Cosigners().cosigned(state), asked, quiet)
    proof = b"".join(one.digest for one in found.drawn[:proven])
    samples = (Extra("one.sample", found.encode),) if sample else ()
    sampling = Sampling(asked, everything, samples, (Extra("one.proof", lambda: proof),))
    return examine(state, trust=ROOT, policy=None, relied=None, at=AT, sampling=sampling, promised=promised)


def failed(found: Examined) -> dict[str, str]:
    return {check.name: check.detail for check in found.verdict.failed}


def detail(found: Examined) -> str:
    (check,) = [check for check in found.verdict.checks if check.name == "promised"]
    return check.detail


def test_a_sample_as_large_as_was_promised_keeps_the_promise(state: Path) -> None:
    found = examined(state, 6, [GIVEN])
    assert failed(found) == {}
    assert (
        detail(found)
        == "1 promise of proofs kept by a sample that is large enough; ward: drawn from 19 of 22 receipts in the log"
    )
    assert "promised" not in {check.name for check in examined(state, 6).verdict.checks}


def test_a_smaller_sample_than_promised_is_found(state: Path) -> None:
    found = examined(state, 5, [GIVEN])
    assert failed(found).keys() == {"promised"}
    assert "promises 30 % proven: 6 of 19 receipts of ward, and 5 are drawn" in failed(found)["promised"]
    assert "promises 30 % proven" in render(found, name="state", at=AT, version="0")


def test_drawn_answers_without_a_proof_break_the_promise(state: Path) -> None:
    said = failed(examined(state, 6, [GIVEN], proven=4))
    assert said.keys() == {"proofs", "promised"}
    assert "and 2 drawn receipts of ward are not" in said["promised"]


def test_no_sample_at_all_is_found(state: Path) -> None:
    said = failed(examined(state, 6, [GIVEN], sample=False))
    assert "and no sample of the receipts of ward holds" in said["promised"]


def test_a_promise_that_the_auditor_gives_is_not_left_unchecked_without_terms(state: Path) -> None:
    found = examined(state, None, [GIVEN])
    assert "no terms were given by which a sample of ward is judged" in failed(found)["promised"]


def test_a_log_without_receipts_under_the_policy_keeps_no_promise(state: Path) -> None:
    other = Promise("policy", b"x" * 32, Fraction(1, 100))
    assert "and no log has receipts under it" in failed(examined(state, 6, [other]))["promised"]
    plan = Promise("plan", b"x" * 32, Fraction(1, 100))
    assert "the plan 7878787878787878 promises 1 % proven, and no log" in failed(examined(state, 6, [plan]))["promised"]


# ------------------------------------------------------------------------------------------------- in the server's log


def test_what_a_server_promised_itself_is_held_to(promising: Path) -> None:
    assert failed(examined(promising, 6)) == {} and detail(examined(promising, 6)).startswith("1 promise")
    assert "6 of 19 receipts of ward, and 5 are drawn" in failed(examined(promising, 5))["promised"]


def test_without_terms_a_verdict_says_what_was_promised_and_not_looked_at(promising: Path) -> None:
    found = examined(promising, None)
    assert found.verdict.valid
    (left,) = [one for one in found.verdict.not_made if one.name == "promised"]
    assert "promises 30 % proven; no terms were given" in left.why
    assert "promises 30 % proven" in render(found, name="state", at=AT, version="0")


@pytest.mark.parametrize("share", ["0", "1.5", "-1", "all", "1/0", "nan"])
def test_a_promise_of_a_share_that_is_none_is_a_problem(share: str, tmp_path: Path) -> None:
    state = serve(tmp_path)
    with made.server_log(state) as log:
        log.append(PROMISED, {"policy": made.POLICY.hex(), "plan": "", "share": share})
    assert "a log promises proofs of a share that is none" in failed(examined(state, 6))["promised"]


def test_the_auditors_share_and_the_servers_are_both_held_to(promising: Path) -> None:
    more = Promise("policy", made.POLICY, Fraction(1, 2))
    said = failed(examined(promising, 6, [more]))["promised"]
    assert (
        "promises 50 % proven: 10 of 19 receipts of ward, and 6 are drawn" in said
        and "1 promise of proofs kept" in said
    )


def test_a_policy_that_promises_nothing_is_no_promise() -> None:
    with pytest.raises(CallerError, match="the plan promises no proofs of answers"):
        Promise.of("plan", bytes(32), 0.0)
    assert Promise.of("policy", bytes(32), 0.07).share == Fraction(7, 100)
