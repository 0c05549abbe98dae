"""What an attested keeper is put together from, and what the stack refuses before a job begins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import attested_keepers as made
from job_policies import policy as software_policy
from quatrefoil import stack
from quatrefoil.appraisal import Relied
from quatrefoil.errors import CallerError, DependencyMissing, HostError, PolicyInvalid, QuatrefoilError
from quatrefoil.isolation import CollectingAttester, PolicyAppraiser
from quatrefoil.policy import Policy

AT = made.AT
CLOCK = lambda: AT  # noqa: E731


def agreed(*enclaves: str, threats: tuple[str, ...] = ()) -> Policy:
    """A policy that allows these enclaves, and names the appraisal policy of the tests."""
    base = software_policy()
    attested = any(name != "software" for name in enclaves)
    return made.dataclasses.replace(
        base,
        threats=tuple(sorted({*base.threats, *threats})),
        allow=made.dataclasses.replace(base.allow, enclave=tuple(sorted(enclaves))),
        accept_insecure=("software-keeper",) if "software" in enclaves else (),
        appraisal=made.policy().digest() if attested else b"",
    )


# -------------------------------------------------------------------------------------------------------- the pieces


def test_a_collector_that_gives_another_kind_than_it_says_is_the_hosts_fault() -> None:
    attester = CollectingAttester(made.Made("tdx", made.quoting().collect))
    with pytest.raises(HostError, match="the collector of tdx evidence gave tpm"):
        attester.collect(bytes(32))


def test_an_appraiser_needs_a_policy_that_says_something_of_the_kind() -> None:
    with pytest.raises(PolicyInvalid, match=r"appraisal policy quotes has no section \[sgx\]"):
        made.appraiser("sgx")


@pytest.mark.parametrize("kind", ["tpm"])
def test_an_appraiser_that_is_to_see_isolation_takes_no_kind_that_has_none(kind: str) -> None:
    with pytest.raises(PolicyInvalid, match="tpm shows no isolation"):
        made.appraiser(kind, isolated=True)


def test_evidence_without_isolation_is_refused_although_its_kind_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a verifier come to say so of some evidence: the claim counts, and not the name of the kind."""
    made.trusted(monkeypatch)
    evidence = CollectingAttester(made.reporting()).collect(bytes(32))
    assert made.appraiser("sev-snp", isolated=True).appraise(evidence, report_data=bytes(32)).isolation == "vm"
    verifiers = made.verifiers.VERIFIERS

    def bare(*arguments: Any) -> Any:
        found = verifiers["sev-snp"](*arguments)
        return made.dataclasses.replace(found, claims=made.dataclasses.replace(found.claims, isolation="none"))

    monkeypatch.setattr(made.verifiers, "VERIFIERS", {**verifiers, "sev-snp": bare})
    with pytest.raises(QuatrefoilError, match="sev-snp evidence shows isolation 'none', and isolation from the host"):
        made.appraiser("sev-snp", isolated=True).appraise(evidence, report_data=bytes(32))
    assert made.appraiser("sev-snp").appraise(evidence, report_data=bytes(32)).isolation == "none"


def test_evidence_is_judged_when_it_is_shown_and_not_when_the_silo_started() -> None:
    now = [AT]
    appraiser = PolicyAppraiser("nitro", made.relied(), isolated=True, clock=lambda: now[0])
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        evidence = CollectingAttester(made.documenting()).collect(bytes(range(32)))
        appraiser.appraise(evidence, report_data=bytes(range(32)))
        now[0] += timedelta(hours=2)
        with pytest.raises(QuatrefoilError, match="age"):
            appraiser.appraise(evidence, report_data=bytes(range(32)))


# --------------------------------------------------------------------------------------------------------- the stack


def test_the_stack_builds_both_sides_of_every_kind_that_a_policy_allows() -> None:
    for kind, collector in made.COLLECTORS.items():
        assert stack.attester_of(agreed(kind), kind, collector()).kind == kind
        assert stack.appraiser_of(agreed(kind), kind, made.relied(), clock=CLOCK).accepts == kind
    software = agreed("software")
    assert stack.attester_of(software, "software", None).isolation == "none"
    assert stack.appraiser_of(software, "software", None, clock=CLOCK).accepts == "software"


ATTESTER: dict[str, tuple[Callable[[], object], type[QuatrefoilError], str]] = {
    "not allowed": (lambda: stack.attester_of(agreed("tpm"), "tdx", None), PolicyInvalid, "does not allow enclave"),
    "no collector": (lambda: stack.attester_of(agreed("tpm"), "tpm", None), CallerError, "and none is given"),
    "another collector": (
        lambda: stack.attester_of(agreed("tpm"), "tpm", made.reporting()),
        CallerError,
        "needs a collector of its evidence, and one of sev-snp is given",
    ),
    "a collector for the stand-in": (
        lambda: stack.attester_of(agreed("software"), "software", made.quoting()),
        CallerError,
        "the stand-in collects no evidence",
    ),
    "sgx": (
        lambda: stack.attester_of(agreed("sgx"), "sgx", None),
        DependencyMissing,
        "nothing here collects evidence inside an SGX enclave",
    ),
    "the host is named": (
        lambda: stack.attester_of(agreed("tpm", threats=("curious-host",)), "tpm", made.quoting()),
        PolicyInvalid,
        "tpm isolates nothing",
    ),
    "the host is named, and software": (
        lambda: stack.attester_of(agreed("software", threats=("malicious-server",)), "software", None),
        PolicyInvalid,
        "software isolates nothing",
    ),
}


@pytest.mark.parametrize("case", ATTESTER)
def test_a_keeper_is_refused(case: str) -> None:
    build, kind, expected = ATTESTER[case]
    with pytest.raises(kind, match=expected):
        build()


OTHER = made.policy('pcr7 = ["07', 'pcr7 = ["08')
APPRAISER: dict[str, tuple[Callable[[], object], type[QuatrefoilError], str]] = {
    "no appraisal policy": (
        lambda: stack.appraiser_of(agreed("tpm"), "tpm", None, clock=CLOCK),
        CallerError,
        "and none is given",
    ),
    "another appraisal policy": (
        lambda: stack.appraiser_of(agreed("tpm"), "tpm", Relied(OTHER, made.collateral()), clock=CLOCK),
        PolicyInvalid,
        f"names the appraisal policy {made.policy().digest().hex()}, and quotes is {OTHER.digest().hex()}",
    ),
    "an appraisal policy for the stand-in": (
        lambda: stack.appraiser_of(agreed("software"), "software", made.relied(), clock=CLOCK),
        CallerError,
        "which gives no evidence",
    ),
    "sgx": (
        lambda: stack.appraiser_of(agreed("sgx"), "sgx", made.relied(), clock=CLOCK),
        DependencyMissing,
        "SGX",
    ),
    "the host is named": (
        lambda: stack.appraiser_of(agreed("tpm", threats=("curious-host",)), "tpm", made.relied(), clock=CLOCK),
        PolicyInvalid,
        "tpm isolates nothing",
    ),
    "the host is named, and software": (
        lambda: stack.appraiser_of(agreed("software", threats=("curious-host",)), "software", None, clock=CLOCK),
        PolicyInvalid,
        "software isolates nothing",
    ),
}


@pytest.mark.parametrize("case", APPRAISER)
def test_a_silo_is_refused(case: str) -> None:
    build, kind, expected = APPRAISER[case]
    with pytest.raises(kind, match=expected):
        build()


def test_of_several_allowed_enclaves_one_has_to_be_chosen() -> None:
    several = agreed("tpm", "sev-snp", "software")
    with pytest.raises(PolicyInvalid, match=r"allows sev-snp, software, tpm for enclave.*--enclave"):
        stack.only_allowed(several, "enclave")
    assert stack.only_allowed(several, "enclave", "tpm") == "tpm"
    with pytest.raises(PolicyInvalid, match="does not allow enclave backend tdx"):
        stack.only_allowed(several, "enclave", "tdx")
    assert stack.only_allowed(agreed("tpm", "sgx"), "enclave") == "tpm", "what nothing collects cannot be meant"
