"""What a keeper remembers of the attempts at rounds: the offer of each, and how it ended.

An ending, answer or void, is stored once: of two, the first is the ending, whoever asks and however often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.messages import KeyRelease, Member, RoundContext, RoundVoid
from quatrefoil.state import State

ANSWER, VOID = b"answer", b"void"


@dataclass(frozen=True)
class Offered:
    """An attempt that was opened: its context, the signed offer, and the aggregator that it was opened for."""

    context: RoundContext
    offer: bytes
    aggregator: Member


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as stored. ``body`` repeats what is ``signed``, so that reading what this keeper itself
    wrote does not depend on a certificate that may have expired since."""

    kind: bytes
    body: bytes
    signed: bytes
    key: bytes

    def answer(self) -> bytes:
        """Signed release and combined key, or ``RoundVoided``."""
        if self.kind != ANSWER:
            raise self.voided()
        return parts.join([self.signed, self.key])

    def voided(self) -> RoundVoided:
        """The error that says so."""
        void = RoundVoid.decode(self.body)
        return RoundVoided(
            f"round {void.round} attempt {void.attempt} is void: {void.reason}",
            hint="Open the next attempt and give the silos the void",
        )


class Attempts:
    """Attempts by name; ``name_of`` gives the name of one."""

    def __init__(self, state: State) -> None:
        self._state = state

    @staticmethod
    def name_of(job: bytes, number: int, attempt: int) -> str:
        return f"round/{job.hex()}/{number:08d}/{attempt:04d}"

    def find(self, context: bytes) -> str:
        """The name of the attempt with this context digest, or ``MessageRefused``."""
        name = self._state.get(f"context/{context.hex()}")
        if name is None:
            raise MessageRefused("no such round has been opened here", hint="Open the round first")
        return name.decode()

    def is_opened(self, name: str) -> bool:
        return self._state.get(name + "/offer") is not None

    def open(self, name: str, offered: Offered) -> None:
        """Durable before the offer is given."""
        context = offered.context
        self._state.replace(
            {
                name + "/offer": parts.join([context.encode(), offered.offer, offered.aggregator.encode()]),
                f"context/{context.digest().hex()}": name.encode(),
            }
        )

    def offered(self, name: str) -> Offered:
        """What was opened under this name, or ``MessageRefused``."""
        stored = self._state.get(name + "/offer")
        if stored is None:
            raise MessageRefused("no such round has been opened here", hint="Open the round first")
        context, offer, aggregator = parts.split(stored, 3)
        return Offered(RoundContext.decode(context), offer, Member.decode(aggregator))

    def end(self, name: str, ending: Ending) -> Ending:
        """Store how the attempt ended, if it has not ended yet; returns how it did."""
        content = parts.join([ending.kind, ending.body, ending.signed, ending.key])
        return Ending(*parts.split(self._state.put_once(name + "/ending", content), 4))

    def ending(self, name: str) -> Ending | None:
        stored = self._state.get(name + "/ending")
        return None if stored is None else Ending(*parts.split(stored, 4))

    def without_ending(self) -> list[str]:
        """Names of attempts that were opened and have not ended."""
        names = [name.removesuffix("/offer") for name in self._state.names("round/") if name.endswith("/offer")]
        return [name for name in names if self.ending(name) is None]

    def newest(self, job: bytes) -> str | None:
        """Name of the last attempt at the last round of a job that was opened; None where none was."""
        names = [name for name in self._state.names(f"round/{job.hex()}/") if name.endswith("/offer")]
        return names[-1].removesuffix("/offer") if names else None

    def rounds(self, job: bytes) -> Iterator[int]:
        """Numbers of the rounds of a job that were opened."""
        for name in self._state.names(f"round/{job.hex()}/"):
            yield _round_of(name)

    def rosters(self, job: bytes) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Round and contributors of every answer of a job."""
        for name in self._state.names(f"round/{job.hex()}/"):
            if name.endswith("/ending"):
                ending = self.ending(name.removesuffix("/ending"))
                if ending is not None and ending.kind == ANSWER:
                    yield _round_of(name), KeyRelease.decode(ending.body).contributors


def _round_of(name: str) -> int:
    return int(name.split("/")[2])
