"""Sealing a file: a fresh file key, wrapped to the recipients; the content in chunks; the sender's signature."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from quatrefoil.transport import statement
from quatrefoil.transport.identity import Clock, Identity
from quatrefoil.transport.sealed import chunks, layout
from quatrefoil.transport.sealed.keys import Recipient
from quatrefoil.transport.sealed.layout import Header, Payload
from quatrefoil.transport.sealed.wrapping import check_recipients, wrap, write_front
from quatrefoil.transport.statement import Signed
from quatrefoil.transport.suites import Suite


@dataclass(frozen=True)
class Sealed:
    """What was written. ``size``: bytes of plaintext. ``header``: digest that names the payload for good."""

    size: int
    header: bytes


def seal(
    source: BinaryIO,
    sink: BinaryIO,
    *,
    recipients: Sequence[Recipient],
    sender: Identity,
    context: bytes,
    minimum: Suite,
    clock: Clock,
) -> Sealed:
    """Read ``source`` to its end and write a sealed file to ``sink``; memory does not grow with the size.

    Only ``recipients`` can read it: the sender cannot, unless named. ``context``: what both sides agree it is for
    (empty: nothing in particular); it opens under no other. ``minimum``: the weakest suite a recipient may have.
    Raises ``CallerError`` for no, repeated or too weak recipients; ``sink`` is to be thrown away after any error.
    """
    check_recipients(recipients, minimum)
    file_key, salt = os.urandom(layout.FILE_KEY), os.urandom(32)
    header = Header(
        cipher=layout.CIPHER,
        salt=salt,
        commitment=layout.commitment(file_key, salt),
        context=hashlib.sha256(context).digest(),
        sealed_at=int(clock().timestamp()),
        sender=sender.certificate_der,
    )
    write_front(sink, wrap(file_key, header, recipients, sender, minimum=minimum, clock=clock), header)
    size, ciphertext = chunks.encrypt(source, sink, layout.payload_key(file_key, header))
    payload = Payload(header=header.digest(), size=size, ciphertext=ciphertext)
    # The certificate stands in the header and the body follows from the file: the signature alone is written.
    sink.write(Signed.decode(statement.sign(payload.encode(), sender)).signature)
    return Sealed(size=size, header=header.digest())
