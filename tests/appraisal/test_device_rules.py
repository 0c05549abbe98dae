"""Nitro enclaves and GPUs under a policy: each field violated alone, under valid signatures; and both in sets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import dcap_quotes as dcap
import gpu_reports
import nitro_documents
import p384
from gpu_reports import OPAQUE, manifests, measurement
from nitro_documents import PCRS, REPORT_DATA
from p384 import AT
from quatrefoil.appraisal import AppraisalPolicy, Verdict, appraise, appraise_set, load, parse
from quatrefoil.enclave import nitro, nvidia, tdx
from quatrefoil.enclave.claims import Findings, FindingsSet
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import MOST_DEVICES
from quatrefoil.errors import EvidenceRejected, PolicyInvalid

EXAMPLES = Path(__file__).parents[2] / "examples" / "appraisal"
GPU, ENCLAVE = gpu_reports.Made(), nitro_documents.Made()

NITRO = f"""\
name = "devices"
report_data = "required"

[nitro]
maximum_age_s = 60
revocation_checked = "any"

[nitro.measurements]
pcr0 = ["{PCRS[0].hex()}"]
pcr4 = ["{PCRS[4].hex()}"]
"""

NVIDIA = f"""
[nvidia-cc]
gpus = 1
golden = "any"
revocation_checked = "any"
driver_version = ["550.90.07"]
vbios_version = ["96.00.9F.00.01"]
mode = ["not-said", "single-gpu"]
device = ["any"]

[nvidia-cc.measurements]
measurement_1 = ["{measurement(1).hex()}"]
measurement_9 = ["{"00" * 48}"]
"""
ALONE = 'name = "devices"\nreport_data = "required"\n' + NVIDIA


def policy(text: str, old: str = "", new: str = "") -> AppraisalPolicy:
    if old:
        assert text.count(old) == 1, old
    return parse(text.replace(old, new) if old else text, source="policy.toml")


def enclave(made: nitro_documents.Made = ENCLAVE) -> Findings:
    return nitro.verify(made.evidence(), Collateral(), AT, root=nitro_documents.root())


def gpu(made: gpu_reports.Made = GPU, given: Collateral | None = None) -> Findings:
    return nvidia.verify(made.evidence(), given or Collateral(), AT, roots=gpu_reports.roots())


def failed(verdict: Verdict) -> list[str]:
    assert verdict.accepted == all(check.passed for check in verdict.checks)
    return [check.name for check in verdict.checks if not check.passed]


# --------------------------------------------------------------------------------------------------------------- alone


def of_nitro(made: nitro_documents.Made = ENCLAVE, *changes: str, report_data: bytes | None = REPORT_DATA) -> list[str]:
    return failed(appraise(enclave(made), policy(NITRO, *changes), report_data, AT))


def test_a_good_enclave_is_accepted_as_isolated() -> None:
    verdict = appraise(enclave(), policy(NITRO), REPORT_DATA, AT)
    assert failed(verdict) == [] and verdict.require().isolation == "vm"
    assert "devices" not in verdict.to_json()


@pytest.mark.parametrize(
    ("made", "changes", "checks"),
    [
        (ENCLAVE.with_(pcrs={**PCRS, 0: b"\1" * 47 + b"\2"}), (), ["accepted-pcr0"]),
        (ENCLAVE.with_(pcrs={**PCRS, 4: bytes(48)}), (), ["accepted-pcr4"]),
        (ENCLAVE, ("pcr4", "pcr20"), ["accepted-pcr20"]),
        (ENCLAVE.with_(made_at=AT - timedelta(seconds=61)), (), ["age"]),
        (ENCLAVE.with_(made_at=AT + timedelta(seconds=61)), (), ["age"]),
        (ENCLAVE.with_(user_data=bytes(32)), (), ["report-data"]),
        (ENCLAVE.with_(user_data=None, nonce=REPORT_DATA), (), ["report-data"]),
        (ENCLAVE.with_(user_data=REPORT_DATA + b"\1"), (), ["report-data"]),
        (ENCLAVE, ('revocation_checked = "any"', 'revocation_checked = "require"'), ["required-revocation_checked"]),
        (ENCLAVE.with_(root="another"), (), ["chain", "validity", "root"]),
        (ENCLAVE.with_(pcrs=dict.fromkeys(range(16), bytes(48))), (), ["not-debug", "accepted-pcr0", "accepted-pcr4"]),
    ],
)
def test_each_field_refuses_an_enclave_alone(
    made: nitro_documents.Made, changes: tuple[str, ...], checks: list[str]
) -> None:
    assert of_nitro(made, *changes) == checks


def test_an_enclave_in_debug_is_refused_under_a_policy_that_compares_other_registers() -> None:
    made = ENCLAVE.with_(pcrs={**PCRS, 1: bytes(48)})
    assert of_nitro(made) == ["not-debug"]


def test_evidence_may_be_dated_a_little_ahead() -> None:
    assert of_nitro(ENCLAVE.with_(made_at=AT + timedelta(seconds=59))) == []


def of_gpu(made: gpu_reports.Made = GPU, *changes: str, given: Collateral | None = None) -> list[str]:
    return failed(appraise(gpu(made, given), policy(ALONE, *changes), REPORT_DATA, AT))


def test_a_good_gpu_is_accepted_and_isolates_nothing() -> None:
    verdict = appraise(gpu(), policy(ALONE), REPORT_DATA, AT)
    assert failed(verdict) == [] and verdict.require().isolation == "none"


STRANGER = "ab" * 32
GOLDEN_ONLY = ALONE.partition("measurement_1 =")[0].replace('golden = "any"', 'golden = "require"')


@pytest.mark.parametrize(
    ("made", "changes", "check"),
    [
        (GPU.with_(measurements={**GPU.measurements, 1: bytes(48)}), (), "accepted-measurement_1"),
        (GPU.with_(measurements={**GPU.measurements, 9: b"\1" * 48}), (), "accepted-measurement_9"),
        (GPU.with_(opaque={**OPAQUE, 3: b"550.54.14\0"}), (), "accepted-driver_version"),
        (GPU.with_(opaque={**OPAQUE, 6: bytes.fromhex("009f009602000000")}), (), "accepted-vbios_version"),
        (GPU.with_(opaque={**OPAQUE, 21: b"\xaa"}), (), "accepted-mode"),
        (GPU.with_(opaque={**OPAQUE, 36: b"\1"}), (), "accepted-mode"),
        (GPU, ('device = ["any"]', f'device = ["{STRANGER}"]'), "accepted-device"),
        (GPU, ('golden = "any"', 'golden = "require"'), "required-golden"),
        (GPU, ('revocation_checked = "any"', 'revocation_checked = "require"'), "required-revocation_checked"),
        (GPU.with_(nonce=bytes(32)), (), "report-data"),
    ],
)
def test_each_field_refuses_a_gpu_alone(made: gpu_reports.Made, changes: tuple[str, ...], check: str) -> None:
    assert of_gpu(made, *changes) == [check]


def test_golden_measurements_stand_for_a_list() -> None:
    under = parse(GOLDEN_ONLY, source="policy.toml")
    assert failed(appraise(gpu(given=manifests()), under, REPORT_DATA, AT)) == []
    assert failed(appraise(gpu(), under, REPORT_DATA, AT)) == ["required-golden"]
    other = GPU.with_(measurements={**GPU.measurements, 2: bytes(48)})
    assert failed(appraise(gpu(other, manifests()), under, REPORT_DATA, AT)) == ["golden", "required-golden"]


def test_required_lists_and_devices_are_accepted_when_they_are_there() -> None:
    given = Collateral(revocation_lists=(p384.revocation_list(gpu_reports.PRODUCT),))
    assert of_gpu(GPU, 'revocation_checked = "any"', 'revocation_checked = "require"', given=given) == []
    device = gpu().claims.platform["device"].hex()
    assert of_gpu(GPU, 'device = ["any"]', f'device = ["{device}"]') == []
    assert of_gpu(GPU.with_(chip="other"), 'device = ["any"]', f'device = ["{device}"]') == ["accepted-device"]


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (NITRO, f'pcr0 = ["{PCRS[0].hex()}"]\n', "", "does not say what code.*List pcr0 or pcr8"),
        (NITRO, "pcr0 =", "pcr1 =", "does not say what code"),
        (NITRO, PCRS[0].hex(), "00" * 48, "only zeros"),
        (NITRO, "pcr4 =", "pcr32 =", "pcr32"),
        (NITRO, "maximum_age_s = 60\n", "", "maximum_age_s: is missing"),
        (NITRO, "maximum_age_s = 60", "maximum_age_s = 0", "outside 1 to"),
        (NITRO, "maximum_age_s = 60", "maximum_age_s = 60\ngpus = 1", "gpus.*is not a known key"),
        (ALONE, "gpus = 1\n", "", "gpus: is missing"),
        (ALONE, "gpus = 1", "gpus = -1", "below 0"),
        (ALONE, "gpus = 1", f"gpus = {MOST_DEVICES + 1}", "outside 0 to 16"),
        (ALONE, 'mode = ["not-said", "single-gpu"]', 'mode = ["any"]', "unknown"),
        (ALONE, 'device = ["any"]', "device = []", "empty"),
        (ALONE, "measurement_1 =", "measurement_8 =", "does not say what code.*Require golden, or list measurement_1"),
        (ALONE, "measurement_9 =", "measurement_64 =", "measurement_64"),
        (ALONE, 'driver_version = ["550.90.07"]', "driver_version = []", "empty"),
    ],
)
def test_policies_that_say_nothing_or_nonsense(text: str, old: str, new: str, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        policy(text, old, new)


@pytest.mark.parametrize(("name", "kinds"), [("nitro", ["nitro"]), ("gpu", ["nvidia-cc", "tdx"])])
def test_the_examples_can_be_read(name: str, kinds: list[str]) -> None:
    under = load(EXAMPLES / f"{name}.toml")
    assert [rule.kind for rule in under.rules] == kinds
    assert AppraisalPolicy.decode(under.encode()) == under


# ---------------------------------------------------------------------------------------------------------------- sets

BOTH = NITRO + NVIDIA
NO_GPU_NEEDED = ("gpus = 1", "gpus = 0")


def of_set(*devices: Findings, changes: tuple[str, ...] = (), report_data: bytes | None = REPORT_DATA) -> Verdict:
    return appraise_set(FindingsSet(enclave(), devices), policy(BOTH, *changes), report_data, AT)


def test_a_machine_with_its_gpu_is_accepted() -> None:
    verdict = of_set(gpu())
    assert failed(verdict) == []
    appraisal = verdict.require()
    assert (appraisal.kind, appraisal.isolation) == ("nitro", "vm")
    said = verdict.to_json()
    assert [one["kind"] for one in said["devices"]] == ["nvidia-cc"] and said["kind"] == "nitro"
    names = [check.name for check in verdict.checks]
    assert {"chain", "gpu0-chain", "gpu0-report-data", "gpu0-accepted-mode", "gpus"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_machine_without_a_required_gpu_is_refused_also_outside_a_set() -> None:
    assert failed(of_set()) == ["gpus"]
    assert failed(appraise(enclave(), policy(BOTH), REPORT_DATA, AT)) == ["gpus"]
    with pytest.raises(EvidenceRejected, match=r"0 different GPUs .* at least 1"):
        of_set().require()


def test_a_gpu_without_its_machine_is_refused_under_a_policy_of_machines() -> None:
    for changes in ((), NO_GPU_NEEDED):
        verdict = appraise(gpu(), policy(BOTH, *changes), REPORT_DATA, AT)
        assert failed(verdict) == ["machine"] and "nitro" in verdict.checks[-1].detail


def test_a_machine_may_show_none_where_the_policy_says_so() -> None:
    assert failed(of_set(changes=NO_GPU_NEEDED)) == []
    assert failed(of_set(gpu(), changes=NO_GPU_NEEDED)) == []


@pytest.mark.parametrize(
    ("made", "check"),
    [
        (GPU.with_(signed_by="stranger"), "gpu0-signature"),
        (GPU.with_(measurements={**GPU.measurements, 1: bytes(48)}), "gpu0-accepted-measurement_1"),
        (GPU.with_(opaque={**OPAQUE, 21: b"\xaa"}), "gpu0-accepted-mode"),
        (GPU.with_(nonce=bytes(32)), "gpu0-report-data"),
    ],
)
def test_a_gpu_that_is_shown_has_to_be_accepted_also_where_none_is_required(made: gpu_reports.Made, check: str) -> None:
    for changes in ((), NO_GPU_NEEDED):
        assert check in failed(of_set(gpu(made), changes=changes))


def test_a_bad_gpu_beside_a_good_one_is_refused_by_its_number() -> None:
    other = GPU.with_(chip="other", measurements={**GPU.measurements, 1: bytes(48)})
    assert failed(of_set(gpu(), gpu(other))) == ["gpu1-accepted-measurement_1"]


def test_one_gpu_asked_twice_is_not_two() -> None:
    again = GPU.with_(opaque={**OPAQUE, 14: b"\1\0\0\0"})
    assert again.report() != GPU.report()
    assert failed(of_set(gpu(), gpu(again))) == ["gpus"]
    assert failed(of_set(gpu(), gpu(again), changes=NO_GPU_NEEDED)) == ["gpus"]
    two = ("gpus = 1", "gpus = 2")
    assert failed(of_set(gpu(), changes=two)) == ["gpus"]
    assert failed(of_set(gpu(), gpu(GPU.with_(chip="other")), changes=two)) == []


def test_a_set_of_findings_is_of_a_machine_and_of_devices() -> None:
    for machine, device in ((gpu(), gpu()), (enclave(), enclave())):
        with pytest.raises(ValueError, match="one machine and of devices"):
            FindingsSet(machine, (device,))


def test_a_good_gpu_does_not_excuse_its_machine() -> None:
    findings = FindingsSet(enclave(ENCLAVE.with_(pcrs={**PCRS, 0: b"\2" * 48})), (gpu(),))
    assert failed(appraise_set(findings, policy(BOTH), REPORT_DATA, AT)) == ["accepted-pcr0"]


def test_a_gpu_under_a_policy_without_gpus_is_refused() -> None:
    findings = FindingsSet(enclave(), (gpu(),))
    assert failed(appraise_set(findings, policy(NITRO), REPORT_DATA, AT)) == ["gpu0-kind"]


def test_without_report_data_the_gpu_is_bound_to_the_machines() -> None:
    lenient = ('report_data = "required"', 'report_data = "any"')
    assert failed(of_set(gpu(), changes=lenient, report_data=None)) == []
    replayed = gpu(GPU.with_(nonce=b"\1" * 32))
    assert failed(of_set(replayed, changes=lenient, report_data=None)) == ["gpu0-report-data"]
    assert failed(of_set(gpu(), report_data=None)) == ["report-data"]


def test_report_data_of_64_bytes_is_that_of_a_gpu_and_zeros() -> None:
    """A TDX quote's field is twice as long as a GPU's nonce; what has no room in the nonce is not bound by it."""
    quote = dcap.Platform()
    for data, expected in ((REPORT_DATA + bytes(32), []), (REPORT_DATA + b"\1" * 32, ["gpu0-report-data"])):
        machine = quote.with_(body={**quote.body, "reportdata": data})
        found = tdx.verify(machine.evidence(), machine.collateral(), dcap.AT, root=dcap.root())
        text = (EXAMPLES / "gpu.toml").read_text().partition("[nvidia-cc]")[0] + NVIDIA
        under = policy(text.replace('"required"', '"any"'))
        names = failed(appraise_set(FindingsSet(found, (gpu(),)), under, None, AT))
        assert [name for name in names if name.startswith(("gpu", "report"))] == expected


def test_more_devices_than_names_have_room_for_are_still_named() -> None:
    many = [gpu(GPU.with_(chip=f"chip {number}")) for number in range(11)]
    assert failed(of_set(*many)) == []
