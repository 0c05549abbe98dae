"""Collateral of TDX and SGX platforms from Intel's Provisioning Certification Service, or from a cache of it (PCCS).

Source: Intel "Provisioning Certification Service" API version 4 (``pckcrl``, ``tcb``, ``qe/identity``) and the PCCS of
Intel's DCAP, which adds ``rootcacrl``. Issuer chains come in headers, percent-encoded. Signatures are over a statement
byte for byte as the server wrote it: it is cut out, never written anew.

A service is believed nothing: each statement and list must be signed under the pinned root, be what was asked for, and
hold now. That keeps a bad answer from replacing a good bundle; verification looks at all of it again.
"""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil import strict_json
from quatrefoil.enclave import certificates
from quatrefoil.enclave.certificates import common_name
from quatrefoil.enclave.collateral import LARGEST_FILE
from quatrefoil.enclave.tdx import endorsements
from quatrefoil.enclave.tdx.roots import Root
from quatrefoil.enclave.tdx.verify import is_by
from quatrefoil.endorsements.lists import der_of_list
from quatrefoil.endorsements.needs import IntelNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Answer, Web
from quatrefoil.errors import EvidenceRejected, HostError, MessageRefused

SERVICE = "https://api.trustedservices.intel.com"
ROOT_LIST = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
"""The distribution point that the pinned root itself names."""

UPDATES = ("standard", "early")
"""``update`` of the API: early statements are those of a recovery that platforms have not had a year's time for yet."""

_TCB_CHAIN = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_IDENTITY_CHAIN = ("sgx-enclave-identity-issuer-chain",)
_LIST_CHAIN = ("sgx-pck-crl-issuer-chain",)


@dataclass(frozen=True)
class _Signed:
    """A statement with its signature, and the chain of who signed it, in PEM."""

    text: str
    signature: bytes
    chain: str


def fetch(
    need: IntelNeed,
    web: Web,
    at: datetime,
    root: Root,
    *,
    service: str = SERVICE,
    root_list: str = ROOT_LIST,
    update: str = "standard",
) -> Fetched:
    """The document for ``need`` from ``service``; ``root_list`` is where the root's revocation list is."""
    base, tee = f"{service}/{need.tee.lower()}/certification/v4", need.tee
    early = "" if update == "standard" else f"update={update}"
    urls = (
        f"{base}/tcb?fmspc={need.fmspc}" + (early and f"&{early}"),
        f"{base}/qe/identity" + (early and f"?{early}"),
        f"{service}/sgx/certification/v4/pckcrl?ca={need.authority}&encoding=der",
        root_list,
    )
    unknown = f"Intel's service knows no {tee} platforms {need.fmspc}"
    info = _statement(web.get(urls[0], unknown=unknown), "tcbInfo", _TCB_CHAIN)
    identity = _statement(web.get(urls[1], unknown="there is no identity"), "enclaveIdentity", _IDENTITY_CHAIN)
    lists = [web.get(url, unknown="there is no such revocation list") for url in urls[2:]]
    found = endorsements.Endorsements(
        pck_crl_issuer_chain=_chain(lists[0], _LIST_CHAIN),
        pck_crl=der_of_list(lists[0]),
        root_ca_crl=der_of_list(lists[1]),
        tcb_info_issuer_chain=info.chain,
        tcb_info=info.text,
        tcb_info_signature=info.signature,
        qe_identity_issuer_chain=identity.chain,
        qe_identity=identity.text,
        qe_identity_signature=identity.signature,
    )
    host = urllib.parse.urlsplit(service).hostname
    try:
        problem = certificates.reading("certificate", lambda: _problem(found, need, root, at))
    except (HostError, EvidenceRejected) as refusal:  # at fault is the server that wrote it, and not this machine
        problem = refusal.problem
    if problem:
        raise MessageRefused(f"{host}: {problem}", hint="Fetch from Intel's own service, or later; nothing was changed")
    data = _written(found)
    if len(data) > LARGEST_FILE:
        raise MessageRefused(f"{host} sent {len(data)} bytes of collateral", hint="Fetch from Intel's own service")
    return Fetched(file_name(need), f"{tee} platforms {need.fmspc}, PCK by the {need.authority} CA", data, urls)


def file_name(need: IntelNeed) -> str:
    return f"intel-{need.tee.lower()}-{need.fmspc.lower()}-{need.authority}.json"


def address(service: str) -> str:
    """The base of a service: what is often configured ends in ``/sgx/certification/v4/``."""
    bare = service.rstrip("/")
    return bare.removesuffix("/sgx/certification/v4").removesuffix("/tdx/certification/v4")


def _written(found: endorsements.Endorsements) -> bytes:
    fields = {name: value if isinstance(value, str) else value.hex() for name, value in vars(found).items()}
    return json.dumps(fields, indent=1).encode()


def _statement(answer: Answer, name: str, headers: tuple[str, ...]) -> _Signed:
    what = f"the {name} of {urllib.parse.urlsplit(answer.url).hostname}"
    try:
        value = strict_json.parse(answer.body, what, limit=LARGEST_FILE)
        if not isinstance(value, dict) or not isinstance(value.get(name), dict):
            raise _refused(answer, f"sent JSON without {name}")
        signature = value.get("signature")
        if not isinstance(signature, str) or len(signature) != 128:
            raise _refused(answer, f"sent {name} without a signature")
        return _Signed(_member(answer.body.decode(), name), bytes.fromhex(signature), _chain(answer, headers))
    except EvidenceRejected as refusal:
        raise _refused(answer, refusal.problem) from None
    except ValueError:
        raise _refused(answer, f"sent {name} with a signature that is not hexadecimal") from None


def _member(text: str, wanted: str) -> str:
    """The text of the member ``wanted`` of the object in ``text``, which is known to be JSON and to have it."""
    decoder = json.JSONDecoder()

    def after_space(at: int) -> int:
        while text[at] in " \t\r\n":
            at += 1
        return at

    at = after_space(0)
    while True:  # at the brace or comma before a name
        name, at = decoder.raw_decode(text, after_space(at + 1))
        start = after_space(after_space(at) + 1)
        _, end = decoder.raw_decode(text, start)
        if name == wanted:
            return text[start:end]
        at = after_space(end)


def _chain(answer: Answer, headers: tuple[str, ...]) -> str:
    value = next((answer.headers[name] for name in headers if name in answer.headers), None)
    if value is None:
        raise _refused(answer, f"sent no header {headers[0]}")
    return urllib.parse.unquote(value)


def _problem(found: endorsements.Endorsements, need: IntelNeed, root: Root, at: datetime) -> str:
    """What of ``found`` is not as it should be; empty where all is. What cannot be read raises."""
    if (found.tee, found.fmspc) != (need.tee, need.fmspc):
        return f"the TCB info is about {found.tee} {found.fmspc}, not {need.tee} {need.fmspc}"
    if wrong := endorsements.outside(found.periods(), at):
        return "; ".join(wrong)
    signers = []
    for name, chain, text, signature in (
        ("TCB info", found.tcb_info_issuer_chain, found.tcb_info, found.tcb_info_signature),
        ("identity", found.qe_identity_issuer_chain, found.qe_identity, found.qe_identity_signature),
    ):
        signers.append(_leaf(chain, root, name))
        if not _is_by(signers[-1], text.encode(), signature):
            return f"the {name} is not signed by the certificate beside it"
    authority = _leaf(found.pck_crl_issuer_chain, root, "PCK revocation list")
    if not common_name(authority.subject).lower().endswith(f"pck {need.authority} ca"):
        return f"the PCK revocation list is by {common_name(authority.subject)!r}, not of the {need.authority} CA"
    for der, issuer, name in (
        (found.pck_crl, authority, "PCK revocation list"),
        (found.root_ca_crl, certificates.parse(root.der), "root's revocation list"),
    ):
        crl = certificates.parse_crl(der)
        if crl.issuer != issuer.subject or not _is_valid_list(crl, issuer):
            return f"the {name} is not signed by {common_name(issuer.subject)}"
    listed = certificates.parse_crl(found.root_ca_crl)
    for signer in (*signers, authority):
        if listed.get_revoked_certificate_by_serial_number(signer.serial_number) is not None:
            return f"{common_name(signer.subject)} has been revoked"
    return ""


def _leaf(pem: str, root: Root, name: str) -> x509.Certificate:
    """The first of two certificates, which the second, the pinned root, has signed."""
    chain = certificates.parse_pem(pem.encode())
    if len(chain) != 2 or chain[1].public_bytes(Encoding.DER) != root.der:
        raise EvidenceRejected(f"the issuer of the {name} is not under {root.name}", hint="Fetch it from Intel")
    try:
        chain[0].verify_directly_issued_by(chain[1])
    except (InvalidSignature, ValueError, TypeError):  # by the wrong key; another issuer's name; no key for signatures
        raise EvidenceRejected(
            f"the issuer of the {name} is not signed by {root.name}", hint="Fetch it from Intel"
        ) from None
    return chain[0]


def _is_by(certificate: x509.Certificate, data: bytes, signature: bytes) -> bool:
    key = certificates.reading("certificate", certificate.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        return False
    return is_by(key, signature, data)


def _is_valid_list(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key: Any = issuer.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and certificates.reading(
        "revocation list", lambda: crl.is_signature_valid(key)
    )


def _refused(answer: Answer, what: str) -> MessageRefused:
    host = urllib.parse.urlsplit(answer.url).hostname
    return MessageRefused(f"{host} {what}", hint="Check the address of the service; nothing was changed")


__all__ = ["ROOT_LIST", "SERVICE", "UPDATES", "address", "fetch", "file_name"]
