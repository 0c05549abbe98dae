"""Nitro attestation documents made without a Nitro system, under a root of our own: everything can be said under a
valid signature, and so every check can be made to fail alone. Fields are written here, not by the parser's code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import cbor2
from cryptography import x509

import p384
from p384 import AT
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.paths import Root

REPORT_DATA = bytes(range(32))
ROOT, REGION, ZONE, INSTANCE, ENCLAVE = (
    "aws.nitro-enclaves",
    "region.nitro-enclaves",
    "zone.nitro-enclaves",
    "i-1.nitro-enclaves",
    "i-1-enc2.nitro-enclaves",
)
PCRS = {number: bytes([number + 1]) * 48 if number in (0, 1, 2, 4) else bytes(48) for number in range(16)}


@cache
def root(name: str = ROOT) -> Root:
    """What the verifier is to trust here in AWS's place."""
    return Root("the tests' Nitro root", x509.load_der_x509_certificate(_root(name)))


@cache
def _root(name: str) -> bytes:
    return p384.certificate(ROOT, ROOT, public=name, signer=name)


@dataclass(frozen=True)
class Made:
    """Fields of a document; :meth:`report` writes and signs it. ``chain`` is what differs in certificates: name of the
    subject -> options of ``p384.certificate``."""

    pcrs: dict[int, bytes] = field(default_factory=lambda: dict(PCRS))
    user_data: bytes | None = REPORT_DATA
    nonce: bytes | None = None
    public_key: bytes | None = None
    module_id: str = "i-1-enc2"
    made_at: datetime = AT - timedelta(seconds=5)
    digest: str = "SHA384"
    indefinite: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    chain: dict[str, dict[str, Any]] = field(default_factory=dict)
    root: str = ROOT
    signed_by: str = ENCLAVE
    protected: bytes = b"\xa1\x01\x38\x22"
    unprotected: Any = field(default_factory=dict)

    def with_(self, **changes: Any) -> Made:
        return replace(self, **changes)

    def certificates(self) -> list[bytes]:
        """The root first, the enclave's last."""
        names = [(ROOT, ROOT), (REGION, ROOT), (ZONE, REGION), (INSTANCE, ZONE), (ENCLAVE, INSTANCE)]
        made = [_root(self.root)]
        for number, (subject, issuer) in enumerate(names[1:], 1):
            lowest = subject == ENCLAVE
            options: dict[str, Any] = {"ca": not lowest, "signs": lowest, "path_length": None if lowest else 3 - number}
            if lowest:
                options["end"] = AT + timedelta(hours=3)
            if issuer == ROOT:
                options["signer"] = self.root
            made.append(p384.certificate(subject, issuer, **options | self.chain.get(subject, {})))
        return made

    def payload(self) -> bytes:
        *bundle, leaf = self.certificates()
        fields = {
            "module_id": self.module_id,
            "digest": self.digest,
            "timestamp": round(self.made_at.timestamp() * 1000),
            "pcrs": self.pcrs,
            "certificate": leaf,
            "cabundle": bundle,
            "public_key": self.public_key,
            "user_data": self.user_data,
            "nonce": self.nonce,
        }
        fields |= self.changes
        for name in self.left_out:
            del fields[name]
        if not self.indefinite:
            return cbor2.dumps(fields)
        return b"\xbf" + b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in fields.items()) + b"\xff"

    def report(self) -> bytes:
        payload = self.payload()
        signed = cbor2.dumps(["Signature1", self.protected, b"", payload])
        return cbor2.dumps([self.protected, self.unprotected, payload, p384.signature(self.signed_by, signed)])

    def evidence(self) -> Evidence:
        return Evidence("nitro", self.report())
