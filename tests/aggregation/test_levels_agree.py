"""Every step of the kernel on every kind of processor, over shapes that hypothesis draws: the same bytes each time.

``test_processor_levels.py`` holds each copy to the reference at a few shapes. Here the copies are held to one another
where they differ most: lengths around the ends of blocks and of vectors, odd tails, extreme clips and values.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.aggregation.support import SETS, seeded, shape

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import UpdateRefused

LEVELS = _core.processor_levels()
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0**-126, -(2.0**-149), 1e-310)
"""Values in units of the clip bound: its ends, halves that round, and what is too small for a normal number."""


@dataclass(frozen=True)
class Drawn:
    parameters: ParameterSet
    length: int
    kind: type
    clip: float
    weight: float
    threads: int
    silos: int
    seed: int


@st.composite
def draws(draw: st.DrawFn) -> Drawn:
    parameters = draw(st.sampled_from(SETS))
    block = 4096 * parameters.slots
    near = st.builds(
        lambda blocks, by: max(1, blocks * block + by), st.integers(0, 3), st.integers(-70, 70) | st.just(2048)
    )
    return Drawn(
        parameters=parameters,
        length=draw(near | st.integers(1, 2 * block)),
        kind=draw(st.sampled_from([np.float32, np.float64])),
        clip=draw(st.sampled_from([1.0, 0.37, 2.0**-100, 2.0**100, 3.0])),
        weight=draw(st.sampled_from([1.0, 0.5, 0.7, 2.0**-20])),
        threads=draw(st.integers(1, 3)),
        silos=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@contextmanager
def limited(level: str) -> Iterator[None]:
    _core.limit_processor(level)
    try:
        yield
    finally:
        _core.limit_processor(LEVELS[0])


def update(drawn: Drawn, silo: int) -> np.ndarray:
    """Values of one silo, within the clip bound in the type that they have, some of them special."""
    generator = np.random.default_rng([drawn.seed, silo])
    values = generator.uniform(-1, 1, drawn.length)
    places = generator.integers(0, drawn.length, 12)
    values[places] = generator.choice(SPECIAL, 12)
    # A float32 above the bound is refused: 0.37 is not one, and the next may lie above.
    return np.asarray(values * 0.9999 * drawn.clip if drawn.clip == 0.37 else values * drawn.clip).astype(drawn.kind)


def everything(drawn: Drawn) -> dict[str, bytes]:
    """What each step gives, as bytes."""
    form: SumShape = shape(drawn.length, drawn.clip)
    updates = [update(drawn, silo) for silo in range(drawn.silos)]
    backend = seeded(drawn.parameters, f"agree {drawn.seed}", threads=drawn.threads)
    sent = [backend.encrypt(one, weight=drawn.weight, shape=form) for one in updates]
    again, streamed = seeded(drawn.parameters, f"agree {drawn.seed}", threads=drawn.threads), io.BytesIO()
    again.encrypt_stream(updates[0], streamed, weight=drawn.weight, shape=form)

    accumulator, summed = backend.accumulator(shape=form), io.BytesIO()
    for one in sent:
        accumulator.add(one.ciphertext)
    backend.add_stream([io.BytesIO(one.ciphertext) for one in sent], summed, shape=form)

    key = backend.combine_keys([one.key for one in sent])
    total = accumulator.total()
    opened = backend.decrypt(total, key, shape=form, count=drawn.silos)
    pieces = backend.decrypt_stream(io.BytesIO(total), key, shape=form, count=drawn.silos)
    layout = drawn.parameters.layout
    return {
        "encrypt": b"".join(one.ciphertext for one in sent),
        "encrypt, in a stream": streamed.getvalue(),
        "add": total,
        "add, in a stream": summed.getvalue(),
        "combine keys": key,
        "decrypt": opened.values.tobytes(),
        "decrypt, in a stream": np.concatenate(list(pieces)).tobytes(),
        "mask": _core.sampled_mask(layout, form.context, drawn.seed % 7).tobytes(),
        "noise": _core.sampled_noise(layout, form.context, bytes(32), drawn.seed % 7).tobytes(),
    }


@given(draws())
@example(Drawn(SETS[0], 1, np.float32, 1.0, 1.0, 1, 1, 0))
@example(Drawn(SETS[1], 4096, np.float64, 2.0**100, 1.0, 2, 4, 1))
@example(Drawn(SETS[2], 3 * 4096 + 1, np.float32, 2.0**-100, 2.0**-20, 3, 2, 2))
@settings(max_examples=40, deadline=None)
def test_every_step_gives_the_same_bytes_on_every_level(drawn: Drawn) -> None:
    found = {}
    for level in LEVELS:
        with limited(level):
            found[level] = everything(drawn)
    best = found[LEVELS[0]]
    for level in LEVELS[1:]:
        assert [step for step in best if found[level][step] != best[step]] == [], level
    assert best["encrypt, in a stream"] == best["encrypt"][: len(best["add"])]
    assert best["add, in a stream"] == best["add"]
    assert best["decrypt, in a stream"] == best["decrypt"]


@given(draws(), st.sampled_from([np.nan, np.inf, -np.inf, 1.5, -1.5]))
@settings(max_examples=30, deadline=None)
def test_every_level_refuses_the_same_value(drawn: Drawn, bad: float) -> None:
    """The first of two wrong values, wherever they lie, by its index."""
    values = update(drawn, 0)
    generator = np.random.default_rng(drawn.seed)
    places = sorted(generator.integers(0, drawn.length, 2).tolist())
    values[places] = bad * drawn.clip
    said = set()
    for level in LEVELS:
        with limited(level), pytest.raises(UpdateRefused) as refused:
            seeded(drawn.parameters, "refused", threads=drawn.threads).encrypt(
                values, weight=drawn.weight, shape=shape(drawn.length, drawn.clip)
            )
        said.add(refused.value.problem)
    assert len(said) == 1 and f"value {places[0]} is" in said.pop()
