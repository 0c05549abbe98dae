"""A ceremony: a root key is split among operators, each share is sealed to its operator, and a statement says so.

The statement is public. It names the root key by its identity, the operators with the sealing keys that their shares
are sealed to, a commitment to every share, and how many give the key back. Whoever holds the ceremony signs it with
their ML-DSA identity, as they sign every sealed share: so nobody else's shares are taken in a recovery.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from quatrefoil.broker import shares
from quatrefoil.broker.root_file import wipe
from quatrefoil.broker.root_key import IDENTITY_BYTES
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import Clock, Identity, TrustAnchor, sealed, statement
from quatrefoil.transport.sealed import layout
from quatrefoil.transport.sealed.wrapping import Signer
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import WireObject

LIFETIME = timedelta(days=731)
"""How long the shares of a ceremony are good for, unless it says otherwise: operators leave, and lose keys."""

_HINT = "Ask whoever held the ceremony for the statement"


@dataclass(frozen=True)
class Operator(WireObject):
    """Who got share ``index``: certified ``name`` and ``role``. ``key``: SHA-256 of the sealing key that it was sealed
    to. ``commitment``: of the share. ``payload``: names the sealed share for good, however often it is rewrapped."""

    TYPE: ClassVar[str] = "urn:quatrefoil:root-operator"

    index: int
    name: str
    role: str
    key: bytes
    commitment: bytes
    payload: bytes


@dataclass(frozen=True)
class Ceremony(WireObject):
    """The statement. ``ceremony``: 32 random bytes. ``root``: identity of the root key. ``previous``: digest of the
    ceremony whose shares of the same key these replace, or empty. ``threshold``: shares that give the key back; 0 and
    no operators where there is no backup. ``made_at``, ``expires``: seconds since 1970."""

    TYPE: ClassVar[str] = "urn:quatrefoil:root-ceremony"

    ceremony: bytes
    root: bytes
    previous: bytes
    threshold: int
    made_at: int
    expires: int
    operators: tuple[Operator, ...]

    @property
    def ends(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)


@dataclass(frozen=True)
class Held:
    """A ceremony that was verified, who held it, and the signed bytes."""

    ceremony: Ceremony
    holder: Signer
    signed: bytes


@dataclass(frozen=True)
class Made:
    """What a ceremony gives: the signed statement, and each operator's sealed share by the operator's name."""

    ceremony: Ceremony
    signed: bytes
    sealed_shares: dict[str, bytes]


def hold(
    key: bytearray,
    root: bytes,
    *,
    threshold: int,
    operators: Sequence[sealed.Recipient],
    holder: Identity,
    minimum: sealed.Suite,
    clock: Clock,
    lifetime: timedelta = LIFETIME,
    previous: bytes = b"",
    random: Callable[[int], bytes] = os.urandom,
) -> Made:
    """Split ``key``, whose identity ``root`` is, and seal a share to each of ``operators``, who are 2 to 64 different
    parties with keys of their own. The caller wipes ``key``; the shares themselves are wiped here."""
    shares.check_sizes(threshold, len(operators))
    _check_operators(operators)
    now = int(clock().timestamp())
    number = random(shares.CEREMONY_BYTES)
    made = shares.split(key, threshold, len(operators), number, random=random)
    try:
        listed, files = [], {}
        for share, operator in zip(made, operators, strict=True):
            content, payload = _seal(share, operator, holder, minimum, clock)
            files[operator.name] = content
            listed.append(
                Operator(
                    index=share.index,
                    name=operator.name,
                    role=operator.role,
                    key=operator.fingerprint,
                    commitment=share.commitment(),
                    payload=payload,
                )
            )
    finally:
        for share in made:
            share.wipe()
    said = Ceremony(
        ceremony=number,
        root=root,
        previous=previous,
        threshold=threshold,
        made_at=now,
        expires=now + int(lifetime.total_seconds()),
        operators=tuple(listed),
    )
    return Made(said, statement.sign(said.encode(), holder), files)


def without_backup(root: bytes, *, holder: Identity, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> Made:
    """The statement about a key that has no shares: lost with its token."""
    now = int(clock().timestamp())
    said = Ceremony(random(shares.CEREMONY_BYTES), root, b"", threshold=0, made_at=now, expires=now, operators=())
    return Made(said, statement.sign(said.encode(), holder), {})


def verify(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> Held:
    """The ceremony in a signed statement, and who held it; ``MessageRefused``.

    The holder's certificate is judged at the time of the ceremony, as it must have been valid then; whether it has been
    taken back is judged now.
    """
    claimed = Ceremony.decode(Signed.decode(signed).body)
    _check(claimed)
    said = statement.verify(signed, trust, clock=clock, claimed=_moment(claimed.made_at))
    return Held(claimed, Signer.of(said), bytes(signed))


def share_context(ceremony: bytes, index: int) -> bytes:
    """What a sealed share is for: it opens for nothing else."""
    return f"urn:quatrefoil:root-share:v1:{ceremony.hex()}:{index}".encode()


def _seal(
    share: shares.Share, operator: sealed.Recipient, holder: Identity, minimum: sealed.Suite, clock: Clock
) -> tuple[bytes, bytes]:
    """The sealed share, and the digest that names its payload."""
    content, sink = share.encode(), io.BytesIO()
    source = io.BytesIO(content)
    try:
        done = sealed.seal(
            source,
            sink,
            recipients=[operator],
            sender=holder,
            context=share_context(share.ceremony, share.index),
            minimum=minimum,
            clock=clock,
        )
    finally:
        source.getbuffer()[:] = bytes(len(content))
        wipe(content)
    return sink.getvalue(), done.header


def _check_operators(operators: Sequence[sealed.Recipient]) -> None:
    """``CallerError`` where one person would get two shares, or a share has nobody who could be named."""
    for what, values in (("name", [one.name for one in operators]), ("key", [one.fingerprint for one in operators])):
        if len(set(values)) != len(values):
            raise CallerError(
                f"two operators have one {what}", hint="Give each share to another party, with its own key"
            )
    for one in operators:
        if not one.role:
            raise CallerError("an operator is given by a key alone", hint="Name the sealing certificate instead")


def _check(ceremony: Ceremony) -> None:
    """``MessageRefused`` for a statement that nobody could recover by."""
    count = len(ceremony.operators)
    wrong = None
    if (ceremony.threshold, count) != (0, 0) and not (
        shares.LEAST_THRESHOLD <= ceremony.threshold <= count <= shares.MOST_OPERATORS
    ):
        wrong = f"asks for {ceremony.threshold} of {count} shares"
    elif [one.index for one in ceremony.operators] != list(range(1, count + 1)):
        wrong = "does not number its operators from 1"
    elif len({one.name for one in ceremony.operators}) != count or len({o.key for o in ceremony.operators}) != count:
        wrong = "gives two shares to one operator"
    elif len(ceremony.root) != IDENTITY_BYTES or len(ceremony.ceremony) != shares.CEREMONY_BYTES:
        wrong = "names no root key or no ceremony"
    elif len(ceremony.previous) not in (0, 32):
        wrong = "names no ceremony before it"
    elif any(len(value) != 32 for one in ceremony.operators for value in (one.key, one.commitment, one.payload)):
        wrong = "has no key, commitment or payload for an operator"
    elif ceremony.expires < ceremony.made_at:
        wrong = "ends before it begins"
    if wrong is not None:
        raise MessageRefused(f"the statement of a ceremony {wrong}", hint=_HINT)
    _moment(ceremony.made_at), _moment(ceremony.expires)


def _moment(seconds: int) -> datetime:
    return layout.moment(seconds, "the statement of a ceremony is made")


__all__ = ["LIFETIME", "Ceremony", "Held", "Made", "Operator", "hold", "share_context", "verify", "without_backup"]
