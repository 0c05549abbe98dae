"""Sealed files: archives that only chosen recipients can read, today and against a quantum computer. Unaudited.

A random file key encrypts the content in chunks; the file key is wrapped to each recipient with hybrid HPKE. The sender
signs the payload, and whoever chose the recipients signs the wrapping. docs/sealed-files.md is the specification.
"""

from quatrefoil.transport.sealed.keys import Recipient, RecipientKey, certify, verify_recipient
from quatrefoil.transport.sealed.layout import CHUNK, Judged
from quatrefoil.transport.sealed.new_file import new_file
from quatrefoil.transport.sealed.opening import Opened, open_early, open_sealed
from quatrefoil.transport.sealed.rewrapping import Rewrapped, rewrap
from quatrefoil.transport.sealed.sealing import Sealed, seal
from quatrefoil.transport.sealed.wrapping import Signer
from quatrefoil.transport.suites import HYBRID_768, HYBRID_1024, SUITES, Suite, named

__all__ = [
    "CHUNK",
    "HYBRID_768",
    "HYBRID_1024",
    "SUITES",
    "Judged",
    "Opened",
    "Recipient",
    "RecipientKey",
    "Rewrapped",
    "Sealed",
    "Signer",
    "Suite",
    "certify",
    "named",
    "new_file",
    "open_early",
    "open_sealed",
    "rewrap",
    "seal",
    "verify_recipient",
]
