"""Attestation documents of AWS Nitro enclaves, from the security module behind ``/dev/nsm``.

One ioctl passes a request to the module and its answer back, both in CBOR. Sources: Linux ``include/uapi/linux/nsm.h``
and ``drivers/misc/nsm.c`` (Linux 6.8; AWS's own driver for older kernels has the same interface); requests and answers
as ``aws-nitro-enclaves-nsm-api`` defines them.
"""

from __future__ import annotations

import fcntl
import os
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cbor2

from quatrefoil.enclave.collectors.collector import checked
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nitro.document import Document
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused
from quatrefoil.wire import parse_cbor

DEVICE = Path("/dev/nsm")

IOCTL_RAW = 3 << 30 | 32 << 16 | 0x0A << 8
"""``_IOWR(0x0A, 0, struct nsm_raw)``."""
LARGEST_ANSWER = 0x3000
LARGEST_NONCE, LARGEST_KEY = 512, 1024
"""Bytes of ``nonce``, and of ``public_key``."""

_RAW = struct.Struct("=QQQQ")
"""``struct nsm_raw``: addresses and lengths of request and answer."""

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True)
class NsmCollector:
    """Documents with the report data as ``user_data``, and whatever else is to stand in them: ``nonce`` and
    ``public_key``, which a verifier shows and compares with nothing."""

    nonce: bytes = b""
    public_key: bytes = b""
    device: Path = DEVICE
    ioctl: Ioctl = fcntl.ioctl

    def __post_init__(self) -> None:
        for name, value, most in (("nonce", self.nonce, LARGEST_NONCE), ("public key", self.public_key, LARGEST_KEY)):
            if len(value) > most:
                hint = f"Give up to {most} bytes: bind what is longer by its digest, in the report data"
                raise CallerError(f"a {name} of {len(value)} bytes is too long for the module", hint=hint)

    @property
    def kind(self) -> str:
        return "nitro"

    def collect(self, report_data: bytes) -> Evidence:
        """Evidence with ``report_data``, without zeros after it, as the document's ``user_data``."""
        wanted = checked(report_data)
        optional = {"nonce": self.nonce or None, "public_key": self.public_key or None}
        document = answer_of(self._exchange(cbor2.dumps({"Attestation": {"user_data": wanted, **optional}})))
        try:
            said = Document.parse(document)
            evidence = Evidence(self.kind, document)
        except EvidenceRejected as refusal:
            hint = "Try again; a module that answers so each time is not one that Quatrefoil reads"
            raise HostError(f"the security module's document is not usable: {refusal.problem}", hint=hint) from None
        if (said.user_data, said.nonce, said.public_key) != (wanted, self.nonce, self.public_key):
            hint = "Try again; if it happens each time, the device is not a Nitro security module"
            raise HostError("the security module's document is not about what was asked for", hint=hint)
        return evidence

    def _exchange(self, request: bytes) -> bytes:
        try:
            descriptor = os.open(self.device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            hint = "Run inside a Nitro enclave, as a user who may open the device"
            raise HostError(f"there is no Nitro security module: {self.device} ({error.strerror})", hint=hint) from None
        # Addresses are of memory that both arrays keep until the call is over.
        sent, received = array("B", request), array("B", bytes(LARGEST_ANSWER))
        raw = bytearray(_RAW.pack(*_place(sent), *_place(received)))
        try:
            self.ioctl(descriptor, IOCTL_RAW, raw)
        except OSError as error:
            hint = "Try again; the enclave's console shows what its kernel says"
            raise HostError(f"the Nitro security module gave no answer ({error.strerror})", hint=hint) from None
        finally:
            os.close(descriptor)
        size = _RAW.unpack(raw)[3]
        if size > LARGEST_ANSWER:
            raise HostError(f"the driver says that the answer has {size} bytes", hint="Use another kernel")
        return received.tobytes()[:size]


def _place(data: array[int]) -> tuple[int, int]:
    return data.buffer_info()


def answer_of(data: bytes) -> bytes:
    """The document in the module's answer ``data``, or ``HostError``: its own refusal, or no answer at all."""
    hint = "Try again; a module that answers so each time is not one that Quatrefoil reads"
    try:
        answer = parse_cbor(data, "answer", indefinite=True)
    except MessageRefused as refusal:
        raise HostError(f"the Nitro security module's {refusal.problem}", hint=hint) from None
    if isinstance(answer, dict) and set(answer) == {"Error"}:
        raise HostError(f"the Nitro security module refused: {str(answer['Error'])[:60]}", hint=hint)
    if isinstance(answer, dict) and set(answer) == {"Attestation"} and isinstance(answer["Attestation"], dict):
        document = answer["Attestation"].get("document")
        if isinstance(document, bytes) and set(answer["Attestation"]) == {"document"}:
            return document
    raise HostError("the Nitro security module's answer holds no document", hint=hint)


__all__ = ["DEVICE", "IOCTL_RAW", "LARGEST_ANSWER", "NsmCollector", "answer_of"]
