"""Executors of three kinds, alike to whoever submits."""

from __future__ import annotations

import os
import pickle
import sys

import pytest

from quatrefoil.aggregation import ParameterSet
from quatrefoil.errors import CallerError, DependencyMissing, ProofRejected
from quatrefoil.offline.pools import pool
from quatrefoil.proofs import BoundedUpdateProofs


def product(one: int, *, by: int) -> int:
    return one * by


def refuse(party: str) -> None:
    raise ProofRejected("it does not hold", hint="Leave it out", party=party)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_values_and_errors_come_back_as_they_were(kind: str) -> None:
    """On Ray: test_on_ray.py."""
    with pool(kind, 2) as executor:
        values = [executor.submit(product, one, by=3) for one in range(9)]
        refused = executor.submit(refuse, "bari")
        assert [one.result() for one in values] == [3 * one for one in range(9)]
        with pytest.raises(ProofRejected, match=r"does not hold\. Leave it out") as caught:
            refused.result()
        assert caught.value.party == "bari"


def test_what_cannot_be_pickled_is_its_callers_fault_and_stops_no_other() -> None:
    with pool("processes", 2) as executor:
        bad, good = executor.submit(lambda: 1), executor.submit(product, 2, by=2)
        with pytest.raises(CallerError, match="another process"):
            bad.result()
        assert good.result() == 4


def test_other_kinds_are_refused() -> None:
    for given in (
        {"kind": "fibres"},
        {"kind": "threads", "number": 0},
        {"kind": "threads", "address": "10.0.0.1"},
        {"kind": "ray", "number": 2},
    ):
        with pytest.raises(CallerError), pool(**given):
            pass


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyMissing, match="pip install"), pool("ray"):
        pass


def test_sets_and_proofs_are_the_same_in_another_process() -> None:
    for name in ("sum-32-w12", "sum-256-w16"):
        parameters = ParameterSet.named(name)
        assert pickle.loads(pickle.dumps(parameters)) == parameters
        proofs = BoundedUpdateProofs(parameters)
        again = pickle.loads(pickle.dumps(proofs))
        assert again.scheme == proofs.scheme
        assert pickle.loads(pickle.dumps(proofs)) is again


def test_proofs_with_randomness_of_their_own_stay_where_they_are() -> None:
    proofs = BoundedUpdateProofs(ParameterSet.named("sum-32-w12"), random=lambda size: os.urandom(size))
    with pytest.raises(TypeError, match="randomness"):
        pickle.dumps(proofs)
