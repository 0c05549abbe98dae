"""The options of a keeper's evidence: what collects it, and what silos hold it to."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

import pytest

import attested_keepers as made
import attesting
import dcap_quotes
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors.nsm import NsmCollector
from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.enclave.collectors.tsm import TsmCollector
from quatrefoil.errors import CallerError, HostError
from quatrefoil.parties.keeper import add_collector_options, collector_of
from quatrefoil.parties.options import add_enclave_option, add_party_options
from quatrefoil.parties.relying import add_relying_options, relied_of, require_current

AT = made.AT


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_enclave_option(parser)
    add_collector_options(parser)
    add_relying_options(parser)
    return parser.parse_args(given)


def test_options_of_a_keeper() -> None:
    tpm = ["--tpm-key", "0x81010002", "--tpm-pcrs", "0,4,7", "--tpm-bank", "sha384", "--tcti", "swtpm:path=s"]
    expected = TpmCollector("0x81010002", (0, 4, 7), "sha384", "swtpm:path=s")
    assert collector_of(options(*tpm), "tpm") == expected
    assert collector_of(options("--tpm-key", "ak.ctx"), "tpm") == TpmCollector("ak.ctx")
    found = collector_of(options("--tsm-folder", "/reports"), "sev-snp")
    assert isinstance(found, TsmCollector) and (found.kind, found.folder) == ("sev-snp", Path("/reports"))
    assert isinstance(collector_of(options(), "tdx"), TsmCollector)
    assert isinstance(collector_of(options(), "nitro"), NsmCollector)
    assert collector_of(options(), "software") is None


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
        collector_of(options(*given), backend)


@pytest.mark.parametrize("given", [["--enclave", "sgx"], ["--enclave", "gpu"], ["--tpm-pcrs", "a"]])
def test_options_that_say_nothing(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(*given)


def test_a_silo_reads_the_appraisal_policy_and_collateral_that_hold_now(tmp_path: Path) -> None:
    assert relied_of(options()) is None
    file, folder = tmp_path / "appraisal.toml", tmp_path / "collateral"
    file.write_text(made.POLICY_TEXT)
    folder.mkdir()
    (folder / "vcek.der").write_bytes(attesting.leaf("Milan"))
    found = relied_of(options("--appraisal", str(file), "--collateral", str(folder)))
    assert found is not None and found.policy == made.policy()
    assert found.collateral.certificates == (attesting.leaf("Milan"),)
    alone = relied_of(options("--appraisal", str(file)))
    assert alone is not None and alone.collateral == Collateral()
    with pytest.raises(CallerError, match="--collateral is given without the policy it serves"):
        relied_of(options("--collateral", str(folder)))
    (folder / "old.crl").write_bytes(attesting.crl("Milan", end=attesting.ISSUED + timedelta(days=30)))
    with pytest.raises(
        HostError, match=r"old.crl does not hold: the revocation list of ARK-Milan expired on 2026-01-31"
    ):
        relied_of(options("--appraisal", str(file), "--collateral", str(folder)))


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
    require_current(tmp_path, AT)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HostError, match=f"{name} does not hold: the {expected}"):
        require_current(tmp_path, AT)


def test_options_do_not_get_in_the_way_of_those_that_every_party_has() -> None:
    parser = argparse.ArgumentParser()
    add_party_options(parser)
    add_enclave_option(parser)
    add_collector_options(parser)
