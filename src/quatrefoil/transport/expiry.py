"""What ends soon, said while there is time: certificates and lists of which less than a third is left."""

from __future__ import annotations

from datetime import datetime

from quatrefoil.transport.credentials import Standing
from quatrefoil.transport.revocation import fingerprint

_THIRD = 3
_TENTH = 10
"""Of a root: all parties must hold the next one before the last leaf under the old one ends."""


def ends_soon(standing: Standing, *, at: datetime) -> list[str]:
    """One line for people for each thing that is to be renewed: the own certificate, lists, roots."""
    own, trust = standing.identity.certificate, standing.trust
    found = []
    if _is_late(own.not_valid_before_utc, own.not_valid_after_utc, at, _THIRD):
        found.append(
            f"the certificate of {standing.identity.name} ends at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: "
            "have `quatrefoil ca renew` make the next one"
        )
    numbers = {one.root: one for one in trust.lists}
    for root in trust.roots:
        name = root.subject.rfc4514_string()
        held = numbers.get(fingerprint(root))
        if held is None:
            found.append(f"there is no revocation list of {name}: only its short-lived certificates are accepted")
        elif _is_late(held.begins, held.ends, at, _THIRD):
            found.append(
                f"revocation list {held.number} of {name} ends at {held.ends:%Y-%m-%d %H:%M} UTC, and everybody with a "
                "long-lived certificate is refused from then on: get the newest crl.pem from the authority"
            )
        if _is_late(root.not_valid_before_utc, root.not_valid_after_utc, at, _TENTH):
            found.append(f"root {name} ends at {root.not_valid_after_utc:%Y-%m-%d}: trust its successor beside it")
    return found


def _is_late(begins: datetime, ends: datetime, at: datetime, part: int) -> bool:
    return ends - at < (ends - begins) / part


__all__ = ["ends_soon"]
