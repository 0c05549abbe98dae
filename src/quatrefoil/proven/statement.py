"""Which committed weights a served model is: a statement that its server signs, and logs.

Nothing but signatures says that the commitment is to the weights in the file of that Merkle root, this one and that of
the file's owner on its manifest: a proof of it would be one of SHA-256 over the whole file. So a log holds the
statement, once a model, and every receipt names the commitment's root: what differs is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proofs.inference import WeightsCommitment
from quatrefoil.proofs.openings import MOST_OPENINGS
from quatrefoil.quantised import IntegerGraph, Program
from quatrefoil.transport import Identity, TrustAnchor, statement
from quatrefoil.transport.identity import Clock
from quatrefoil.wire import WireObject

ROLE = "workload"
"""Who serves models, and so says which weights one has."""

ZERO = 64
"""Added to exponents, which objects hold as numbers from 0: those of graphs are -64 to 64."""

LONGEST_NAME = 256
_LATEST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_HINT = "Ask the model's server for the statement as it was signed"


@dataclass(frozen=True)
class Port(WireObject):
    """The input or the output of the served file: its ``name``, and the exponent plus 64: a number x in a request or an
    answer is the integer x 2^exponent."""

    TYPE: ClassVar[str] = "urn:quatrefoil:committed-model-port"
    name: str
    scale: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= LONGEST_NAME or not 0 <= self.scale <= 2 * ZERO:
            raise MessageRefused("a port of a model has no name, or no exponent that is one", hint=_HINT)

    @property
    def exponent(self) -> int:
        return self.scale - ZERO


@dataclass(frozen=True)
class CommittedModel(WireObject):
    """The signer says at ``time`` (Unix seconds): the served file of Merkle root ``model`` holds the weights that
    ``commitment`` (its first root) commits to, for the program of SHA-256 ``program``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:committed-model"
    model: bytes
    commitment: bytes
    program: bytes
    openings: int
    input: Port
    output: Port
    time: int

    def __post_init__(self) -> None:
        if any(len(one) != 32 for one in (self.model, self.commitment, self.program)):
            raise MessageRefused("a committed model has a digest that is none", hint=_HINT)
        if not 1 <= self.openings <= MOST_OPENINGS or not 0 <= self.time <= _LATEST:
            raise MessageRefused("a committed model has no openings, or was at no time", hint=_HINT)

    @classmethod
    def of(
        cls, graph: IntegerGraph, program: Program, root: bytes, openings: int, *, model: bytes, at: datetime
    ) -> CommittedModel:
        """What is said of a graph whose file has the root ``model``, and of the commitment that began with ``root``."""
        return cls(
            model,
            root,
            program.digest,
            openings,
            Port(graph.input.name, graph.exponents[0] + ZERO),
            Port(graph.output, graph.exponents[-1] + ZERO),
            int(at.timestamp()),
        )

    def agrees_with(self, other: CommittedModel) -> bool:
        """Whether both say the same, whenever they were made."""
        return replace(self, time=0) == replace(other, time=0)

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


@dataclass(frozen=True)
class Committed:
    """A statement that verified: what it says, and who signed it. ``signed``: as it was sent."""

    said: CommittedModel
    signer: str
    fingerprint: bytes
    signed: bytes

    def require(self, commitment: WeightsCommitment, program: bytes) -> None:
        """``EvidenceRejected`` unless ``commitment`` is the one that is spoken of, to a program of SHA-256
        ``program``."""
        said = (self.said.commitment, self.said.program, self.said.openings)
        if said != (commitment.root, program, commitment.openings):
            raise EvidenceRejected(
                f"the commitment is not the one that {self.signer} says the model has", hint=_HINT, check="statement"
            )


def read_statement(signed: bytes) -> CommittedModel:
    """What a statement says, of which nothing is verified; ``MessageRefused`` where it is none."""
    return CommittedModel.decode(statement.Signed.decode(signed).body)


def sign_statement(said: CommittedModel, identity: Identity) -> bytes:
    """The statement, signed by the server."""
    return statement.sign(said.encode(), identity)


def verify_statement(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> Committed:
    """What a certified server says of a model; ``EvidenceRejected`` where it does not hold.

    The certificate is judged at the time the statement claims to be made at, its revocation at the clock's.
    """
    try:
        said = read_statement(signed)
        verified = statement.verify(signed, trust, clock=clock, claimed=said.moment)
    except MessageRefused as error:
        raise EvidenceRejected(
            f"which weights the model has cannot be told: {error.problem}", hint=_HINT, check="statement"
        ) from None
    if verified.role != ROLE:
        raise EvidenceRejected(
            f"{verified.role} {verified.signer} says which weights a model has, and serves none",
            hint=_HINT,
            check="statement",
            party=verified.signer,
        )
    return Committed(said, verified.signer, verified.fingerprint, signed)


__all__ = ["ROLE", "Committed", "CommittedModel", "Port", "read_statement", "sign_statement", "verify_statement"]
