"""Messages as bytes: one form each, and nothing but ``MessageRefused`` for anything else."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil import wire
from quatrefoil.errors import MessageRefused
from quatrefoil.wire import WireObject, type_of


@dataclass(frozen=True)
class Inner(WireObject):
    TYPE: ClassVar[str] = "urn:test:inner"
    name: str


@dataclass(frozen=True)
class Outer(WireObject):
    TYPE: ClassVar[str] = "urn:test:outer"
    VERSION: ClassVar[int] = 3
    count: int
    ratio: float
    yes: bool
    name: str
    content: bytes
    inner: Inner
    many: tuple[Inner, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Twin(WireObject):
    """The fields of :class:`Inner` under another type."""

    TYPE: ClassVar[str] = "urn:test:twin"
    name: str


inners = st.builds(Inner, st.text())
outers = st.builds(
    Outer,
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(),
    st.binary(),
    inners,
    st.lists(inners, max_size=4).map(tuple),
    st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
)
EXAMPLE = Outer(7, 0.5, True, "a", b"\x01", Inner("b"), (Inner("c"), Inner("d")), (1, 2))


def form(fields: list[Any] | None = None, *, kind: Any = Outer.TYPE, version: Any = 3) -> bytes:
    content = EXAMPLE._as_cbor()[2] if fields is None else fields
    return cbor2.dumps([kind, version, content], canonical=True)


def changed(position: int, value: Any) -> bytes:
    fields = EXAMPLE._as_cbor()[2]
    fields[position] = value
    return form(fields)


@given(outers)
def test_an_object_reads_back_as_it_was_written(message: Outer) -> None:
    assert Outer.decode(message.encode()) == message
    assert type_of(message.encode()) == Outer.TYPE


@given(outers, outers)
def test_two_objects_have_the_same_digest_only_if_they_are_the_same(one: Outer, other: Outer) -> None:
    assert (one.digest() == other.digest()) == (one.encode() == other.encode())


def test_the_form_is_the_documented_one() -> None:
    assert Inner("b").encode().hex() == "83" + "6e" + b"urn:test:inner".hex() + "01" + "81" + "6162"


def test_the_same_fields_under_another_type_have_another_digest_and_are_refused() -> None:
    assert Inner("b").digest() != Twin("b").digest()
    with pytest.raises(MessageRefused, match=r"expected urn:test:twin, received 'urn:test:inner'"):
        Twin.decode(Inner("b").encode())


def test_not_a_number_has_one_form() -> None:
    assert math.isnan(Outer.decode(changed(1, float("nan"))).ratio)
    payload = form().replace(cbor2.dumps(0.5, canonical=True), bytes.fromhex("f97e01"))
    with pytest.raises(MessageRefused, match="deterministic"):
        Outer.decode(payload)


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not well-formed"),
    "no array": (cbor2.dumps({"type": 1}), "not a .type, version, fields. array"),
    "two elements": (cbor2.dumps(["urn:test:outer", 3]), "array"),
    "fields that are no list": (form("abc"), "array"),  # type: ignore[arg-type]
    "another type": (form(kind="urn:test:other"), "expected urn:test:outer"),
    "a number as type": (form(kind=5), "expected urn:test:outer"),
    "an enormous number as type": (form(kind=10**6000), "not well-formed"),
    "another version": (form(version=4), "version 4 is not 3"),
    "true as version": (form(version=True), "version True"),
    "a float as version": (form(version=3.0), "version 3.0"),
    "an enormous version": (form(version=10**6000), "not well-formed"),
    "a missing field": (form(EXAMPLE._as_cbor()[2][:-1]), "7 fields, not 8"),
    "a surplus field": (form([*EXAMPLE._as_cbor()[2], 1]), "9 fields, not 8"),
    "true as int": (changed(0, True), "count is bool, not int"),
    "a float as int": (changed(0, 7.0), "count is float"),
    "a negative int": (changed(0, -1), "outside 0 to 2.64-1"),
    "the smallest int": (changed(0, -(2**63)), "outside 0 to 2.64-1"),
    "an int of 65 bits": (changed(0, 2**64), "not well-formed"),
    "an int as float": (changed(1, 1), "ratio is int"),
    "an int as bool": (changed(2, 1), "yes is int"),
    "bytes as text": (changed(3, b"a"), "name is bytes"),
    "text as bytes": (changed(4, "a"), "content is str"),
    "null": (changed(4, None), "content is NoneType"),
    "undefined": (changed(4, cbor2.undefined), "content is"),
    "another object inside": (changed(5, Twin("b")._as_cbor()), "expected urn:test:inner"),
    "text for an object": (changed(5, "b"), "Inner is not a"),
    "an object for a list": (changed(6, {"a": 1}), "many is not a list"),
    "one wrong element": (changed(7, [1, "2"]), r"numbers\[1\] is str"),
    "bytes after the end": (form() + b"\x00", "deterministic|not well-formed"),
    "a second object after the end": (form() + form(), "deterministic|not well-formed"),
    "cut off": (form()[:-1], "not well-formed"),
    "a map for the whole": (cbor2.dumps({0: "urn:test:outer"}), "array"),
}


@pytest.mark.parametrize(("data", "problem"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        Outer.decode(data)


def head(major: int, argument: bytes) -> bytes:
    """A CBOR head whose length is written in ``argument``."""
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[len(argument)]]) + argument


NOT_DETERMINISTIC = {
    "a length in more bytes than it needs": form().replace(b"\x83\x6eurn:test:outer", b"\x83\x78\x0eurn:test:outer"),
    "a number in more bytes than it needs": form().replace(b"\x82\x01\x02", b"\x82\x18\x01\x02"),
    "a float in more bytes than it needs": form().replace(
        cbor2.dumps(0.5, canonical=True), b"\xfb" + bytes.fromhex("3fe0000000000000")
    ),
    "an array of indefinite length": form().replace(b"\x82\x01\x02", b"\x9f\x01\x02\xff"),
    "text in chunks": form().replace(b"\x61a", b"\x7f\x61a\xff"),
}


@pytest.mark.parametrize("data", NOT_DETERMINISTIC.values(), ids=NOT_DETERMINISTIC)
def test_another_encoding_of_the_same_object_is_refused(data: bytes) -> None:
    assert data != form(), "the case changes nothing"
    with pytest.raises(MessageRefused):
        Outer.decode(data)


@pytest.mark.parametrize("depth", [10, 100, 399, 401, 5000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    for opened in (b"\x81", b"\xa1\x00", b"\xc1", b"\x9f"):
        for data in (opened * depth + b"\x00", b"\x83" + opened * depth + b"\x00\x01\x80"):
            with pytest.raises(MessageRefused):
                Outer.decode(data)
            with pytest.raises(MessageRefused):
                type_of(data)


@pytest.mark.parametrize("major", [2, 3, 4, 5])
@pytest.mark.parametrize("length", [2**31, 2**40, 2**62, 2**63 - 1, 2**64 - 1])
def test_a_length_that_the_data_does_not_hold_allocates_nothing(major: int, length: int) -> None:
    with pytest.raises(MessageRefused, match="not well-formed"):
        Outer.decode(head(major, length.to_bytes(8, "big")) + b"a")


@pytest.mark.parametrize("tag", [*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**32])
def test_no_tag_is_understood(tag: int) -> None:
    """A tag has no place in any message, and some build objects (regular expressions, shared references)."""
    for content in ("2030-01-01", 1, b"\x01", [1, 2], "(?:a)"):
        with pytest.raises(MessageRefused):
            type_of(cbor2.dumps([cbor2.CBORTag(tag, content), 1, []]))
        with pytest.raises(MessageRefused, match="not well-formed"):
            Outer.decode(changed(4, cbor2.CBORTag(tag, content)))


def test_references_cannot_make_a_short_message_long() -> None:
    """A text said once and referred to a thousand times would otherwise be a message a thousand times its size."""
    shared = head(6, b"\x1c") + cbor2.dumps("x" * 10_000)
    data = b"\x83" + cbor2.dumps("urn:test:outer") + b"\x03" + head(4, b"\x03\xe9") + shared + b"\xd8\x1d\x00" * 1000
    with pytest.raises(MessageRefused, match="not well-formed"):
        Outer.decode(data)


def test_over_the_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = EXAMPLE.encode()
    monkeypatch.setattr(wire, "LARGEST_MESSAGE", len(data))
    assert Outer.decode(data) == EXAMPLE
    with pytest.raises(MessageRefused, match=f"{len(data) + 1} bytes is over the limit of {len(data)}"):
        Outer.decode(data + b"\x00")
    with pytest.raises(MessageRefused, match="over the limit"):
        type_of(data + b"\x00")


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x81\x01", b"\xa0", b"\x01", b"\xff", b"\x83\x41a"])
def test_type_of_refuses_what_names_no_type(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        type_of(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for read in (Outer.decode, type_of):
        with contextlib.suppress(MessageRefused):
            read(data)


@given(outers, st.data())
def test_no_damaged_message_raises_anything_else_or_reads_as_the_same(message: Outer, data: st.DataObject) -> None:
    encoded = bytearray(message.encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decoded = Outer.decode(bytes(encoded))
    except MessageRefused:
        return
    assert decoded.encode() != message.encode()


def test_a_class_with_a_field_that_cannot_be_sent_is_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Wrong(WireObject):
        TYPE: ClassVar[str] = "urn:test:wrong"
        value: complex

    with pytest.raises(TypeError, match="cannot be sent"):
        Wrong._from_cbor([Wrong.TYPE, 1, [1]])
