"""Containers that were altered, mixed or put back are refused, and nothing of them is written."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from release_policies import policy
from sealing_models import ABOUT, BROKER, ED25519, EXPECTED, Parts, open_bytes, opened, owner, seal_bytes

from quatrefoil.errors import CallerError, MessageRefused, QuatrefoilError
from quatrefoil.resources import Resource, seal_key, verify
from quatrefoil.resources.container import SealedModel, claimed_time, layout, opened_front
from quatrefoil.resources.container.layout import CHUNK, FOOTER, MAGIC, TAG, Geometry, Head, Keys, Manifest
from quatrefoil.resources.container.seen import expecting, remember
from quatrefoil.state import MemoryState
from quatrefoil.transport import PostQuantumTransport, TrustAnchor, system_clock
from quatrefoil.transport.sealed import SUITES, Judged, RecipientKey
from quatrefoil.transport.sealed.chunks import nonce
from quatrefoil.transport.statement import Signed
from support import Consortium, days_from_now

CONTENT = bytes(range(256)) * (2 * CHUNK // 256) + b"the end"
SMALL = b"a small model"


def same_random() -> Any:
    """A source of randomness that gives each container the same key and salt: what no honest owner does."""
    return lambda size: b"\x05" * size


KEYS = Keys.derive(b"\x05" * 32, b"\x05" * 32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, north: PostQuantumTransport) -> bytes:
    return seal_bytes(CONTENT, owner(north), tmp_path_factory.mktemp("whole"), random=same_random())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, north: PostQuantumTransport) -> bytes:
    return seal_bytes(SMALL, owner(north), tmp_path_factory.mktemp("small"), random=same_random())


def refused(container: bytes, folder: Path, trust: TrustAnchor, said: str = "", **more: Any) -> None:
    with pytest.raises(MessageRefused, match=said or None) as error:
        open_bytes(container, folder, trust, **more)
    assert error.value.hint


# ----------------------------------------------------------------------------------------------------------- damage


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    """Every byte of magic, chunk, page, head and footer; of the trailer every byte of its ends, and every 53rd."""
    trailer = len(Parts.of(small).body)
    ends = [*range(len(small) - FOOTER, len(small)), *range(len(small) - FOOTER - 1300, len(small) - FOOTER, 7)]
    for position in sorted({*range(trailer + 64), *range(trailer, len(small), 53), *ends}):
        altered = bytearray(small)
        altered[position] ^= 1 << position % 8
        refused(bytes(altered), tmp_path, trust)


def test_flipped_bits_in_every_part_of_a_larger_one_are_refused(
    tmp_path: Path, whole: bytes, trust: TrustAnchor
) -> None:
    place = Geometry(len(CONTENT))
    for position in (
        *(place.chunk_at(number) + at for number in range(3) for at in (0, 7)),
        *(place.chunk_at(number) - 1 for number in (1, 2)),
        place.page_at(0),
        place.page_at(0) + 100,
        place.head_at,
    ):
        altered = bytearray(whole)
        altered[position] ^= 0x10
        refused(bytes(altered), tmp_path, trust, threads=2)


def test_a_part_that_is_not_read_may_be_damaged(tmp_path: Path, whole: bytes, trust: TrustAnchor) -> None:
    """Random access: a chunk is verified when it is read, and others are not."""
    altered = bytearray(whole)
    altered[Geometry(len(CONTENT)).chunk_at(1)] ^= 1
    (tmp_path / "c").write_bytes(altered)
    with opened(tmp_path / "c", trust) as model:
        assert model.read(10, 20) == CONTENT[10:30]
        assert model.read(2 * CHUNK, 100) == b"the end"
        with pytest.raises(MessageRefused, match="chunk 1 of the container does not open"):
            model.read(CHUNK - 1, 2)


def test_a_container_that_is_cut_off_is_refused(tmp_path: Path, whole: bytes, small: bytes, trust: TrustAnchor) -> None:
    for cut in (0, 1, 25, 26, 30, 100, len(small) - FOOTER, len(small) - 27, len(small) - 1):
        refused(small[:cut], tmp_path, trust)
    for cut in (CHUNK, 2 * (CHUNK + TAG), len(whole) - 1):
        refused(whole[:cut], tmp_path, trust)


def test_a_chunk_that_is_left_out_with_the_end_kept_is_refused(
    tmp_path: Path, whole: bytes, trust: TrustAnchor
) -> None:
    first, second = Geometry(len(CONTENT)).chunk_at(0), Geometry(len(CONTENT)).chunk_at(1)
    refused(whole[:first] + whole[second:], tmp_path, trust)


@pytest.mark.parametrize("more", [b"\x00", MAGIC, b"x" * 1000])
def test_bytes_after_the_end_or_before_the_trailer_are_refused(
    tmp_path: Path, small: bytes, trust: TrustAnchor, more: bytes
) -> None:
    refused(small + more, tmp_path, trust)
    parts = Parts.of(small)
    refused(replace(parts, body=parts.body + more).whole, tmp_path, trust, "head of the container does not open")
    refused(MAGIC + more + small[len(MAGIC) :], tmp_path, trust)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 32) - 1])
def test_a_trailer_of_another_length_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor, length: int) -> None:
    refused(small[:-FOOTER] + length.to_bytes(4, "big") + MAGIC, tmp_path, trust)


@pytest.mark.parametrize("content", [b"", b"quatrefoil sealed file 1\n", bytes(100), MAGIC, MAGIC + bytes(4) + MAGIC])
def test_what_is_no_container_is_refused(tmp_path: Path, trust: TrustAnchor, content: bytes) -> None:
    refused(content, tmp_path, trust)


# ------------------------------------------------------------------------------------------------- parts that are mixed


def _moved(container: bytes, length: int, order: list[int]) -> bytes:
    """The chunks of a container in another order; the last one, which is shorter, stays."""
    place = Geometry(length)
    chunks = [container[place.chunk_at(n) : place.chunk_at(n) + CHUNK + TAG] for n in order]
    return container[: place.chunk_at(0)] + b"".join(chunks) + container[place.chunk_at(len(order)) :]


@pytest.mark.parametrize("order", [[1, 0], [0, 0], [1, 1]])
def test_chunks_that_are_moved_or_repeated_are_refused(
    tmp_path: Path, whole: bytes, trust: TrustAnchor, order: list[int]
) -> None:
    refused(_moved(whole, len(CONTENT), order), tmp_path, trust, "does not open")


def test_a_chunk_of_another_container_is_refused(
    tmp_path: Path, whole: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    other = seal_bytes(CONTENT, owner(north), tmp_path)
    begin = Geometry(len(CONTENT)).chunk_at(0)
    refused(
        whole[:begin] + other[begin : begin + CHUNK + TAG] + whole[begin + CHUNK + TAG :], tmp_path, trust, "chunk 0"
    )


def test_a_chunk_of_another_container_under_the_same_key_is_refused_by_the_root(
    tmp_path: Path, whole: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    """Whoever holds the key can make chunks that AES-GCM opens: a recipient, or a broker. The root stops them."""
    other = seal_bytes(b"\xff" * len(CONTENT), owner(north), tmp_path, random=same_random())
    begin = Geometry(len(CONTENT)).chunk_at(0)
    mixed = whole[:begin] + other[begin : begin + CHUNK + TAG] + whole[begin + CHUNK + TAG :]
    refused(mixed, tmp_path, trust, "chunk 0 of the container is not in its root")


@pytest.mark.parametrize("part", ["page", "head"])
def test_an_index_of_another_container_under_the_same_key_is_refused(
    tmp_path: Path, whole: bytes, north: PostQuantumTransport, trust: TrustAnchor, part: str
) -> None:
    other = seal_bytes(b"\xff" * len(CONTENT), owner(north), tmp_path, random=same_random())
    place = Geometry(len(CONTENT))
    begin, end = (place.page_at(0), place.head_at) if part == "page" else (place.head_at, len(Parts.of(whole).body))
    mixed = whole[:begin] + other[begin:end] + whole[end:]
    refused(mixed, tmp_path, trust, "does not lead to its root" if part == "head" else "is not in its root")


def test_a_trailer_of_another_container_is_refused(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    other = seal_bytes(b"b small model", owner(north), tmp_path)
    refused(replace(Parts.of(small), trailer=Parts.of(other).trailer).whole, tmp_path, trust, "does not open")
    same_key = seal_bytes(b"b small model", owner(north), tmp_path, random=same_random())
    mixed = replace(Parts.of(small), trailer=Parts.of(same_key).trailer).whole
    refused(mixed, tmp_path, trust, "does not lead to its root")


@pytest.mark.parametrize("field", ["resource", "manifest", "ed25519", "keys"])
def test_one_part_of_another_trailer_is_refused(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor, field: str
) -> None:
    other = Parts.of(seal_bytes(b"b small model", owner(north), tmp_path))
    refused(Parts.of(small).with_(**{field: getattr(other.trailer, field)}).whole, tmp_path, trust)


# ------------------------------------------------------------------------------------------------ other people's words


def test_a_manifest_signed_by_another_member_is_refused(
    tmp_path: Path, small: bytes, south: PostQuantumTransport, trust: TrustAnchor
) -> None:
    parts = Parts.of(small)
    body = Signed.decode(parts.trailer.manifest).body
    refused(parts.with_(manifest=south.sign(body)).whole, tmp_path, trust, "manifest is signed by 'south'")


def test_another_member_cannot_pass_it_off_as_its_own(
    tmp_path: Path, small: bytes, south: PostQuantumTransport, trust: TrustAnchor
) -> None:
    """The attack: south signs the same words anew. The brokers' sealed keys are bound to north's statement."""
    forged = _resigned(small, south)
    refused(forged.whole, tmp_path, trust, "belongs to another resource", expected=replace(EXPECTED, owner="south"))
    kept = forged.with_(keys=Parts.of(small).trailer.keys)
    refused(kept.whole, tmp_path, trust, expected=replace(EXPECTED, owner="south"))


def test_a_stranger_is_refused(tmp_path: Path, small: bytes, stranger: Consortium, trust: TrustAnchor) -> None:
    refused(_resigned(small, stranger.transport("north", "silo")).whole, tmp_path, trust)


def test_another_owner_is_refused(tmp_path: Path, south: PostQuantumTransport, trust: TrustAnchor) -> None:
    theirs = seal_bytes(SMALL, owner(south), tmp_path)
    refused(theirs, tmp_path, trust, "its owner is 'south', not 'north'")


def test_a_looser_policy_is_refused(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    """Even with the owner's own signature: the broker's sealed key and the manifest are bound to the first policy."""
    parts = Parts.of(small)
    looser = replace(
        Resource.decode(Signed.decode(parts.trailer.resource).body),
        policy=policy("longest_lease_s = 3600", "longest_lease_s = 999999").encode(),
    )
    refused(parts.with_(resource=north.sign(looser.encode())).whole, tmp_path, trust, "under another policy")


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(63)])
def test_a_container_without_its_ed25519_signature_is_refused(
    tmp_path: Path, small: bytes, trust: TrustAnchor, signature: bytes
) -> None:
    refused(Parts.of(small).with_(ed25519=signature).whole, tmp_path, trust, "Ed25519 signature")


def test_an_ed25519_signature_of_another_key_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    parts = Parts.of(small)
    manifest = Manifest.decode(Signed.decode(parts.trailer.manifest).body)
    forged = Ed25519PrivateKey.generate().sign(manifest.signed_by_ed25519())
    refused(parts.with_(ed25519=forged).whole, tmp_path, trust, "Ed25519 signature")
    bare = ED25519.sign(manifest.encode())
    refused(parts.with_(ed25519=bare).whole, tmp_path, trust, "Ed25519 signature")


def test_who_knows_the_owners_ed25519_key_need_not_believe_ml_dsa(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    """The attack: ML-DSA is broken. The forger signs as north, with an Ed25519 key of their own."""
    known = replace(EXPECTED, ed25519=ED25519.public_key().public_bytes_raw())
    assert open_bytes(small, tmp_path, trust, expected=known) == SMALL
    forged = seal_bytes(SMALL, owner(north, Ed25519PrivateKey.generate()), tmp_path)
    refused(forged, tmp_path, trust, "Ed25519 key is not the one that you know", expected=known)


def test_a_certificate_that_has_expired_is_refused_unless_judged_at_the_claimed_time(
    tmp_path: Path, consortium: Consortium, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    now = int(consortium.clock().timestamp())
    container = seal_bytes(SMALL, owner(north), tmp_path, about=replace(ABOUT, made_at=now))
    later = days_from_now(200)
    refused(container, tmp_path, trust, "expired", clock=later)
    listed = consortium.trust_with(consortium.list_of(clock=later))
    assert open_bytes(container, tmp_path, listed, clock=later, judged=Judged.AT_CLAIMED_TIME) == SMALL
    to_come = seal_bytes(SMALL, owner(north), tmp_path, about=replace(ABOUT, made_at=now + 86400))
    refused(to_come, tmp_path, trust, "still to come")


# ----------------------------------------------------------------------------------------------- owners that contradict


def _resigned(container: bytes, by: PostQuantumTransport, **changes: Any) -> Parts:
    """The manifest with fields changed, and everything signed anew by ``by`` and with the Ed25519 key of ``north``."""
    parts = Parts.of(container)
    resource = by.sign(Signed.decode(parts.trailer.resource).body)
    manifest = replace(
        Manifest.decode(Signed.decode(parts.trailer.manifest).body),
        **{"resource": hashlib.sha256(resource).digest()} | changes,
    )
    return parts.with_(
        resource=resource, manifest=by.sign(manifest.encode()), ed25519=ED25519.sign(manifest.signed_by_ed25519())
    )


def _for_broker(parts: Parts, north: PostQuantumTransport) -> Parts:
    owned = verify(parts.trailer.resource, north.verify)
    return parts.with_(keys=(seal_key(owned, b"\x05" * 32, BROKER.recipient.public),))


def test_what_is_signed_anew_opens(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    assert open_bytes(_for_broker(_resigned(small, north), north).whole, tmp_path, trust) == SMALL


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"length": 12}, "head of the container does not open"),
        ({"length": 14}, "head of the container does not open"),
        ({"length": 1 << 40}, "does not have the length"),
        ({"length": 1 << 49}, "is over"),
        ({"length": 0}, "does not open"),
        ({"salt": b"\x06" * 32}, "does not open"),
        ({"salt": b""}, "the salt in the manifest"),
        ({"cipher": "AES-256-GCM"}, "is encrypted with 'AES-256-GCM'"),
        ({"content": "tensors"}, "the header is not one of tensors"),
        ({"content": "pickle"}, "unknown form 'pickle'"),
        ({"media": "No word"}, "in a word"),
        ({"media": "x" * 33}, "in a word"),
        ({"resource": b"\x01" * 32}, "belongs to another resource"),
        ({"ed25519": b""}, "the ed25519 in the manifest"),
        ({"ed25519": b"\x01" * 32}, "Ed25519 signature"),
    ],
)
def test_a_manifest_that_contradicts_the_container_is_refused(
    tmp_path: Path,
    small: bytes,
    north: PostQuantumTransport,
    trust: TrustAnchor,
    changes: dict[str, Any],
    said: str,
) -> None:
    refused(_for_broker(_resigned(small, north, **changes), north).whole, tmp_path, trust, said)


def _with_head(container: bytes, head: bytes) -> bytes:
    parts, at = Parts.of(container), Geometry(len(SMALL)).head_at
    sealed = AESGCM(KEYS.index).encrypt(nonce(1, final=True), head, None)
    return replace(parts, body=parts.body[:at] + sealed).whole


def _head(container: bytes) -> Head:
    parts, at = Parts.of(container), Geometry(len(SMALL)).head_at
    return Head.decode(AESGCM(KEYS.index).decrypt(nonce(1, final=True), parts.body[at:], None))


def test_a_head_made_by_who_holds_the_key_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    head = _head(small)
    assert open_bytes(_with_head(small, head.encode()), tmp_path, trust) == SMALL
    for forged, said in (
        (replace(head, pages=bytes(32)), "does not lead to its root"),
        (replace(head, pages=head.pages + bytes(32)), "does not have 1 pages"),
        (replace(head, pages=b""), "does not have 1 pages"),
        (replace(head, header=head.header.replace(b"13", b"14")), "header of the content is not in its root"),
        (replace(head, header=b""), "header of the content is not in its root"),
    ):
        refused(_with_head(small, forged.encode()), tmp_path, trust, said)
    refused(_with_head(small, b""), tmp_path, trust)


def test_a_page_that_is_passed_off_as_the_head_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    parts, place = Parts.of(small), Geometry(len(SMALL))
    page = parts.body[place.page_at(0) : place.head_at]
    refused(replace(parts, body=parts.body[: place.head_at] + page).whole, tmp_path, trust, "head of the container")


# ---------------------------------------------------------------------------------------------------- keys and brokers


def test_a_key_that_the_owner_did_not_commit_to_is_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    (tmp_path / "c").write_bytes(small)
    verifying = claimed_time(trust, judged=Judged.NOW, clock=system_clock)
    with opened_front(tmp_path / "c", verifying) as (stream, front):
        for key in (b"\x06" * 32, b"", b"\x05" * 31):
            with pytest.raises(MessageRefused, match="committed to"):
                SealedModel(stream, front, key, expected=EXPECTED)


def test_another_brokers_key_does_not_open_it(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    refused(small, tmp_path, trust, "not sealed to this key", key=RecipientKey.generate(SUITES[0]))


def test_brokers_that_are_none_or_there_twice_are_refused(tmp_path: Path, small: bytes, trust: TrustAnchor) -> None:
    parts = Parts.of(small)
    refused(parts.with_(keys=()).whole, tmp_path, trust, "to 0 other")
    refused(parts.with_(keys=parts.trailer.keys * 2).whole, tmp_path, trust, "names a broker twice")
    refused(parts.with_(keys=(b"",)).whole, tmp_path, trust)
    many = tuple(os.urandom(8) for _ in range(layout.MOST_KEYS + 1))
    refused(parts.with_(keys=many).whole, tmp_path, trust, "more than 256 brokers")


# ------------------------------------------------------------------------------------------------------------- rollback


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"least_serial": 4}, "it is number 3, and 4 is the least"),
        ({"content": b"\x01" * 32}, "its root is"),
        ({"name": "other"}, "its name is 'tumour'"),
        ({"kind": "dataset"}, "its kind is 'model'"),
        ({"owner": "south"}, "its owner is 'north'"),
    ],
)
def test_another_container_than_was_asked_for_is_refused(
    tmp_path: Path, small: bytes, trust: TrustAnchor, changes: dict[str, Any], said: str
) -> None:
    refused(small, tmp_path, trust, said, expected=replace(EXPECTED, **changes))


@pytest.mark.parametrize("changes", [{"least_serial": 0}, {"content": b"\x01"}, {"ed25519": bytes(31)}])
def test_what_is_expected_is_said(changes: dict[str, Any]) -> None:
    with pytest.raises(CallerError):
        replace(EXPECTED, **changes)


def test_an_older_container_is_refused_once_a_newer_one_was_opened(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    state, any_serial = MemoryState(), replace(EXPECTED, least_serial=1)
    newer = seal_bytes(b"newer", owner(north), tmp_path, about=replace(ABOUT, serial=4))
    for container in (small, small, newer, newer):
        (tmp_path / "c").write_bytes(container)
        with opened(tmp_path / "c", trust, expected=expecting(state, any_serial)) as model:
            remember(state, model.front)
    refused(small, tmp_path, trust, "an older one was put back", expected=expecting(state, any_serial))
    (tmp_path / "c").write_bytes(small)
    with opened(tmp_path / "c", trust) as model, pytest.raises(MessageRefused, match="this is an older one"):
        remember(state, model.front)


def test_two_contents_under_one_serial_are_refused(
    tmp_path: Path, small: bytes, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    state = MemoryState()
    other = seal_bytes(b"another", owner(north), tmp_path)
    (tmp_path / "c").write_bytes(small)
    with opened(tmp_path / "c", trust) as model:
        remember(state, model.front)
    (tmp_path / "c").write_bytes(other)
    with opened(tmp_path / "c", trust) as model, pytest.raises(MessageRefused, match="another of the same number"):
        remember(state, model.front)


def test_a_state_that_does_not_read_back_is_named(tmp_path: Path) -> None:
    state = MemoryState({"opened/model/tumour/north": b"short"})
    with pytest.raises(QuatrefoilError, match="does not read back"):
        expecting(state, EXPECTED)
