"""Revocation lists as servers send them: DER, PEM, or DER in hexadecimal as Intel's PCCS does."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from quatrefoil.enclave import certificates
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.endorsements.web import Answer
from quatrefoil.errors import EvidenceRejected, HostError, MessageRefused


def der_of_list(answer: Answer) -> bytes:
    """The one revocation list in ``answer``, in DER."""
    body = answer.body
    try:
        if body.lstrip().startswith(b"-----BEGIN"):
            (der,) = Collateral.of_files({Path("list.pem"): body}).revocation_lists
        elif re.fullmatch(rb"\s*[0-9A-Fa-f]+\s*", body):  # DER begins 30 8x, and 8x is no text
            der = bytes.fromhex(body.decode())
        else:
            der = body
        certificates.parse_crl(der)
    except (ValueError, EvidenceRejected, HostError):
        raise MessageRefused(
            f"{urlsplit(answer.url).hostname} sent a revocation list that cannot be read",
            hint="Check the address of the service; nothing was changed",
        ) from None
    return der


__all__ = ["der_of_list"]
