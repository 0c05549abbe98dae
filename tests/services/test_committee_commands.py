"""Commands of a job with a committee: no keeper is named, and no evidence of one appraised; and the other way round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from committee_world import committee_policy
from quatrefoil.cli import silo
from quatrefoil.cli.aggregator_program import AggregatorProgram
from quatrefoil.errors import CallerError
from world import policy


def dialer(of: object, keeper: object) -> Any:
    program = object.__new__(AggregatorProgram)
    program.options = SimpleNamespace(keeper=keeper, pin=None)  # type: ignore[assignment]
    program.files = SimpleNamespace(policy=of)  # type: ignore[assignment]
    return program._keeper_dialer()


def test_an_aggregator_names_no_keeper_where_a_committee_holds_the_keys() -> None:
    assert dialer(committee_policy(), None) is None
    with pytest.raises(CallerError, match="has a committee, and --keeper is given"):
        dialer(committee_policy(), ("127.0.0.1", 1))


def test_an_aggregator_names_the_keeper_where_there_is_one() -> None:
    with pytest.raises(CallerError, match="has a keeper, and --keeper is not given"):
        dialer(policy(), None)


def test_a_silo_appraises_nobody_where_a_committee_holds_the_keys() -> None:
    options: Any = SimpleNamespace(enclave=None, appraisal=None, collateral=None)
    assert silo._appraiser(options, committee_policy()) is None
    options.enclave = "tpm"
    with pytest.raises(CallerError, match="has a committee, and evidence of a keeper is to be appraised"):
        silo._appraiser(options, committee_policy())
