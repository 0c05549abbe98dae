"""What an attested keeper is put together from, and everything that is refused before a job begins."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import attested_keepers as made
import attesting
import dcap_quotes
from quatrefoil import stack
from quatrefoil.appraisal import Relied
from quatrefoil.cli import enclaves
from quatrefoil.cli.parties import add_party_options
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors.nsm import NsmCollector
from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.enclave.collectors.tsm import TsmCollector
from quatrefoil.errors import CallerError, DependencyMissing, HostError, PolicyInvalid, QuatrefoilError
from quatrefoil.isolation import CollectingAttester, PolicyAppraiser
from quatrefoil.policy import Policy
from world import policy as software_policy

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


# -------------------------------------------------------------------------------------------------------- the options


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    enclaves.add_enclave_option(parser)
    enclaves.add_collector_options(parser)
    enclaves.add_relying_options(parser)
    return parser.parse_args(given)


def test_options_of_a_keeper() -> None:
    tpm = ["--tpm-key", "0x81010002", "--tpm-pcrs", "0,4,7", "--tpm-bank", "sha384", "--tcti", "swtpm:path=s"]
    expected = TpmCollector("0x81010002", (0, 4, 7), "sha384", "swtpm:path=s")
    assert enclaves.collector_of(options(*tpm), "tpm") == expected
    assert enclaves.collector_of(options("--tpm-key", "ak.ctx"), "tpm") == TpmCollector("ak.ctx")
    found = enclaves.collector_of(options("--tsm-folder", "/reports"), "sev-snp")
    assert isinstance(found, TsmCollector) and (found.kind, found.folder) == ("sev-snp", Path("/reports"))
    assert isinstance(enclaves.collector_of(options(), "tdx"), TsmCollector)
    assert isinstance(enclaves.collector_of(options(), "nitro"), NsmCollector)
    assert enclaves.collector_of(options(), "software") is None


@pytest.mark.parametrize(
    ("given", "backend", "expected"),
    [
        ([], "tpm", "quotes under an attestation key, and none is named"),
        (["--tcti", "x"], "tpm", "quotes under an attestation key"),
        (["--tpm-key", "k", "--tpm-pcrs", "7,0"], "tpm", r"\(7, 0\) are no registers"),
        (["--tpm-key", "k", "--tpm-pcrs", "24"], "tpm", "are no registers"),
        (["--tpm-key", "k", "--tpm-bank", "md5"], "tpm", "no bank 'md5'"),
        (["--tpm-key", "k", "--tsm-folder", "d"], "tpm", "--tsm-folder is given, and the keeper is behind tpm"),
        (["--tpm-key", "k"], "software", "--tpm-key is given, and the keeper is behind software"),
        (["--tpm-pcrs", "0"], "sev-snp", "--tpm-pcrs is given, and the keeper is behind sev-snp"),
        (["--tsm-folder", "d"], "nitro", "--tsm-folder is given, and the keeper is behind nitro"),
    ],
)
def test_options_that_do_not_fit_the_enclave(given: list[str], backend: str, expected: str) -> None:
    with pytest.raises(CallerError, match=expected):
        enclaves.collector_of(options(*given), backend)


@pytest.mark.parametrize("given", [["--enclave", "sgx"], ["--enclave", "gpu"], ["--tpm-pcrs", "a"]])
def test_options_that_say_nothing(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(*given)


def test_a_silo_reads_the_appraisal_policy_and_collateral_that_hold_now(tmp_path: Path) -> None:
    assert enclaves.relied_of(options()) is None
    file, folder = tmp_path / "appraisal.toml", tmp_path / "collateral"
    file.write_text(made.POLICY_TEXT)
    folder.mkdir()
    (folder / "vcek.der").write_bytes(attesting.leaf("Milan"))
    found = enclaves.relied_of(options("--appraisal", str(file), "--collateral", str(folder)))
    assert found is not None and found.policy == made.policy()
    assert found.collateral.certificates == (attesting.leaf("Milan"),)
    alone = enclaves.relied_of(options("--appraisal", str(file)))
    assert alone is not None and alone.collateral == Collateral()
    with pytest.raises(CallerError, match="--collateral is given without the policy it serves"):
        enclaves.relied_of(options("--collateral", str(folder)))
    (folder / "old.crl").write_bytes(attesting.crl("Milan", end=attesting.ISSUED + timedelta(days=30)))
    with pytest.raises(
        HostError, match=r"old.crl does not hold: the revocation list of ARK-Milan expired on 2026-01-31"
    ):
        enclaves.relied_of(options("--appraisal", str(file), "--collateral", str(folder)))


# ---------------------------------------------------------------------------------------------------------- the dates


DATED: dict[str, tuple[str, bytes, str]] = {
    "a certificate that has expired": (
        "vcek.der",
        attesting.leaf("Milan", end=AT - timedelta(days=1)),
        "certificate of SEV-VCEK expired on 2026-05-31",
    ),
    "a certificate of tomorrow": (
        "vcek.der",
        attesting.leaf("Milan", start=AT + timedelta(days=1)),
        "certificate of SEV-VCEK holds from 2026-06-02",
    ),
    "a list that has expired": (
        "ark.crl",
        attesting.crl("Milan", end=AT - timedelta(days=1)),
        "revocation list of ARK-Milan expired on 2026-05-31",
    ),
    "a list of tomorrow": (
        "ark.crl",
        attesting.crl("Milan", start=AT + timedelta(days=1)),
        "revocation list of ARK-Milan holds from 2026-06-02",
    ),
    "Intel's document, expired": (
        "intel.json",
        dcap_quotes.Platform(tcb_until=AT - timedelta(days=1)).document(),
        "TCB info expired on 2026-05-31",
    ),
}


@pytest.mark.parametrize("case", DATED)
def test_collateral_that_does_not_hold_is_refused_with_its_file_and_date(case: str, tmp_path: Path) -> None:
    name, content, expected = DATED[case]
    (tmp_path / "ask.der").write_bytes(attesting.ask("Milan"))
    enclaves.require_current(tmp_path, AT)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HostError, match=f"{name} does not hold: the {expected}"):
        enclaves.require_current(tmp_path, AT)


def test_options_do_not_get_in_the_way_of_those_that_every_party_has() -> None:
    parser = argparse.ArgumentParser()
    add_party_options(parser)
    enclaves.add_enclave_option(parser)
    enclaves.add_collector_options(parser)
