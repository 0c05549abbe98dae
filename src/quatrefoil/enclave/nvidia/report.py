"""Measurement reports of NVIDIA GPUs: an SPDM 1.1 request and its response, whole or not at all.

A report is GET_MEASUREMENTS (37 bytes) and MEASUREMENTS, as the driver hands them out; the signature at its end is over
everything before. Sources: DMTF DSP0274 1.1.0, section 10.11 (both messages, measurement blocks and the signature);
NVIDIA/nvtrust (``local_gpu_verifier``) for the opaque data, of which NVIDIA has published no specification.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from quatrefoil.enclave.reader import Reader
from quatrefoil.errors import EvidenceRejected

NONCE_BYTES = 32
VALUE_BYTES = 48
"""A measurement's: SHA-384."""
SIGNATURE_BYTES = 96
LONGEST_OPAQUE = 1024

_SPDM_1_1 = 0x11
_REQUEST, _RESPONSE = 0xE0, 0x60
_WITH_SIGNATURE, _ALL_MEASUREMENTS = 0x01, 0xFF
_DMTF = 0x01
_LAST_SLOT = 7
_RAW = 0x80
_LAST_TYPE = 0x04

DRIVER_VERSION, VBIOS_VERSION, FWID, PROTECTED_PCIE, FEATURE_FLAG = 3, 6, 20, 21, 36
_CHIP_SKU, _PROJECT, _PROJECT_SKU = 15, 17, 18
_FIELDS = frozenset((*range(1, 26), *range(32, 37)))
"""Types of opaque data that NVIDIA's own verifier knows."""

_DISABLED, _ENABLED = b"\x55", b"\xaa"
_MODES: Mapping[bytes, str] = {b"\0": "single-gpu", b"\1": "multi-gpu", b"\2": "protected-pcie"}
NOT_SAID = "not-said"
_WORD = re.compile(rb"([A-Za-z0-9._-]{1,32})\0*", re.ASCII)


@dataclass(frozen=True)
class Report:
    """A report as it stands, unverified."""

    nonce: bytes
    """The verifier's, from the request."""
    measurements: Mapping[int, bytes]
    """Digests of 48 bytes by number, from 0 as NVIDIA's manifests count: SPDM's index is one more."""
    opaque: Mapping[int, bytes]
    signed: bytes
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The report in ``data``, or ``EvidenceRejected`` with the check "format"."""
        reader = Reader(data, "GPU's report", "little")
        nonce, slot = _request(reader)
        for field, wanted in (("version", _SPDM_1_1), ("response code", _RESPONSE), ("param1", 0), ("param2", slot)):
            _expect(reader, f"response's {field}", reader.number(1, field), wanted)
        count = reader.number(1, "number of blocks")
        measurements = _blocks(reader.sized(3, 255 * (7 + VALUE_BYTES), "measurement record", least=1), count)
        reader.take(NONCE_BYTES, "the GPU's nonce")
        opaque = _opaque(reader.sized(2, LONGEST_OPAQUE, "opaque data"))
        signed = data[: reader.at]
        signature = reader.take(SIGNATURE_BYTES, "signature")
        reader.end()
        r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
        return cls(nonce, measurements, opaque, signed, r, s)

    @property
    def driver_version(self) -> str:
        return self._word(DRIVER_VERSION, "driver version")

    @property
    def vbios_version(self) -> str:
        """As NVIDIA writes it: ``96.00.9F.00.01``."""
        raw = self.opaque.get(VBIOS_VERSION, b"")
        if len(raw) != 8 or any(raw[5:]):
            raise _reader().refusal("gives a VBIOS version that is not 5 numbers in 8 bytes")
        return ".".join(f"{byte:02X}" for byte in (*raw[3::-1], raw[4]))

    @property
    def board(self) -> str:
        """Project, its SKU and the chip's, by which NVIDIA files the manifest of a VBIOS: ``1010_0200_882``; empty
        where the report does not say them."""
        if not {_PROJECT, _PROJECT_SKU, _CHIP_SKU} <= set(self.opaque):
            return ""
        return "_".join(self._word(field, "board") for field in (_PROJECT, _PROJECT_SKU, _CHIP_SKU))

    @property
    def fwid(self) -> bytes:
        """Digest of the first firmware that the boot ROM started; empty where the report does not say it."""
        return self.opaque.get(FWID, b"")

    @property
    def mode(self) -> str:
        """Which mode the report names, as far as it names any: see docs/attestation-nvidia.md."""
        flag, protected = (self.opaque.get(field) for field in (FEATURE_FLAG, PROTECTED_PCIE))
        if protected not in (None, _DISABLED, _ENABLED):
            raise _reader().refusal("gives a status of protected PCIe that is neither on nor off")
        named = NOT_SAID if flag is None else _MODES.get(flag.rstrip(b"\0") or b"\0")
        if named is None:
            raise _unknown("names an unknown mode")
        return "protected-pcie" if protected == _ENABLED else named

    def _word(self, field: int, name: str) -> str:
        found = _WORD.fullmatch(self.opaque.get(field, b""))
        if not found:
            raise _reader().refusal(f"gives no {name} that is a word")
        return found[1].decode()


def _request(reader: Reader) -> tuple[bytes, int]:
    """The nonce and the certificate slot of a request for all measurements, signed."""
    for field, wanted in (
        ("version", _SPDM_1_1),
        ("request code", _REQUEST),
        ("param1", _WITH_SIGNATURE),
        ("param2", _ALL_MEASUREMENTS),
    ):
        _expect(reader, f"request's {field}", reader.number(1, field), wanted)
    nonce = reader.take(NONCE_BYTES, "nonce")
    slot = reader.number(1, "slot")
    if slot > _LAST_SLOT:
        raise reader.refusal(f"asks for certificate slot {slot}")
    return nonce, slot


def _blocks(record: bytes, count: int) -> dict[int, bytes]:
    """Blocks 1 to ``count``, each once and in order."""
    reader = Reader(record, "GPU's measurement record", "little")
    found = {}
    for index in range(1, count + 1):
        _expect(reader, "index", reader.number(1, "index"), index)
        _expect(reader, "measurement specification", reader.number(1, "specification"), _DMTF)
        _expect(reader, "block size", reader.number(2, "size"), 3 + VALUE_BYTES)
        kind = reader.number(1, "type")
        if kind & _RAW or kind > _LAST_TYPE:
            raise reader.refusal(f"gives measurement {index} as something else than a digest")
        found[index - 1] = reader.sized(2, VALUE_BYTES, f"measurement {index}", least=VALUE_BYTES)
    reader.end()
    return found


def _opaque(data: bytes) -> dict[int, bytes]:
    reader = Reader(data, "GPU's opaque data", "little")
    found: dict[int, bytes] = {}
    while reader.at < len(data):
        field = reader.number(2, "field")
        if field in found:
            raise reader.refusal(f"has the field {field} twice")
        if field not in _FIELDS:
            raise _unknown(f"has the unknown field {field}")
        found[field] = reader.sized(2, LONGEST_OPAQUE, f"field {field}")
    return found


def _expect(reader: Reader, field: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise reader.refusal(f"has {found:#x} as {field}, not {wanted:#x}")


def _unknown(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the GPU's report {problem}",
        hint="Use a version of Quatrefoil that knows this driver, or a driver that it knows",
        check="format",
    )


def _reader() -> Reader:
    return Reader(b"", "GPU's report", "little")


__all__ = ["NONCE_BYTES", "NOT_SAID", "VALUE_BYTES", "Report"]
