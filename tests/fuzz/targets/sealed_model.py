"""Sealed models: what anybody can write, what a member signs, and what whoever holds the key encrypts."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.fuzz import rooms
from tests.fuzz.held import refused_or
from tests.fuzz.targets.release_policy import made

from quatrefoil.resources import seal_key, verify
from quatrefoil.resources.container import (
    FILE,
    About,
    Expected,
    Front,
    Owner,
    SealedModel,
    claimed_time,
    read_front,
    reading,
    seal,
)
from quatrefoil.resources.container.layout import FOOTER, MAGIC, Geometry, Head, Keys, Manifest, Trailer
from quatrefoil.transport import statement, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged, RecipientKey
from quatrefoil.transport.sealed.chunks import nonce

CONTENT = b"content" * 30
SECRET = b"\x05" * 32
SECOND = Ed25519PrivateKey.from_private_bytes(bytes(32))


@cache
def key() -> RecipientKey:
    return RecipientKey.generate(HYBRID_768)


def _owner() -> Owner:
    member = rooms.member()
    return Owner(
        lambda body: statement.sign(body, member),
        lambda signed: statement.verify(signed, rooms.trust(), clock=system_clock),
        SECOND,
    )


@cache
def sealed_once() -> bytes:
    sink = io.BytesIO()
    about = About("model", "m", 1, int(system_clock().timestamp()), made().entry, made(), "bin")
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        with reading(Path(file.name), FILE, salt=None) as content:
            seal(
                content,
                sink,
                about=about,
                owner=_owner(),
                brokers=[key().recipient.public],
                threads=1,
                progress=lambda done: None,
                random=lambda size: SECRET[:size],
            )
    return sink.getvalue()


def _parts() -> tuple[bytes, Trailer]:
    whole = sealed_once()
    length = int.from_bytes(whole[-FOOTER : -FOOTER + 4], "big")
    return whole[: -FOOTER - length], Trailer.decode(whole[-FOOTER - length : -FOOTER])


def _whole(body: bytes, trailer: bytes) -> bytes:
    return body + trailer + len(trailer).to_bytes(4, "big") + MAGIC


def seeds() -> list[bytes]:
    _, trailer = _parts()
    signed = [statement.Signed.decode(one).body for one in (trailer.resource, trailer.manifest)]
    head = Head(b'quatrefoil file v1\n{"length":210,"salt":"none"}', bytes(32)).encode()
    return [
        b"\0" + sealed_once(),
        b"\0" + sealed_once()[:300],
        b"\1" + trailer.encode(),
        *(bytes([number]) + body for number, body in enumerate(signed, 2)),
        b"\4" + head,
    ]


def one(data: bytes) -> None:
    """By the first byte: a file; a trailer; a resource, a manifest that a member signs; a head under the right key."""
    how, content = data[:1], data[1:]
    body, trailer = _parts()
    if how == b"\1":
        content = _whole(body, content)
    elif how == b"\2":
        resource = statement.sign(content, rooms.member())
        owned = refused_or(lambda: verify(resource, _owner().verify))
        if owned is None:
            return
        assert owned.resource.encode() == content
        keys = refused_or(lambda: (seal_key(owned, SECRET, key().recipient.public),)) or ()
        content = _whole(body, Trailer(resource, trailer.manifest, trailer.ed25519, keys).encode())
    elif how == b"\3":
        manifest = statement.sign(content, rooms.member())
        parsed = refused_or(lambda: Manifest.decode(content))
        second = SECOND.sign(parsed.signed_by_ed25519()) if parsed else b""
        content = _whole(body, Trailer(trailer.resource, manifest, second, trailer.keys).encode())
    elif how == b"\4":
        cipher = AESGCM(Keys.derive(SECRET, SECRET).index)
        front = body[: Geometry(len(CONTENT)).head_at]
        content = _whole(front + cipher.encrypt(nonce(1, final=True), content, None), trailer.encode())
    _read(content)


def _read(container: bytes) -> None:
    verifying = claimed_time(rooms.trust(), judged=Judged.NOW, clock=system_clock)
    front = refused_or(lambda: read_front(io.BytesIO(container), verifying))
    if front is None:
        assert container != sealed_once()
        return
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(container)
        model = refused_or(lambda: _opened(file, front))
        if model is not None:
            with model:
                content = refused_or(lambda: model.read(0, len(container)))
                assert content == CONTENT or (content is None and container != sealed_once())


def _opened(file: io.RawIOBase, front: Front) -> SealedModel:
    resource, owner = front.owned.resource, front.owned.owner
    expected = Expected(resource.kind, owner.signer, resource.name, b"", resource.serial, b"")
    return SealedModel(file, front, front.open_key(key()), expected=expected)  # type: ignore[arg-type]
