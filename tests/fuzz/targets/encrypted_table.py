"""Encrypted tables, answers, evaluation keys, public keys and key files, down to what SEAL is given to read.

Altered seeds are mostly refused by digest or form. What is left reaches SEAL, which must not fall over it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.aggregation.he import SETS, EvaluationKeys, Evaluator, PublicKey, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import (
    Answer,
    EncryptedTable,
    LinearModel,
    SentTable,
    TableKey,
    TablePublicKey,
    encrypt_numbers,
    load_secret,
    open_scores,
    save_secret,
    score,
    verify_key,
    verify_sent,
)
from quatrefoil.contracts import VerifiedStatement

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
    secret, public = SecretKey.pair(SETS[NAME])
    said = TablePublicKey("trial", 1, 0, bytes(32), NAME, public.key_id, public.save()).encode()
    sent_one = SentTable(bytes(32), table.digest(), 3, 0).encode()
    others = [public.save(), said, sent_one, bytes(save_secret(secret))]
    return [table.encode(), score(table, MODEL).encode(), keys.encode(), table.ciphertexts[0], kept, *others]


def believed(data: bytes) -> VerifiedStatement:
    """As if anybody's signature held: what is behind it must stand for itself."""
    return VerifiedStatement(data, "anybody", "silo", bytes(32))


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
    refused_or(lambda: load_secret(bytearray(data)))
    refused_or_same(lambda: PublicKey.load(SETS[NAME], data), PublicKey.save, data)
    refused_or_same(lambda: verify_key(data, believed), lambda found: found.said.encode(), data)
    refused_or_same(lambda: verify_sent(data, believed), lambda found: found.said.encode(), data)
