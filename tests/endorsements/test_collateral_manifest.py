"""The manifest is read strictly or not at all: what it encodes is what it decodes, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.endorsements.manifest import NAME, Entry, Manifest
from quatrefoil.endorsements.parts import Part
from quatrefoil.errors import StateCorrupt

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENTRY = Entry(
    "amd-milan-vcek.crl",
    "revocation list of Milan",
    ("https://kdsintf.amd.com/vcek/v1/Milan/crl",),
    NOON,
    "ab" * 32,
    (Part("revocation list of ARK-Milan", NOON, NOON + timedelta(days=365)), Part("other", NOON, None)),
)
GOOD = Manifest((ENTRY,))

times = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.builds(
    Entry,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}\.(pem|der|crl|json)", fullmatch=True),
    words,
    st.lists(words, max_size=8).map(tuple),
    times,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.lists(st.builds(Part, words, times, st.none() | times), max_size=4).map(tuple),
)


@given(st.lists(entries, max_size=4))
def test_what_is_written_reads_back(made: list[Entry]) -> None:
    manifest = Manifest().with_entries(tuple(made))
    assert Manifest.decode(manifest.encode()) == manifest


def test_the_empty_one() -> None:
    assert Manifest.decode(Manifest().encode()) == Manifest()


def test_the_name_is_one_that_verification_leaves_alone() -> None:
    from quatrefoil.enclave.collateral import ENDINGS

    assert not NAME.endswith(tuple(ENDINGS))


def test_later_entries_replace_earlier_ones() -> None:
    later = Entry(ENTRY.name, "x", (), NOON, "cd" * 32, ())
    assert GOOD.with_entries((later,)).entries == (later,)


def changed(**fields: Any) -> dict[str, Any]:
    value = json.loads(GOOD.encode())
    for name, new in fields.items():
        *path, last = name.split("__")
        place = value["files"][0] if path == ["file"] else value["files"][0]["parts"][0] if path else value
        place.pop(last) if new is ... else place.__setitem__(last, new)
    return value  # type: ignore[no-any-return]


BAD = {
    "another type": changed(type="urn:quatrefoil:evidence"),
    "another version": changed(version=2),
    "a version that is true": changed(version=True),
    "no files": changed(files=...),
    "files that are none": changed(files={}),
    "a file that is none": changed(files=[7]),
    "more fields": changed(more=1),
    "more fields of a file": changed(file__more=1),
    "a path": changed(file__name="../../etc/cron.d/x.pem"),
    "a hidden file": changed(file__name=".x.pem"),
    "the manifest itself": changed(file__name=NAME),
    "a folder": changed(file__name="a/b.pem"),
    "no hash": changed(file__sha256="ab"),
    "a hash in capitals": changed(file__sha256="AB" * 32),
    "sources that are none": changed(file__sources="https://a/"),
    "a source that is none": changed(file__sources=[1]),
    "too many sources": changed(file__sources=["x"] * 9),
    "no date": changed(file__fetched_at="yesterday"),
    "a date without zone": changed(file__fetched_at="2026-06-01T12:00:00"),
    "a date out of form": changed(file__fetched_at="2026-6-1T12:00:00Z"),
    "too many parts": changed(file__parts=[{"name": "x", "since": "2026-06-01T12:00:00Z", "until": None}] * 65),
    "a part without end": changed(part__x__until=...),
    "an end that is a number": changed(part__x__until=7),
    "twice": changed(files=json.loads(GOOD.encode())["files"] * 2),
    "too many": changed(files=json.loads(GOOD.encode())["files"] * 65),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(StateCorrupt, match=r"Remove collateral\.manifest and fetch again"):
        Manifest.decode(json.dumps(BAD[name], indent=1, sort_keys=True).encode() + b"\n")


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 10000, GOOD.encode()[:-1], GOOD.encode() + b"\n", GOOD.encode()[:99]],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateCorrupt):
        Manifest.decode(data)


def test_the_same_in_another_form_is_refused() -> None:
    with pytest.raises(StateCorrupt, match="not written as"):
        Manifest.decode(json.dumps(json.loads(GOOD.encode())).encode())
