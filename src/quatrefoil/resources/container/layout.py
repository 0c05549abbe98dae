"""The bytes of a sealed model: where everything lies, the objects, and the keys. docs/sealed-models.md specifies them.

    magic | chunk ... chunk | index page | chunk ... | index page | head | trailer | length of the trailer | magic

Chunks are the content, encrypted; index pages are the hashes of the leaves under its root, encrypted; the head is what
leads from the root to the pages. The trailer holds what is signed and is all that can be read without the key. It
stands last because the root is known last, and the content is read once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quatrefoil.audit.manifest import CHUNK, LARGEST_MODEL
from quatrefoil.errors import MessageRefused
from quatrefoil.proofs.openings import MOST_OPENINGS
from quatrefoil.tlog.merkle import HASH_BYTES
from quatrefoil.transport.sealed.layout import TAG
from quatrefoil.wire import WireObject

MAGIC = b"quatrefoil sealed model 1\n"

CIPHER = f"AES-256-GCM STREAM {CHUNK}"
"""The one way in which content is encrypted."""

SIGNED = b"quatrefoil sealed model manifest 1\n"
"""What Ed25519 signs begins with this; every other use of such a key in Quatrefoil begins otherwise."""

PAGE = 1024
"""Leaf hashes in an index page but the last: a complete subtree of the Merkle tree, 32 KiB for 1 GiB of content."""

LEAF = b"\x00"
"""What is before every leaf when it is hashed (RFC 6962 section 2.1)."""

LARGEST_TRAILER = 8 << 20
LARGEST_HEAD = 48 << 20
MOST_KEYS = 256
COMMITTED_FORM = "file"
"""How the root of a content is made whose weights may be committed to: ``content.FILE``, which cannot be imported."""

FOOTER = 4 + len(MAGIC)

_MEDIA = re.compile(r"[a-z0-9][a-z0-9.+-]{0,31}|", re.ASCII)
AGAIN = "Ask for the container again"


@dataclass(frozen=True)
class Manifest(WireObject):
    """What the owner signs with ML-DSA and with Ed25519. ``resource``: SHA-256 of the signed resource, which holds the
    root. ``salt``: 32 random bytes. ``ed25519``: the public key of the second signature."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-model-manifest"
    VERSION: ClassVar[int] = 2

    cipher: str
    content: str
    """How the root is made: a form of ``content.FORMS``."""
    media: str
    """What the owner says the content is: "npz", "onnx", "csv", ..., or nothing."""
    length: int
    """Bytes of content."""
    salt: bytes
    resource: bytes
    ed25519: bytes
    commitment: bytes
    """Root of the commitment to the weights in the content, as it was first made; empty where there is none."""
    openings: int
    """How often each root of that commitment may be opened; 0 where there is none."""

    def require_valid(self) -> None:
        """``MessageRefused`` where no container can have this manifest."""
        if self.cipher != CIPHER:
            raise MessageRefused(
                f"the content is encrypted with {self.cipher[:40]!r}, not {CIPHER!r}",
                hint="Open it with the version of Quatrefoil that sealed it",
            )
        if self.length > LARGEST_MODEL:
            raise MessageRefused(f"a content of {self.length} bytes is over {LARGEST_MODEL}", hint=AGAIN)
        for name, value in (("salt", self.salt), ("resource", self.resource), ("ed25519", self.ed25519)):
            if len(value) != 32:
                raise MessageRefused(f"the {name} in the manifest has {len(value)} bytes, not 32", hint=AGAIN)
        if self.commitment or self.openings:
            if len(self.commitment) != 32 or not 1 <= self.openings <= MOST_OPENINGS:
                raise MessageRefused(
                    f"the manifest names a commitment of {len(self.commitment)} bytes and {self.openings} openings, "
                    f"not 32 and 1 to {MOST_OPENINGS}",
                    hint=AGAIN,
                )
            if self.content != COMMITTED_FORM:
                raise MessageRefused(
                    f"the manifest names a commitment to the weights of {self.content[:40]}, which nothing computes",
                    hint="Seal the integer model with --content file",
                )
        if not _MEDIA.fullmatch(self.media):
            raise MessageRefused("the manifest does not say in a word what the content is", hint=AGAIN)

    def signed_by_ed25519(self) -> bytes:
        """The message of the second signature."""
        return SIGNED + self.encode()


def require_committed_model(manifest: Manifest, kind: str) -> None:
    """``MessageRefused`` where the manifest names a commitment to weights of what has none."""
    if manifest.commitment and kind != "model":
        raise MessageRefused(f"the manifest names a commitment to the weights of a {kind}", hint=AGAIN)


@dataclass(frozen=True)
class Trailer(WireObject):
    """``resource``, ``manifest``: signed statements of the owner. ``keys``: the resource's key, sealed to each broker
    that may release it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-model-trailer"

    resource: bytes
    manifest: bytes
    ed25519: bytes
    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class Head(WireObject):
    """Encrypted as the last part of the index. ``header``: leaf 0. ``pages``: the root of each index page, one after
    the other; the tree over them is the tree of the content."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-model-head"

    header: bytes
    pages: bytes


@dataclass(frozen=True)
class Geometry:
    """Where the parts lie in the container of a content of ``length`` bytes. Leaf 0 is the header, and chunk ``i`` is
    leaf ``i + 1``; page ``p`` holds the leaves from ``1024 p`` on and follows the last chunk among them."""

    length: int

    @property
    def chunks(self) -> int:
        return -(-self.length // CHUNK)

    @property
    def pages(self) -> int:
        return -(-(self.chunks + 1) // PAGE)

    def chunk_bytes(self, number: int) -> int:
        """Of content in this chunk."""
        return min(CHUNK, self.length - number * CHUNK)

    def chunk_at(self, number: int) -> int:
        return len(MAGIC) + number * (CHUNK + TAG) + (number + 1) // PAGE * (PAGE * HASH_BYTES + TAG)

    def page_leaves(self, page: int) -> int:
        return min(PAGE, self.chunks + 1 - page * PAGE)

    def page_at(self, page: int) -> int:
        before = min(self.length, ((page + 1) * PAGE - 1) * CHUNK)
        return len(MAGIC) + before + -(-before // CHUNK) * TAG + page * (PAGE * HASH_BYTES + TAG)

    @property
    def head_at(self) -> int:
        last = self.pages - 1
        return self.page_at(last) + self.page_leaves(last) * HASH_BYTES + TAG


@dataclass(frozen=True)
class Keys:
    """The AES-256 keys of one container: of its chunks and of its index."""

    chunks: bytes
    index: bytes

    @classmethod
    def derive(cls, key: bytes | bytearray, salt: bytes) -> Keys:
        """From the resource's key, to which the owner has committed (HKDF with SHA-384, RFC 5869)."""
        return cls(
            _derive(key, salt, b"quatrefoil sealed model 1 chunks"),
            _derive(key, salt, b"quatrefoil sealed model 1 index"),
        )

    def __repr__(self) -> str:
        return "Keys(<secret>)"


def _derive(key: bytes | bytearray, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA384(), length=32, salt=salt, info=info).derive(key)


__all__ = ["CHUNK", "CIPHER", "MAGIC", "PAGE", "TAG", "Geometry", "Head", "Keys", "Manifest", "Trailer"]
