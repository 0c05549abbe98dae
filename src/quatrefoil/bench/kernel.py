"""What bounds each step of the additive kernel: its time beside ceilings that are measured in the same run.

Times are the best of several repetitions, on one thread unless the name says otherwise. For every copy of the hot loops
that runs here there is a row of whole operations on one update, and one of the steps that a block of 4,096 words takes,
alone and on memory that stays near. A share is the time that the ceiling would take over the time that was taken: what
is close to 1 cannot be faster on this machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import ParametersRefused

CLIP = 0.2
SILOS = 8
REPETITIONS = 15
PARAMETER_SET = "sum-256-w16"
STEPS = ("keystream", "mask", "message", "transform", "key")
BLOCK_BYTES = 32768
_CEILING_BYTES = 1 << 27
_ROUND = b"\x05" * 32

Row = dict[str, Any]
Progress = Callable[[str], None]


def measure_kernel(parameters: int, progress: Progress) -> dict[str, Any]:
    """``ceilings``, and a row of ``operations`` and of ``steps`` for each copy of the hot loops, the best first.

    ``parameters``: float32 values in an update, at least 1.
    """
    if parameters < 1:
        raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 1000000")
    progress("ceilings of this machine")
    ceilings = _ceilings()
    operations, steps = [], []
    for level in _core.processor_levels():
        with limited_to(level):
            progress(f"steps of a block, {level}")
            steps.append(_steps(level))
            progress(f"{parameters} parameters, {level}")
            operations.append(_operations(level, parameters, ceilings, steps[-1]))
    return {"ceilings": ceilings, "operations": operations, "steps": steps}


@contextmanager
def limited_to(level: str) -> Iterator[None]:
    """Within it, the whole process uses no copy of the hot loops above this one."""
    _core.limit_processor(level)
    try:
        yield
    finally:
        _core.limit_processor(_core.processor_levels()[0])
        _core.limit_masks()


def _ceilings() -> Row:
    """What one thread reaches: bytes read by a sum, bytes read and written by a copy, and AES-256-CTR by OpenSSL."""
    source = np.ones(_CEILING_BYTES // 8, dtype=np.uint64)
    target = np.zeros_like(source)
    plain = bytes(1 << 20)

    def openssl() -> None:
        Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor().update(plain)

    return {
        "read_gb_s": _CEILING_BYTES / _best(source.sum) / 1e9,
        "copy_gb_s": 2 * _CEILING_BYTES / _best(lambda: np.copyto(target, source)) / 1e9,
        "openssl_aes_ctr_gb_s": len(plain) / _best(openssl) / 1e9,
    }


def _steps(level: str) -> Row:
    """Microseconds of each step of a block."""
    layout = ParameterSet.named(PARAMETER_SET).layout
    _core.run_step(layout, "transform", 1)
    took = {step: _best(lambda step=step: _core.run_step(layout, step, 50)) / 50 * 1e6 for step in STEPS}  # type: ignore[misc]
    return {
        "level": level,
        **{f"{step}_us": micro for step, micro in took.items()},
        "keystream_gb_s": BLOCK_BYTES / took["keystream"] / 1e3,
    }


def _operations(level: str, parameters: int, ceilings: Row, steps: Row) -> Row:
    chosen = ParameterSet.named(PARAMETER_SET)
    one, two = AdditiveAggregation(chosen), AdditiveAggregation(chosen, threads=2)
    shape = SumShape(parameters, CLIP, _ROUND)
    update = _update(parameters)

    def encrypt(backend: AdditiveAggregation = one) -> None:
        backend.encrypt(update, weight=1 / SILOS, shape=shape)

    contributions = [one.encrypt(update, weight=1 / SILOS, shape=shape) for _ in range(SILOS)]
    total = _added(one, [c.ciphertext for c in contributions], shape)
    key = one.combine_keys([c.key for c in contributions])
    # In turns, so that a moment when the machine is busy meets both.
    kept, expanding = _best_kept_and_expanding(encrypt)
    single, twice = _best_of_each(encrypt, lambda: encrypt(two))
    decrypting, decrypting_anew = _best_kept_and_expanding(lambda: one.decrypt(total, key, shape=shape, count=SILOS))
    words = [np.frombuffer(c.ciphertext, dtype="<u8") for c in contributions]
    adding, plain = _best_of_each(
        lambda: _added(one, [c.ciphertext for c in contributions], shape), lambda: _plain_sum(words)
    )
    combining = _best(lambda: one.combine_keys([c.key for c in contributions]))
    block_bytes = chosen.layout.block_bytes(parameters)
    blocks = block_bytes // BLOCK_BYTES
    copy, keystream = ceilings["copy_gb_s"] * 1e9, steps["keystream_gb_s"] * 1e9
    noise, coins = 12 * chosen.ring_degree, 4 * chosen.ring_degree * chosen.slots
    return {
        "level": level,
        "parameters": parameters,
        "silos": SILOS,
        "encrypt_ms": kept * 1e3,
        "encrypt_m_per_s": parameters / kept / 1e6,
        "two_threads_m_per_s": parameters / twice / 1e6,
        "two_threads_ratio": single / twice,
        "encrypt_expanding_ms": expanding * 1e3,
        "encrypt_memory_share": (4 * parameters + block_bytes) / copy / kept,
        "encrypt_keystream_share": blocks * (noise + coins) / keystream / kept,
        "encrypt_transform_share": blocks * steps["transform_us"] / 1e6 / kept,
        "add_ms": adding * 1e3,
        "plain_uint64_ms": plain * 1e3,
        "add_over_plain": adding / plain,
        "add_gb_s": (3 * SILOS - 1) * block_bytes / adding / 1e9,
        "decrypt_ms": decrypting * 1e3,
        "decrypt_m_per_s": parameters / decrypting / 1e6,
        "decrypt_expanding_ms": decrypting_anew * 1e3,
        "decrypt_memory_share": (8 * parameters + block_bytes) / copy / decrypting,
        "decrypt_transform_share": blocks * steps["transform_us"] / 1e6 / decrypting,
        "combine_keys_ms": combining * 1e3,
    }


def _update(parameters: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(7).standard_normal(parameters, dtype=np.float32)
    clipped: NDArray[np.float32] = np.clip(drawn * np.float32(0.05), np.float32(-0.19), np.float32(0.19))
    return clipped


def _added(backend: AdditiveAggregation, ciphertexts: list[bytes], shape: SumShape) -> bytes:
    accumulator = backend.accumulator(shape=shape)
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
    return accumulator.total()


def _plain_sum(words: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    total = words[0].copy()
    for more in words[1:]:
        total += more
    return total


def _best_kept_and_expanding(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds with the round's public polynomials kept, and with all of them expanded again."""
    kept, expanding = [], []
    for _ in range(REPETITIONS):
        _core.limit_masks(0)
        expanding.append(_seconds(work))
        _core.limit_masks()
        work()
        kept.append(_seconds(work))
    return min(kept), min(expanding)


def _best(work: Callable[[], object]) -> float:
    return _best_of_each(work)[0]


def _best_of_each(*works: Callable[[], object]) -> list[float]:
    """Seconds of each, the best of several turns."""
    best = [float("inf")] * len(works)
    for _ in range(REPETITIONS):
        for index, work in enumerate(works):
            best[index] = min(best[index], _seconds(work))
    return best


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


__all__ = ["STEPS", "limited_to", "measure_kernel"]
