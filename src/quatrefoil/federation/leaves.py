"""What the aggregator logs of a job and of a roster: entries, and beside them the very messages that silos signed."""

from __future__ import annotations

from quatrefoil.audit import Event
from quatrefoil.federation.agreement import AgreedJob, sha256
from quatrefoil.federation.gathering import Gathering


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
        body = {**where, "silo": name, "ciphertext": sha256(received.ciphertext).hex()}
        beside = {"contribution": received.signed} | ({"proof": received.proof} if received.proof else {})
        events.append(Event("contribution", body, beside))
    return [*events, Event("roster", {**where, "contributors": list(contributors)}, {"proposal": signed})]
