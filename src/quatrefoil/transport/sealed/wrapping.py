"""The front of a sealed file: the file key wrapped to each recipient, signed by whoever chose them, and the header."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import statement, suites
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.sealed import layout
from quatrefoil.transport.sealed.chunks import TRUNCATED, read_up_to
from quatrefoil.transport.sealed.keys import Recipient, RecipientKey
from quatrefoil.transport.sealed.layout import Binding, Header, Judged, WrappedKey, Wrapping
from quatrefoil.transport.statement import Signed
from quatrefoil.transport.suites import Suite

_AGAIN = "Ask the sender for the file again"


@dataclass(frozen=True)
class Signer:
    """Who has signed: certified name and role, and SHA-256 of the certificate in DER."""

    name: str
    role: str
    fingerprint: bytes

    @classmethod
    def of(cls, statement: VerifiedStatement) -> Signer:
        return cls(name=statement.signer, role=statement.role, fingerprint=statement.fingerprint)


@dataclass(frozen=True)
class Unwrapped:
    """A file key, and who wrapped it when. ``recipients``: fingerprints of everybody who can read the file."""

    file_key: bytes
    wrapper: Signer
    wrapped_at: datetime
    recipients: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Unwrapped(wrapper={self.wrapper.name!r}, file_key=<secret>)"


def wrap(
    file_key: bytes,
    header: Header,
    recipients: Sequence[Recipient],
    wrapper: Identity,
    *,
    minimum: Suite,
    clock: Clock,
) -> bytes:
    """``file_key`` for each of ``recipients``, none weaker than ``minimum``, signed by ``wrapper``."""
    check_recipients(recipients, minimum)
    digest = header.digest()
    keys = []
    for one in recipients:
        info = _binding(one.suite.identifiers, one.fingerprint, digest, wrapper.fingerprint)
        sealed = one.suite.wrap(file_key, one.public, info)
        keys.append(WrappedKey(suite=one.suite.identifiers, recipient=one.fingerprint, sealed=sealed))
    body = Wrapping(header=digest, wrapped_at=int(clock().timestamp()), keys=tuple(keys))
    return statement.sign(body.encode(), wrapper)


def check_recipients(recipients: Sequence[Recipient], minimum: Suite) -> None:
    """``CallerError`` unless there are 1 to 256 different ones, each of at least ``minimum``."""
    if not 1 <= len(recipients) <= layout.MOST_RECIPIENTS:
        raise CallerError(
            f"{len(recipients)} recipients are not 1 to {layout.MOST_RECIPIENTS}", hint="Name whoever is to read it"
        )
    seen: set[bytes] = set()
    for one in recipients:
        suites.require_minimum(one.suite, minimum, repr(one.name))
        if one.fingerprint in seen:
            raise CallerError(f"{one.name!r} is named twice, with one key", hint="Name each recipient once")
        seen.add(one.fingerprint)


def write_front(sink: BinaryIO, wrapping: bytes, header: Header) -> None:
    """Everything before the first chunk."""
    encoded = header.encode()
    sink.write(layout.MAGIC)
    for part in (wrapping, encoded):
        sink.write(len(part).to_bytes(4, "big"))
        sink.write(part)


def read_front(source: BinaryIO) -> tuple[bytes, Header]:
    """The signed wrapping, not verified yet, and the header; what follows in ``source`` are the chunks."""
    if read_up_to(source, len(layout.MAGIC)) != layout.MAGIC:
        raise MessageRefused("this is no sealed file of version 1", hint="Name a file that `quatrefoil seal` wrote")
    wrapping = _read_part(source, layout.LARGEST_WRAPPING, "wrapping")
    header = Header.decode(_read_part(source, layout.LARGEST_HEADER, "header"))
    if header.cipher != layout.CIPHER:
        raise MessageRefused(
            f"the content is encrypted with {header.cipher[:40]!r}, not {layout.CIPHER!r}",
            hint="Open it with the version of Quatrefoil that sealed it",
        )
    for name, value in (("salt", header.salt), ("commitment", header.commitment), ("context", header.context)):
        if len(value) != 32:
            raise MessageRefused(f"the {name} in the header has {len(value)} bytes, not 32", hint=_AGAIN)
    return wrapping, header


def unwrap(
    signed: bytes, header: Header, key: RecipientKey, trust: TrustAnchor, *, judged: Judged, clock: Clock
) -> Unwrapped:
    """The file key, after the wrapper's certificate and signature, the header and the commitment have been checked.

    Raises ``MessageRefused``.
    """
    claimed = Wrapping.decode(Signed.decode(signed).body)
    at = layout.judged_at(judged, claimed.wrapped_at, clock, "the file claims to be wrapped")
    wrapper = statement.verify(signed, trust, clock=clock, claimed=at)
    if claimed.header != header.digest():
        raise MessageRefused(
            f"the wrapping of {wrapper.signer!r} belongs to another payload", hint=_AGAIN, party=wrapper.signer
        )
    names = [one.recipient for one in claimed.keys]
    if len(set(names)) != len(names) or len(names) > layout.MOST_RECIPIENTS:
        raise MessageRefused(
            f"the wrapping of {wrapper.signer!r} names a recipient twice, or more than {layout.MOST_RECIPIENTS}",
            hint=_AGAIN,
            party=wrapper.signer,
        )
    file_key = key.unwrap(*_for(key, claimed, header, wrapper))
    if not hmac.compare_digest(layout.commitment(file_key, header.salt), header.commitment):
        raise MessageRefused(
            f"the file key that {wrapper.signer!r} wrapped is not the one of this payload",
            hint=_AGAIN,
            party=wrapper.signer,
        )
    when = layout.moment(claimed.wrapped_at, "the file claims to be wrapped")
    return Unwrapped(file_key=file_key, wrapper=Signer.of(wrapper), wrapped_at=when, recipients=tuple(names))


def _for(key: RecipientKey, wrapping: Wrapping, header: Header, wrapper: VerifiedStatement) -> tuple[bytes, bytes]:
    """What is wrapped for ``key``, and the ``info`` it must open under."""
    for one in wrapping.keys:
        if one.recipient == key.fingerprint:
            if one.suite != key.suite.identifiers:
                raise MessageRefused(
                    f"the file key is wrapped with suite {one.suite.hex()[:24]}, and the key is of {key.suite.name}",
                    hint=_AGAIN,
                )
            return one.sealed, _binding(one.suite, one.recipient, header.digest(), wrapper.fingerprint)
    raise MessageRefused(
        f"the file is not sealed to this key ({key.fingerprint.hex()[:16]}) but to {len(wrapping.keys)} other(s)",
        hint="Use the key that it was sealed to, or have a recipient rewrap it",
    )


def _binding(suite: bytes, recipient: bytes, header: bytes, wrapper: bytes) -> bytes:
    return Binding(suite=suite, recipient=recipient, header=header, wrapper=wrapper).encode()


def _read_part(source: BinaryIO, limit: int, what: str) -> bytes:
    prefix = read_up_to(source, 4)
    size = int.from_bytes(prefix, "big")
    if len(prefix) < 4:
        raise MessageRefused(f"the sealed file ends before its {what}", hint=TRUNCATED)
    if size > limit:
        raise MessageRefused(f"the {what} announces {size} bytes, over the limit of {limit}", hint=_AGAIN)
    part = read_up_to(source, size)
    if len(part) < size:
        raise MessageRefused(f"the sealed file ends inside its {what}", hint=TRUNCATED)
    return part
