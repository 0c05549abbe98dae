"""Which committed weights a served model has: as its owner's manifest names them, or as this server signed, or both.

Receipts name the root, and a log has one statement of program and ports beside it, before anything is answered. Where
the manifest names the root, the server makes that statement itself, from the model that it has opened; one that it was
given says the same or is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.audit.log import Log
from quatrefoil.errors import CallerError
from quatrefoil.proven import Committed, CommittedModel, log_statement
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import onnx_form, program_of
from quatrefoil.resources.container.layout import Manifest
from quatrefoil.transport import Clock, Identity


@dataclass(frozen=True)
class CommittedWeights:
    """``root``: of the commitment as it was first made; ``openings``: how often each of its roots may be opened."""

    root: bytes
    openings: int


def committed_weights(manifest: Manifest | None, stated: Committed | None) -> CommittedWeights | None:
    """What the owner's manifest and the server's statement name, None where neither names any; ``CallerError`` where
    they name two."""
    said = None if stated is None else CommittedWeights(stated.said.commitment, stated.said.openings)
    if manifest is None or not manifest.commitment:
        return said
    owners = CommittedWeights(manifest.commitment, manifest.openings)
    if said is not None and said != owners:
        raise CallerError(
            f"the statement names the commitment {said.root.hex()[:16]} of {said.openings} openings, and the model's "
            f"owner {owners.root.hex()[:16]} of {owners.openings}",
            hint="Serve without --committed: the manifest is enough; or have the owner seal the model again",
        )
    return owners


def require_audited(weights: CommittedWeights | None) -> CommittedWeights:
    """``CallerError`` where answers would be recorded of which none could be proven."""
    if weights is None:
        raise CallerError(
            "audit mode records answers to be proven, and nothing names the model's committed weights",
            hint="Seal the model with --committed, or give the statement of `quatrefoil model commit` with --committed",
        )
    return weights


def log_served(
    log: Log,
    content: bytes,
    *,
    model: bytes,
    weights: CommittedWeights,
    stated: Committed | None,
    identity: Identity,
    clock: Clock,
) -> None:
    """The statement about the integer graph in ``content``, whose file has the root ``model``, in the log: ``stated``,
    or one that ``identity`` signs now. ``CallerError`` where what was stated is not about this graph, or the log has
    another about the model."""
    graph = onnx_form.decode(content)
    said = CommittedModel.of(graph, program_of(graph), weights.root, weights.openings, model=model, at=clock())
    if stated is not None and not stated.said.agrees_with(said):
        raise CallerError(
            "the statement is about another program than the model computes, or about other inputs or outputs",
            hint="Give the statement of `quatrefoil model commit` about this very model",
        )
    log_statement(log, sign_statement(said, identity) if stated is None else stated.signed)


__all__ = ["CommittedWeights", "committed_weights", "log_served", "require_audited"]
