"""Proofs of answers that stand in receipts: a model's commitment on disk, the file of a proof, and its check.

docs/audit-proofs.md specifies statement, file and check. Unaudited.
"""

from quatrefoil.proven.binding import Binding, Place
from quatrefoil.proven.checking import VerifiedAnswers, verify_answers
from quatrefoil.proven.folder import ModelFolder, require_provable
from quatrefoil.proven.logged import Logged, log_statement, logged_answers
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.proving import prove_answers
from quatrefoil.proven.receipts import ProvenReceipt, Recorded
from quatrefoil.proven.statement import Committed, CommittedModel, Port, verify_statement

__all__ = [
    "Binding",
    "Committed",
    "CommittedModel",
    "Logged",
    "ModelFolder",
    "Place",
    "Port",
    "ProofFile",
    "ProvenReceipt",
    "Recorded",
    "VerifiedAnswers",
    "log_statement",
    "logged_answers",
    "prove_answers",
    "require_provable",
    "verify_answers",
    "verify_statement",
]
