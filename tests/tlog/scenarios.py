"""What a log may be doing when it is stopped, and what has to be there afterwards, wherever that was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.tlog.small_logs import NOON, keys_of, leaves, log_of, ml_dsa_44, reader, verified, writer

from quatrefoil.tlog import FolderSource, LogReader, read_checkpoint
from quatrefoil.tlog import writer as writer_module
from quatrefoil.tlog.merkle import verify_consistency

WITNESS = ml_dsa_44("witness.example/east", b"w" * 32)
COSIGN = 0
"""In the place of the size of a batch: the newest checkpoint is cosigned."""

Say = Callable[[bytes], None]
"""Called with the checkpoint of each append, once it is acknowledged."""


@dataclass(frozen=True)
class Scenario:
    """``there``: leaves of the log before; None where there is none. ``pending``: batches that lie in the journal
    alone, as a process that was killed leaves them. ``batches``: what is appended then."""

    there: int | None
    batches: tuple[int, ...]
    pending: tuple[int, ...] = ()
    settled_every: int = writer_module.SETTLED_EVERY
    closed: bool = True

    def prepare(self, folder: Path) -> None:
        if self.there is not None:
            log_of(folder, self.there)
        if self.pending:
            log = writer(folder)
            for count in self.pending:
                log.append(leaves(log.size, log.size + count))
            log._let_go()

    def run(self, folder: Path, say: Say) -> None:
        settled_every, writer_module.SETTLED_EVERY = writer_module.SETTLED_EVERY, self.settled_every
        try:
            log = writer(folder)
            for count in self.batches:
                if count == COSIGN:
                    log.cosigned([WITNESS.sign(log.reader().checkpoint, NOON)], [WITNESS.verifier])
                else:
                    log.append(leaves(log.size, log.size + count))
                say(log.checkpoint)
            if self.closed:
                log.close()
            else:
                log._let_go()
        finally:
            writer_module.SETTLED_EVERY = settled_every

    @property
    def sizes(self) -> list[int]:
        """Of the log before, and after each batch."""
        found = [(self.there or 0) + sum(self.pending)]
        for count in self.batches:
            found.append(found[-1] + count)
        return found


SCENARIOS = {
    "the first opening": Scenario(None, (1,)),
    "single appends across the end of a tile": Scenario(255, (1, 1)),
    "a batch over several tiles": Scenario(250, (270,)),
    "settling at each append": Scenario(254, (1, 3), settled_every=1),
    "two appends to a settling": Scenario(252, (1, 1, 1, 1, 1), settled_every=9_000),
    "a cosignature": Scenario(3, (1, COSIGN, 1)),
    "a cosignature, settled": Scenario(3, (1, COSIGN), settled_every=1),
    "recovery": Scenario(250, (), pending=(3, 5, 1)),
}

MORE = {
    "settling across several tiles": Scenario(254, (1, 3, 256, 600), settled_every=1),
    "recovery, and on": Scenario(250, (2,), pending=(3, 260), settled_every=1),
    "across a tile of the second level": Scenario(65_530, (7,), settled_every=1),
    "one after another": Scenario(250, (1,) * 12, settled_every=40_000),
}
"""For slow tests."""


@dataclass
class Said:
    """What was acknowledged before the end, by its checkpoints."""

    checkpoints: list[bytes] = field(default_factory=list)

    def sizes(self) -> list[int]:
        return [read_checkpoint(data, keys_of()).checkpoint.size for data in self.checkpoints]


def hold(folder: Path, scenario: Scenario, said: Sequence[bytes], *, opened: bool = True) -> int:
    """Raises unless all that was acknowledged is there, in its place, and beyond it the one batch in flight at most,
    whole; unless all of it verifies; and unless what was signed before is consistent with what is there. The size.

    ``opened``: the log has been opened again, so that nothing half-written may be left either."""
    acknowledged = scenario.sizes[len(said)]
    now = reader(folder)
    size = now.size
    assert size in (acknowledged, scenario.sizes[min(len(said) + 1, len(scenario.batches))]), (
        f"{acknowledged} leaves were acknowledged, {size} are there"
    )
    assert verified(folder) == leaves(0, size), "other leaves than those that were appended"
    for data in said:
        old = LogReader(FolderSource(folder), read_checkpoint(data, keys_of()))
        verify_consistency(old.size, old.checkpoint.root, size, now.checkpoint.root, now.consistency_proof(old.size))
        assert [content for _, content in old.leaves()] == leaves(0, old.size), "an older checkpoint does not read"
    if opened:
        left = [path.name for path in folder.rglob("*") if path.name.endswith(".new")]
        assert not left, f"half-written files are left: {left}"
        if said and size == acknowledged:
            witnessed = read_checkpoint(said[-1], [*keys_of(), WITNESS.verifier]).by(WITNESS.verifier)
            found = read_checkpoint((folder / "checkpoint").read_bytes(), [*keys_of(), WITNESS.verifier])
            assert found.by(WITNESS.verifier) or not witnessed, "a cosignature that was acknowledged is gone"
    return size


def go_on(folder: Path) -> None:
    """A log that was opened again takes leaves as before."""
    with writer(folder) as log:
        size = log.size
        log.append(leaves(size, size + 2))
    assert verified(folder) == leaves(0, size + 2)
