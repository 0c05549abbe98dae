"""NVIDIA's reference integrity manifests (RIM): which measurements a driver or a VBIOS is to have, signed by NVIDIA.

A manifest is a SWID tag (ISO/IEC 19770-2) with TCG's attributes and an enveloped XML signature of one form only: ECDSA
P-384 with SHA-384 over Canonical XML 1.1 of the whole document, by the first of the certificates inside. What a file is
called counts for nothing: its version and product are under the signature.

Sources: TCG Reference Integrity Manifest Information Model 1.01; W3C XML Signature 1.1, section 3.2 (validation) and
6.6.4 (enveloped); RFC 6931 section 2.3.6 (ecdsa-sha384); NVIDIA/nvtrust, ``local_gpu_verifier``, for what is in
``Payload``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from quatrefoil.enclave import certificates, paths
from quatrefoil.enclave.nvidia.canonical import Element, Name, canonical, parse, rejected
from quatrefoil.enclave.nvidia.report import VALUE_BYTES
from quatrefoil.enclave.paths import Root
from quatrefoil.errors import EvidenceRejected, HostError

_SWID = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
_DSIG = "http://www.w3.org/2000/09/xmldsig#"
_HASHES = "http://www.w3.org/2001/04/xmlenc#sha384"
_CANONICAL = "http://www.w3.org/2006/12/xml-c14n11"
_SIGNED_WITH = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
_DIGEST = "http://www.w3.org/2001/04/xmldsig-more#sha384"
_ENVELOPED = _DSIG + "enveloped-signature"

MOST_MEASUREMENTS = 256
MOST_ALTERNATIVES = 64

_VERSION = re.compile(r"[0-9A-Za-z.]{1,32}", re.ASCII)
_VALUE = re.compile(rf"[0-9A-Fa-f]{{{2 * VALUE_BYTES}}}", re.ASCII)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says, once :meth:`read` has verified its signature. Who signed is for :meth:`problem`."""

    product: str
    version: str
    """Of the driver, or of the VBIOS, in upper case."""
    golden: Mapping[int, frozenset[bytes]]
    """Number of a measurement, from 0 -> the accepted values. Measurements that are not active are left out."""
    signers: tuple[x509.Certificate, ...]
    """Of the key that signed, and of authorities."""

    @staticmethod
    def is_in(document: bytes) -> bool:
        """Whether ``document`` has the form in which NVIDIA's service answers: JSON with ``id`` and ``rim``."""
        try:
            found = json.loads(document)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and {"id", "rim"} <= set(found)

    @classmethod
    def read(cls, document: bytes) -> Self:
        """The manifest in the answer of NVIDIA's service, or ``EvidenceRejected``; a signature that does not fit the
        document is malformed as well."""
        try:
            data = base64.b64decode(json.loads(document)["rim"], validate=True)
        except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
            raise rejected("is not the JSON of NVIDIA's service") from None
        return cls.of_xml(data)

    @classmethod
    def of_xml(cls, data: bytes) -> Self:
        """The manifest in the XML of a SWID tag, or ``EvidenceRejected``."""
        root = parse(data)
        _expect(root, "SoftwareIdentity", _SWID)
        signature = _child(root, "Signature", _DSIG)
        signers = _verified(root, signature)
        meta, payload = _child(root, "Meta", _SWID), _child(root, "Payload", _SWID)
        version = meta.attributes.get(("", "colloquialVersion"), "")
        if not _VERSION.fullmatch(version):
            raise rejected("names no version")
        product = meta.attributes.get(("", "product"), "")
        return cls(product, version.upper(), _golden(payload), signers)

    def problem(self, at: datetime, root: Root) -> str:
        """Why the manifest is not NVIDIA's at ``at``, with the date where one has passed; empty where it is."""
        try:
            path = paths.follow(self.signers[0], self.signers[1:], (), at, root)
        except EvidenceRejected as refused:  # what is wrong inside a certificate may show late
            return refused.problem
        return "" if path.holds else "; ".join(check.detail for check in path.checks if not check.passed)


def _golden(payload: Element) -> dict[int, frozenset[bytes]]:
    found: dict[int, frozenset[bytes]] = {}
    seen = set()
    for resource in payload.elements():
        _expect(resource, "Resource", _SWID)
        said = resource.attributes
        index = _number(said.get(("", "index"), ""), MOST_MEASUREMENTS - 1)
        alternatives = _number(said.get(("", "alternatives"), ""), MOST_ALTERNATIVES)
        active = said.get(("", "active"), "")
        if said.get(("", "type")) != "Measurement" or index in seen or not alternatives:
            raise rejected("holds something else than measurements, each once and with a value")
        if said.get(("", "size")) != str(VALUE_BYTES) or active not in ("True", "False"):
            raise rejected(f"says of measurement {index} neither size nor whether it is active")
        seen.add(index)
        values = [said.get((_HASHES, f"Hash{number}"), "") for number in range(alternatives)]
        if not all(_VALUE.fullmatch(value) for value in values):
            raise rejected(f"gives measurement {index} values that are no SHA-384")
        if active == "True":
            found[index] = frozenset(bytes.fromhex(value) for value in values)
    return found


def _verified(root: Element, signature: Element) -> tuple[x509.Certificate, ...]:
    """The certificates of a signature of the one accepted form that holds (XML Signature, section 3.2)."""
    info, value, key = _exactly(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    method, algorithm, reference = _exactly(info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    transforms, digest_method, digest = _exactly(reference, "Transforms", "DigestMethod", "DigestValue")
    enveloped, form = _exactly(transforms, "Transform", "Transform")
    for element, wanted in (
        (method, _CANONICAL),
        (algorithm, _SIGNED_WITH),
        (enveloped, _ENVELOPED),
        (form, _CANONICAL),
        (digest_method, _DIGEST),
    ):
        if dict(element.attributes) != {("", "Algorithm"): wanted} or element.children:
            raise rejected(f"is not signed as NVIDIA signs: {element.name[1]}")
    if dict(reference.attributes) != {("", "URI"): ""}:
        raise rejected("has a signature over a part of it")
    if _base64(digest) != hashlib.sha384(canonical(root, without=signature)).digest():
        raise rejected("was altered after it was signed")
    (data,) = _exactly(key, "X509Data")
    for one in data.elements():
        _expect(one, "X509Certificate", _DSIG)
    signers = tuple(certificates.parse(_base64(one)) for one in data.elements()[: paths.LONGEST])
    if not signers or not _is_signed(canonical(info), _base64(value), signers[0]):
        raise rejected("is not signed by the first certificate in it")
    return signers


def _is_signed(signed: bytes, signature: bytes, certificate: x509.Certificate) -> bool:
    key = certificates.reading("certificate", certificate.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return False
    if len(signature) != 2 * VALUE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:VALUE_BYTES], signature[VALUE_BYTES:]))
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA384()))
    except InvalidSignature:
        return False
    return True


def _exactly(element: Element, *names: str) -> list[Element]:
    found = element.elements()
    if [one.name for one in found] != [(_DSIG, name) for name in names] or element.text().strip():
        raise rejected(f"is not signed as NVIDIA signs: {element.name[1]}")
    return found


def _child(element: Element, name: str, space: str) -> Element:
    wanted: Name = (space, name)
    found = [one for one in element.elements() if one.name == wanted]
    if len(found) != 1:
        raise rejected(f"has {len(found)} elements {name}, not one")
    return found[0]


def _expect(element: Element, name: str, space: str) -> None:
    if element.name != (space, name):
        raise rejected(f"has an element {element.name[1][:40]} where {name} belongs")


def _base64(element: Element) -> bytes:
    if element.elements():
        raise rejected(f"has elements inside {element.name[1]}")
    try:
        return base64.b64decode("".join(element.text().split()), validate=True)
    except (ValueError, binascii.Error):
        raise rejected(f"holds a {element.name[1]} that is not base64") from None


def _number(text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) or int(text) > most:
        raise rejected("numbers a measurement out of range")
    return int(text)


@lru_cache(maxsize=16)
def _read(document: bytes) -> Manifest:
    """Remembered: a function of the bytes alone, and the same few manifests come with every report."""
    return Manifest.read(document)


def forget() -> None:
    """Forget which manifests have been read, for who measures."""
    _read.cache_clear()


def remembered() -> int:
    """How often a manifest was not read again so far, for who measures."""
    return _read.cache_info().hits


def given(documents: Mapping[str, bytes]) -> list[Manifest]:
    """The manifests among the documents of a relying party; ``HostError`` names one that cannot be read: the fault is
    of whoever fetched it, not of the evidence."""
    found = []
    for name, document in sorted(documents.items()):
        if not Manifest.is_in(document):
            continue
        try:
            found.append(_read(document))
        except EvidenceRejected as refused:
            raise HostError(f"{name}.json: {refused.problem}", hint=refused.hint) from None
    return found


__all__ = ["Manifest", "forget", "given", "remembered"]
