"""Every message of the protocol: it reads back, and damage to it raises nothing but the errors of the tree."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import MessageRefused, QuatrefoilError
from quatrefoil.federation import messages
from quatrefoil.federation.vectors import ArrayLayout, Layout
from quatrefoil.wire import WireObject, type_of

KINDS = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if issubclass(kind, WireObject) and kind not in (WireObject, Layout)
]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values that a field of this type may hold."""
    if typing.get_origin(kind) is tuple:
        return st.lists(values(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if kind is Layout:
        arrays = st.builds(
            ArrayLayout, st.lists(st.integers(1, 9), max_size=3).map(tuple), st.sampled_from(["<f4", "<f8"])
        )
        return st.lists(arrays, min_size=1, max_size=3).map(tuple).map(Layout)
    if isinstance(kind, type) and issubclass(kind, WireObject):
        return of(kind)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 2**64 - 1),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=20),
        bytes: st.binary(max_size=40),
    }
    return plain[kind]


def of(kind: type[WireObject]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, *(values(hints[field.name]) for field in dataclasses.fields(kind)))


anything = st.sampled_from(KINDS).flatmap(of)


def test_there_are_as_many_kinds_as_documented() -> None:
    assert len(KINDS) == 21
    assert len({kind.TYPE for kind in KINDS}) == 21
    assert all(kind.TYPE.startswith("urn:quatrefoil:") and kind.VERSION == 1 for kind in KINDS)


@given(anything)
def test_it_reads_back(message: WireObject) -> None:
    assert type(message).decode(message.encode()) == message
    assert type_of(message.encode()) == message.TYPE


@given(anything, st.data())
def test_one_turned_bit_is_refused_or_another_message(message: WireObject, data: st.DataObject) -> None:
    content = bytearray(message.encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(QuatrefoilError):
        decoded = type(message).decode(bytes(content))
        assert decoded.digest() != message.digest()


@given(anything, st.data())
def test_cut_off_or_longer_is_refused(message: WireObject, data: st.DataObject) -> None:
    content = message.encode()
    with pytest.raises(MessageRefused):
        type(message).decode(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(MessageRefused):
        type(message).decode(content + data.draw(st.binary(min_size=1, max_size=5)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_message_passes_for_another(kind: type[WireObject]) -> None:
    @given(of(kind))
    def check(message: WireObject) -> None:
        for other in KINDS:
            if other is not kind:
                with pytest.raises(MessageRefused, match="expected"):
                    other.decode(message.encode())

    check()


def test_every_bit_of_a_real_offer() -> None:
    """All of them, not some: an offer has a nested object, numbers, a float and bytes."""
    context = messages.RoundContext(bytes(32), 1, 0, bytes(32), bytes(32), 10, 0.1, 2.0, b"", bytes(40))
    content = messages.RoundOffer(context, b"evidence").encode()
    for position in range(len(content)):
        for bit in range(8):
            turned = bytearray(content)
            turned[position] ^= 1 << bit
            with contextlib.suppress(QuatrefoilError):
                assert messages.RoundOffer.decode(bytes(turned)).encode() == bytes(turned)
