"""Every field of every kind's vocabulary, violated alone under valid signatures: a policy that accepts exactly what the
evidence says, with one field otherwise, refuses for that field and for no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest

import attesting
import azure_vms
import dcap_quotes as dcap
import gpu_reports
import nitro_documents
import p384
import tpm_quotes
from attesting import CHIP_ID, DEBUG, MIGRATE, NOTHING, POLICY, SMT
from quatrefoil.appraisal import AppraisalPolicy, appraise
from quatrefoil.appraisal.policy import Least, Listed, Rule
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import azure, nitro, nvidia, snp, tdx, tpm
from quatrefoil.enclave.claims import Claims, Findings
from quatrefoil.enclave.collateral import Collateral

AT = p384.AT
assert attesting.AT == dcap.AT == tpm_quotes.AT == AT


@cache
def evidence() -> dict[str, Findings]:
    """Established under roots of our own: of each kind the strict and, with "open", what a policy may accept or not."""
    found = {}
    for product in CHIP_ID:
        for key in ("vcek", "vlek"):
            for version in (2, 3, 4, 5):
                made = attesting.evidence(product, key, version=version, **SNP_NAMED)
                found[f"{product} {key} {version}"] = snp.verify(made, NOTHING, AT, roots=attesting.roots())
        made = attesting.evidence(product, **SNP_NAMED, **SNP_OPEN, vmpl=2)
        lists = Collateral(revocation_lists=(attesting.crl(product),))
        found[f"{product} open"] = snp.verify(made, lists, AT, roots=attesting.roots())
    for name, quote in (("tdx", dcap.Platform()), ("tdx 1.5", dcap.Platform(version=5)), ("sgx", dcap.SGX)):
        weak = quote.with_(smt=True, levels=((dcap.CURRENT, "SWHardeningNeeded", ("INTEL-SA-00001",)),))
        for this, one in ((name, quote), (f"{name} open", weak)):
            found[this] = tdx.verify(one.evidence(), one.collateral(), AT, root=dcap.root())
    quoted = tpm_quotes.Made(values={number: bytes([number + 1]) * 32 for number in range(24)})
    found["tpm"] = tpm.verify(quoted.evidence(), Collateral(keys=(quoted.spki,)), AT)
    registers = {number: bytes([number + 1]) * 48 for number in range(32)}
    enclave = nitro_documents.Made(pcrs=registers).evidence()
    found["nitro"] = nitro.verify(enclave, NOTHING, AT, root=nitro_documents.root())
    found |= azures(quoted.values)
    gpu = gpu_reports.Made()
    for name, given in (("gpu", NOTHING), ("gpu golden", gpu_reports.manifests())):
        found[name] = nvidia.verify(gpu.evidence(), given, AT, roots=gpu_reports.roots())
    return found


def azures(values: dict[int, bytes]) -> dict[str, Findings]:
    found = {}
    made = azure_vms.Vm(quote=azure_vms.MADE.with_(values=values))
    insecure = azure_vms.runtime_data(azure_vms.AK.public_key(), **{"vm-configuration": {"secure-boot": False}})
    for product in CHIP_ID:
        vm = made.with_(product=product, body=(*SNP_NAMED.items(),))
        weak = vm.with_(runtime=insecure, body=(*SNP_NAMED.items(), *SNP_OPEN.items()), vmpl=0)
        lists = Collateral(revocation_lists=(attesting.crl(product),))
        for name, one, given in (("", vm, NOTHING), (" open", weak, lists)):
            found[f"azure {product}{name}"] = azure.verify(one.evidence(), given, AT, snp_roots=attesting.roots())
    td = made.with_(kind="azure-tdx")
    weak = td.with_(
        runtime=insecure,
        td=dcap.Platform(smt=True, levels=((dcap.CURRENT, "SWHardeningNeeded", ("INTEL-SA-00001",)),)),
    )
    for name, one in (("azure tdx", td), ("azure tdx open", weak)):
        found[name] = azure.verify(one.evidence(), one.td.collateral(), AT, tdx_root=dcap.root())
    return found


SNP_NAMED: dict[str, bytes] = {
    "host_data": b"\1" * 32,
    "family_id": b"\2" * 16,
    "image_id": b"\3" * 16,
    "author_key_digest": b"\4" * 48,
}
SNP_OPEN: dict[str, int | bytes] = {
    "policy": POLICY | DEBUG | MIGRATE | SMT,
    "committed_firmware": b"\x1c\x37\x01",
    "platform_info": 0b000101,
}
NAMES = (
    *(f"azure {one}{name}" for one in (*CHIP_ID, "tdx") for name in ("", " open")),
    *(f"{product} {key} {version}" for product in CHIP_ID for key in ("vcek", "vlek") for version in (2, 3, 4, 5)),
    *(f"{product} open" for product in CHIP_ID),
    *("tdx", "tdx open", "tdx 1.5", "tdx 1.5 open", "sgx", "sgx open", "tpm", "nitro", "gpu", "gpu golden"),
)


def said(claims: Claims, name: str) -> object:
    return claims.debug if name == "debug" else claims.facts.get(name)


def text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def exactly(claims: Claims) -> Rule:
    """The rule that asks for whatever ``claims`` say, and for no more."""
    known = VOCABULARIES[claims.kind]
    return Rule(
        kind=claims.kind,
        measurements=tuple(
            Listed(name, (value.hex(),))
            for name, value in sorted(claims.measurements.items())
            if name in known.measurements and (any(value) or name not in known.code)
        ),
        platforms=tuple(Listed(name, (claims.platform[name].hex(),)) for name in sorted(known.platforms)),
        refused=tuple(sorted(name for name in known.refusable if said(claims, name) is False)),
        required=tuple(sorted(name for name in known.requirable if said(claims, name) is True)),
        listed=tuple(Listed(name, (text(claims.facts[name]),)) for name in sorted(known.listed)),
        minimum_tcb=tuple(Least(claims.model, *one) for one in sorted(claims.tcb.items()) if known.components),
        statuses=(claims.status,) if known.statuses else (),
        highest_vmpl=claims.vmpl or 0,
        maximum_age_s=60 if known.dated else 0,
    )


def other(listed: Listed) -> Listed:
    (value,) = listed.values
    return Listed(listed.name, (value[:-1] + ("1" if value[-1] == "0" else "0"),))


def violations(claims: Claims) -> Iterator[tuple[str, Rule, str]]:
    """A field, the rule that is otherwise in it alone, and the check that is to fail."""
    known, rule = VOCABULARIES[claims.kind], exactly(claims)

    def swapped(field: str, changed: Listed) -> Rule:
        values = tuple(changed if one.name == changed.name else one for one in getattr(rule, field))
        return replace(rule, **{field: values})  # type: ignore[arg-type]

    for field in ("measurements", "platforms"):
        for one in getattr(rule, field):
            yield f"{field} {one.name}", swapped(field, other(one)), f"accepted-{one.name}"
    for one in rule.listed:
        choices = [word for word in known.listed[one.name] if word not in one.values] or ["other"]
        yield f"listed {one.name}", swapped("listed", Listed(one.name, (choices[0],))), f"accepted-{one.name}"
    for name in known.refusable:
        if said(claims, name) is True:
            yield f"refused {name}", replace(rule, refused=tuple(sorted((*rule.refused, name)))), f"refused-{name}"
    for name in known.requirable:
        if said(claims, name) is not True:
            yield f"required {name}", replace(rule, required=tuple(sorted((*rule.required, name)))), f"required-{name}"
    for least in rule.minimum_tcb:
        higher = [replace(one, version=one.version + (one == least)) for one in rule.minimum_tcb]
        field = f"minimum_tcb {least.model} {least.component}"
        yield field, replace(rule, minimum_tcb=tuple(higher)), "minimum-tcb"
    for model, parts in known.components.items():
        if model != claims.model:
            only = tuple(Least(model, part, 0) for part in sorted(parts))
            yield "minimum_tcb of another model", replace(rule, minimum_tcb=only), "minimum-tcb"
    for status in known.statuses:
        if status != claims.status:
            yield f"statuses {status}", replace(rule, statuses=(status,)), "status"
    for advisory in claims.advisories:
        yield "rejected_advisories", replace(rule, rejected_advisories=(advisory,)), "advisories"
    if claims.vmpl:
        yield "highest_vmpl", replace(rule, highest_vmpl=claims.vmpl - 1), "vmpl"


def failed(name: str, rule: Rule, *, report_data: bytes | None = None, at: datetime = AT) -> list[str]:
    findings = evidence()[name]
    data = findings.claims.report_data if report_data is None else report_data
    verdict = appraise(findings, AppraisalPolicy("exact", "required", (rule,)), data, at)
    assert verdict.accepted == all(check.passed for check in verdict.checks)
    return [check.name for check in verdict.checks if not check.passed]


def test_the_names_are_those_of_the_evidence() -> None:
    assert set(NAMES) == set(evidence())


@pytest.mark.parametrize("name", NAMES)
def test_each_field_refuses_alone(name: str) -> None:
    claims = evidence()[name].claims
    assert failed(name, exactly(claims)) == []
    for field, rule, check in violations(claims):
        assert failed(name, rule) == [check], field


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_nonce_is_refused(name: str) -> None:
    claims = evidence()[name].claims
    for byte in (0, 15, 31):
        nonce = bytearray(claims.report_data[:32])
        nonce[byte] ^= 1
        assert failed(name, exactly(claims), report_data=bytes(nonce)) == ["report-data"]


def test_what_is_dated_is_refused_when_it_is_old() -> None:
    for name in NAMES:
        claims = evidence()[name].claims
        if VOCABULARIES[claims.kind].dated:
            assert failed(name, exactly(claims), at=AT + timedelta(seconds=60)) == ["age"]


def test_every_field_of_every_vocabulary_was_violated() -> None:
    done = {(found.claims.kind, field) for found in evidence().values() for field, _, _ in violations(found.claims)}
    for kind, known in VOCABULARIES.items():
        wanted = [f"measurements {name}" for name in known.measurements]
        wanted += [f"platforms {name}" for name in known.platforms]
        wanted += [f"listed {name}" for name in known.listed]
        wanted += [f"refused {name}" for name in known.refusable]
        wanted += [f"required {name}" for name in known.requirable]
        wanted += [f"minimum_tcb {model} {part}" for model, parts in known.components.items() for part in parts]
        wanted += [f"statuses {status}" for status in known.statuses]
        wanted += ["rejected_advisories"] if known.statuses else []
        wanted += ["highest_vmpl"] if known.vmpl else []
        missing = [field for field in wanted if (kind, field) not in done]
        # Zeros are no digest of firmware, and no policy may list them.
        assert [field for field in missing if not (kind == "nvidia-cc" and field.startswith("measurements"))] == []
        assert len(missing) < 10


# --------------------------------------------------------------------------- relays: good evidence of somebody else


def relayed(name: str, stranger: Findings) -> list[str]:
    rule = exactly(evidence()[name].claims)
    verdict = appraise(stranger, AppraisalPolicy("exact", "required", (rule,)), evidence()[name].claims.report_data, AT)
    return [check.name for check in verdict.checks if not check.passed]


def test_another_chip_is_refused_where_one_is_pinned() -> None:
    for product in CHIP_ID:
        size = 8 if product == "Turin" else 64
        chip = b"\x77" * size
        report = attesting.unsigned(product, chip_id=chip.ljust(64, b"\0"), **SNP_NAMED)
        signed = attesting.sign(report, attesting.chip_key())
        way = (attesting.leaf(product, chip_id=chip), attesting.ask(product))
        made = replace(attesting.evidence(product), report=signed, certificates=way)
        found = snp.verify(made, NOTHING, AT, roots=attesting.roots())
        assert found.failed == () and relayed(f"{product} vcek 5", found) == ["accepted-chip_id"]


@pytest.mark.parametrize("name", ["tdx", "sgx"])
def test_another_processor_is_refused_where_one_is_pinned(name: str) -> None:
    quote = (dcap.SGX if name == "sgx" else dcap.Platform()).with_(ppid=b"\x77" * 16)
    found = tdx.verify(quote.evidence(), quote.collateral(), AT, root=dcap.root())
    assert found.failed == () and relayed(name, found) == ["accepted-ppid"]


def test_another_vm_is_refused_where_one_is_pinned() -> None:
    """On the same chip: the TPM of another VM, honest and bound to that VM's own runtime data."""
    key = tpm_quotes.key("rsa", 11)
    values = {number: bytes([number + 1]) * 32 for number in range(24)}
    other = azure_vms.Vm(
        quote=tpm_quotes.Made(key=key, values=values),
        runtime=azure_vms.runtime_data(key.public_key()),
        body=(*SNP_NAMED.items(),),
    )
    found = azure.verify(other.evidence(), NOTHING, AT, snp_roots=attesting.roots())
    assert found.failed == () and relayed("azure Milan", found) == ["accepted-ak"]


def test_another_tpm_is_refused_where_one_is_pinned() -> None:
    values = {number: bytes([number + 1]) * 32 for number in range(24)}
    quoted = tpm_quotes.Made(values=values, key=tpm_quotes.key("p256", 7))
    found = tpm.verify(quoted.evidence(), Collateral(keys=(quoted.spki,)), AT)
    assert found.failed == () and relayed("tpm", found) == ["accepted-ak"]


def test_another_instance_is_refused_where_one_is_pinned() -> None:
    registers = {number: bytes([number + 1]) * 48 for number in range(32)} | {4: b"\x77" * 48}
    found = nitro.verify(nitro_documents.Made(pcrs=registers).evidence(), NOTHING, AT, root=nitro_documents.root())
    assert found.failed == () and relayed("nitro", found) == ["accepted-pcr4"]


def test_another_gpu_is_refused_where_one_is_pinned() -> None:
    found = nvidia.verify(gpu_reports.Made(chip="stranger").evidence(), NOTHING, AT, roots=gpu_reports.roots())
    assert found.failed == () and relayed("gpu", found) == ["accepted-device"]
