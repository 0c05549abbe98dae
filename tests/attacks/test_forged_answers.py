"""A computing party that departs from the computation, and what the opened answer then tells whoever sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quatrefoil.aggregation.ckks.polynomials import _secret_key
from quatrefoil.aggregation.he import SETS, PublicKey, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.aggregation.he.context import context
from quatrefoil.aggregation.he.serialised import ciphertext_head
from quatrefoil.analytics import Answer, EncryptedTable, LinearModel, encrypt_numbers, open_scores, score
from quatrefoil.errors import CiphertextRefused

NAME = "ckks-linear-4096"
P = SETS[NAME]
N = P.ring_degree
SCALE_BITS = P.value_bits + P.weight_bits
MODEL = LinearModel("linear", ("a",), (1.0,), 0.0)


def table(key: SecretKey | PublicKey, values: np.ndarray) -> EncryptedTable:
    return encrypt_numbers(key, ("a",), values[:, None], bounds=[1.0])


def with_ciphertext(honest: Answer, words: bytes, scale_bits: int = SCALE_BITS, **changed: float) -> Answer:
    head = ciphertext_head(context(P), 2.0**scale_bits)
    return replace(honest, scale_bits=scale_bits, ciphertexts=(head + words,), **changed)  # type: ignore[arg-type]


def coefficients(slots: np.ndarray) -> np.ndarray:
    """Of the polynomial with these values at zeta^(3^j), zeta = e^(i pi / N), and their conjugates."""
    powers = np.array([pow(3, j, 2 * N) for j in range(N // 2)])
    values = np.zeros(2 * N, dtype=complex)
    values[powers], values[2 * N - powers] = slots, slots.conj()
    return np.asarray((np.fft.fft(values[1::2]) * np.exp(-1j * np.pi * np.arange(N) / N)).real / N)


# --------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("scale_bits", "bound"), [(1, 2.0**100), (5, 1.0), (P.value_bits, 1.0), (SCALE_BITS, 2.0)])
def test_a_column_under_a_coarser_scale_or_larger_bound_would_let_the_noise_out(scale_bits: int, bound: float) -> None:
    """Rounding to a step in units of 2^5 is no rounding of what was encrypted at 2^32: from noise follows the key."""
    key, values = SecretKey.generate(P), np.zeros(P.slots)
    sent = table(key, values)
    column = sent.ciphertexts[0][len(ciphertext_head(context(P), 1.0)) :]
    forged = with_ciphertext(score(sent, MODEL), column, scale_bits, bound=bound, error=CkksTrack.fresh(P).error)
    with pytest.raises(CiphertextRefused, match=r"scores at scale 2\^"):
        open_scores(key, sent.digest(), sent.rows, forged)


# ------------------------------------------------------------------------------------------------- the limit


def test_the_limit_one_forged_answer_that_is_seen_opened_is_the_key() -> None:
    """(0, K) decrypts to K s. So answers must not reach, opened, whoever may stand with the computing party: under one
    public key, a hospital that gets its own scores back then reads every other hospital's table."""
    secret, public = SecretKey.pair(P)
    north = np.linspace(-1, 1, P.slots)
    of_north, of_south = table(public, north), table(public, np.zeros(P.slots))
    multiple = np.full(N, 1 << (SCALE_BITS - 8), dtype="<u8")
    forged = with_ciphertext(score(of_south, MODEL), bytes(8 * N) + multiple.tobytes())
    opened = open_scores(secret, of_south.digest(), of_south.rows, forged).values
    found = np.rint(coefficients(opened[: N // 2] + 1j * opened[N // 2 :]) * 2**8).astype(np.int64)
    assert set(found.tolist()) == {-1, 0, 1}
    rebuilt = SecretKey(P, secret.key_id, _secret_key(context(P), found), public=True)
    read = rebuilt.decrypt_rounded(of_north.ciphertexts[0], CkksTrack.fresh(P, public=True))
    assert np.abs(read.values - north).max() <= read.error
