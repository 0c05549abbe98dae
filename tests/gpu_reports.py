"""Reports of a GPU that nobody built, and manifests of firmware that it does not run, under roots of our own:
everything can be said under a valid signature, and so every check can be made to fail alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import p384
from p384 import EXPIRES, ISSUED
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nvidia.verify import Roots
from quatrefoil.enclave.paths import Root

NONCE = bytes(range(32))
ROOT, PRODUCT, PROVISIONER, CHIP, FIRMWARE = (
    "Device Identity CA",
    "NVIDIA GH100 Identity",
    "Provisioner ICA",
    "GH100 A01 GSP BROM",
    "GH100 A01 GSP FMC LF",
)
MANIFEST_ROOT, MANIFEST_SIGNER = "RIM root", "RIM signer"
DRIVER, VBIOS = "550.90.07", "96.00.9F.00.01"
FWID = hashlib.sha384(b"firmware").digest()
DICE = "2.23.133.5.4.1"


def measurement(number: int) -> bytes:
    return hashlib.sha384(b"measurement %d" % number).digest() if number % 3 else bytes(48)


@cache
def roots() -> Roots:
    """What the verifier is to trust here in NVIDIA's place."""
    return Roots(_root(ROOT, "the tests' device root"), _root(MANIFEST_ROOT, "the tests' manifest root"))


def _root(name: str, called: str) -> Root:
    return Root(called, x509.load_der_x509_certificate(_root_der(name, name)))


@cache
def _root_der(name: str, key: str) -> bytes:
    return p384.certificate(name, name, public=key, signer=key)


def public(name: str) -> bytes:
    return p384.key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def composite_device_id(fwid: bytes = FWID, issuer: str = CHIP) -> bytes:
    identity = bytes.fromhex("303d06096086480165030402020430") + fwid
    inside = bytes.fromhex("020101") + public(issuer) + identity
    return b"\x30\x81" + bytes([len(inside)]) + inside


def opaque_field(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


OPAQUE: dict[int, bytes] = {
    6: bytes.fromhex("009f009601000000"),
    15: b"882\0\0\0\0\0\0",
    17: b"1010\0",
    18: b"0200\0",
    3: DRIVER.encode() + b"\0",
    11: b"\x55",
    20: FWID,
    21: b"\x55",
}


@dataclass(frozen=True)
class Made:
    """Fields of a report; :meth:`report` writes and signs it. ``chain`` is what differs in certificates: name of the
    subject -> options of ``p384.certificate``. ``chip`` tells two GPUs apart."""

    nonce: bytes = NONCE
    measurements: dict[int, bytes] = field(default_factory=lambda: {n: measurement(n) for n in range(64)})
    opaque: dict[int, bytes] = field(default_factory=lambda: dict(OPAQUE))
    request: bytes = bytes([0x11, 0xE0, 0x01, 0xFF])
    slot: int = 0
    response: bytes = bytes([0x11, 0x60, 0, 0])
    kind: int = 1
    chip: str = CHIP
    chain: dict[str, dict[str, Any]] = field(default_factory=dict)
    root: str = ROOT
    signed_by: str = ""
    more: tuple[bytes, ...] = ()

    def with_(self, **changes: Any) -> Made:
        return replace(self, **changes)

    def certificates(self) -> tuple[bytes, ...]:
        """The attestation key's first, the root last."""
        extension = {DICE: composite_device_id(issuer=self.chip)}
        steps: list[tuple[str, str, dict[str, Any]]] = [
            (PRODUCT, ROOT, {"signer": self.root}),
            (PROVISIONER, PRODUCT, {}),
            (CHIP, PROVISIONER, {"public": self.chip}),
            (FIRMWARE, CHIP, {"ca": False, "signs": True, "extensions": extension, **self._attestation_key()}),
        ]
        made = [
            p384.certificate(subject, issuer, **options | self.chain.get(subject, {}))
            for subject, issuer, options in steps
        ]
        return (*reversed(made), _root_der(ROOT, self.root))

    def _attestation_key(self) -> dict[str, str]:
        return {"public": f"{FIRMWARE} of {self.chip}", "signer": self.chip}

    def report(self) -> bytes:
        blocks = [
            bytes([number + 1, 1]) + (3 + len(value)).to_bytes(2, "little") + bytes([self.kind])
            # The two bytes after the type are the value's size.
            + len(value).to_bytes(2, "little") + value
            for number, value in self.measurements.items()
        ]  # fmt: skip
        record, opaque = b"".join(blocks), b"".join(opaque_field(*one) for one in self.opaque.items())
        data = self.request + self.nonce + bytes([self.slot])
        data += self.response + bytes([len(blocks)]) + len(record).to_bytes(3, "little") + record
        data += b"\x07" * 32 + len(opaque).to_bytes(2, "little") + opaque
        return data + p384.signature(self.signed_by or self._attestation_key()["public"], data)

    def evidence(self) -> Evidence:
        return Evidence("nvidia-cc", self.report(), b"", (*self.certificates(), *self.more))


SWID = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/2006/12/xml-c14n11"
DRIVER_NUMBERS, VBIOS_NUMBERS = tuple(range(21, 41)), tuple(range(13))


def _numbers_of_vbios() -> dict[int, tuple[bytes, ...]]:
    return {n: (measurement(n),) for n in VBIOS_NUMBERS}


@dataclass(frozen=True)
class Manifest:
    """Fields of a manifest; :meth:`document` writes, signs and packs it as NVIDIA's service does.

    It is written in canonical form by hand, so that nothing here depends on the code under test.
    """

    version: str = VBIOS
    product: str = "GH100"
    golden: dict[int, tuple[bytes, ...]] = field(default_factory=_numbers_of_vbios)
    inactive: dict[int, tuple[bytes, ...]] = field(default_factory=lambda: {50: (bytes(48),)})
    text: str = "\n"
    signed_by: str = MANIFEST_SIGNER
    root: str = MANIFEST_ROOT
    start: datetime = ISSUED
    end: datetime = EXPIRES
    method: str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
    uri: str = ""
    after: tuple[str, str] = ("", "")
    """What is replaced once everything has been signed."""

    def with_(self, **changes: Any) -> Manifest:
        return replace(self, **changes)

    def _head_and_tail(self) -> tuple[str, str]:
        resources = []
        for active, values in (("True", self.golden), ("False", self.inactive)):
            for number, alternatives in values.items():
                # Attributes without a namespace, sorted, before those of xmlenc#sha384.
                hashes = "".join(f' ns2:Hash{n}="{value.hex()}"' for n, value in enumerate(alternatives))
                resources.append(
                    f'<ns0:Resource active="{active}" alternatives="{len(alternatives)}" index="{number}"'
                    f' name="Measurement_{number}" size="48" type="Measurement"{hashes}></ns0:Resource>'
                )
        head = (
            f'<SoftwareIdentity xmlns="{SWID}" xmlns:ns0="{SWID}" xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384"'
            f' name="GH100">{self.text}'
            f'<ns0:Meta colloquialVersion="{self.version}" product="{self.product}"></ns0:Meta>'
            f"<ns0:Payload>{''.join(resources)}</ns0:Payload>"
        )
        return head, "</SoftwareIdentity>"

    def xml(self) -> bytes:
        head, tail = self._head_and_tail()
        digest = base64.b64encode(hashlib.sha384((head + tail).encode()).digest()).decode()
        inside = (
            f'<ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
            f'<ds:SignatureMethod Algorithm="{self.method}"></ds:SignatureMethod>'
            f'<ds:Reference URI="{self.uri}"><ds:Transforms>'
            f'<ds:Transform Algorithm="{DSIG}enveloped-signature"></ds:Transform>'
            f'<ds:Transform Algorithm="{C14N}"></ds:Transform></ds:Transforms>'
            '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"></ds:DigestMethod>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
        )
        # The apex of what is signed carries every namespace around it (Canonical XML 1.1, section 2.4).
        spaces = (
            f'xmlns="{SWID}" xmlns:ds="{DSIG}" xmlns:ns0="{SWID}" xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384"'
        )
        value = p384.signature(self.signed_by, f"<ds:SignedInfo {spaces}>{inside}".encode())
        signature = (
            f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo>{inside}'
            f"<ds:SignatureValue>{base64.b64encode(value).decode()}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>"
            + "".join(
                f"<ds:X509Certificate>{base64.b64encode(der).decode()}</ds:X509Certificate>"
                for der in self.certificates()
            )
            + "</ds:X509Data></ds:KeyInfo></ds:Signature>"
        )
        return (
            (head + signature + tail).replace(*self.after).encode()
            if self.after[0]
            else (head + signature + tail).encode()
        )

    def certificates(self) -> tuple[bytes, ...]:
        leaf = p384.certificate(
            MANIFEST_SIGNER, MANIFEST_ROOT, signer=self.root, ca=False, signs=True, start=self.start, end=self.end
        )
        return (leaf, _root_der(MANIFEST_ROOT, self.root))

    def document(self) -> bytes:
        return json.dumps({"id": "NV_GPU", "rim": base64.b64encode(self.xml()).decode(), "sha256": ""}).encode()


VBIOS_MANIFEST = Manifest()
DRIVER_MANIFEST = Manifest(version=DRIVER, golden={n: (bytes(48), measurement(n)) for n in DRIVER_NUMBERS})


def manifests(*made: Manifest) -> Collateral:
    """The collateral of a relying party that has fetched manifests."""
    chosen = made or (VBIOS_MANIFEST, DRIVER_MANIFEST)
    return Collateral(documents={f"rim{number}": one.document() for number, one in enumerate(chosen)})
