"""Servers and their receipts, without a network: keysets from seeds, evidence of a TPM in software, one issuer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

import attested_keepers
from identities import START, TRUSTED, consortium, identity
from quatrefoil.appraisal import appraise_set, measurement_of, verify_set
from quatrefoil.attested import Attestation
from quatrefoil.audit import Log, TileLog
from quatrefoil.audit.inference_receipts import InferenceReceipt, commit_answer, commit_request, receipt_key
from quatrefoil.audit.serving_log import PURPOSE
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.serving.receipts import ReceiptIssuer

MODEL, COMMITMENT, POLICY, PLAN = b"m" * 32, b"c" * 32, b"p" * 32, b""
SALT, METHOD, PATH = bytes(range(32)), b"POST", b"/v2/models/heart/infer"
ASKED, ANSWERED = b'{"inputs":[]}', b'{"outputs":[]}'
REQUEST, ANSWER = commit_request(SALT, METHOD, PATH, ASKED), commit_answer(SALT, 200, ANSWERED)
NONCE = b"n" * 32
SECONDS = int(START.timestamp())
HOUR = 3600


def key(number: int = 0) -> MLDSA44PrivateKey:
    return MLDSA44PrivateKey.from_seed_bytes(bytes([number]) * 32)


def keyset(number: int = 0, start: int = SECONDS) -> Keyset:
    return Keyset(b"", b"", receipt_key(key(number)), start - 300, start + 2 * HOUR)


def attestation(of: Keyset, purpose: str = PURPOSE) -> bytes:
    """Evidence that a verifier under ``attested_keepers.relied`` accepts, where the tests' roots are trusted."""
    evidence = attested_keepers.quoting().collect(report_data(of, NONCE, b"", purpose))
    return Attestation(NONCE, of, EvidenceSet(evidence).encode()).encode()


def measurement() -> str:
    """What receipts say of the code that gives :func:`attestation`."""
    relied, of = attested_keepers.relied(), keyset()
    evidence = EvidenceSet.decode(Attestation.decode(attestation(of)).evidence)
    findings = verify_set(evidence, relied.collateral, START)
    return measurement_of(
        appraise_set(findings, relied.policy, report_data(of, NONCE, b"", PURPOSE), START), relied.policy
    )


def receipt(number: int = 0, **changes: Any) -> InferenceReceipt:
    """The first receipt of a keyset."""
    of = keyset(number).digest()
    values: dict[str, Any] = {
        "issuer": "ward",
        "keyset": of,
        "sequence": 0,
        "previous": of,
        "time": SECONDS * 1000 + 250,
        "model": MODEL,
        "commitment": COMMITMENT,
        "measurement": "tpm.pcr0=01",
        "policy": POLICY,
        "plan": PLAN,
        "request": REQUEST,
        "answer": ANSWER,
        "status": 200,
        "complete": True,
    }
    return InferenceReceipt(**{**values, **changes})


def issuer(folder: Path, log: Log, clock: Callable[[], datetime] = lambda: START, **changes: Any) -> ReceiptIssuer:
    terms: dict[str, Any] = {
        "issuer": "ward",
        "model": MODEL,
        "commitment": COMMITMENT,
        "measurement": "tpm.pcr0=01",
        "policy": POLICY,
        "plan": PLAN,
    }
    return ReceiptIssuer(**{**terms, **changes}, journal=folder, log=log, clock=clock)


def begun(made: ReceiptIssuer, number: int = 0) -> Keyset:
    """A keyset that ``made`` issues under now."""
    of = keyset(number)
    made.begin(of, key(number), attestation(of))
    return of


def server_log(folder: Path, clock: Callable[[], datetime] = lambda: START) -> TileLog:
    """The log of the server "ward", with its roots beside it."""
    made = consortium(TRUSTED)
    log = TileLog(folder, identity("ward", "workload"), made.trust, clock=clock)
    log.keep_trust({name: (made.directory / name).read_bytes() for name in ("root.pem", "crl.pem")})
    return log
