"""A machine with a TPM that is a key in this process: quotes for measuring what others do with them, and for nothing
else. Its key has to be pinned by whoever is to believe it."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.enclave.tpm import structures as tpm

VALUES = tuple(bytes([number]) * 32 for number in range(8))
"""What registers 0 to 7 hold."""

_SHA256, _P256 = 0x000B, 3
_ATTESTS = tpm.RESTRICTED | tpm.SIGN | tpm.FIXED_TPM | tpm.FIXED_PARENT | tpm.SENSITIVE_DATA_ORIGIN | 1 << 6


class Quoting:
    """``collect`` as a collector has it, in the time that one ECDSA signature takes."""

    kind = "tpm"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def spki(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def attester(self, report_data: bytes) -> EvidenceSet:
        return EvidenceSet(self.collect(report_data))

    def collect(self, report_data: bytes) -> Evidence:
        attest = _quote(report_data)
        r, s = decode_dss_signature(self._key.sign(attest, ec.ECDSA(hashes.SHA256())))
        signature = _short(tpm.ECDSA) + _short(_SHA256) + _sized(r.to_bytes(32, "big")) + _sized(s.to_bytes(32, "big"))
        return Evidence("tpm", attest, tpm.encode_companions(signature, self._public(), VALUES))

    def _public(self) -> bytes:
        """A TPMT_PUBLIC (TPM 2.0 Part 2, section 12.2.4)."""
        numbers = self._key.public_key().public_numbers()
        point = _sized(numbers.x.to_bytes(32, "big")) + _sized(numbers.y.to_bytes(32, "big"))
        head = _short(tpm.ECC) + _short(_SHA256) + _ATTESTS.to_bytes(4, "big") + _sized(b"")
        return head + _short(tpm.NULL) + _short(tpm.ECDSA) + _short(_SHA256) + _short(_P256) + _short(tpm.NULL) + point


def _quote(report_data: bytes) -> bytes:
    """A TPMS_ATTEST of a quote (section 10.12.8)."""
    clock = bytes(8) + bytes(4) + bytes(4) + b"\x01"
    selected = (1).to_bytes(4, "big") + _short(_SHA256) + b"\x03" + (0xFF).to_bytes(3, "little")
    return b"".join(
        (
            tpm.GENERATED.to_bytes(4, "big"),
            _short(tpm.ATTEST_QUOTE),
            _sized(_short(_SHA256) + bytes(32)),
            _sized(report_data),
            clock,
            bytes(8),
            selected,
            _sized(hashlib.sha256(b"".join(VALUES)).digest()),
        )
    )


def _short(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _sized(data: bytes) -> bytes:
    return _short(len(data)) + data


__all__ = ["VALUES", "Quoting"]
