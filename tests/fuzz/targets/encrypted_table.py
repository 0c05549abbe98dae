"""Encrypted tables, answers, evaluation keys and key files, down to what SEAL is given to read.

Altered seeds are mostly refused by digest or form. What is left reaches SEAL, which must not fall over it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.aggregation.he import SETS, EvaluationKeys, Evaluator, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import Answer, EncryptedTable, LinearModel, TableKey, encrypt_numbers, open_scores, score

NAME = "ckks-linear-4096"
MODEL = LinearModel("linear", ("a", "b"), (1.0, -2.0), 0.5)


@cache
def sent() -> tuple[SecretKey, EncryptedTable]:
    key = SecretKey.generate(SETS[NAME])
    return key, encrypt_numbers(key, ("a", "b"), np.ones((3, 2)))


@cache
def seeds() -> list[bytes]:
    key, table = sent()
    keys = EvaluationKeys("ckks-product-8192", bytes(16), b"relin", b"galois")
    kept = bytes(TableKey.of(key, table).save())
    return [table.encode(), score(table, MODEL).encode(), keys.encode(), table.ciphertexts[0], kept]


def one(data: bytes) -> None:
    key, table = sent()
    found = refused_or_same(lambda: EncryptedTable.decode(data), EncryptedTable.encode, data)
    if found is not None:
        refused_or(lambda: score(found, MODEL))
    answer = refused_or_same(lambda: Answer.decode(data), Answer.encode, data)
    if answer is not None:
        refused_or(lambda: open_scores(key, table.digest(), table.rows, answer))
    keys = refused_or_same(lambda: EvaluationKeys.decode(data), EvaluationKeys.encode, data)
    if keys is not None:
        refused_or(lambda: Evaluator(SETS["ckks-product-8192"], keys))
    evaluator = Evaluator(SETS[NAME])
    refused_or_same(lambda: evaluator.read(data, CkksTrack.fresh(SETS[NAME])), evaluator.write, data)
    refused_or(lambda: TableKey.load(bytearray(data)))
