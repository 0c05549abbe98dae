"""Seeds are separate, used once, wiped, and never shown."""

from __future__ import annotations

import numpy as np
import pytest
from tests.aggregation.support import SETS, seeds, shape

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, additive
from quatrefoil.errors import UpdateRefused


class Watched:
    """Remembers every seed buffer that the backend hands to the kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.buffers: list[tuple[bytearray, bytearray]] = []
        self.copies: list[tuple[bytes, bytes]] = []
        genuine = _core.encrypt

        def encrypt(*args: object, key_seed: bytearray, noise_seed: bytearray, **named: object) -> bytes:
            self.buffers.append((key_seed, noise_seed))
            self.copies.append((bytes(key_seed), bytes(noise_seed)))
            return genuine(*args, key_seed=key_seed, noise_seed=noise_seed, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(additive._core, "encrypt", encrypt)


def test_the_noise_seed_is_wiped_and_the_key_seed_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    encrypted = AdditiveAggregation(SETS[0]).encrypt(np.zeros(10), weight=1.0, shape=shape(10))
    (key, noise), (key_copy, noise_copy) = watched.buffers[0], watched.copies[0]
    assert noise == bytearray(32) != noise_copy
    assert encrypted.key is key
    assert bytes(key) == key_copy != noise_copy


def test_both_seeds_are_wiped_when_the_update_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    with pytest.raises(UpdateRefused):
        AdditiveAggregation(SETS[0]).encrypt(np.full(10, np.nan), weight=1.0, shape=shape(10))
    assert watched.buffers == [(bytearray(32), bytearray(32))]
    assert bytes(32) not in watched.copies[0]


def test_every_encryption_draws_fresh_seeds() -> None:
    drawn: list[int] = []
    source = seeds("counted")

    def random(count: int) -> bytes:
        drawn.append(count)
        return next(source)

    backend = AdditiveAggregation(SETS[0], random=random)
    results = [backend.encrypt(np.zeros(10), weight=1.0, shape=shape(10)) for _ in range(3)]
    assert drawn == [32] * 6
    assert len({bytes(r.key) for r in results}) == 3
    assert len({r.ciphertext for r in results}) == 3


def test_no_representation_shows_a_seed() -> None:
    backend = AdditiveAggregation(SETS[0])
    encrypted = backend.encrypt(np.zeros(10), weight=1.0, shape=shape(10))
    texts = [
        repr(x) for x in (encrypted, backend, backend.parameters, backend.scheme, backend.accumulator(shape=shape(10)))
    ]
    texts += [str(encrypted), f"{encrypted}"]
    for text in texts:
        assert encrypted.key.hex() not in text
        assert repr(bytes(encrypted.key))[2:-1] not in text


def test_the_ciphertext_holds_no_seed() -> None:
    source = list(zip(range(2), seeds("embedded"), strict=False))
    given = iter([seed for _, seed in source])
    encrypted = AdditiveAggregation(SETS[0], random=lambda _: next(given)).encrypt(
        np.zeros(10), weight=1.0, shape=shape(10)
    )
    for _, seed in source:
        assert seed[:8] not in encrypted.ciphertext
