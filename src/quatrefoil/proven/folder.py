"""A model's commitment on disk: the model, the secret seed, the openings that are used, and what is public.

model.onnx      the model in integers (mode 0600: it holds the weights)
seed            32 bytes (mode 0600): with them and the model proofs are made; whoever has both can make them too
state.sqlite    which openings have been used
lock            held while one is claimed
commitment      public: program, root, proof of range, links
statement       public: signed by the model's server, which served model this is; not there where its owner says so
                in the manifest of the sealed model
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.audit import ownership
from quatrefoil.errors import HostError, MessageRefused, StateCorrupt
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import InferenceProver, WeightsCommitment
from quatrefoil.proofs.openings import Opening, Openings, require_enough
from quatrefoil.proven.counted import copied, is_own, require_begun, require_counted
from quatrefoil.proven.statement import CommittedModel, read_statement, sign_statement
from quatrefoil.quantised import IntegerGraph, Program, decode, entrance_of, program_of, weights_of
from quatrefoil.resources.container import FILE, reading, root_of
from quatrefoil.state import SqliteState
from quatrefoil.transport import Identity, files

MODEL, SEED, STATE, LOCK = "model.onnx", "seed", "state.sqlite", "lock"
COMMITMENT, STATEMENT = "commitment", "statement"
SEED_BYTES = 32
LARGEST_MODEL = (2 << 30) - 1
_HINT = "Name the folder that `quatrefoil model commit` made"

Told = Callable[[str], None]


def _quiet(_what: str) -> None:
    pass


class ModelFolder:
    """A finished commitment, opened. Nothing secret is read before :meth:`prover`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _require_finished(folder)
        commitment = _read(folder / COMMITMENT)
        self.statement = _read(folder / STATEMENT) if (folder / STATEMENT).exists() else None
        self.graph: IntegerGraph = decode(_read(folder / MODEL))
        self.program: Program = program_of(self.graph)
        try:
            self.commitment = WeightsCommitment.decode(commitment)
            self.committed = self._described()
            fits = self.statement is None or read_statement(self.statement).agrees_with(self.committed)
        except MessageRefused as error:
            raise StateCorrupt(f"{folder} does not read back: {error.problem}", hint=_HINT) from None
        if self.program.content != self.commitment.program or not fits:
            raise StateCorrupt(f"model, commitment and statement in {folder} do not fit", hint=_HINT)

    def _described(self) -> CommittedModel:
        """What whoever serves this model has to say of it: at no time yet."""
        named = (self.commitment.root, self.commitment.openings)
        root = _root_of(self.folder / MODEL)
        return CommittedModel.of(self.graph, self.program, *named, model=root, at=datetime.fromtimestamp(0, UTC))

    @classmethod
    def create(
        cls,
        folder: Path,
        model: Path,
        openings: int,
        identity: Identity | None,
        *,
        at: datetime,
        threads: int = 1,
        random: Callable[[int], bytes] = os.urandom,
        told: Told = _quiet,
    ) -> ModelFolder:
        """Commit to the weights of ``model``, an integer graph as it is served, and prove their range with the first
        opening. ``identity``: the server, which signs that they are those of the file's Merkle root; None where the
        model's owner does, by sealing it with this commitment."""
        _require_new(folder)
        require_enough(openings)
        content = _read(model)
        graph = decode(content)
        program = require_provable(graph)
        root = _root_of(model)
        seed = random(SEED_BYTES)
        told(f"committing to {graph.weights:,} weights")
        prover = InferenceProver(program.content, openings, weights_of(graph), seed, threads=threads)
        _begin(folder, content, seed)
        told("proving their range")
        proof = prover.prove_range(_claim(folder, openings, "the proof of range"))
        commitment = WeightsCommitment(program.content, openings, prover.root, proof, ())
        said = CommittedModel.of(graph, program, prover.root, openings, model=root, at=at)
        _finish(folder, commitment, None if identity is None else sign_statement(said, identity))
        return cls(folder)

    def link(
        self,
        folder: Path,
        *,
        threads: int = 1,
        random: Callable[[int], bytes] = os.urandom,
        told: Told = _quiet,
    ) -> ModelFolder:
        """A fresh commitment to the same weights in ``folder``, shown to be that with one opening of each."""
        _require_new(folder)
        self.require_left(for_link=True)
        seed = random(SEED_BYTES)
        openings = self.commitment.openings
        old = self.prover(threads)
        told(f"committing afresh to {self.graph.weights:,} weights")
        fresh = InferenceProver(self.program.content, openings, weights_of(self.graph), seed, threads=threads)
        _begin(folder, _read(self.folder / MODEL), seed)
        told("proving that they are the same")
        link = old.prove_link(self.claim("a link", for_link=True), fresh, _claim(folder, openings, "a link"))
        _finish(folder, self.commitment.linked(link), self.statement)
        return type(self)(folder)

    def prover(self, threads: int = 1) -> InferenceProver:
        """The weights, committed to again in memory. ``StateCorrupt`` where the root is another."""
        seed = files.read_private(self.folder / SEED, "seed")
        if len(seed) != SEED_BYTES:
            raise StateCorrupt(f"{self.folder / SEED} has {len(seed)} bytes, not {SEED_BYTES}", hint=_HINT)
        made = InferenceProver(
            self.program.content, self.commitment.openings, weights_of(self.graph), seed, threads=threads
        )
        made.require(self.commitment)
        return made

    def claim(self, purpose: str, *, for_link: bool = False) -> Opening:
        """An opening, for one proof; other processes may claim at the same time."""
        return _claim(self.folder, self.commitment.openings, purpose, for_link=for_link)

    def require_left(self, *, for_link: bool = False) -> None:
        """``CommitmentExhausted`` where no opening is left for a proof, or for a link."""
        with _counting(self.folder) as state:
            Openings(state, self.commitment.openings).require_left(for_link=for_link)

    @property
    def server(self) -> str | None:
        """The name in the certificate beside the statement: who serves the model. None where no server signed."""
        return None if self.statement is None else ownership.named(self.statement)[1]

    @property
    def left(self) -> int:
        """Openings that are not used, that of a link included."""
        with _counting(self.folder) as state:
            return Openings(state, self.commitment.openings).left


def require_provable(graph: IntegerGraph) -> Program:
    """The graph's program. ``ModelRefused`` or ``ParametersRefused``, with the numbers, where it has none, its biases
    are too large, or its inputs have no field hash that a receipt could commit to."""
    program = program_of(graph)
    weights_of(graph)
    entrance = entrance_of(program.content)
    field_hash(entrance.size, entrance.low, entrance.high)
    return program


def _claim(folder: Path, openings: int, purpose: str, *, for_link: bool = False) -> Opening:
    with _counting(folder) as state:
        counted = Openings(state, openings)
        if is_own(state, folder / STATE):
            return counted.claim(purpose, for_link=for_link)
        if not for_link:
            raise copied(folder)
        return counted.claim_last(purpose)


@contextlib.contextmanager
def _counting(folder: Path) -> Iterator[SqliteState]:
    """What openings are counted in, for one process at a time; another waits. ``StateCorrupt`` where it is lost: a new
    one would count from the beginning."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"{folder} cannot be used ({error.strerror})", hint=_HINT) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        finished = (folder / COMMITMENT).exists()
        if finished:
            require_counted(folder / STATE)
        state = SqliteState(folder / STATE)
        try:
            if finished:
                require_begun(state, folder / STATE)
            yield state
        finally:
            state.close()
    finally:
        os.close(descriptor)


def _begin(folder: Path, model: bytes, seed: bytes) -> None:
    files.write_new_directory(folder, {MODEL: (model, files.PRIVATE), SEED: (seed, files.PRIVATE)})


def _require_new(folder: Path) -> None:
    """Before anything is computed, or an opening used."""
    _require_finished(folder)
    files.require_absent(folder)


def _require_finished(folder: Path) -> None:
    """A commitment is written last: a folder that holds a seed and none was left by a process that ended before."""
    if (folder / SEED).exists() and not (folder / COMMITMENT).exists():
        raise StateCorrupt(
            f"the commitment in {folder} was not finished: its process was ended, or still computes",
            hint="If none computes, delete the folder and commit again: nothing was proven with it",
        )


def _finish(folder: Path, commitment: WeightsCommitment, signed: bytes | None) -> None:
    if signed is not None:
        files.write_new(folder / STATEMENT, signed)
    files.write_new(folder / COMMITMENT, commitment.encode())


def _root_of(model: Path) -> bytes:
    with reading(model, FILE, salt=None) as content:
        return root_of(content)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_MODEL + 1)
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint=_HINT) from None
    if len(content) > LARGEST_MODEL:
        raise HostError(f"{file} has over {LARGEST_MODEL:,} bytes", hint=_HINT)
    return content


__all__ = ["ModelFolder", "require_provable"]
