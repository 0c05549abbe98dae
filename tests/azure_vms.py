"""Azure confidential VMs of our own making: the paravisor's report and runtime data, around our own hardware's reports.

Nothing here shares code with the parsers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

import attesting
import dcap_quotes
import tpm_quotes
from quatrefoil.enclave.azure.verify import VtpmQuote
from quatrefoil.enclave.evidence import Evidence
from tpm_quotes import Made

SNP, TDX = 2, 4
"""Types of the hardware's report."""


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def runtime_data(key: Any, *, short: bool = False, **changes: Any) -> bytes:
    """As a paravisor writes it: keys, configuration, user data. ``short``: as an older one, for NV indices of up to
    2,048 bytes, which is what a TPM in software has."""

    def jwk(name: str, use: str, number: int) -> dict[str, Any]:
        n = base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        return {"kid": name, "key_ops": [use], "kty": "RSA", "e": "AQAB", "n": n}

    modulus = key.public_numbers().n
    value: dict[str, Any] = {
        "keys": [jwk("HCLAkPub", "sign", modulus), jwk("HCLEkPub", "encrypt", modulus + 2)],
        "vm-configuration": {
            "console-enabled": True,
            "root-cert-thumbprint": "",
            "secure-boot": True,
            "tpm-enabled": True,
            "tpm-persisted": False,
            "vmUniqueId": "D270E56B-F668-4990-A5BC-9B624576841D",
        },
        "user-data": "00" * 64,
        **changes,
    }
    if short:
        value = {**value, "keys": value["keys"][:1]}
        del value["user-data"]
    return json.dumps(value, separators=(",", ":")).encode()


def hcl_report(kind: int, hardware: bytes, data: bytes, **changes: int) -> bytes:
    """The NV index, filled up with zeros to 2,048 bytes or more. ``changes``: of the header's numbers, by name."""
    numbers = {"version": 2, "size": 1236 + len(data), "request": 2, "status": 0}
    numbers |= {"inner": 20 + len(data), "form": 1, "type": kind, "hash": 1, "length": len(data)} | changes

    def written(*names: str) -> bytes:
        return b"".join(numbers[name].to_bytes(4, "little") for name in names)

    head = b"HCLA" + written("version", "size", "request", "status") + bytes(12)
    inner = written("inner", "form", "type", "hash", "length")
    return (head + hardware.ljust(1184, b"\0") + inner + data).ljust(2048, b"\0")


def td_report(data: bytes) -> bytes:
    """A TDREPORT, of which only REPORTDATA is read."""
    report = bytearray(1024)
    report[0], report[128:192] = 0x81, hashlib.sha256(data).digest() + bytes(32)
    return bytes(report)


def bound(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() + bytes(32)


AK = tpm_quotes.key("rsa", 3)
assert isinstance(AK, rsa.RSAPrivateKey)

MADE, TD = Made(key=AK), dcap_quotes.Platform()


@dataclass(frozen=True)
class Vm:
    """``evidence`` writes and signs all of it. Everything holds unless a field says otherwise."""

    kind: str = "azure-snp"
    quote: Made = MADE
    runtime: bytes = runtime_data(AK.public_key())
    report_data: bytes | None = None
    """Of the hardware's report, where it is not the hash of ``runtime``."""
    vmpl: int = 0
    body: tuple[tuple[str, Any], ...] = ()
    """Fields of the hardware's report by name that are otherwise."""
    product: str = "Milan"
    td: dcap_quotes.Platform = TD

    def with_(self, **changes: Any) -> Vm:
        return replace(self, **changes)

    def hardware(self) -> Evidence:
        data = bound(self.runtime) if self.report_data is None else self.report_data
        if self.kind == "azure-snp":
            return attesting.evidence(self.product, report_data=data, vmpl=self.vmpl, **dict(self.body))
        return self.td.with_(body={"reportdata": data, **dict(self.body)}).evidence()

    def evidence(self, event_log: bytes = b"") -> Evidence:
        hardware, quoted = self.hardware(), self.quote.evidence()
        beside = VtpmQuote(self.runtime, quoted.report, quoted.signature).encode()
        return Evidence(self.kind, hardware.report, beside, hardware.certificates, event_log)
