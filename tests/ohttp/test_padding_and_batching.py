"""Sizes and times that say less: what policies promise, and the streams that they are for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import CallerError
from quatrefoil.ohttp import Batcher, Batching, Buckets, NoPadding, Padme, PowerOfTwo, pad_events

POLICIES = [NoPadding(), PowerOfTwo(1), PowerOfTwo(), Padme(1), Padme(), Buckets((256, 4096, 65_536))]
each_policy = pytest.mark.parametrize("policy", POLICIES, ids=repr)


@each_policy
@given(sizes=st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)))
def test_more_is_never_less_and_what_is_padded_fits(policy, sizes: tuple[int, int]) -> None:
    small, large = sorted(sizes)
    assert small <= policy.padded(small) <= policy.padded(large)
    assert policy.padded(policy.padded(large)) == policy.padded(large)


@given(st.integers(1, 1 << 40))
def test_padme_costs_at_most_twelve_percent_and_a_power_of_two_less_than_the_size(size: int) -> None:
    assert Padme(1).padded(size) <= size * 1.12 + 1e-9
    assert PowerOfTwo(1).padded(size) < 2 * size


def test_padme_is_that_of_its_paper() -> None:
    def paper(size: int) -> int:
        exponent = math.floor(math.log2(size))
        kept = math.floor(math.log2(exponent)) + 1
        mask = (1 << (exponent - kept)) - 1
        return (size + mask) & ~mask

    assert [Padme(1).padded(size) for size in range(2, 5000)] == [paper(size) for size in range(2, 5000)]


def test_few_sizes_are_left() -> None:
    assert len({Padme().padded(size) for size in range(1, 1 << 16)}) < 130
    assert {PowerOfTwo().padded(size) for size in range(1, 1 << 16)} == {1 << one for one in range(8, 17)}
    assert {Buckets((100, 1000)).padded(size) for size in range(1, 2500)} == {100, 1000, 2000, 3000}


@pytest.mark.parametrize("sizes", [(), (0,), (2, 1), (1, 1), (-1, 5)])
def test_buckets_that_are_none_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(CallerError):
        Buckets(sizes)


@pytest.mark.parametrize("kind", [Padme, PowerOfTwo])
def test_a_least_size_below_one_is_refused(kind) -> None:
    with pytest.raises(CallerError):
        kind(0)


@each_policy
@given(tokens=st.lists(st.text(alphabet="abc é\n", max_size=20).map(lambda text: text.replace("\n", " ")), max_size=5))
def test_events_are_filled_up_with_what_their_readers_skip(policy, tokens: list[str]) -> None:
    events = "".join(f"data: {token}\n\n" for token in tokens).encode()
    padded = pad_events(events, policy)
    assert policy.padded(len(padded)) == len(padded)
    seen = [line for line in padded.split(b"\n") if line and not line.startswith(b":")]
    assert seen == [line for line in events.split(b"\n") if line]
    assert padded.endswith(b"\n\n") or not padded


@pytest.mark.parametrize("events", [b"data: x", b"data: x\n", b":"])
def test_half_an_event_is_not_padded(events: bytes) -> None:
    with pytest.raises(CallerError, match="whole events"):
        pad_events(events, PowerOfTwo())


def test_without_batching_each_part_goes_out_at_once() -> None:
    batcher = Batcher(Batching(), now=5.0)
    assert batcher.add(b"a") == b"a" and batcher.deadline is None and batcher.due(1e9) is None


def test_parts_go_out_at_ticks_that_do_not_depend_on_them() -> None:
    batcher = Batcher(Batching(window=0.1), now=5.0)
    assert batcher.deadline == pytest.approx(5.1)
    assert batcher.add(b"a") is None and batcher.add(b"b") is None and batcher.due(5.09) is None
    assert batcher.due(5.1 + 1e-9) == b"ab"
    assert batcher.deadline == pytest.approx(5.2)
    assert batcher.due(5.2 + 1e-9) == b""
    assert batcher.add(b"c") is None and batcher.due(7.03) == b"c"
    assert batcher.deadline == pytest.approx(7.1)


def test_a_full_batch_goes_out_before_its_tick() -> None:
    batcher = Batcher(Batching(window=1.0, most=3), now=0.0)
    assert [batcher.add(one) for one in (b"a", b"b", b"c", b"d")] == [None, None, b"abc", None]
    assert batcher.flush() == b"d" and batcher.flush() == b""


@given(
    st.lists(st.tuples(st.floats(0, 5), st.binary(min_size=1, max_size=4)), max_size=30),
    st.floats(0.01, 1),
    st.integers(0, 5),
)
def test_nothing_is_lost_moved_or_doubled(parts, window: float, most: int) -> None:
    batcher, now, out = Batcher(Batching(window, most), now=0.0), 0.0, []
    for wait, part in parts:
        now += wait
        out += [batcher.due(now) or b"", batcher.add(part) or b""]
    assert b"".join(out) + batcher.flush() == b"".join(part for _, part in parts)


@pytest.mark.parametrize(("window", "most"), [(-1.0, 0), (61.0, 0), (float("nan"), 0), (0.1, -1)])
def test_batching_that_is_none_is_refused(window: float, most: int) -> None:
    with pytest.raises(CallerError):
        Batching(window, most)
