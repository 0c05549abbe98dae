"""Sealing and opening in memory, and the parts of a sealed file, for tests that take it to pieces."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quatrefoil.errors import HostError
from quatrefoil.transport import Clock, Identity, TrustAnchor, leaf_keys, sealed, statement, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged, RecipientKey, layout
from quatrefoil.transport.sealed.layout import Header, Wrapping
from quatrefoil.transport.statement import Signed

CHUNK = layout.CHUNK + layout.TAG
SIGNATURE = leaf_keys.ALGORITHMS["ml-dsa-65"].signature
KEYS = {suite.name: RecipientKey.generate(suite) for suite in sealed.SUITES}
OTHER = RecipientKey.generate(HYBRID_768)


def seal(
    content: bytes,
    sender: Identity,
    keys: Sequence[RecipientKey] = (KEYS["hybrid-768"],),
    *,
    context: bytes = b"",
    clock: Clock = system_clock,
) -> bytes:
    sink = io.BytesIO()
    sealed.seal(
        io.BytesIO(content),
        sink,
        recipients=[key.recipient for key in keys],
        sender=sender,
        context=context,
        minimum=HYBRID_768,
        clock=clock,
    )
    return sink.getvalue()


def open_(
    file: bytes,
    trust: TrustAnchor,
    key: RecipientKey = KEYS["hybrid-768"],
    *,
    sender: str | None = None,
    context: bytes = b"",
    judged: Judged = Judged.NOW,
    clock: Clock = system_clock,
) -> tuple[bytes, sealed.Opened]:
    """Content and who sealed it. After any refusal, no file is there: that is checked each time."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "content"
        try:
            found = sealed.open_sealed(
                io.BytesIO(file),
                out,
                key=key,
                trust=trust,
                sender=sender,
                context=context,
                judged=judged,
                clock=clock,
            )
        except Exception as error:
            assert isinstance(error, HostError) or list(Path(folder).iterdir()) == []
            raise
        return out.read_bytes(), found


def rewrap(
    file: bytes,
    wrapper: Identity,
    trust: TrustAnchor,
    to: Sequence[RecipientKey],
    key: RecipientKey = KEYS["hybrid-768"],
    *,
    sender: str | None = None,
    minimum: sealed.Suite = HYBRID_768,
) -> tuple[bytes, sealed.Rewrapped]:
    sink = io.BytesIO()
    done = sealed.rewrap(
        io.BytesIO(file),
        sink,
        key=key,
        recipients=[one.recipient for one in to],
        wrapper=wrapper,
        trust=trust,
        sender=sender,
        minimum=minimum,
        judged=Judged.NOW,
        clock=system_clock,
    )
    return sink.getvalue(), done


def _framed(data: bytes) -> tuple[bytes, bytes]:
    """A part behind its length, and what follows it."""
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size], data[4 + size :]


@dataclass(frozen=True)
class Parts:
    """A sealed file taken apart. ``whole`` puts it together again."""

    wrapping: bytes
    header: bytes
    chunks: tuple[bytes, ...]
    signature: bytes

    @classmethod
    def of(cls, file: bytes) -> Parts:
        rest = file[len(layout.MAGIC) :]
        wrapping, rest = _framed(rest)
        header, rest = _framed(rest)
        body, signature = rest[:-SIGNATURE], rest[-SIGNATURE:]
        return cls(wrapping, header, tuple(body[at : at + CHUNK] for at in range(0, len(body), CHUNK)), signature)

    @property
    def whole(self) -> bytes:
        front = b"".join(len(part).to_bytes(4, "big") + part for part in (self.wrapping, self.header))
        return layout.MAGIC + front + b"".join(self.chunks) + self.signature

    @property
    def parsed_header(self) -> Header:
        return Header.decode(self.header)

    @property
    def parsed_wrapping(self) -> Wrapping:
        return Wrapping.decode(Signed.decode(self.wrapping).body)

    def rewritten(self, identity: Identity, **changes: object) -> Parts:
        """With fields of the wrapping changed, and signed anew by ``identity``."""
        body = replace(self.parsed_wrapping, **changes)
        return replace(self, wrapping=statement.sign(body.encode(), identity))

    def file_key(self, key: RecipientKey, wrapper: Identity) -> bytes:
        """What a recipient who keeps it would have."""
        one = next(one for one in self.parsed_wrapping.keys if one.recipient == key.fingerprint)
        info = layout.Binding(
            suite=one.suite,
            recipient=one.recipient,
            header=self.parsed_header.digest(),
            wrapper=wrapper.fingerprint,
        )
        return key.unwrap(one.sealed, info.encode())
