"""A real TPM in software, end to end: quotes, a register that changes, replay, another key, a sealed secret.

Needs the system's packages swtpm and tpm2-tools.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quatrefoil.appraisal import appraise, parse
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.enclave.tpm import verify
from quatrefoil.enclave.tpm.signer import PINNED, public_key, subject_public_key_info
from quatrefoil.errors import CallerError, HostError
from software_tpm import AK, OTHER_AK, RSA_AK, SoftwareTpm, needs_tpm, software_tpm
from tpm_quotes import AT, NONCE, policy_text

pytestmark = needs_tpm


@pytest.fixture
def machine() -> Iterator[SoftwareTpm]:
    with software_tpm() as made:
        yield made


def pin(evidence: Evidence) -> Collateral:
    """What the relying party keeps once it has seen the key at the machine itself."""
    _, area, _ = tpm.parse_companions(evidence.signature)
    return Collateral(keys=(subject_public_key_info(public_key(area)),))


def test_a_quote_of_a_tpm_holds(machine: SoftwareTpm) -> None:
    evidence = machine.collector().collect(NONCE)
    findings = verify(Evidence.decode(evidence.encode()), pin(evidence), AT)
    claims = findings.claims
    assert not findings.failed
    assert (claims.root, claims.isolation, claims.report_data) == (PINNED, "none", NONCE)
    assert sorted(claims.measurements) == [f"pcr{n}" for n in range(8)]
    name = machine.tool("tpm2_readpublic", "-c", AK, "-n", "/dev/stdout", "-Q")
    assert claims.platform["ak"] == name


@pytest.mark.parametrize("scheme", ["rsassa", "rsapss"])
def test_rsa_keys_of_a_tpm(machine: SoftwareTpm, scheme: str) -> None:
    machine.tool("tpm2_createek", "-c", "rsa.ctx", "-G", "rsa")
    machine.tool("tpm2_flushcontext", "-t")
    machine.make_key(RSA_AK, "rsa", scheme, "rsa.ctx")
    evidence = machine.collector(RSA_AK, pcrs=(0, 23), bank="sha384").collect(NONCE)
    findings = verify(evidence, pin(evidence), AT)
    assert not findings.failed
    assert len(findings.claims.measurements["pcr23"]) == 48


def test_a_register_that_changes_shows(machine: SoftwareTpm) -> None:
    before = machine.collector().collect(NONCE)
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    after = verify(machine.collector().collect(NONCE), pin(before), AT)
    first = verify(before, pin(before), AT).claims.measurements
    assert not after.failed
    assert {n for n in first if first[n] != after.claims.measurements[n]} == {"pcr7"}


def test_the_machine_cannot_keep_its_old_values(machine: SoftwareTpm) -> None:
    """Old values beside a new quote, and an old quote for a new nonce: one fails, the other shows its old nonce."""
    before = machine.collector().collect(NONCE)
    machine.tool("tpm2_pcrextend", "0:sha256=" + "cd" * 32)
    fresh = bytes(32)
    after = machine.collector().collect(fresh)
    _, _, old_values = tpm.parse_companions(before.signature)
    _, _, new_values = tpm.parse_companions(after.signature)
    beside = after.signature.replace(
        b"".join(b"\x00\x20" + v for v in new_values), b"".join(b"\x00\x20" + v for v in old_values)
    )
    mixed = verify(Evidence("tpm", after.report, beside), pin(before), AT)
    assert [check.name for check in mixed.failed] == ["registers"]
    assert verify(before, pin(before), AT).claims.report_data != fresh
    forged = before.report.replace(NONCE, fresh)
    assert [c.name for c in verify(Evidence("tpm", forged, before.signature), pin(before), AT).failed] == ["signature"]


def test_a_policy_refuses_the_change_the_replay_and_another_key(machine: SoftwareTpm) -> None:
    """What a relying party does: pin the key, pin the registers, send a nonce."""
    known = machine.collector().collect(NONCE)
    pinned = pin(known)
    policy = parse(policy_text(verify(known, pinned, AT).claims.measurements), source="policy.toml")

    def failed(evidence: Evidence, nonce: bytes) -> list[str]:
        verdict = appraise(verify(evidence, pinned, AT), policy, nonce, AT)
        return [check.name for check in verdict.checks if not check.passed]

    fresh = bytes(range(32, 64))
    assert failed(known, NONCE) == []
    assert failed(known, fresh) == ["report-data"]
    assert failed(machine.collector().collect(fresh), fresh) == []
    machine.make_key(OTHER_AK, "ecc", "ecdsa")
    assert failed(machine.collector(OTHER_AK).collect(fresh), fresh) == ["signer", "root"]
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    assert failed(machine.collector().collect(fresh), fresh) == ["accepted-pcr7"]


def test_a_restart_is_counted(machine: SoftwareTpm) -> None:
    before = verify(machine.collector().collect(NONCE), Collateral(), AT).claims.facts
    machine.tool("tpm2_shutdown", "-c")
    machine.stop()
    machine.start()
    after = verify(machine.collector().collect(NONCE), Collateral(), AT).claims.facts
    assert int(after["reset_count"]) == int(before["reset_count"]) + 1


def test_a_sealed_key_stays_sealed_after_the_change(machine: SoftwareTpm) -> None:
    """What the TPM itself enforces (Part 3, TPM2_PolicyPCR): the secret comes out for the sealed registers only."""
    machine.tool("tpm2_createprimary", "-C", "o", "-c", "parent.ctx")
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_createpolicy", "--policy-pcr", "-l", "sha256:0,7", "-L", "policy")
    made = ["-C", "parent.ctx", "-L", "policy", "-u", "sealed.pub", "-r", "sealed.priv"]
    machine.tool("tpm2_create", *made, "-i", "-", stdin=b"key of the round")
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_load", "-C", "parent.ctx", "-u", "sealed.pub", "-r", "sealed.priv", "-c", "sealed.ctx")
    machine.tool("tpm2_flushcontext", "-t")
    assert machine.tool("tpm2_unseal", "-c", "sealed.ctx", "-p", "pcr:sha256:0,7") == b"key of the round"
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    machine.tool("tpm2_unseal", "-c", "sealed.ctx", "-p", "pcr:sha256:0,7", refused=True)


def test_a_key_that_is_not_there(machine: SoftwareTpm) -> None:
    with pytest.raises(HostError, match="tpm2_readpublic failed"):
        machine.collector("0x81019999").collect(NONCE)


def test_a_key_that_attests_nothing(machine: SoftwareTpm) -> None:
    """The endorsement key decrypts and does not sign: it is no attestation key."""
    machine.tool("tpm2_evictcontrol", "-c", "ek.ctx", OTHER_AK)
    with pytest.raises(HostError, match=r"no attestation key: .* storage key"):
        machine.collector(OTHER_AK).collect(NONCE)


@pytest.mark.parametrize("nonce", [b"", bytes(65)], ids=["empty", "long"])
def test_nonces_that_no_tpm_takes(machine: SoftwareTpm, nonce: bytes) -> None:
    with pytest.raises(CallerError, match="report data of"):
        machine.collector().collect(nonce)
