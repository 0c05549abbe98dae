"""Other recipients, the same payload to the byte; and what that does not revoke."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sealing_room import KEYS, OTHER, Parts, open_, rewrap, seal

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport.sealed import HYBRID_1024, chunks, layout

OLD, NEW = KEYS["hybrid-768"], KEYS["hybrid-1024"]
CONTENT = bytes(range(256)) * 600


@pytest.fixture(scope="module")
def file(north):
    return seal(CONTENT, north, [OLD, OTHER], context=b"trial")


def test_the_payload_stays_and_the_recipients_change(file, south, trust):
    again, done = rewrap(file, south, trust, [NEW], minimum=HYBRID_1024)
    before, after = Parts.of(file), Parts.of(again)
    assert replace(after, wrapping=before.wrapping) == before
    back, found = open_(again, trust, NEW, sender="north", context=b"trial")
    assert back == CONTENT
    assert (found.sender.name, found.wrapper.name) == ("north", "south")
    assert found.recipients == (NEW.fingerprint,)
    assert done.sender.name == done.wrapper.name == "north" and done.size == len(CONTENT)
    assert set(done.former) == {OLD.fingerprint, OTHER.fingerprint}
    for key in (OLD, OTHER):
        with pytest.raises(MessageRefused, match="not sealed to this key"):
            open_(again, trust, key, context=b"trial")


def test_a_rewrapped_file_can_be_rewrapped(file, north, south, trust):
    once, _ = rewrap(file, south, trust, [NEW])
    twice, done = rewrap(once, north, trust, [OLD, NEW], NEW)
    assert done.wrapper.name == "south"
    assert open_(twice, trust, OLD, context=b"trial")[0] == CONTENT


def test_who_is_left_out_still_reads_the_old_file_and_who_kept_the_file_key_the_new_one(file, north, south, trust):
    """The limit that docs/sealed-files.md states: the file key does not change."""
    again, _ = rewrap(file, south, trust, [NEW])
    assert open_(file, trust, OTHER, context=b"trial")[0] == CONTENT
    kept = Parts.of(file).file_key(OTHER, north)
    parts = Parts.of(again)
    key = layout.payload_key(kept, parts.parsed_header)
    opened = chunks.AESGCM(key).decrypt(chunks.nonce(0, final=False), parts.chunks[0], None)
    assert opened == CONTENT[: layout.CHUNK]


def test_what_cannot_be_rewrapped_is_refused(file, south, trust, stranger):
    with pytest.raises(MessageRefused, match="not sealed to this key"):
        rewrap(file, south, trust, [OLD], NEW)
    with pytest.raises(MessageRefused, match="sealed by 'north'"):
        rewrap(file, south, trust, [NEW], sender="west")
    with pytest.raises(CallerError, match="at least hybrid-1024"):
        rewrap(file, south, trust, [OTHER], minimum=HYBRID_1024)
    with pytest.raises(CallerError, match="0 recipients"):
        rewrap(file, south, trust, [])
    with pytest.raises(MessageRefused, match="no trusted root"):
        rewrap(file, south, stranger.trust, [NEW])


def test_a_stranger_who_rewraps_is_refused(file, stranger, trust):
    again, _ = rewrap(file, stranger.identity("north", "silo"), trust, [NEW])
    with pytest.raises(MessageRefused, match="no trusted root"):
        open_(again, trust, NEW, context=b"trial")
