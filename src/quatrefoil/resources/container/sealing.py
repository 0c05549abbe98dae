"""Sealing a content: chunks under a fresh key, the root made on the way, and what the owner signs at the end."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.resources.container import layout
from quatrefoil.resources.container.content import Content, FileHeader, in_chunks, require_length
from quatrefoil.resources.container.layout import LEAF, Head, Keys, Manifest, Trailer
from quatrefoil.resources.container.parallel import in_order
from quatrefoil.resources.kinds import BLINDED
from quatrefoil.resources.policy import ReleasePolicy
from quatrefoil.resources.resource import KEY, OwnedResource, Resource, key_commitment, sign, verify
from quatrefoil.resources.sealed_key import require_public, seal_key
from quatrefoil.tlog.merkle import Frontier, leaf_hash, root_of
from quatrefoil.transport.sealed.chunks import nonce

Progress = Callable[[int], None]
"""Told how many bytes of content are done."""


@dataclass(frozen=True)
class Owner:
    """Who signs. ``sign``, ``verify``: of ``TransportSecurity``; ``ed25519``: the key of the second signature."""

    sign: Callable[[bytes], bytes]
    verify: Callable[[bytes], VerifiedStatement]
    ed25519: Ed25519PrivateKey


@dataclass(frozen=True)
class About:
    """What the owner says of the resource: see :class:`Resource`. ``media``: what the content is, in a word.
    ``commitment``, ``openings``: of its weights, as the manifest has them."""

    kind: str
    name: str
    serial: int
    made_at: int
    stages: tuple[str, ...]
    policy: ReleasePolicy
    media: str
    parent: bytes = b""
    commitment: bytes = b""
    openings: int = 0


def seal(
    content: Content,
    sink: BinaryIO,
    *,
    about: About,
    owner: Owner,
    brokers: Sequence[bytes],
    threads: int,
    progress: Progress,
    random: Callable[[int], bytes] = os.urandom,
) -> OwnedResource:
    """Read ``content`` to its end and write a container to ``sink``, in the memory of a few chunks for each thread.

    ``brokers``: sealing public keys (``transport.suites``), each of which gets the key under the policy. Nobody else
    can open it, the owner included. ``sink`` is to be thrown away after any error.
    """
    draft = _checked(content, about, owner, brokers)
    key, salt = bytearray(random(KEY)), random(32)
    try:
        keys = Keys.derive(key, salt)
        sink.write(layout.MAGIC)
        root = _Body(content, sink, keys, threads, progress).write()
        signed = sign(resource_of(about, root, key_commitment(key)), owner.sign)
        owned = verify(signed, owner.verify)
        manifest = replace(draft, salt=salt, resource=owned.digest)
        trailer = Trailer(
            resource=signed,
            manifest=owner.sign(manifest.encode()),
            ed25519=owner.ed25519.sign(manifest.signed_by_ed25519()),
            keys=tuple(seal_key(owned, key, public) for public in brokers),
        ).encode()
    finally:
        key[:] = bytes(KEY)
    if len(trailer) > layout.LARGEST_TRAILER:
        raise CallerError(f"the policy makes a trailer of {len(trailer)} bytes", hint="Use a smaller policy")
    sink.write(trailer)
    sink.write(len(trailer).to_bytes(4, "big"))
    sink.write(layout.MAGIC)
    return owned


def _checked(content: Content, about: About, owner: Owner, brokers: Sequence[bytes]) -> Manifest:
    """The manifest but for salt and resource, after everything that can be refused before the work has been."""
    if not 1 <= len(brokers) <= layout.MOST_KEYS or len(set(brokers)) != len(brokers):
        raise CallerError(
            f"{len(brokers)} brokers are not 1 to {layout.MOST_KEYS} different ones", hint="Name each broker once"
        )
    for public in brokers:
        require_public(public)
    if about.kind in BLINDED and not (isinstance(content.header, FileHeader) and content.header.salt):
        raise CallerError(
            f"the root of a {about.kind} is blinded, and this content has no salt",
            hint="Read it as a file with 32 random bytes",
        )
    resource_of(about, bytes(32), bytes(32))
    draft = Manifest(
        cipher=layout.CIPHER,
        content=content.form,
        media=about.media,
        length=content.header.length,
        salt=bytes(32),
        resource=bytes(32),
        ed25519=owner.ed25519.public_key().public_bytes_raw(),
        commitment=about.commitment,
        openings=about.openings,
    )
    try:
        draft.require_valid()
        layout.require_committed_model(draft, about.kind)
    except MessageRefused as refused:
        raise CallerError(refused.problem, hint="Say it otherwise") from None
    return draft


def resource_of(about: About, root: bytes, commitment: bytes) -> Resource:
    """The statement about a content with this root and key."""
    return Resource(
        kind=about.kind,
        name=about.name,
        serial=about.serial,
        made_at=about.made_at,
        content=root,
        commitment=commitment,
        stages=about.stages,
        policy=about.policy.encode(),
        parent=about.parent,
    )


class _Body:
    """Everything before the trailer, as it is written."""

    def __init__(self, content: Content, sink: BinaryIO, keys: Keys, threads: int, progress: Progress) -> None:
        self._content, self._sink, self._threads, self._progress = content, sink, threads, progress
        self._chunks, self._index = AESGCM(keys.chunks), AESGCM(keys.index)
        self._page: list[bytes] = []
        self._roots: list[bytes] = []

    def write(self) -> bytes:
        """Returns the root."""
        header = self._content.header.leaf()
        last, done = -(-self._content.header.length // layout.CHUNK) - 1, 0

        free: deque[bytearray] = deque()  # fresh memory for each chunk would cost as much as its encryption

        def one(numbered: tuple[int, bytes]) -> tuple[bytes, bytearray, int]:
            number, chunk = numbered
            try:
                buffer = free.pop()
            except IndexError:
                buffer = bytearray(layout.CHUNK + layout.TAG)
            sealed = memoryview(buffer)[: len(chunk) + layout.TAG]
            self._chunks.encrypt_into(nonce(number, final=number == last), chunk, None, sealed)
            leaf = hashlib.sha256(LEAF)
            leaf.update(chunk)  # leaf_hash() would copy it
            return leaf.digest(), buffer, len(chunk)

        self._append(leaf_hash(header))
        for leaf, buffer, size in in_order(one, enumerate(in_chunks(self._content.pieces)), self._threads):
            self._sink.write(memoryview(buffer)[: size + layout.TAG])
            free.append(buffer)
            self._append(leaf)
            done += size
            self._progress(done)
        require_length(self._content, done)
        if self._page:
            self._end_page()
        head = Head(header, b"".join(self._roots)).encode()
        if len(head) > layout.LARGEST_HEAD:
            raise CallerError(f"the names of the tensors take {len(head)} bytes", hint="Seal it as a file")
        self._sink.write(self._index.encrypt(nonce(len(self._roots), final=True), head, None))
        return tree_over(self._roots)

    def _append(self, leaf: bytes) -> None:
        self._page.append(leaf)
        if len(self._page) == layout.PAGE:
            self._end_page()

    def _end_page(self) -> None:
        sealed = self._index.encrypt(nonce(len(self._roots), final=False), b"".join(self._page), None)
        self._sink.write(sealed)
        self._roots.append(root_of(self._page))
        self._page.clear()


def tree_over(pages: Sequence[bytes]) -> bytes:
    """The root of the content: every page but the last is a complete subtree, so the tree over their roots is the
    tree over all leaves (RFC 6962 section 2.1 splits at powers of two)."""
    tree = Frontier()
    for page in pages:
        tree.append(page)
    return tree.root()


__all__ = ["About", "Owner", "Progress", "resource_of", "seal", "tree_over"]
