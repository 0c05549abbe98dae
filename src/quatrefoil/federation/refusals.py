"""What a party refuses is an entry in its log, with the reason, before it is raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quatrefoil.audit import Log
from quatrefoil.errors import PeerError, QuatrefoilError

LONGEST_REASON = 400
"""Characters of a reason that are kept: nobody fills a log with what it sends."""


@contextmanager
def refusals_logged(log: Log, asked: str) -> Iterator[None]:
    """Log what is refused inside, with what was ``asked`` and the silo that is named as being at fault."""
    try:
        yield
    except QuatrefoilError as error:
        party = error.party if isinstance(error, PeerError) else None
        log.append("refusal", {"asked": asked, "silo": party or "", "reason": error.problem[:LONGEST_REASON]})
        raise
