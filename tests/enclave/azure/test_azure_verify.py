"""The verifier of Azure's confidential VMs: what binds hardware, paravisor, TPM and report data, each broken alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attesting
import dcap_quotes
import tpm_quotes
from azure_vms import AK, Vm, bound, runtime_data
from event_logs import BOOT, Log
from quatrefoil.appraisal import appraise, parse
from quatrefoil.appraisal.policy import AppraisalPolicy
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import azure
from quatrefoil.enclave.azure.verify import VtpmQuote
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import EvidenceRejected, PolicyInvalid
from tpm_quotes import NONCE, Made

AT = attesting.AT
VM, TD = Vm(), Vm(kind="azure-tdx")
OTHER_KEY = tpm_quotes.key("p256", 9)


def verify(evidence: Evidence) -> Findings:
    collateral = dcap_quotes.Platform().collateral() if evidence.kind == "azure-tdx" else Collateral()
    return azure.verify(evidence, collateral, AT, snp_roots=attesting.roots(), tdx_root=dcap_quotes.root())


def failed(evidence: Evidence) -> list[str]:
    findings = verify(evidence)
    assert (findings.claims.root == "none") is bool(findings.failed)
    return [check.name for check in findings.failed]


@pytest.mark.parametrize("vm", [VM, TD], ids=["snp", "tdx"])
def test_a_vm_holds_and_its_claims_are_those_of_both(vm: Vm) -> None:
    findings = verify(Evidence.decode(vm.evidence().encode()))
    assert not findings.failed
    claims = findings.claims
    assert (claims.kind, claims.isolation, claims.report_data) == (vm.kind, "vm", NONCE)
    assert claims.root in ("test ARK-Milan", "fake root")
    assert {"pcr0", "pcr7"} <= set(claims.measurements)
    assert ("measurement" if vm is VM else "mrtd") in claims.measurements
    assert {"ak"} < set(claims.platform)
    assert (claims.facts["secure_boot"], claims.facts["bank"]) == (True, "sha256")
    made = [check.name for check in findings.checks]
    assert set(VOCABULARIES[vm.kind].established) <= set(made)
    assert made[-len(azure.CHECKS) :] == list(azure.CHECKS)


@pytest.mark.parametrize("vm", [VM, TD], ids=["snp", "tdx"])
def test_a_report_about_other_runtime_data(vm: Vm) -> None:
    assert failed(vm.with_(report_data=bound(b"other")).evidence()) == ["runtime-data"]
    # The hash, and something after it.
    assert failed(vm.with_(report_data=bound(vm.runtime)[:32] + b"\1" * 32).evidence()) == ["runtime-data"]


@pytest.mark.parametrize("vm", [VM, TD], ids=["snp", "tdx"])
def test_the_tpm_of_another_vm(vm: Vm) -> None:
    """A quote that holds, under a key that this VM's hardware says nothing of."""
    assert failed(vm.with_(quote=Made(key=OTHER_KEY)).evidence()) == ["vtpm-key"]


def test_runtime_data_that_name_the_attackers_key() -> None:
    """The attacker's own TPM and matching runtime data beside the report of an honest paravisor."""
    own = runtime_data(tpm_quotes.key("rsa", 8).public_key())
    theirs = Vm(quote=Made(key=tpm_quotes.key("rsa", 8)), runtime=own, report_data=bound(VM.runtime))
    assert failed(theirs.evidence()) == ["runtime-data"]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_report_that_a_guest_can_ask_for(level: int) -> None:
    assert failed(VM.with_(vmpl=level).evidence()) == ["paravisor"]


def test_checks_of_the_tpm_fail_by_their_names() -> None:
    quote = VM.quote
    cases = {
        "vtpm-signature": quote.with_(signed_by=tpm_quotes.key("rsa", 8)),
        "vtpm-key-attributes": quote.with_(attributes=tpm_quotes.AK & ~tpm_quotes.tpm.RESTRICTED),
    }
    for name, changed in cases.items():
        assert failed(VM.with_(quote=changed).evidence()) == [name]
    evidence, other = VM.evidence(), quote.with_(values={0: b"\1" * 32, 1: b"\2" * 32, 2: b"\3" * 32, 7: b"\4" * 32})
    mixed = VtpmQuote(VM.runtime, quote.evidence().report, other.evidence().signature).encode()
    assert "vtpm-registers" in failed(replace(evidence, signature=mixed))


def test_checks_of_the_hardware_fail_by_their_names() -> None:
    assert failed(VM.with_(body=(("chip_id", bytes(64)),)).evidence()) == ["chip-id"]
    assert failed(TD.with_(body=(("tdattributes", 1),)).evidence()) == ["attributes", "platform"]
    assert "chain" in failed(replace(VM.evidence(), certificates=()))


def test_an_event_log_is_replayed() -> None:
    log = Log(events=BOOT)
    values = {n: log.values("sha256").get(n, bytes(32)) for n in range(8)}
    vm = VM.with_(quote=VM.quote.with_(values=values))
    assert verify(vm.evidence(bytes(log))).checks[-2].name == "vtpm-event-log"
    assert failed(vm.evidence(bytes(log))) == []
    assert failed(vm.evidence(bytes(Log(events=BOOT[1:])))) == ["vtpm-event-log"]


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence("sev-snp", b"x"),
        Evidence("azure-snp", b"x"),
        Evidence("azure-snp", b"x", b"junk"),
        replace(VM.evidence(), kind="azure-tdx"),
        replace(TD.evidence(), kind="azure-snp"),
        replace(VM.evidence(), signature=VtpmQuote(b"{}", b"q", b"c").encode()),
        replace(VM.evidence(), signature=VtpmQuote(VM.runtime, b"q", b"c").encode()),
        replace(TD.evidence(), certificates=(b"x",)),
    ],
)
def test_what_cannot_be_read_is_refused(evidence: Evidence) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        verify(evidence)
    assert refused.value.check == "format"


@given(st.data())
def test_a_flipped_bit_anywhere_shows(data: st.DataObject) -> None:
    """Fails a check, is refused unread, or changes a name of the TPM's key that a policy pins."""
    evidence = VM.evidence()
    part = data.draw(st.sampled_from(["report", "signature"]))
    raw = bytearray(getattr(evidence, part))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        findings = verify(replace(evidence, **{part: bytes(raw)}))
    except EvidenceRejected:
        return
    assert findings.failed or findings.claims.platform["ak"] != verify(evidence).claims.platform["ak"]


# --- under a policy --------------------------------------------------------------------------------------------------


def policy(**changes: Any) -> AppraisalPolicy:
    measured = {"measurement": attesting.MEASUREMENT.hex(), "pcr7": "07" * 32, **changes.pop("measurements", {})}
    words = {
        **dict.fromkeys(("debug", "migration_agent", "provisional_firmware"), "refuse"),
        **dict.fromkeys(("ciphertext_hiding", "revocation_checked"), "any"),
        **{"smt": "accept", "alias_check": "require", "secure_boot": "require"},
        **changes,
    }
    lines = [f'{name} = "{value}"' for name, value in words.items()]
    lines += [f'{name} = ["{value}"]' for name, value in measured.items() if value]
    rest = lines[len(words) :]
    text = [
        'name = "azure"\nreport_data = "required"\n[azure-snp]',
        *lines[: len(words)],
        'signing_key = ["vcek"]\nbank = ["sha256"]\nchip_id = ["any"]\nak = ["any"]\n[azure-snp.measurements]',
        *rest,
        "[azure-snp.minimum_tcb.Milan]\nbootloader = 4\ntee = 0\nsnp = 24\nmicrocode = 219",
    ]
    return parse("\n".join(text), source="policy.toml")


def refused_by(vm: Vm, held: AppraisalPolicy, nonce: bytes = NONCE) -> list[str]:
    verdict = appraise(verify(vm.evidence()), held, nonce, AT)
    return [check.name for check in verdict.checks if not check.passed]


def test_a_policy_accepts_it_and_each_part_alone_is_refused() -> None:
    assert refused_by(VM, policy()) == []
    appraise(verify(VM.evidence()), policy(), NONCE, AT).require()
    assert refused_by(VM, policy(), bytes(32)) == ["report-data"]
    assert refused_by(VM, policy(measurements={"pcr7": "01" * 32})) == ["accepted-pcr7"]
    assert refused_by(VM, policy(measurements={"measurement": "01" * 48})) == ["accepted-measurement"]
    unsafe = runtime_data(AK.public_key(), **{"vm-configuration": {"secure-boot": False}})
    assert refused_by(VM.with_(runtime=unsafe), policy()) == ["required-secure_boot"]
    assert refused_by(VM.with_(runtime=unsafe), policy(secure_boot="any")) == []
    assert refused_by(VM.with_(body=(("policy", attesting.POLICY | attesting.DEBUG),)), policy()) == ["refused-debug"]


@pytest.mark.parametrize(
    ("missing", "says"), [("measurement", "what code is accepted"), ("pcr7", "nothing of what the guest starts")]
)
def test_a_policy_says_what_paravisor_and_what_guest(missing: str, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        policy(measurements={missing: ""})
