"""Rewrapping: a sealed file for other recipients, its payload the same to the byte, never decrypted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import leaf_keys
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.sealed.chunks import ChunkReader
from quatrefoil.transport.sealed.keys import Recipient, RecipientKey
from quatrefoil.transport.sealed.layout import Judged
from quatrefoil.transport.sealed.opening import check_sender, sender_judged_at, verify_payload
from quatrefoil.transport.sealed.wrapping import Signer, check_recipients, read_front, unwrap, wrap, write_front
from quatrefoil.transport.suites import Suite


@dataclass(frozen=True)
class Rewrapped:
    """Whose payload it is, who had wrapped it before, and the keys (SHA-256 of each) that could read it then."""

    sender: Signer
    wrapper: Signer
    former: tuple[bytes, ...]
    size: int


def rewrap(
    source: BinaryIO,
    sink: BinaryIO,
    *,
    key: RecipientKey,
    recipients: Sequence[Recipient],
    wrapper: Identity,
    trust: TrustAnchor,
    sender: str | None,
    minimum: Suite,
    judged: Judged,
    clock: Clock,
) -> Rewrapped:
    """Copy the sealed file ``source`` to ``sink`` with its file key wrapped to ``recipients`` and to nobody else.

    The sender's signature is verified over every byte that is copied; ``sink`` is to be thrown away after any error.
    The file key stays as it was. Whoever could read the old file can read the old file still, and this one too if they
    kept the file key: docs/sealed-files.md says what rewrapping revokes and what it does not.
    """
    check_recipients(recipients, minimum)
    wrapping, header = read_front(source)
    unwrapped = unwrap(wrapping, header, key, trust, judged=judged, clock=clock)
    claimed = sender_judged_at(header, judged, clock)
    party = check_sender(trust.verify(header.sender, at=clock(), refusal=MessageRefused, claimed=claimed), sender)
    write_front(sink, wrap(unwrapped.file_key, header, recipients, wrapper, minimum=minimum, clock=clock), header)
    reader = ChunkReader(source, leaf_keys.algorithm_of(party.public_key).signature)
    for chunk, _number, _final in reader:
        sink.write(chunk)
    said = verify_payload(reader, header, trust, clock=clock, claimed=claimed)
    sink.write(reader.signature)
    return Rewrapped(sender=said, wrapper=unwrapped.wrapper, former=unwrapped.recipients, size=reader.size)
