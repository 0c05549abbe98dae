"""What the aggregator logs of a job and of a roster: entries, and beside them the very messages that silos signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quatrefoil.audit import Event
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.gathering import Gathering, Received


def job_event(job: AgreedJob) -> Event:
    """A job begins: everything that was agreed, with the consent of every silo."""
    body = {
        "job": job.digest.hex(),
        "name": job.job.name,
        "roster": [member.name for member in job.job.roster],
        "policy": job.job.policy.hex(),
        "plan": job.job.plan.hex(),
        "rounds": job.job.rounds,
        "model": job.job.model.hex(),
    }
    return Event("job", body, {"job": job.encoded})


def roster_events(attempt: Gathering, signed: bytes) -> list[Event]:
    """The contributions whose sum is asked for, each with what its silo signed and with its proof, and then the roster
    that names them. ``signed``: the proposal that the silos get."""
    context = attempt.context
    where = {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}
    contributors = attempt.roster().contributors
    events = []
    for name in contributors:
        received = attempt.received[name]
        body = {**where, "silo": name, "ciphertext": received.ciphertext.digest.hex()}
        events.append(Event("contribution", body, _Beside(received)))
    return [*events, Event("roster", {**where, "contributors": list(contributors)}, {"proposal": signed})]


class _Beside(Mapping[str, bytes]):
    """What a silo signed and its proof, read when the log takes them: a roster's proofs together are larger than
    whatever else an aggregator holds."""

    def __init__(self, received: Received) -> None:
        self._received = received

    def __getitem__(self, name: str) -> bytes:
        if name == "contribution":
            return self._received.signed
        if name == "proof" and self._received.proof is not None:
            return self._received.proof.read()
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield "contribution"
        if self._received.proof is not None:
            yield "proof"

    def __len__(self) -> int:
        return 1 + (self._received.proof is not None)
