"""Parties of a job with a committee: no keeper is named, and no evidence of one appraised; and the other way round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from committee_world import committee_policy
from job_policies import policy
from quatrefoil.errors import CallerError
from quatrefoil.parties.channels import keeper_dialer
from quatrefoil.parties.silo import appraiser_of


def dialer(of: object, keeper: object) -> Any:
    files: Any = SimpleNamespace(policy=of)
    options: Any = SimpleNamespace(keeper=keeper, pin=None)
    return keeper_dialer(options, files)


def test_an_aggregator_names_no_keeper_where_a_committee_holds_the_keys() -> None:
    assert dialer(committee_policy(), None) is None
    with pytest.raises(CallerError, match="has a committee, and --keeper is given"):
        dialer(committee_policy(), ("127.0.0.1", 1))


def test_an_aggregator_names_the_keeper_where_there_is_one() -> None:
    with pytest.raises(CallerError, match="has a keeper, and --keeper is not given"):
        dialer(policy(), None)


def test_a_silo_appraises_nobody_where_a_committee_holds_the_keys() -> None:
    options: Any = SimpleNamespace(enclave=None, appraisal=None, collateral=None)
    assert appraiser_of(options, committee_policy()) is None
    options.enclave = "tpm"
    with pytest.raises(CallerError, match="has a committee, and evidence of a keeper is to be appraised"):
        appraiser_of(options, committee_policy())
