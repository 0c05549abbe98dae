"""What becomes of a round's secrets in CKKS, here and in SEAL."""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.aggregation import CkksAggregation, CkksSumSet
from quatrefoil.aggregation.ckks import polynomials
from quatrefoil.aggregation.ckks.polynomials import OneKey, fresh_secret
from quatrefoil.aggregation.he.context import context
from quatrefoil.contracts import SumShape
from quatrefoil.errors import DependencyMissing

SET = CkksSumSet.named("ckks-sum-4096")
BACKEND = CkksAggregation(SET)


def test_a_failed_encryption_wipes_the_key_and_frees_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets, keys = [], []
    draw = fresh_secret

    def drawn(found: object) -> bytearray:
        secrets.append(draw(found))  # type: ignore[arg-type]
        return secrets[-1]

    def fail(self: OneKey, *_: object) -> None:
        keys.append(self)
        raise MemoryError

    monkeypatch.setattr("quatrefoil.aggregation.ckks.backend.fresh_secret", drawn)
    monkeypatch.setattr(OneKey, "encrypt", fail)
    with pytest.raises(MemoryError):
        BACKEND.encrypt(np.zeros(5), weight=1.0, shape=SumShape(5, 1.0, b"r" * 32))
    assert secrets == [bytearray(SET.key_bytes)]
    assert keys[0]._handle is None and keys[0]._decryptor is None and keys[0]._encryptor is None


def test_what_the_key_passes_through_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every buffer that SEAL wrote a secret into, or read one from, is zeros afterwards."""
    buffers: list[bytearray] = []
    write, read = polynomials.save, polynomials.through_memory
    monkeypatch.setattr(polynomials, "save", lambda save_to: buffers.append(write(save_to)) or buffers[-1])
    monkeypatch.setattr(polynomials, "through_memory", lambda data, load: buffers.append(data) or read(data, load))
    secret = fresh_secret(context(SET.seal))
    OneKey(context(SET.seal), np.frombuffer(secret, np.int8), SET.scale).wipe()
    assert len(buffers) == 6 and not any(any(one) for one in buffers)
    assert any(secret)


def test_without_seal_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "seal", None)
    context.cache_clear()
    try:
        with pytest.raises(DependencyMissing, match=r"quatrefoil\[he\]"):
            CkksAggregation(SET)
    finally:
        context.cache_clear()
