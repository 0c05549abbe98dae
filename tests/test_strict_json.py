"""JSON with one reading: what readers differ about is refused."""

from __future__ import annotations

import pytest

from quatrefoil.errors import EvidenceRejected
from quatrefoil.strict_json import parse

QUOTES = b'\\"' * 1_000_000


@pytest.mark.parametrize("data", [b'"' + QUOTES, b'"' + QUOTES + b"\\", b'["' + QUOTES, QUOTES])
def test_a_string_that_does_not_end_is_looked_through_once(data):
    """From each of its quotes to the end of the data it would be hours."""
    with pytest.raises(EvidenceRejected, match="JSONDecodeError"):
        parse(data, "it", limit=1 << 22)


@pytest.mark.parametrize("data", [b"[" * 17 + b"]" * 17, b'{"a":' * 17 + b"1" + b"}" * 17, b"[" * 1_000_000])
def test_deep_nesting_is_refused_whatever_stands_in_strings(data):
    with pytest.raises(EvidenceRejected, match="nested deeper"):
        parse(data, "it", limit=1 << 22)
    assert parse(b'["' + b"[" * 17 + b'"]', "it", limit=100) == ["[" * 17]


@pytest.mark.parametrize("data", [b"9007199254740993", b"-9007199254740993", b"[" + b"1" * 5000 + b"]"])
def test_integers_that_readers_round_are_refused_unless_the_caller_reads_them(data):
    with pytest.raises(EvidenceRejected, match="beyond 2"):
        parse(data, "it", limit=1 << 22)
    assert parse(b"[9007199254740993]", "it", limit=99, integer=int) == [9007199254740993]
