"""Several hospitals under one public key: what is authenticated, what the answers are worth, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identities import identity, speaking_as
from quatrefoil.aggregation.he import SETS, PublicKey, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import (
    EncryptedTable,
    HolderKey,
    LinearModel,
    SentTable,
    TablePublicKey,
    TableSent,
    contingency,
    encrypt_categories,
    encrypt_numbers,
    histogram,
    load_secret,
    open_counts,
    open_scores,
    open_statistics,
    save_secret,
    score,
    summarise,
    verify_key,
    verify_sent,
)
from quatrefoil.errors import (
    CallerError,
    CiphertextRefused,
    MessageRefused,
    ModelRefused,
    ParametersRefused,
    StateCorrupt,
)

CKKS, BGV = "ckks-linear-4096", "bgv-linear-4096"
MODEL = LinearModel("linear", ("a", "b"), (3.0, -2.0), 7.0)
VALUES = np.array([[5, -3], [12, 2], [-4, 0]])


@cache
def _pair(name: str, number: int) -> tuple[SecretKey, PublicKey]:
    return SecretKey.pair(SETS[name])


def pair(name: str, number: int = 0) -> tuple[SecretKey, PublicKey]:
    return _pair(name, number)


def party(name: str) -> Any:
    return speaking_as(identity(name, "silo"))


def said(of: str = CKKS, number: int = 0, **changed: Any) -> TablePublicKey:
    public = pair(of, number)[1]  # ``changed`` may name another set than the key's
    given = TablePublicKey("trial", 1, 1_700_000_000, bytes(32), of, public.key_id, public.save())
    return replace(given, **changed)


def signed(one: TablePublicKey | SentTable, who: str = "registry") -> bytes:
    return bytes(party(who).sign(one.encode()))


def verified(data: bytes) -> HolderKey:
    return verify_key(data, party("north").verify)


@cache
def _holder(name: str, number: int) -> HolderKey:
    return verified(signed(said(name, number)))


def holder(name: str = CKKS, number: int = 0) -> HolderKey:
    return _holder(name, number)


def sent(table: EncryptedTable, under: HolderKey, who: str = "north") -> TableSent:
    return verify_sent(signed(under.sent(table, 1), who), party("registry").verify)


# ----------------------------------------------------------------------------------------------------------- answers


@settings(max_examples=25)
@given(st.data(), st.sampled_from(("ckks-linear-4096", "ckks-product-8192")), st.integers(1, 5))
def test_ckks_scores_under_a_public_key_are_within_their_error(data: st.DataObject, name: str, rows: int) -> None:
    number = st.floats(-1e6, 1e6, allow_subnormal=False)
    values = np.array(data.draw(st.lists(st.lists(number, min_size=2, max_size=2), min_size=rows, max_size=rows)))
    model = LinearModel("linear", ("a", "b"), tuple(data.draw(st.lists(number, min_size=2, max_size=2))), 1.0)
    table = encrypt_numbers(holder(name), ("a", "b"), values)
    assert table.public
    try:
        answer = score(table, model)
    except ModelRefused:  # no weight counts beside the intercept
        return
    found = open_scores(pair(name)[0], table.digest(), rows, answer)
    for value, row in zip(found.values, values, strict=True):
        truth = 1 + sum(Fraction(w) * Fraction(x.item()) for w, x in zip(model.weights, row, strict=True))
        assert abs(Fraction(float(value)) - truth) <= Fraction(found.error)


def test_bgv_scores_under_a_public_key_are_exact() -> None:
    table = encrypt_numbers(holder(BGV), ("a", "b"), VALUES)
    found = open_scores(pair(BGV)[0], table.digest(), 3, score(table, MODEL))
    assert list(found.values) == [28, 39, -5] and found.error == 0


def test_moments_and_histograms_under_a_public_key_and_contingency_refused_with_the_numbers() -> None:
    name = "ckks-product-8192"
    table = encrypt_numbers(holder(name), ("a", "b"), VALUES)
    found = open_statistics(pair(name)[0], table, summarise(table, pair(name)[0].evaluation_keys()))
    assert np.abs(found.mean - VALUES.mean(axis=0)).max() <= found.mean_error.max() < 1
    name = "bgv-product-8192"
    table = encrypt_categories(holder(name), ("a", "b"), np.array([[0, 1], [1, 1], [0, 0]]), (2, 2))
    keys = pair(name)[0].evaluation_keys()
    assert list(open_counts(pair(name)[0], table, histogram(table, keys, "b")).values) == [1, 2]
    with pytest.raises(ParametersRefused, match=r"noise of 11\d bits, and bgv-product-8192 has room for 104"):
        contingency(table, keys, "a", "b")


def test_an_answer_that_claims_only_the_secret_keys_noise_is_refused() -> None:
    """Rounded to that, the decryption would let out the noise, and with it, in the end, the key."""
    table = encrypt_numbers(holder(), ("a", "b"), VALUES)
    honest = score(table, MODEL)
    finest = CkksTrack.fresh(SETS[CKKS]).error
    with pytest.raises(CiphertextRefused, match="encryption alone has"):
        open_scores(pair(CKKS)[0], table.digest(), 3, replace(honest, error=finest))
    lied = score(replace(table, public=False), MODEL)
    with pytest.raises(CiphertextRefused, match="encryption alone has"):
        open_scores(pair(CKKS)[0], replace(table, public=False).digest(), 3, lied)


# ----------------------------------------------------------------------------------------------------------- attacks


def test_with_one_shared_secret_key_any_hospital_reads_all() -> None:
    """The ablation: what giving each hospital the secret key would mean."""
    shared = SecretKey.generate(SETS[CKKS])
    north = encrypt_numbers(shared, ("a", "b"), VALUES)
    south_holds = SecretKey.load(SETS[CKKS], shared.key_id, shared.save())
    read = south_holds.decrypt_rounded(north.ciphertexts[0], CkksTrack.fresh(SETS[CKKS])).values[:3]
    assert np.allclose(read * north.bounds[0], VALUES[:, 0], atol=1e-3)


def test_under_the_holders_public_key_no_other_hospital_reads() -> None:
    """A hospital has the public key, its own table and what it drew itself; the secret is in none of them."""
    north = encrypt_numbers(holder(), ("a", "b"), VALUES)
    own = SecretKey.generate(SETS[CKKS])
    track = CkksTrack.fresh(SETS[CKKS], public=True)
    read = own.decrypt_rounded(north.ciphertexts[0], track).values[:3]
    assert not np.allclose(read * north.bounds[0], VALUES[:, 0], atol=1)
    secret = bytes(pair(CKKS)[0].save())[200:232]
    assert secret not in holder().key.save() and secret not in north.encode()


def test_under_a_substituted_public_key_the_attacker_would_read() -> None:
    """The ablation of the signature: encrypted under a key that was put in its place."""
    attacker, put = pair(CKKS, 666)
    table = encrypt_numbers(put, ("a", "b"), VALUES)
    track = CkksTrack.fresh(SETS[CKKS], public=True)
    read = attacker.decrypt_rounded(table.ciphertexts[0], track).values[:3]
    assert np.allclose(read * table.bounds[0], VALUES[:, 0], atol=0.1)


def test_a_substituted_public_key_is_refused() -> None:
    original = signed(said())
    good = verified(original)
    good.require(holder="registry", digest=hashlib.sha256(original).digest())
    good.require(holder="registry", name="trial", least_serial=1)
    put = pair(CKKS, 666)[1]
    with pytest.raises(MessageRefused, match="does not fit its statement"):  # in the statement of the holder
        verified(original.replace(pair(CKKS)[1].save(), put.save()))
    with pytest.raises(MessageRefused, match="of 'mallory', not of 'registry'"):  # in one of its own
        verified(signed(said(number=666), "mallory")).require(holder="registry", name="trial")
    with pytest.raises(MessageRefused, match="has the digest"):  # another of the holder
        verified(signed(said(number=1))).require(holder="registry", digest=good.digest)
    with pytest.raises(MessageRefused, match="an older was put back"):
        good.require(holder="registry", name="trial", least_serial=2)
    with pytest.raises(MessageRefused, match="is called 'rehearsal', not 'trial'"):  # for something else: a lax policy
        verified(signed(said(name="rehearsal", serial=7))).require(holder="registry", name="trial", least_serial=1)
    with pytest.raises(CallerError, match="any public key of the holder would do"):
        good.require(holder="registry", least_serial=1)
    with pytest.raises(MessageRefused):  # not signed at all
        verified(said().encode())


def test_a_copied_table_is_the_limit_it_is_opened_as_the_copiers() -> None:
    """Ciphertexts can be copied, and changed so that nobody knows them again: who sent a table is not who knows it."""
    north = encrypt_numbers(holder(), ("a", "b"), VALUES)
    stolen = sent(north, holder(), "south")
    stolen.require(sender="south", key=holder())
    scores = open_scores(pair(CKKS)[0], stolen.said.table, stolen.said.rows, score(north, MODEL))
    assert np.allclose(scores.values, VALUES @ [3, -2] + 7, atol=0.1)


# -------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(
    ("changed", "error", "problem"),
    [
        ({"key_id": bytes(16)}, MessageRefused, "under the name of another"),
        ({"key_id": b""}, MessageRefused, "under the name of another"),
        ({"resource": b""}, MessageRefused, "without its name, number or resource"),
        ({"serial": 0}, MessageRefused, "without its name, number or resource"),
        ({"name": ""}, MessageRefused, "without its name, number or resource"),
        ({"parameters": "ckks"}, CiphertextRefused, "no parameter set"),
        ({"parameters": BGV}, CiphertextRefused, "is not of bgv-linear-4096"),
        ({"public": b""}, CiphertextRefused, "a public key"),
        ({"public": b"\xff" * 65649}, CiphertextRefused, "a public key"),
    ],
)
def test_a_signed_public_key_that_is_none(changed: dict[str, Any], error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        verified(signed(said(**changed)))


def test_a_key_is_named_in_its_own_set_only() -> None:
    """The same polynomials in another set of the same primes would be another key of the same name otherwise."""
    assert len({pair(name)[1].key_id for name in SETS}) == len(SETS)


def test_what_was_sent_is_held_to_sender_key_and_table() -> None:
    table = encrypt_numbers(holder(), ("a", "b"), VALUES)
    found = sent(table, holder())
    found.require(sender="north", key=holder())
    with pytest.raises(MessageRefused, match="'north' sent the table, not 'south'"):
        found.require(sender="south", key=holder())
    with pytest.raises(MessageRefused, match="is under the public key"):
        found.require(sender="north", key=holder(number=1))
    with pytest.raises(CallerError, match="a table under another key"):
        holder(number=1).sent(table, 1)
    for changed in ({"key": b""}, {"table": bytes(31)}, {"rows": 0}):
        with pytest.raises(MessageRefused, match="names no table"):
            verify_sent(signed(replace(found.said, **changed)), party("registry").verify)


def test_an_answer_about_an_earlier_table_of_the_same_hospital_is_a_replay() -> None:
    earlier, later = (encrypt_numbers(holder(), ("a", "b"), VALUES + i) for i in (0, 1))
    with pytest.raises(CiphertextRefused, match="about another table"):
        open_scores(pair(CKKS)[0], sent(later, holder()).said.table, 3, score(earlier, MODEL))
    again = encrypt_numbers(holder(), ("a", "b"), VALUES)  # the same values: another table
    assert again.digest() != earlier.digest()


def test_the_sealed_secret_is_kept_exactly_and_refused_when_altered() -> None:
    secret = pair(CKKS)[0]
    saved = save_secret(secret)
    found = load_secret(bytearray(saved))
    assert found.save() == secret.save() and found.public and found.key_id == secret.key_id
    given_away = bytearray(saved)
    load_secret(given_away)
    assert not any(given_away), "what is loaded is wiped"
    for bad in (b"", saved[:40], saved[:-1], saved + b"\0", b"\xff" * 9000, saved[:12] + b"x" + saved[13:]):
        wiped = bytearray(bad)
        with pytest.raises(StateCorrupt):
            load_secret(wiped)
        assert not any(wiped)
    with pytest.raises(CallerError, match="without a public half"):
        save_secret(SecretKey.generate(SETS[CKKS]))
