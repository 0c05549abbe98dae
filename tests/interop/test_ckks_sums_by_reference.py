"""A sum in CKKS opened in exact integers, written from docs/ckks-sums.md, without SEAL and the package's code."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from tests.reference.he import coefficients, slot

from quatrefoil.aggregation import CkksAggregation, CkksSumSet
from quatrefoil.contracts import SumShape

N, Q, SCALE, ETA, SILOS = 4096, 2**60 - 2**14 + 1, 2.0**49, 42, 256
CONTEXT = bytes(range(32))


def digest() -> bytes:
    name = b"ckks-sum-4096"
    numbers = struct.pack("<IQIII", N, Q, 49, SILOS, ETA)
    return hashlib.sha256(b"quatrefoil/ckks-sum/v1/parameters" + struct.pack("<I", len(name)) + name + numbers).digest()


def reference(block: int) -> list[int]:
    drawn = hashlib.shake_128(b"quatrefoil/ckks-sum/v1/a" + digest() + CONTEXT + struct.pack("<Q", block))
    words = struct.unpack("<5000Q", drawn.digest(40_000))
    return [word % 2**60 for word in words if word % 2**60 < Q][:N]


def product(left: list[int], right: list[int]) -> list[int]:
    """In Z_q[X] / (X^N + 1), by one product of integers: coefficients in fields of 140 bits each."""
    field = 140
    a, b = (int.from_bytes(b"".join(v.to_bytes(field // 8 + 1, "little") for v in p), "little") for p in (left, right))
    step = field // 8 + 1
    raw = (a * b).to_bytes(2 * N * step, "little")
    whole = [int.from_bytes(raw[i * step : (i + 1) * step], "little") for i in range(2 * N)]
    return [(whole[i] - whole[i + N]) % Q for i in range(N)]


def test_a_sum_is_opened_by_a_second_implementation() -> None:
    backend = CkksAggregation(CkksSumSet.named("ckks-sum-4096"))
    form = SumShape(N + 3, 0.5, CONTEXT)
    draw = np.random.default_rng(2)
    updates = [draw.uniform(-0.5, 0.5, form.length) for _ in range(3)]
    given = [backend.encrypt(update, weight=0.25, shape=form) for update in updates]
    keys = [np.frombuffer(one.key, np.int8).astype(int) for one in given]
    secret = [int(sum(k[i] for k in keys)) % Q for i in range(N)]
    exact = 0.25 * sum(updates) / 0.5
    for block, (first, length) in enumerate(((0, N), (N, 3))):
        words = [struct.unpack_from(f"<{N}Q", one.ciphertext, 96 + 8 * N * block) for one in given]
        b = coefficients([sum(values) % Q for values in zip(*words, strict=True)], Q)
        a = coefficients(reference(block), Q)
        opened = [(x - y) % Q for x, y in zip(b, product(a, secret), strict=True)]
        message = [value - Q if value > Q // 2 else value for value in opened]
        for index in (0, 1, 2, N // 2 - 1):
            found = slot(message, index, SCALE)
            for at, part in ((index, found.real), (index + N // 2, found.imag)):
                expected = exact[first + at] if at < length else 0.0
                assert abs(part - expected) < 3 * 2.25e-10
    total = backend.accumulator(shape=form)
    for one in given:
        assert one.ciphertext[:96] == struct.pack(
            "<8sHHIQ32s32sd", b"QFCKKSUM", 1, 0, 1, form.length, digest(), CONTEXT, 0.5
        )
        total.add(one.ciphertext)
    combined = backend.combine_keys([one.key for one in given])
    assert combined[:48] == struct.pack("<8sHHI32s", b"QFCKKKEY", 1, 0, 3, digest())
    centred = [value - Q if value > Q // 2 else value for value in secret]
    assert list(struct.unpack(f"<{N}h", combined[48:])) == centred
    released = backend.decrypt(total.total(), combined, shape=form, count=3)
    assert np.abs(released.values / 0.5 - exact).max() <= released.error_bound / 0.5


def test_the_noise_of_a_sum_is_that_of_its_contributions() -> None:
    """Zeros encrypted: what opens is the sum of the errors, of 3 times 42 at most, with 3 times the variance."""
    backend = CkksAggregation(CkksSumSet.named("ckks-sum-4096"))
    form = SumShape(1, 1.0, CONTEXT)
    given = [backend.encrypt(np.zeros(1), weight=1.0, shape=form) for _ in range(3)]
    secret = [int(sum(np.frombuffer(one.key, np.int8)[i].astype(int) for one in given)) % Q for i in range(N)]
    words = [struct.unpack_from(f"<{N}Q", one.ciphertext, 96) for one in given]
    b = coefficients([sum(values) % Q for values in zip(*words, strict=True)], Q)
    opened = [(x - y) % Q for x, y in zip(b, product(coefficients(reference(0), Q), secret), strict=True)]
    errors = np.array([value - Q if value > Q // 2 else value for value in opened])
    assert np.abs(errors).max() <= 3 * ETA and 0.9 < np.var(errors) / 63 < 1.1
