"""Models and mean updates as bytes, and the layouts that describe them."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.federation.vectors import ArrayLayout, Layout, decode_arrays, encode_arrays, next_model

LAYOUT = Layout((ArrayLayout((2, 3), "<f4"), ArrayLayout((), "<f8"), ArrayLayout((0, 4), "<f4")))
MODEL = [np.zeros((2, 3), np.float32), np.zeros(()), np.zeros((0, 4), np.float32)]


def seeds() -> list[bytes]:
    return [encode_arrays(MODEL, LAYOUT), bytes(8 * LAYOUT.length), LAYOUT.encode()]


def one(data: bytes) -> None:
    refused_or_same(lambda: decode_arrays(data, LAYOUT), lambda arrays: encode_arrays(arrays, LAYOUT), data)
    moved = refused_or(lambda: next_model(MODEL, data, LAYOUT))
    assert moved is None or all(np.isfinite(array).all() for array in moved)
    described = refused_or(lambda: Layout.decode(data))
    if described is not None:
        refused_or(lambda: decode_arrays(b"", described))
