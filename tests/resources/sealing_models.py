"""Containers of ``north``, sealed and opened in a folder, and their parts for tests that take them to pieces."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from release_policies import policy

from quatrefoil.errors import HostError
from quatrefoil.resources.container import (
    FILE,
    About,
    Expected,
    Owner,
    SealedModel,
    claimed_time,
    extract,
    opened_front,
    reading,
    seal,
)
from quatrefoil.resources.container.layout import FOOTER, MAGIC, Trailer
from quatrefoil.transport import Clock, PostQuantumTransport, TrustAnchor, system_clock
from quatrefoil.transport.sealed import SUITES, Judged, RecipientKey

BROKER = RecipientKey.generate(SUITES[0])
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ABOUT = About("model", "tumour", 3, 1_700_000_000, ("train",), policy(), "bin")
EXPECTED = Expected("model", "north", "tumour", b"", 3, b"")


def owner(security: PostQuantumTransport, ed25519: Ed25519PrivateKey = ED25519) -> Owner:
    return Owner(security.sign, security.verify, ed25519)


def seal_file(
    content: Path,
    by: Owner,
    *,
    form: str = FILE,
    salt: bytes | None = None,
    about: About = ABOUT,
    threads: int = 2,
    brokers: tuple[bytes, ...] = (BROKER.recipient.public,),
    **more: Any,
) -> bytes:
    sink = io.BytesIO()
    with reading(content, form, salt=salt) as given:
        seal(given, sink, about=about, owner=by, brokers=brokers, threads=threads, progress=lambda done: None, **more)
    return sink.getvalue()


def seal_bytes(content: bytes, by: Owner, folder: Path, **more: Any) -> bytes:
    file = folder / "content"
    file.write_bytes(content)
    return seal_file(file, by, **more)


def opened(
    file: Path, trust: TrustAnchor, *, expected: Expected = EXPECTED, key: RecipientKey = BROKER, **more: Any
) -> SealedModel:
    judged, clock = more.get("judged", Judged.NOW), more.get("clock", system_clock)
    with opened_front(file, claimed_time(trust, judged=judged, clock=clock)) as (stream, front):
        return SealedModel(stream, front, front.open_key(key), expected=expected)


def open_bytes(container: bytes, folder: Path, trust: TrustAnchor, *, threads: int = 1, **more: Any) -> bytes:
    """All of the content. After any refusal, no file is there: that is checked each time."""
    file, out = folder / "container", folder / "opened" / "content"
    out.parent.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    file.write_bytes(container)
    try:
        with opened(file, trust, **more) as model:
            extract(model, out, threads=threads, progress=lambda done: None)
    except Exception as error:
        assert isinstance(error, HostError) or list(out.parent.iterdir()) == []
        raise
    return out.read_bytes()


@dataclass(frozen=True)
class Parts:
    """A container taken apart at its trailer. ``whole`` puts it together again."""

    body: bytes
    trailer: Trailer

    @classmethod
    def of(cls, container: bytes) -> Parts:
        length = int.from_bytes(container[-FOOTER : -FOOTER + 4], "big")
        return cls(container[: -FOOTER - length], Trailer.decode(container[-FOOTER - length : -FOOTER]))

    @property
    def whole(self) -> bytes:
        trailer = self.trailer.encode()
        return self.body + trailer + len(trailer).to_bytes(4, "big") + MAGIC

    def with_(self, **changes: Any) -> Parts:
        return replace(self, trailer=replace(self.trailer, **changes))


__all__ = ["ABOUT", "BROKER", "ED25519", "EXPECTED", "Clock", "Parts", "open_bytes", "opened", "owner", "seal_bytes"]
