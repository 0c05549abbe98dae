"""What a party refuses is an entry in its log, with the reason, before it is raised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quatrefoil.audit import Log
from quatrefoil.errors import HostError, PeerError, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.state import State

LONGEST_REASON = 400
"""Characters of a reason that are kept: nobody fills a log with what it sends."""

MOST_REFUSALS = 64
"""Entries of refusals about one subject, where the log is kept from whoever asks again and again."""


@contextmanager
def refusals_logged(log: Log, asked: str) -> Iterator[None]:
    """Log what is refused inside, with what was ``asked`` and the silo that is named as being at fault."""
    try:
        yield
    except QuatrefoilError as error:
        log.append("refusal", _body(asked, error))
        raise


class FewRefusals:
    """Refusals of whoever may ask as often as it likes: one entry for each that is new, no more than ``most`` of one
    subject, then one that says so. What was logged is remembered in the state, so a restart begins no new count."""

    def __init__(self, log: Log, state: State, most: int = MOST_REFUSALS) -> None:
        self._log = log
        self._state = state
        self._most = most

    @contextmanager
    def logged(self, asked: str, subject: Callable[[], str]) -> Iterator[None]:
        """``subject``: what the refusals of this question count for, asked once there is one. There must be no more
        subjects than what is logged in any case, or than there are certified parties."""
        try:
            yield
        except HostError:
            raise  # what this machine lacks is no refusal, and without its state nothing could be counted
        except QuatrefoilError as error:
            self._log_once(subject(), _body(asked, error))
            raise

    def _log_once(self, subject: str, body: dict[str, object]) -> None:
        name = f"refusals/{subject}"
        stored = self._state.get(name)
        known = [] if stored is None else parts.split_list(stored, self._most + 1)
        this = hashlib.sha256("\0".join(map(str, body.values())).encode()).digest()
        if this in known or len(known) > self._most:
            return
        if len(known) == self._most:
            reason = f"{self._most} different refusals are logged of this; further ones are not, and only counted"
            body = {**body, "silo": "", "reason": reason, "left_out": True}
        # Logged first: a kill in between leaves an entry twice, and loses none.
        self._log.append("refusal", body)
        self._state.replace({name: parts.join([*known, this])})


def _body(asked: str, error: QuatrefoilError) -> dict[str, object]:
    party = error.party if isinstance(error, PeerError) else None
    return {"asked": asked, "silo": party or "", "reason": error.problem[:LONGEST_REASON]}
