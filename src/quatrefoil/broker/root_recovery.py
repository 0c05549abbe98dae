"""Recovery: at least t operators hand their shares over, and the root key is whole again for as long as it is needed.

Nobody carries a share in the open. An operator rewraps the sealed share to a sealing key of the recovering machine
(``quatrefoil rewrap``): the payload stays as the holder of the ceremony signed it, the wrapping is signed by the
operator. So what arrives says by itself who hands over whose share, and each that is not right is refused by name.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from quatrefoil.broker import shares
from quatrefoil.broker.root_ceremony import Held, Operator, share_context
from quatrefoil.broker.root_file import FileRootKey, wipe
from quatrefoil.broker.shares import Share
from quatrefoil.errors import MessageRefused
from quatrefoil.transport import Clock, Identity, TrustAnchor, sealed, statement
from quatrefoil.transport.sealed import Judged, layout
from quatrefoil.transport.sealed.layout import Wrapping
from quatrefoil.transport.sealed.wrapping import read_front
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class Recovery(WireObject):
    """The statement that a root key was put together. ``root``: its identity. ``ceremony``: digest of the ceremony's.
    ``contributors``: operators whose shares were used. ``purpose``: "recover" or "share". ``expired``: whether the
    shares were past their end, and taken all the same. ``recovered_at``: seconds since 1970."""

    TYPE: ClassVar[str] = "urn:quatrefoil:root-recovery"

    root: bytes
    ceremony: bytes
    contributors: tuple[str, ...]
    purpose: str
    expired: bool
    recovered_at: int


@dataclass(frozen=True)
class HandedOver:
    """A sealed share as it arrived, and what errors call it."""

    label: str
    content: bytes


@dataclass(frozen=True)
class Recovered:
    """The key, for the caller to wipe, and whose shares it was made from."""

    key: bytearray = field(repr=False)
    contributors: tuple[str, ...]
    expired: bool


def recover(
    held: Held,
    handed_over: Sequence[HandedOver],
    *,
    root: bytes,
    key: sealed.RecipientKey,
    trust: TrustAnchor,
    clock: Clock,
    accept_expired: bool,
) -> Recovered:
    """The root key called ``root``, of a ceremony that was verified, from shares that open with ``key``.

    ``root`` is known from the broker's log, or from whatever the key wrapped: any member of the consortium can hold a
    ceremony, of a key of their own.

    ``MessageRefused`` names whose share is of another ceremony, another operator's, altered, given twice or missing.
    Shares past their end are refused unless ``accept_expired``; the result says so. What comes out is the key that the
    ceremony names, or nothing.
    """
    ceremony = held.ceremony
    if ceremony.root != root:
        raise MessageRefused(
            f"the ceremony of {held.holder.name!r} is of root key {ceremony.root.hex()[:16]}, not {root.hex()[:16]}",
            hint="Give the statement of a ceremony of the key that is meant",
            party=held.holder.name,
        )
    expired = clock() > ceremony.ends
    if expired and not accept_expired:
        raise MessageRefused(
            f"the shares of this ceremony were good until {ceremony.ends:%Y-%m-%d %H:%M} UTC "
            f"({', '.join(one.name for one in ceremony.operators)})",
            hint="Recover with the newest ceremony's, or take them all the same with --accept-expired: it is logged",
        )
    found: dict[int, Share] = {}
    try:
        for one in handed_over:
            share, operator = _open(one, held, key, trust, clock)
            if share.index in found:
                share.wipe()
                raise MessageRefused(
                    f"{one.label} is the share of {operator.name!r} again", hint="Give each once", party=operator.name
                )
            found[share.index] = share
        _require_enough(held, set(found))
        whole = shares.combine({index: share.value for index, share in found.items()}, ceremony.threshold)
    finally:
        for share in found.values():
            share.wipe()
    try:
        _require_identity(whole, held)
    except BaseException:
        wipe(whole)
        raise
    names = tuple(one.name for one in ceremony.operators if one.index in found)
    return Recovered(key=whole, contributors=names, expired=expired)


def state(recovered: Recovered, held: Held, purpose: str, identity: Identity, *, clock: Clock) -> bytes:
    """The signed statement that :func:`recover` gave this."""
    said = Recovery(
        root=held.ceremony.root,
        ceremony=held.ceremony.digest(),
        contributors=recovered.contributors,
        purpose=purpose,
        expired=recovered.expired,
        recovered_at=int(clock().timestamp()),
    )
    return statement.sign(said.encode(), identity)


def verify(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> tuple[Recovery, str]:
    """A recovery's statement, and who signed it; ``MessageRefused``. Judged when it says it was, as ceremonies are."""
    claimed = Recovery.decode(Signed.decode(signed).body)
    at = layout.moment(claimed.recovered_at, "a recovery is made")
    return claimed, statement.verify(signed, trust, clock=clock, claimed=at).signer


def _open(
    one: HandedOver, held: Held, key: sealed.RecipientKey, trust: TrustAnchor, clock: Clock
) -> tuple[Share, Operator]:
    """The share in what was handed over, and whose it is, after everything that is known of it has been checked."""
    operator = _whose(one, held, trust, clock)
    who = f"{one.label}, the share of {operator.name!r},"
    sink = io.BytesIO()
    try:
        opened = sealed.open_early(
            io.BytesIO(one.content),
            sink,
            key=key,
            trust=trust,
            sender=held.holder.name,
            context=share_context(held.ceremony.ceremony, operator.index),
            judged=Judged.AT_CLAIMED_TIME,
            clock=clock,
        )
        _require_hands(opened, operator, held, who)
        share = _decode(sink)
    except MessageRefused as refused:
        raise MessageRefused(
            refused.problem if refused.problem.startswith(who) else f"{who} is refused: {refused.problem}",
            hint=refused.hint,
            party=operator.name,
        ) from None
    finally:
        sink.getbuffer()[:] = bytes(sink.getbuffer().nbytes)
    if (share.ceremony, share.index) != (held.ceremony.ceremony, operator.index) or not share.fits(operator.commitment):
        share.wipe()
        raise MessageRefused(
            f"{who} is not the one that the ceremony committed to",
            hint=f"Leave it out; {held.holder.name} sealed something else to {operator.name} than the statement says",
            party=operator.name,
        )
    return share, operator


def _whose(one: HandedOver, held: Held, trust: TrustAnchor, clock: Clock) -> Operator:
    """The operator whose sealed share this is, by the payload that the ceremony lists."""
    try:
        wrapping, header = read_front(io.BytesIO(one.content))
    except MessageRefused as refused:
        raise MessageRefused(f"{one.label} is no sealed share: {refused.problem}", hint=refused.hint) from None
    payload = header.digest()
    for operator in held.ceremony.operators:
        if operator.payload == payload:
            return operator
    claimed = Wrapping.decode(Signed.decode(wrapping).body)
    at = layout.moment(claimed.wrapped_at, f"{one.label} claims to be wrapped")
    wrapper = statement.verify(wrapping, trust, clock=clock, claimed=at)
    raise MessageRefused(
        f"{one.label}, handed over by {wrapper.signer!r}, is of another ceremony, or was altered",
        hint=f"Ask {wrapper.signer} for the share of ceremony {held.ceremony.ceremony.hex()[:16]}",
        party=wrapper.signer,
    )


def _require_hands(opened: sealed.Opened, operator: Operator, held: Held, who: str) -> None:
    """``MessageRefused`` unless the holder of the ceremony sealed it, and the operator, or the holder to the operator
    alone, wrapped it."""
    if opened.sender.fingerprint != held.holder.fingerprint:
        raise MessageRefused(
            f"{who} was sealed with another certificate of {opened.sender.name!r} than the ceremony's statement",
            hint="Ask the operator for the share as it was received",
        )
    wrapper = opened.wrapper
    if (wrapper.name, wrapper.role) == (operator.name, operator.role):
        return
    if wrapper.fingerprint == held.holder.fingerprint and opened.recipients == (operator.key,):
        return
    raise MessageRefused(
        f"{who} was handed over by {wrapper.name!r} ({wrapper.role})",
        hint=f"Have {operator.name} rewrap it with an identity of the same name and role",
    )


def _decode(sink: io.BytesIO) -> Share:
    content = bytearray(sink.getbuffer())
    try:
        return Share.decode(content)
    finally:
        wipe(content)


def _require_enough(held: Held, found: set[int]) -> None:
    threshold = held.ceremony.threshold
    if len(found) < threshold:
        here = ", ".join(one.name for one in held.ceremony.operators if one.index in found) or "nobody"
        missing = ", ".join(one.name for one in held.ceremony.operators if one.index not in found)
        raise MessageRefused(
            f"{threshold} shares give the key, and {len(found)} are here (of {here})",
            hint=f"Ask {threshold - len(found)} more of: {missing}",
        )


def _require_identity(whole: bytearray, held: Held) -> None:
    """``MessageRefused`` unless ``whole`` is the root key that the ceremony names."""
    key = FileRootKey(whole)
    found = key.identity()
    key.close()
    if found != held.ceremony.root:
        raise MessageRefused(
            f"the shares give root key {found.hex()[:16]}, and the ceremony names {held.ceremony.root.hex()[:16]}",
            hint="Restore the key from its token or file: these shares are of another key than was said",
            party=held.holder.name,
        )


__all__ = ["HandedOver", "Recovered", "Recovery", "recover", "state", "verify"]
