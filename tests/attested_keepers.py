"""Keepers behind each kind of evidence, made without hardware: collectors over devices in software, the appraisal
policy that accepts what they give, and a job with such a keeper.

Evidence is under roots of the tests' own: :func:`trusted` has verifiers take them for the makers'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pytest

import attesting
import dcap_quotes
import nitro_documents
import tpm_quotes
from configfs import TsmFiles, TsmKernel
from quatrefoil.appraisal import AppraisalPolicy, Relied, parse, verifiers
from quatrefoil.contracts import IsolationAppraiser, IsolationAttester
from quatrefoil.enclave import nitro, snp, tdx
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors import Collector
from quatrefoil.enclave.collectors.tsm import TsmCollector
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.isolation import CollectingAttester, PolicyAppraiser
from quatrefoil.policy import Policy
from world import World

AT = datetime(2026, 6, 1, tzinfo=UTC)
"""When all of the evidence made here holds."""

_QUOTES, _REPORTS = ((attesting.FOLDER / name).read_text() for name in ("policy-quotes.toml", "policy.toml"))

POLICY_TEXT = f"""\
{_QUOTES.partition("[sgx]")[0]}
[tpm]
{_QUOTES.partition("[tpm]")[2]}
{_REPORTS[_REPORTS.index("[sev-snp]") :]}
[nitro]
revocation_checked = "any"
maximum_age_s = 3600
[nitro.measurements]
pcr0 = ["{nitro_documents.PCRS[0].hex()}"]
"""


def policy(old: str = "", new: str = "") -> AppraisalPolicy:
    """What accepts all of the evidence made here, with one place changed."""
    assert not old or POLICY_TEXT.count(old) == 1, f"{old!r} stands {POLICY_TEXT.count(old)} times in the policy"
    return parse(POLICY_TEXT.replace(old, new) if old else POLICY_TEXT, source="appraisal.toml")


@dataclass(frozen=True)
class Made:
    """A collector that has ``make`` sign whatever report data it is given."""

    kind: str
    make: Callable[[bytes], Evidence]

    def collect(self, report_data: bytes) -> Evidence:
        return self.make(report_data)


def quoting(**changes: object) -> Collector:
    """A TPM: it signs whatever anybody on its machine asks it to."""
    given = {"values": {0: b"\1" * 32, 7: b"\7" * 32}} | changes
    return Made("tpm", lambda data: tpm_quotes.Made(nonce=data, **given).evidence())  # type: ignore[arg-type]


def reporting(**changes: int | bytes) -> Collector:
    """An SNP guest: the real collector, on a kernel in software that signs as the secure processor would."""

    def report(data: bytes, level: int) -> tuple[bytes, bytes]:
        fields = {"report_data": data, "vmpl": level, **changes}
        return attesting.sign(attesting.unsigned("Milan", **fields), attesting.chip_key()), b""

    files = TsmFiles(TsmKernel(report))
    return TsmCollector("sev-snp", folder=files.folder, files=files, sleep=lambda _: None)


def _domain(data: bytes, level: int) -> tuple[bytes, bytes]:
    return dcap_quotes.Platform(body={"reportdata": data}).quote(), b""


def quoting_domain() -> Collector:
    """A TD, through the real collector."""
    files = TsmFiles(TsmKernel(_domain, provider="tdx_guest", levels=False))
    return TsmCollector("tdx", folder=files.folder, files=files, sleep=lambda _: None)


def documenting() -> Collector:
    return Made("nitro", lambda data: nitro_documents.Made(user_data=data).evidence())


COLLECTORS: Mapping[str, Callable[[], Collector]] = {
    "tpm": quoting,
    "sev-snp": reporting,
    "tdx": quoting_domain,
    "nitro": documenting,
}
"""One for each kind of evidence that a keeper can give."""


def collateral() -> Collateral:
    """What verifies all of it: the TPM's key pinned, the chip's certificates, Intel's document."""
    intel = dcap_quotes.Platform().collateral()
    certificates = (attesting.leaf("Milan"), attesting.ask("Milan"))
    return dataclasses.replace(intel, certificates=certificates, keys=(tpm_quotes.Made().spki,))


def trusted(patch: pytest.MonkeyPatch) -> None:
    """Have the tests' roots taken for those of AMD, Intel and AWS."""
    found = dict(verifiers.VERIFIERS)
    found["sev-snp"] = partial(snp.verify, roots=attesting.roots())
    found["tdx"] = partial(tdx.verify, root=dcap_quotes.root())
    found["nitro"] = partial(nitro.verify, root=nitro_documents.root())
    patch.setattr(verifiers, "VERIFIERS", found)


def relied(appraisal: AppraisalPolicy | None = None) -> Relied:
    return Relied(appraisal or policy(), collateral())


def appraiser(kind: str, *, isolated: bool = False, at: datetime = AT) -> PolicyAppraiser:
    return PolicyAppraiser(kind, relied(), isolated=isolated, clock=lambda: at)


@dataclass
class AttestedWorld(World):
    """A job whose keeper is behind ``kind``, collected by ``collector``. ``named``: threats that its policy names
    besides; ``appraisal``: what silos hold evidence to."""

    kind: str = "tpm"
    collector: Collector | None = None
    named: tuple[str, ...] = ()
    appraisal: AppraisalPolicy = field(default_factory=policy)
    backend: str = "plain"

    def make_policy(self) -> Policy:
        made = super().make_policy()
        accepted = tuple(name for name in made.accept_insecure if name != "software-keeper")
        return dataclasses.replace(
            made,
            threats=tuple(sorted({*made.threats, *self.named})),
            allow=dataclasses.replace(made.allow, enclave=(self.kind,)),
            accept_insecure=accepted,
            appraisal=self.appraisal.digest(),
        )

    def attester(self) -> IsolationAttester:
        return CollectingAttester(self.collector or COLLECTORS[self.kind]())

    def appraiser(self) -> IsolationAppraiser:
        relied = Relied(self.appraisal, collateral())
        return PolicyAppraiser(self.kind, relied, isolated=self.policy.wants_isolation, clock=self.clock)
