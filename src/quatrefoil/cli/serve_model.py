"""The model that ``quatrefoil serve`` answers with: its committed weights, and what computes and records it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from quatrefoil.cli import archives, containers
from quatrefoil.errors import CallerError
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import OnnxEngine
from quatrefoil.output import report
from quatrefoil.parties.party import Party
from quatrefoil.proven import Committed, log_statement, verify_statement
from quatrefoil.resources import OwnedResource
from quatrefoil.resources.container import Front
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.serving.audited import AuditedModel
from quatrefoil.serving.committed import CommittedWeights, committed_weights, log_served, require_audited
from quatrefoil.serving.model import engine_of, read_model
from quatrefoil.serving.promised import log_promise
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.transport import files, system_clock


@dataclass(frozen=True)
class ServedModel:
    """The resource, and which committed weights it has by this server's statement or by its owner."""

    owned: OwnedResource
    stated: Committed | None
    weights: CommittedWeights | None

    @property
    def commitment(self) -> bytes:
        """That receipts name; empty where there is none."""
        return b"" if self.weights is None else self.weights.root


def model_of(options: argparse.Namespace, party: Party, policy: ServingPolicy, front: Front) -> ServedModel:
    """Of a container whose content nobody has looked at yet; ``CallerError`` where its committed weights are two, or
    audit mode has none."""
    said = stated(options, party, policy)
    weights = committed_weights(front.manifest, said)
    if options.audit:
        require_audited(weights)
    elif said is not None:
        log_statement(party.log, said.signed)
    return ServedModel(front.owned, said, weights)


def stated(options: argparse.Namespace, party: Party, policy: ServingPolicy) -> Committed | None:
    """What this server signed of the model's committed weights."""
    if options.committed is None:
        return None
    committed = verify_statement(files.read(options.committed, "statement"), party.trust, clock=system_clock)
    if committed.said.model != policy.model.root or committed.signer != party.identity.name:
        raise CallerError(
            f"{options.committed} is of {committed.signer} about the model {committed.said.model.hex()[:16]}",
            hint="Give the statement that this server signed about the model that it serves",
        )
    return committed


def opened(
    options: argparse.Namespace, party: Party, held: LeaseHolder, policy: ServingPolicy, model: ServedModel
) -> tuple[OnnxEngine, Recorder | None]:
    """What computes the model, and in audit mode what records its answers, once the log says what they are proven
    against."""
    owned = model.owned
    content = read_model(
        options.model,
        containers.verifying(options),
        held.key,
        policy,
        resource=owned.digest,
        threads=options.threads,
    )
    report(f"{owned.resource.name} {owned.resource.content.hex()[:16]} is in memory, verified")
    recorder = None
    if options.audit:
        audited = AuditedModel(content)
        log_served(
            party.log,
            content,
            model=policy.model.root,
            weights=require_audited(model.weights),
            stated=model.stated,
            identity=party.identity,
            clock=system_clock,
        )
        log_promise(party.log, policy)
        recorder = _recorder(options, party, audited)
    return engine_of(content, policy, threads=options.threads), recorder


def _recorder(options: argparse.Namespace, party: Party, model: AuditedModel) -> Recorder:
    recipients = [archives.certified(file, party.credentials.current().trust) for file in options.audit_to]
    found = Recorder(
        options.audit,
        model,
        recipients=recipients,
        sender=lambda: party.credentials.current().identity,
        clock=system_clock,
    )
    report(f"answers are recorded in {options.audit} for {', '.join(map(archives.named, recipients))}")
    return found


__all__ = ["ServedModel", "model_of", "opened", "stated"]
