"""Evidence of Azure's confidential VMs: the report that the paravisor left in its TPM, and a fresh quote of that TPM.

The TPM is reached as any other. A TD's report becomes a quote at a service of the host's, on a link-local address; of
SEV-SNP, the same service has the certificates. Sources: Microsoft, "Guest attestation for confidential VMs" and the
Azure Instance Metadata Service's ``/acc/tdquote`` and ``/metadata/THIM/amd/certification``.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.enclave import certificates
from quatrefoil.enclave.azure import hcl
from quatrefoil.enclave.azure.hcl import HclReport
from quatrefoil.enclave.azure.runtime_data import RuntimeData
from quatrefoil.enclave.azure.verify import VtpmQuote
from quatrefoil.enclave.collectors.collector import checked
from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.enclave.collectors.tpm_tools import DEVICE, TpmTools
from quatrefoil.enclave.evidence import LARGEST_REPORT, Evidence
from quatrefoil.enclave.tdx import quote
from quatrefoil.enclave.tpm import structures
from quatrefoil.enclave.tpm.signer import public_key, subject_public_key_info
from quatrefoil.errors import CallerError, EvidenceRejected, HostError

REPORT_INDEX = "0x01400001"
ATTESTATION_KEY = "0x81000003"
"""Where the paravisor puts its report and its key."""
QUOTES = "http://169.254.169.254/acc/tdquote"
CERTIFICATES = "http://169.254.169.254/metadata/THIM/amd/certification"

TYPES: Mapping[str, int] = {"azure-snp": hcl.SNP, "azure-tdx": hcl.TDX}
"""Kind -> type of the hardware's report."""

_REPORTDATA = slice(128, 192)
"""REPORTDATA in a TDREPORT (Intel TDX module ABI, REPORTMACSTRUCT)."""
_LARGEST_ANSWER = 256 << 10
_PATIENCE = 30
"""Seconds: the host makes a quote in about one."""

Fetch = Callable[[str, bytes | None], bytes]
"""(address, body to post or nothing) -> answer; ``OSError`` where there is none."""


def fetch(address: str, body: bytes | None) -> bytes:
    """From the host's service, without a proxy: the address is one of the machine's own."""
    headers = {"Metadata": "true", "Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers)  # noqa: S310 - the addresses are ours, and plain HTTP
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_PATIENCE) as answer:
        return bytes(answer.read(_LARGEST_ANSWER + 1))


@dataclass(frozen=True)
class AzureCollector:
    """Evidence of ``kind``, "azure-snp" or "azure-tdx"; registers, key and TPM as of :class:`TpmCollector`.

    ``host_certificates``: take along the certificates that the host's service has (SNP). Tests inject ``fetch``.
    """

    kind: str
    key: str = ATTESTATION_KEY
    pcrs: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    bank: str = "sha256"
    tcti: str = DEVICE
    host_certificates: bool = True
    event_log: Path | None = None
    fetch: Fetch = fetch

    def __post_init__(self) -> None:
        if self.kind not in TYPES:
            raise CallerError(f"{self.kind!r} is no kind of Azure's", hint=f"Name {' or '.join(TYPES)}")
        self._tpm()

    def collect(self, report_data: bytes) -> Evidence:
        """Evidence with ``report_data``, without zeros after it, as the quote's qualifying data."""
        wanted = checked(report_data)
        report = self.paravisor()
        if report.type != TYPES[self.kind]:
            hint = f"Collect {next(kind for kind, number in TYPES.items() if number == report.type)}"
            raise HostError(f"the paravisor's report is not of {self.kind}", hint=hint)
        quoted = self._tpm().collect(wanted)
        _same_key(report.runtime_data, quoted)
        beside = VtpmQuote(report.runtime_data, quoted.report, quoted.signature).encode()
        if self.kind == "azure-tdx":
            return self._evidence(self._quote(report.hardware), beside, (), quoted.event_log)
        listed = self._certificates() if self.host_certificates else ()
        return self._evidence(report.hardware, beside, listed, quoted.event_log)

    def paravisor(self) -> HclReport:
        """The paravisor's report; ``HostError`` where the TPM holds none."""
        tools = TpmTools(self.tcti)
        tools.look_for_device()
        held = f"the NV index {REPORT_INDEX}, as the TPM of a confidential VM on Azure does"
        data = tools.run("tpm2_nvread", "-C", "o", REPORT_INDEX, about=held)
        try:
            return HclReport.parse(data)
        except EvidenceRejected as refusal:
            hint = "Use a version of Quatrefoil that knows this paravisor"
            raise HostError(f"the NV index {REPORT_INDEX} is not usable: {refusal.problem}", hint=hint) from None

    def _tpm(self) -> TpmCollector:
        return TpmCollector(self.key, self.pcrs, self.bank, self.tcti, event_log=self.event_log)

    def _evidence(self, report: bytes, beside: bytes, listed: tuple[bytes, ...], log: bytes) -> Evidence:
        try:
            return Evidence(self.kind, report, beside, listed, log)
        except EvidenceRejected as refusal:
            raise HostError(f"what the host gave is not usable: {refusal.problem}", hint="Try again") from None

    def _quote(self, td_report: bytes) -> bytes:
        asked = {"report": base64.urlsafe_b64encode(td_report).decode().rstrip("=")}
        answer = self._json(QUOTES, json.dumps(asked).encode())
        try:
            data = _base64url(answer.get("quote"))
            said = quote.parse(data[:LARGEST_REPORT])
        except EvidenceRejected as refusal:
            hint = "Try again; if it happens each time, the host's service is another one"
            raise HostError(f"the host's answer is no quote: {refusal.problem}", hint=hint) from None
        if said.body["reportdata"] != td_report[_REPORTDATA]:
            raise HostError("the host's quote is of another report than was sent", hint="Try again")
        return data

    def _certificates(self) -> tuple[bytes, ...]:
        answer = self._json(CERTIFICATES, None)
        found = []
        try:
            for name in ("vcekCert", "certificateChain"):
                text = answer.get(name)
                pem = text.encode() if isinstance(text, str) else b""
                found += [one.public_bytes(Encoding.DER) for one in certificates.parse_pem(pem)]
        except EvidenceRejected as refusal:
            hint = "Collect without the host's certificates"
            raise HostError(f"the host's certificates are not usable: {refusal.problem}", hint=hint) from None
        return tuple(found)

    def _json(self, address: str, body: bytes | None) -> dict[str, Any]:
        try:
            answer = self.fetch(address, body)
        except (OSError, http.client.HTTPException) as error:
            hint = "Run on a confidential VM on Azure, or collect without the host's certificates"
            raise HostError(f"the host's service {address} gave no answer ({error})", hint=hint) from None
        try:
            found = json.loads(answer) if len(answer) <= _LARGEST_ANSWER else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise HostError(f"the host's service {address} answered with something else", hint="Try again")
        return found


def _same_key(runtime_data: bytes, quoted: Evidence) -> None:
    try:
        bound = RuntimeData.parse(runtime_data).attestation_key
        _, area, _ = structures.parse_companions(quoted.signature)
    except EvidenceRejected as refusal:
        hint = "Use a version of Quatrefoil that knows this paravisor"
        raise HostError(f"the paravisor's report is not usable: {refusal.problem}", hint=hint) from None
    if subject_public_key_info(public_key(area)) != bound:
        hint = f"Quote with the paravisor's own key, {ATTESTATION_KEY}"
        raise HostError("the TPM's key is not the one in the paravisor's report", hint=hint)


def _base64url(text: Any) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    return data


__all__ = ["ATTESTATION_KEY", "CERTIFICATES", "QUOTES", "REPORT_INDEX", "TYPES", "AzureCollector", "fetch"]
