"""The kernel's own door, which trusts its caller about meaning: hostile lengths and numbers never pass it."""

from __future__ import annotations

import struct

import numpy as np

from quatrefoil import _core

_NUMBERS = struct.Struct("<BIIIIqqqqddq")
_BLOCK = 8 * _core.RING_DEGREE
REFUSALS = (
    *(ValueError, TypeError, OverflowError, MemoryError, _core.ValueRefused, _core.WordRefused, _core.SumRefused),
    *(_core.ProofUnavailable, _core.ProofRejected),
)
"""What it raises on purpose. A panic is none of them, and derives from ``BaseException``."""


def seeds() -> list[bytes]:
    sound = (16, 2, 24, 15, 96, 96, 5, 0, 1.0, 32767.0, 1)
    values, blocks = bytes(96 + 40), bytes(96 + _BLOCK)
    return [_NUMBERS.pack(how, *sound) + rest for how in range(7) for rest in (values, blocks)]


def one(data: bytes) -> None:
    """Numbers, and after them whatever is passed as bytes. From 128 on, the first byte leaves the numbers as wild as
    they are; below, they are taken to where something happens."""
    if len(data) < _NUMBERS.size:
        return
    how, bits, slots, width, delta, offset, key_offset, length, first, clip, factor, threads = _NUMBERS.unpack_from(
        data
    )
    rest, context = data[_NUMBERS.size :], data[:32]
    if how < 128:
        bits, slots, width, delta = 2 + bits % 31, 1 + slots % 8, width % 48, delta % 32
        offset, key_offset, length, threads = offset % 200, key_offset % 200, length % 9000, threads % 5
    try:
        layout = _core.Layout(bits, slots, width, delta, context)
        assert 2 <= bits <= 32 and 1 <= slots <= 8 and delta >= 1 and slots * width + delta <= 63
        _call(how % 7, layout, rest, context, offset, key_offset, length, first, clip, factor, min(threads, 4))
    except REFUSALS:
        pass


def _call(how, layout, rest, context, offset, key_offset, length, first, clip, factor, threads) -> None:
    shared = {"context": context, "threads": threads, "first_block": first}
    if how == 0:
        kind = np.float32 if length % 2 else np.float64
        values = np.frombuffer(rest[96 : 96 + len(rest[96:]) // 8 * 8], kind)
        seeds = {"key_seed": bytes(32), "noise_seed": rest[:32]}
        found = _core.encrypt(layout, rest[:offset], values, clip=clip, factor=factor, **seeds, **shared)
        assert len(found) == len(rest[:offset]) + layout.block_bytes(len(values))
    elif how == 1:
        # How many secrets were summed, and the unit, are numbers as well.
        given = {"offset": offset, "key_offset": key_offset, "length": length, "count": abs(first), "unit": clip}
        assert len(_core.decrypt(layout, rest, rest, **given, **shared)) == length
    elif how == 2:
        # How long a header is is the caller's own number: so much is allocated.
        accumulator = _core.Accumulator(min(offset, 1 << 20), (1 + abs(first) % 3) * _BLOCK if length % 3 else length)
        accumulator.add(rest, key_offset)
        accumulator.total(rest[:offset])
    elif how == 3:
        secrets = [rest[start : start + 32] for start in range(0, min(len(rest), 128), 32)]
        assert len(_core.combine_keys(layout, rest[:offset], secrets)) == len(rest[:offset]) + _BLOCK
    elif how == 4:
        layout.block_bytes(length)
        _core.sampled_noise(layout, context, rest[:32], first)
        _core.sampled_mask(layout, context, first)
    elif how == 5:
        shape = _core.ProofShape(layout, length)
        numbers = dict(shape.numbers())
        assert numbers["least_proof_bytes"] < numbers["largest_proof_bytes"]
        if numbers["blocks"] <= 2:
            _verify(shape, rest, context, offset, key_offset, first, threads)
    else:
        _core.time_step(_core.timed_steps()[abs(length) % 9], abs(first), rest[:2], rest[32:64])


def _verify(shape, rest, context, offset, key_offset, bound, threads) -> None:
    """Whatever is passed as a ciphertext, as a proof and as a key."""
    statement = _core.ProofStatement(shape, bound=bound, context=context, binding=context)
    assert len(statement.key_binding(rest[:32], context, rest[32:64])) == 16
    expanded = _core.ProofContext(shape, context, threads)
    _core.verify_update(statement, expanded, rest, rest[key_offset:], offset=offset, threads=threads)
    raise AssertionError("a part of a ciphertext is no proof")
