"""A machine with a TPM that is a key in this process: quotes for measuring what others do with them, and for nothing
else. Its key has to be pinned by whoever is to believe it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quatrefoil.appraisal.policy import AppraisalPolicy, Least, Listed, Rule
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.enclave.tpm import structures as tpm

VALUES = tuple(bytes([number]) * 32 for number in range(8))
"""What registers 0 to 7 hold."""

_SHA256, _P256 = 0x000B, 3
_ATTESTS = tpm.RESTRICTED | tpm.SIGN | tpm.FIXED_TPM | tpm.FIXED_PARENT | tpm.SENSITIVE_DATA_ORIGIN | 1 << 6


class Quoting:
    """``collect`` as a collector has it, in the time that one ECDSA signature takes."""

    kind = "tpm"

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def load(cls, file: Path) -> Quoting:
        """The machine that :meth:`save` wrote there: another process is it too."""
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    def save(self, file: Path) -> None:
        file.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

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


def accepted() -> AppraisalPolicy:
    """What accepts this machine, whichever key it has: that has to be pinned."""
    registers = tuple(Listed(f"pcr{number}", (value.hex(),)) for number, value in enumerate(VALUES) if any(value))
    rule = Rule(
        kind="tpm",
        measurements=registers,
        platforms=(Listed("ak", ("any",)),),
        refused=(),
        required=(),
        listed=(Listed("bank", ("sha256",)),),
        minimum_tcb=(Least("TPM", "firmware", 0),),
    )
    return AppraisalPolicy("bench", "required", (rule,))


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


__all__ = ["VALUES", "Quoting", "accepted"]
