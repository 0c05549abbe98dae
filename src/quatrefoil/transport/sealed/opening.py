"""Opening a sealed file: nothing of it is released before the last byte and both signatures have been verified."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import files, leaf_keys, statement
from quatrefoil.transport.identity import Clock, TrustAnchor
from quatrefoil.transport.profile import Party
from quatrefoil.transport.sealed import chunks, layout
from quatrefoil.transport.sealed.chunks import ChunkReader
from quatrefoil.transport.sealed.keys import RecipientKey
from quatrefoil.transport.sealed.layout import Header, Judged, Payload
from quatrefoil.transport.sealed.new_file import new_file
from quatrefoil.transport.sealed.wrapping import Signer, read_front, unwrap
from quatrefoil.transport.statement import Signed


@dataclass(frozen=True)
class Opened:
    """Who sealed the file, who wrapped it to these recipients (the same, or whoever rewrapped it), and when they say.

    ``size``: bytes of plaintext. ``recipients``: SHA-256 of the public key of everybody who can read the file.
    """

    sender: Signer
    sealed_at: datetime
    wrapper: Signer
    wrapped_at: datetime
    size: int
    recipients: tuple[bytes, ...]


def open_sealed(
    source: BinaryIO,
    out: Path,
    *,
    key: RecipientKey,
    trust: TrustAnchor,
    sender: str | None,
    context: bytes,
    judged: Judged,
    clock: Clock,
) -> Opened:
    """Write the content of the sealed file ``source`` to ``out``, a new file that only its owner may read.

    ``out`` appears when everything has been verified and not before. ``sender``: the certified name that must have
    sealed it; None takes any party of ``trust``, and the caller looks at the result. Raises ``MessageRefused``.
    """
    with new_file(out, mode=files.PRIVATE) as sink:
        return open_early(
            source, sink, key=key, trust=trust, sender=sender, context=context, judged=judged, clock=clock
        )


def open_early(
    source: BinaryIO,
    sink: BinaryIO,
    *,
    key: RecipientKey,
    trust: TrustAnchor,
    sender: str | None,
    context: bytes,
    judged: Judged,
    clock: Clock,
) -> Opened:
    """Like :func:`open_sealed`, into a stream: chunks are released before the end of the file has been seen.

    Each chunk released is authentic under the file key and in its place. That the file is whole, and that the sender
    and not another recipient made it, is known only when this returns: until then what was written is not to be used.
    """
    wrapping, header = read_front(source)
    unwrapped = unwrap(wrapping, header, key, trust, judged=judged, clock=clock)
    claimed = sender_judged_at(header, judged, clock)
    party = check_sender(trust.verify(header.sender, at=clock(), refusal=MessageRefused, claimed=claimed), sender)
    if not hmac.compare_digest(header.context, hashlib.sha256(context).digest()):
        raise MessageRefused(
            "the file was sealed for another context", hint="Give the context that the sender gave, or none if none"
        )
    reader = ChunkReader(source, leaf_keys.algorithm_of(party.public_key).signature)
    for plaintext in chunks.decrypt(reader, layout.payload_key(unwrapped.file_key, header)):
        sink.write(plaintext)
    return Opened(
        sender=verify_payload(reader, header, trust, clock=clock, claimed=claimed),
        sealed_at=layout.moment(header.sealed_at, "the file claims to be sealed"),
        wrapper=unwrapped.wrapper,
        wrapped_at=unwrapped.wrapped_at,
        size=reader.size,
        recipients=unwrapped.recipients,
    )


def sender_judged_at(header: Header, judged: Judged, clock: Clock) -> datetime | None:
    """When the sender's certificate is to be valid; None: now."""
    return layout.judged_at(judged, header.sealed_at, clock, "the file claims to be sealed")


def check_sender(party: Party, expected: str | None) -> Party:
    """``party``, or ``MessageRefused`` when someone else than ``expected`` says to have sealed the file."""
    if expected is not None and party.name != expected:
        raise MessageRefused(
            f"the file was sealed by {party.name!r} ({party.role}), not by {expected[:64]!r}",
            hint="Ask the party that you expect it from",
            party=party.name,
        )
    return party


def verify_payload(
    reader: ChunkReader, header: Header, trust: TrustAnchor, *, clock: Clock, claimed: datetime | None
) -> Signer:
    """Who signed header, size and every chunk that ``reader`` has read, to the end."""
    payload = Payload(header=header.digest(), size=reader.size, ciphertext=reader.ciphertext)
    signed = Signed(body=payload.encode(), certificate=header.sender, signature=reader.signature)
    return Signer.of(statement.verify(signed.encode(), trust, clock=clock, claimed=claimed))
