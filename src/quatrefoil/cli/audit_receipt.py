"""``quatrefoil audit receipt``: what an aggregator signed about one contribution, or attested code about one answer,
after every check."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit import ownership
from quatrefoil.audit.receipts import RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_receipt
from quatrefoil.cli import audit_inference_receipt
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.output import add_json_option, console, only_json, require_writable, table, write_json
from quatrefoil.transport import TrustAnchor, files, system_clock

NAME = "receipt"
HELP = "check a receipt and show what it says"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "receipt",
        type=Path,
        metavar="FILE",
        nargs="+",
        help="a receipt, as a silo's log has it in payload/, or as a client kept it; several inference receipts are "
        "also held to each other",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="the consortium's root certificate, crl.pem beside it (default, with --log: those that lie with it)",
    )
    parser.add_argument(
        "--owner",
        type=Path,
        metavar="FILE",
        help="the owner statement of the aggregator's log, with its Ed25519 key, for a receipt that is signed twice",
    )
    audit_inference_receipt.add_options(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    given = [(file, files.read(file, "receipt")) for file in options.receipt]
    kinds = {audit_inference_receipt.is_one(encoded) for _, encoded in given}
    if kinds == {True}:
        audit_inference_receipt.run(options, given)
    elif len(given) == 1:
        _round_receipt(options, given[0][1])
    else:
        raise CallerError("several receipts are of rounds", hint="Check one after another; several go for inferences")


def _round_receipt(options: argparse.Namespace, encoded: bytes) -> None:
    if options.trust is None:
        raise CallerError("the receipt of a round is signed under a root", hint="Give --trust, the root certificate")
    trust = TrustAnchor.load(options.trust)
    owner = None if options.owner is None else ownership.verify(_read_owner(options), trust, clock=system_clock)
    key = None if owner is None else Ed25519PublicKey.from_public_bytes(owner.receipts)
    found = verify_receipt(encoded, trust, at=system_clock(), classical=key)
    if owner is not None and (owner.name, owner.role) != (found.issuer.signer, found.issuer.role):
        raise EvidenceRejected(
            f"the receipt is signed by {found.issuer.role} {found.issuer.signer}, and the log is that of {owner.role} "
            f"{owner.name}",
            hint="Give the owner statement of the aggregator that signed the receipt",
            check="owner",
        )
    said = _said(found)
    if not only_json(options):
        title = f"{found.payload.issuer} signed this receipt of {found.payload.silo}: {found.payload.verdict}"
        drawn = table(title, ("", "says"), [(name.replace("_", " "), str(value)) for name, value in said.items()])
        drawn.columns[1].justify = "left"
        console().print(drawn)
    write_json(options.json, "quatrefoil.audit-receipt/1", {"receipt": said})


def _read_owner(options: argparse.Namespace) -> bytes:
    return files.read(options.owner, "owner statement")


def _said(found: VerifiedReceipt) -> dict[str, Any]:
    """What is shown of a receipt: its fields with digests in hexadecimal, then who signed it and how."""
    payload = {field.name: getattr(found.payload, field.name) for field in fields(RoundReceipt)}
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in payload.items()}
    return {
        **shown,
        "time": f"{found.payload.moment:%Y-%m-%dT%H:%M:%SZ}",
        "signer": found.issuer.fingerprint.hex(),
        "algorithms": ", ".join(found.algorithms),
        "batch_root": found.root.hex(),
        "batch_size": found.size,
        "batch_index": found.index,
        "digest": found.digest.hex(),
    }
