"""Certificates and revocation lists of SEV-SNP from AMD's Key Distribution Service (KDS).

Source: AMD publication 57230, chapter 4: ``/{vcek,vlek}/v1/PRODUCT/cert_chain`` (PEM, intermediate then root),
``.../crl`` (DER) and ``/vcek/v1/PRODUCT/CHIP_ID?blSPL=..&teeSPL=..&snpSPL=..&ucodeSPL=..`` (DER; ``fmcSPL`` on Turin),
as virtee/snpguest and google/go-sev-guest ask for them: AMD's own text was not at hand.

The service is believed nothing: what it sends must chain to the pinned root, be of the chip and version asked for, and
hold now. That keeps a bad answer from replacing a good bundle; verification looks at all of it again.

Of a chain the one intermediate is kept, and not the root, which is pinned, nor whatever else came along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.enclave import certificates
from quatrefoil.enclave.certificates import common_name, outside_validity
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.snp import chain, tcb
from quatrefoil.enclave.snp.keys import ISSUERS, SigningKey
from quatrefoil.enclave.snp.roots import Root
from quatrefoil.endorsements.lists import der_of_list
from quatrefoil.endorsements.needs import AmdNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Answer, Web
from quatrefoil.errors import EvidenceRejected, HostError, MessageRefused

SERVICE = "https://kdsintf.amd.com"

_QUERY: Mapping[str, str] = {
    "fmc": "fmcSPL",
    "bootloader": "blSPL",
    "tee": "teeSPL",
    "snp": "snpSPL",
    "microcode": "ucodeSPL",
}
"""Component -> its name in the address."""


def fetch(
    need: AmdNeed, web: Web, at: datetime, roots: Mapping[str, Root], *, service: str = SERVICE
) -> tuple[Fetched, ...]:
    """The files for ``need``: issuer, revocation list, and the VCEK if a chip is named."""
    root, base = roots[need.product], f"{service}/{need.key}/v1/{need.product}"
    # What is throttled, and may not be there, comes first: nothing else is asked for then.
    leaf = web.get(_address_of_vcek(need, base), unknown=_no_vcek(need)) if need.chip_id else None
    given = web.get(f"{base}/cert_chain", unknown=f"AMD's service knows no product {need.product}")
    listed = web.get(f"{base}/crl", unknown=f"AMD's service has no revocation list of {need.product}")
    crl = der_of_list(listed)
    issuer = None
    try:
        issuer = certificates.reading("certificate", lambda: _issuer(need, root, given.body))
        problem = certificates.reading("certificate", lambda: _problem(need, root, issuer, crl, leaf, at))
    except (EvidenceRejected, HostError) as refusal:  # at fault is the server that wrote it, and not this machine
        problem = refusal.problem
    if problem or issuer is None:
        host = urlsplit(service).hostname
        raise MessageRefused(f"{host}: {problem}", hint="Fetch from AMD's own service, or later; nothing was changed")
    names = file_names(need)
    files = [
        Fetched(
            names[0],
            f"{common_name(issuer.subject)}, issuer of the {need.key.upper()}",
            issuer.public_bytes(Encoding.DER),
            (given.url,),
        ),
        Fetched(names[1], f"revocation list of {need.product} for the {need.key.upper()}", crl, (listed.url,)),
    ]
    if leaf is not None:
        files.append(Fetched(names[2], f"VCEK of {_chip(need)}", leaf.body, (leaf.url,)))
    return tuple(files)


def file_names(need: AmdNeed) -> tuple[str, ...]:
    """Of issuer, revocation list and, if a chip is named, VCEK."""
    start = f"amd-{need.product.lower()}-{need.key}"
    if not need.chip_id:
        return f"{start}-issuer.der", f"{start}.crl"
    # Ids of chips may begin alike.
    chip = hashlib.sha256(need.chip_id).hexdigest()[:16]
    return f"{start}-issuer.der", f"{start}.crl", f"{start}-{chip}-{need.version.hex()}.der"


def _address_of_vcek(need: AmdNeed, base: str) -> str:
    versions = tcb.decode(need.version, need.product)
    query = "&".join(f"{name}={versions[part]:02d}" for part, name in _QUERY.items() if part in versions)
    return f"{base}/{need.chip_id.hex()}?{query}"


def _chip(need: AmdNeed) -> str:
    return f"the {need.product} chip {need.chip_id.hex()[:16]}, {tcb.written(tcb.decode(need.version, need.product))}"


def _no_vcek(need: AmdNeed) -> str:
    return f"AMD's service knows no VCEK of {_chip(need)}"


def _issuer(need: AmdNeed, root: Root, pem: bytes) -> x509.Certificate | None:
    """The intermediate in ``pem`` that the root has signed, or none. What cannot be read raises."""
    named = ISSUERS[need.key] + need.product
    given = [certificates.parse(der) for der in Collateral.of_files({Path("chain.pem"): pem}).certificates]
    return next(
        (
            one
            for one in given
            if common_name(one.subject) == named and chain.issued(root.certificate, one) and chain.may_issue(one)
        ),
        None,
    )


def _problem(
    need: AmdNeed, root: Root, issuer: x509.Certificate | None, crl: bytes, leaf: Answer | None, at: datetime
) -> str:
    """What of the answers is not as it should be; empty where all is. What cannot be read raises."""
    if issuer is None:
        named = ISSUERS[need.key] + need.product
        return f"the chain holds no {named} that {root.name} has signed as an authority"
    listed = certificates.parse_crl(crl)
    if listed.issuer != root.certificate.subject:
        return f"the revocation list is not by {root.name}"
    problems = [
        outside_validity(issuer, at),
        chain.list_problem(listed, issuer, root),
        chain.outside_list(listed, at),
        _leaf_problem(leaf.body, need, issuer, at) if leaf is not None else "",
    ]
    return "; ".join(problem for problem in problems if problem)


def _leaf_problem(der: bytes, need: AmdNeed, issuer: x509.Certificate, at: datetime) -> str:
    certificate = certificates.parse(der)
    key = SigningKey.read(certificate)
    said = (key.kind, key.product, key.chip_id, key.tcb)
    if said != ("vcek", need.product, need.chip_id, tcb.decode(need.version, need.product)):
        return "the certificate is of another chip or TCB version than was asked for"
    if not chain.issued(issuer, certificate):
        return f"the VCEK is not signed by {common_name(issuer.subject)}"
    return outside_validity(certificate, at)


__all__ = ["SERVICE", "fetch", "file_names"]
