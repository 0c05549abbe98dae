"""Computing on encrypted tables: scores, statistics and counts, by a party that has no key. Unaudited.

The key holder encrypts its own table, sends it, and opens the answer; the computing party sees ciphertexts, the number
of rows, names and bounds of columns, and its own model. docs/homomorphic.md says what this protects and what not.
"""

from quatrefoil.analytics.counting import Counts, contingency, histogram, open_counts
from quatrefoil.analytics.holders import (
    HolderKey,
    SentTable,
    TablePublicKey,
    TableSent,
    verify_key,
    verify_sent,
)
from quatrefoil.analytics.keeping import TableKey, load_secret, save_secret
from quatrefoil.analytics.models import LinearModel
from quatrefoil.analytics.network_onnx import read_onnx
from quatrefoil.analytics.networks import (
    EncryptedRows,
    Network,
    NetworkEvaluator,
    Outputs,
    encrypt_row,
    evaluate,
    open_answer,
)
from quatrefoil.analytics.scoring import Scores, open_scores, score
from quatrefoil.analytics.statistics import Statistics, open_statistics, summarise
from quatrefoil.analytics.tables import Answer, EncryptedTable, encrypt_categories, encrypt_numbers

__all__ = [
    "Answer",
    "Counts",
    "EncryptedRows",
    "EncryptedTable",
    "HolderKey",
    "LinearModel",
    "Network",
    "NetworkEvaluator",
    "Outputs",
    "Scores",
    "SentTable",
    "Statistics",
    "TableKey",
    "TablePublicKey",
    "TableSent",
    "contingency",
    "encrypt_categories",
    "encrypt_numbers",
    "encrypt_row",
    "evaluate",
    "histogram",
    "load_secret",
    "open_answer",
    "open_counts",
    "open_scores",
    "open_statistics",
    "read_onnx",
    "save_secret",
    "score",
    "summarise",
    "verify_key",
    "verify_sent",
]
