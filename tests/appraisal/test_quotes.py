"""TDX, SGX and TPM evidence under a policy: each field violated alone, under valid signatures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import dcap_quotes as dcap
import tpm_quotes
from dcap_quotes import CURRENT, MRTD, OLD, PPID, REPORT_DATA, SGX, Platform
from quatrefoil.appraisal import Verdict, appraise, load, parse
from quatrefoil.enclave import tdx, tpm
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, PolicyInvalid
from tpm_quotes import NONCE, Made

EXAMPLES = Path(__file__).parents[2] / "examples" / "appraisal"

INTEL = """\
name = "quotes"
report_data = "required"

[KIND]
statuses = ["UpToDate"]
rejected_advisories = ["INTEL-SA-00001"]
ppid = ["PPID"]
smt_enabled = "refuse"
dynamic_platform = "accept"
cached_keys = "accept"
""".replace("PPID", PPID.hex())

TEXTS = {
    "tdx": INTEL.replace("KIND", "tdx")
    + f"""
[tdx.measurements]
mrtd = ["{MRTD.hex()}"]
rtmr2 = ["{"00" * 48}"]
xfam = ["e700000000000000"]

[tdx.minimum_tcb.TDX]
module = {1 << 8 | CURRENT}
pce = {CURRENT}
qe = 6
evaluation = 17
""",
    "sgx": INTEL.replace("KIND", "sgx")
    + f"""
[sgx.measurements]
mrenclave = ["{"0e" * 32}"]
mrsigner = ["{"05" * 32}"]
isvprodid = ["0700"]

[sgx.minimum_tcb.SGX]
isv = 3
pce = {CURRENT}
qe = 6
evaluation = 17
""",
    "tpm": f"""\
name = "quotes"
report_data = "required"

[tpm]
bank = ["sha256"]
certified = "any"
revocation_checked = "any"
ak = ["any"]

[tpm.measurements]
pcr0 = ["{"00" * 31}01"]
pcr7 = ["{"07" * 32}"]

[tpm.minimum_tcb.TPM]
firmware = 0x1000200030004
""",
}


def changed(kind: str, old: str, new: str) -> str:
    assert TEXTS[kind].count(old) == 1
    return TEXTS[kind].replace(old, new)


def of_intel(platform: Platform, text: str = "", *, report_data: bytes = REPORT_DATA) -> Verdict:
    findings = tdx.verify(platform.evidence(), platform.collateral(), dcap.AT, root=dcap.root())
    policy = parse(text or TEXTS[platform.kind], source="policy.toml")
    return appraise(findings, policy, report_data, dcap.AT)


MACHINE = Made(values={0: bytes(31) + b"\x01", 7: b"\x07" * 32})


def of_tpm(made: Made, text: str = "", *, report_data: bytes = NONCE, pinned: Made | None = None) -> Verdict:
    findings = tpm.verify(made.evidence(), Collateral(keys=((pinned or made).spki,)), tpm_quotes.AT)
    return appraise(findings, parse(text or TEXTS["tpm"], source="policy.toml"), report_data, tpm_quotes.AT)


def failed(verdict: Verdict) -> list[str]:
    assert verdict.accepted == (not [check for check in verdict.checks if not check.passed])
    return [check.name for check in verdict.checks if not check.passed]


@pytest.mark.parametrize("platform", [Platform(), Platform(version=5), SGX], ids=["tdx-1.0", "tdx-1.5", "sgx"])
def test_good_quotes_are_accepted(platform: Platform) -> None:
    verdict = of_intel(platform)
    assert failed(verdict) == []
    assert verdict.require().isolation == ("process" if platform.kind == "sgx" else "vm")


def test_a_good_tpm_is_accepted_and_isolates_nothing() -> None:
    verdict = of_tpm(MACHINE)
    assert failed(verdict) == []
    assert verdict.require().isolation == "none" and verdict.to_json()["isolation"] == "none"


TD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # name -> changes of the platform, a place in the policy, what stands there instead, the check that fails
    "measurement": ({"body": {"mrtd": b"\x01" * 48}}, "", "", "accepted-mrtd"),
    "kernel": ({"body": {"rtmr2": b"\x01" * 48}}, "", "", "accepted-rtmr2"),
    "features": ({"body": {"xfam": 0xE3}}, "", "", "accepted-xfam"),
    "processor": ({}, f'ppid = ["{PPID.hex()}"]', f'ppid = ["{"ff" * 16}"]', "accepted-ppid"),
    "threads": ({}, 'dynamic_platform = "accept"', 'dynamic_platform = "refuse"', "refused-dynamic_platform"),
    "keys": ({}, 'cached_keys = "accept"', 'cached_keys = "refuse"', "refused-cached_keys"),
    "status": ({"levels": ((CURRENT, "SWHardeningNeeded", ()),)}, "", "", "status"),
    "advisory": ({"levels": ((CURRENT, "UpToDate", ("INTEL-SA-00001",)),)}, "", "", "advisories"),
    "lower tcb": ({"versions": OLD, "levels": ((OLD, "UpToDate", ()),)}, "", "", "minimum-tcb"),
    "lower module": ({"body": {"teetcbsvn": bytes([4, 1] + [CURRENT] * 14)}}, "", "", "minimum-tcb"),
    "lower quoting enclave": ({"qe": {"isvsvn": 5}}, "", "", "minimum-tcb"),
    "older collateral": ({"evaluation": 16}, "", "", "minimum-tcb"),
    "debug": ({"body": {"tdattributes": dcap.DEBUG | dcap.SEPT_VE_DISABLE}}, "", "", "attributes"),
    "migratable": ({"body": {"tdattributes": dcap.MIGRATABLE | dcap.SEPT_VE_DISABLE}}, "", "", "attributes"),
}


@pytest.mark.parametrize("case", TD)
def test_each_field_refuses_a_td_alone(case: str) -> None:
    changes, old, new, check = TD[case]
    names = failed(of_intel(Platform(**changes), changed("tdx", old, new) if old else ""))
    if check == "attributes":  # the library refuses these as well, and then nobody vouches for the rest
        assert names[:3] == ["attributes", "platform", "root"]
    else:
        assert names == [check]


ENCLAVE: dict[str, tuple[dict[str, Any], str]] = {
    "enclave": ({"mrenclave": b"\x01" * 32}, "accepted-mrenclave"),
    "author": ({"mrsigner": b"\x01" * 32}, "accepted-mrsigner"),
    "product": ({"isvprodid": 8}, "accepted-isvprodid"),
    "older build": ({"isvsvn": 2}, "minimum-tcb"),
}


@pytest.mark.parametrize("case", ENCLAVE)
def test_each_field_refuses_an_enclave_alone(case: str) -> None:
    changes, check = ENCLAVE[case]
    assert failed(of_intel(SGX.with_(body={**SGX.body, **changes}))) == [check]


def test_an_enclave_in_debug_is_refused() -> None:
    assert failed(of_intel(SGX.with_(body={**SGX.body, "attributes": 7})))[:3] == ["attributes", "platform", "root"]


@pytest.mark.parametrize("status", ["SWHardeningNeeded", "OutOfDate", "ConfigurationNeeded"])
@pytest.mark.parametrize("platform", [Platform(), SGX], ids=["tdx", "sgx"])
def test_a_weak_status_is_accepted_only_by_name(platform: Platform, status: str) -> None:
    weak = platform.with_(levels=((CURRENT, status, ()),))
    assert failed(of_intel(weak)) == ["status"]
    assert failed(of_intel(weak, changed(platform.kind, '["UpToDate"]', f'["{status}"]'))) == []


@pytest.mark.parametrize("platform", [Platform(), SGX], ids=["tdx", "sgx"])
def test_replays_and_expired_collateral(platform: Platform) -> None:
    assert failed(of_intel(platform, report_data=bytes(64))) == ["report-data"]
    old = platform.with_(tcb_until=dcap.AT - timedelta(days=1))
    assert failed(of_intel(old))[:2] == ["collateral", "platform"]


TPM: dict[str, tuple[Made, str, str, str]] = {
    "register": (MACHINE.with_(values={**MACHINE.values, 7: b"\x08" * 32}), "", "", "accepted-pcr7"),
    "register left out": (MACHINE.with_(values={0: MACHINE.values[0]}), "", "", "accepted-pcr7"),
    "firmware": (MACHINE.with_(firmware=0x0001_0002_0003_0003), "", "", "minimum-tcb"),
    "bank": (MACHINE, 'bank = ["sha256"]', 'bank = ["sha384"]', "accepted-bank"),
    "key": (MACHINE, 'ak = ["any"]', f'ak = ["{"ab" * 34}"]', "accepted-ak"),
    "authority": (MACHINE, 'certified = "any"', 'certified = "require"', "required-certified"),
    "revocation": (MACHINE, 'checked = "any"', 'checked = "require"', "required-revocation_checked"),
}


@pytest.mark.parametrize("case", TPM)
def test_each_field_refuses_a_tpm_alone(case: str) -> None:
    made, old, new, check = TPM[case]
    assert failed(of_tpm(made, changed("tpm", old, new) if old else "")) == [check]


def test_a_replayed_nonce_and_another_machines_key() -> None:
    assert failed(of_tpm(MACHINE, report_data=bytes(32))) == ["report-data"]
    assert failed(of_tpm(MACHINE, pinned=Made(key=tpm_quotes.key("p256", 9)))) == ["signer", "root"]
    with pytest.raises(EvidenceRejected, match="signer"):
        of_tpm(MACHINE, pinned=Made(key=tpm_quotes.key("p256", 9))).require()


@pytest.mark.parametrize("kind", TEXTS)
def test_no_kind_is_accepted_under_a_policy_of_another(kind: str) -> None:
    for other, text in TEXTS.items():
        if other != kind:
            verdict = of_tpm(MACHINE, text) if kind == "tpm" else of_intel(SGX if kind == "sgx" else Platform(), text)
            assert "kind" in failed(verdict)


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [
        ("tdx", f'mrtd = ["{MRTD.hex()}"]\n', "", "does not say what code"),
        ("tdx", 'statuses = ["UpToDate"]', "statuses = []", "empty"),
        ("tdx", 'statuses = ["UpToDate"]', 'statuses = ["Revoked"]', "unknown"),
        ("sgx", 'statuses = ["UpToDate"]', 'statuses = ["TDRelaunchAdvised"]', "unknown"),
        ("sgx", 'isvprodid = ["0700"]', 'isvprodid = ["07"]', "2 bytes"),
        ("tdx", "evaluation = 17\n", "", "evaluation"),
        ("tdx", "evaluation = 17", "evaluation = 70000", "evaluation"),
        ("tpm", "[tpm.measurements]\n", '[tpm.measurements]\npcr24 = ["00"]\n', "pcr24"),
        ("tpm", f'pcr7 = ["{"07" * 32}"]', f'pcr7 = ["{"00" * 32}"]', "only zeros"),
        ("tpm", 'bank = ["sha256"]', 'bank = ["sha1"]', "unknown"),
        ("tpm", 'certified = "any"', "certified = true", "certified"),
        ("tpm", "firmware = 0x1000200030004", "firmware = -1", "firmware"),
    ],
)
def test_policies_that_say_nothing_or_nonsense(kind: str, old: str, new: str, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        parse(changed(kind, old, new), source="policy.toml")


@pytest.mark.parametrize("kind", ["tdx", "sgx", "tpm"])
def test_the_examples_can_be_read(kind: str) -> None:
    policy = load(EXAMPLES / f"{kind}.toml")
    assert [rule.kind for rule in policy.rules] == [kind]
