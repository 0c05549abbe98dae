"""Runtime data: JSON that the paravisor writes at boot, and of which the hardware's report data are the SHA-256.

Its keys are JWK (RFC 7517): ``HCLAkPub`` is the TPM's attestation key. Other members tell how the VM is configured;
those that are not known here are left alone, for paravisors of other versions have others.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa

from quatrefoil import strict_json
from quatrefoil.enclave.tpm.signer import subject_public_key_info
from quatrefoil.errors import EvidenceRejected

LARGEST = 4096
ATTESTATION_KEY = "HCLAkPub"

_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,700}", re.ASCII)
_FLAGS: Mapping[str, str] = {
    "secure-boot": "secure_boot",
    "console-enabled": "console",
    "tpm-persisted": "tpm_persisted",
}


@dataclass(frozen=True)
class RuntimeData:
    """What is used of it. ``attestation_key``: SubjectPublicKeyInfo. ``facts``: of the configuration, by our names."""

    attestation_key: bytes
    facts: Mapping[str, bool | int | str | bytes]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """``EvidenceRejected`` where it is no such JSON, repeats a name, or has not one RSA key of that name."""
        try:
            found = strict_json.parse(data, "their text", limit=LARGEST)
        except EvidenceRejected as refusal:
            raise _rejected(f"cannot be read: {refusal.problem}") from None
        if not isinstance(found, dict):
            raise _rejected("are no JSON object")
        keys = found.get("keys")
        named = [one for one in keys if _is_attestation_key(one)] if isinstance(keys, list) else []
        if len(named) != 1:
            raise _rejected(f"have {len(named)} keys {ATTESTATION_KEY}, not one")
        return cls(_key(named[0]), _facts(found.get("vm-configuration")))


def _is_attestation_key(one: Any) -> bool:
    return isinstance(one, dict) and one.get("kid") == ATTESTATION_KEY


def _key(jwk: dict[str, Any]) -> bytes:
    if jwk.get("kty") != "RSA":
        raise _rejected(f"have a key {ATTESTATION_KEY} that is not RSA")
    exponent, modulus = (_number(jwk.get(name), name) for name in ("e", "n"))
    if exponent != 65537 or modulus.bit_length() not in (2048, 3072, 4096) or modulus % 2 == 0:
        raise _rejected(f"have a key {ATTESTATION_KEY} that is not as TPMs make them")
    return subject_public_key_info(rsa.RSAPublicNumbers(exponent, modulus).public_key())


def _number(text: Any, name: str) -> int:
    """Base64urlUInt (RFC 7518 section 2), without padding."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise _rejected(f"have a key whose {name} is not base64url")
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
    except binascii.Error:
        raise _rejected(f"have a key whose {name} is not base64url") from None


def _facts(configuration: Any) -> dict[str, bool | int | str | bytes]:
    """Flags and the VM's identity as far as they are there, and of the right type."""
    known = configuration if isinstance(configuration, dict) else {}
    facts: dict[str, bool | int | str | bytes] = {
        ours: known[name] for name, ours in _FLAGS.items() if isinstance(known.get(name), bool)
    }
    name = known.get("vmUniqueId")
    if isinstance(name, str) and len(name) <= 64 and name.isascii() and name.isprintable():
        facts["vm_id"] = name
    return facts


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the paravisor's runtime data {problem}",
        hint="Ask the sender to collect evidence again, and to send it as the paravisor wrote it",
        check="format",
    )


__all__ = ["ATTESTATION_KEY", "LARGEST", "RuntimeData"]
