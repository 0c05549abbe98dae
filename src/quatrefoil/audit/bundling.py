"""Making a bundle: everything that a third party needs to check what one or several parties logged, in one file.

Taken are the files that the checkpoint of each log needs, read through a :class:`LogReader` at that size: a log that
grows meanwhile is bundled as it was. Keys, journals, locks and indexes are never looked at. Equal logs make equal
files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography import x509

from quatrefoil.audit import entries, ownership
from quatrefoil.audit.archive import write_archive
from quatrefoil.audit.evidence import (
    LARGEST_PROOF,
    LISTS,
    LOGS,
    POLICY,
    PROOFS,
    README,
    ROOTS,
    SAMPLES,
    log_folder,
)
from quatrefoil.audit.log import OWNER, PAYLOADS, WITNESSED
from quatrefoil.audit.sampling import Sample
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.policy import Policy
from quatrefoil.tlog import Checkpoint, FolderSource, LogReader, Note, SignedCheckpoint, Source
from quatrefoil.tlog.sweep import sweep
from quatrefoil.tlog.tiles import CHECKPOINT, ENTRIES, Tile, levels_of, tiles_of
from quatrefoil.transport import files
from quatrefoil.transport.revocation import read_lists

Load = Callable[[], bytes]

_HINT = "Check the log with `quatrefoil audit verify`, and keep its folder as it is"

README_TEXT = """\
This file is evidence of what happened in a training with Quatrefoil, as the
parties in it wrote it down. It can be checked by anyone, without a network and
without trusting whoever made it:

    quatrefoil audit verify THIS-FILE --trust ROOT.pem
    quatrefoil audit report THIS-FILE --trust ROOT.pem --out report.html

ROOT.pem is the root certificate of the consortium. Get it, or at least its
SHA-256 fingerprint, from somebody other than whoever gave you this file: the
copy in trust/ proves nothing by itself.

What is here:

    trust/root.pem      the root certificate, as the parties have it
    trust/crl.pem       which certificates it has taken back
    policy.toml         the policy, where it was added
    samples/            which inference receipts were drawn, where some were
    proofs/             proofs of the answers that they are about
    logs/ROLE-NAME/     the log of one party:
        checkpoint      its size and root, signed by the log's two keys
        witnessed       the newest checkpoint that witnesses cosigned, if any
        owner           the party's signed statement that this log is its own
        tile/           the log itself (C2SP tlog-tiles, RFC 6962)
        payload/        what entries attach, each named by its SHA-256

A log is append-only: each entry is under the signed root. It shows what a
party wrote, in which order. It cannot show what a party did not write, nor
whether it showed another log to others, unless witnesses cosigned it.
"""


@dataclass(frozen=True)
class Bundled:
    """What went in: by label ROLE-NAME, how many leaves; how many files, and bytes of the bundle."""

    logs: dict[str, int]
    files: int
    size: int


def make_bundle(
    states: Sequence[Path],
    out: Path,
    policy: Path | None = None,
    *,
    samples: Sequence[Path] = (),
    proofs: Sequence[Path] = (),
) -> Bundled:
    """Bundle the logs of these parties' folders, with samples of receipts and files of proofs beside them.

    ``HostError`` where ``out`` exists or cannot be written; ``EvidenceRejected`` where a log lacks what its own
    checkpoint needs."""
    if out.exists():
        raise HostError(f"{out} exists already", hint="Name another file; a bundle is never written over")
    members: dict[str, Load] = {README: lambda: README_TEXT.encode()}
    if policy is not None:
        text = _policy(policy)
        members[POLICY] = lambda: text
    sources = [FolderSource(log_folder(state)) for state in states]
    members |= _trust(sources)
    sizes: dict[str, int] = {}
    for state, source in zip(states, sources, strict=True):
        log = _Log(source, state)
        if log.label in sizes:
            raise CallerError(f"{state} is a second log of {log.label}", hint="Name each party's folder once")
        sizes[log.label] = log.size
        members |= {f"{LOGS}/{log.label}/{name}": load for name, load in log.files()}
    members |= _extras(SAMPLES, samples, LARGEST_SAMPLE) | _extras(PROOFS, proofs, LARGEST_PROOF)
    count = _write(out, members)
    return Bundled(sizes, count, out.stat().st_size)


class _Log:
    def __init__(self, source: Source, state: Path) -> None:
        self._source = source
        self._owner, self._checkpoint = _required(source, OWNER, state), _required(source, CHECKPOINT, state)
        role, name = ownership.named(self._owner)
        self.label = f"{role}-{name}"
        note = Note.decode(self._checkpoint)
        checkpoint = Checkpoint.parse(note.text)
        self.size = checkpoint.size
        self._reader = LogReader(source, SignedCheckpoint(checkpoint, note, ()))

    def files(self) -> Iterator[tuple[str, Load]]:
        yield OWNER, lambda: self._owner
        yield CHECKPOINT, lambda: self._checkpoint
        if (witnessed := self._source.read(WITNESSED)) is not None:
            yield WITNESSED, lambda: witnessed
        for level in levels_of(self.size):
            for tile in tiles_of(self.size, level):
                yield tile.path, partial(self._hashes, tile)
        for tile in tiles_of(self.size, ENTRIES):
            yield tile.path, partial(self._reader.bundle, tile)
        for digest in self._attached():
            path = f"{PAYLOADS}/{digest}"
            yield path, partial(_required, self._source, path)

    def _hashes(self, tile: Tile) -> bytes:
        return b"".join(self._reader.hashes(tile))

    def _attached(self) -> set[str]:
        """Every digest that an entry names; each leaf is held to the root on the way."""
        found = set[str]()
        for swept in sweep(self._reader, _raise):
            for at, leaf in enumerate(swept.leaves):
                found |= {one.sha256 for one in entries.decode(swept.first + at, leaf).attached.values()}
        return found


def _trust(sources: Sequence[Source]) -> dict[str, Load]:
    """The one root that all parties have, and the newest list."""
    roots = {content for source in sources if (content := source.read(ROOTS)) is not None}
    if len(roots) > 1:
        raise CallerError(
            "the parties have different root certificates beside their logs",
            hint="Bundle the parties of one consortium, after all have taken its newest root",
        )
    if not roots:
        return {}
    (root,) = roots
    found: dict[str, Load] = {ROOTS: lambda: root}
    lists = [content for source in sources if (content := source.read(LISTS)) is not None]
    if lists:
        certificates = x509.load_pem_x509_certificates(root)
        newest = max(lists, key=lambda one: max(got.number for got in read_lists(one, "revocation list", certificates)))
        found[LISTS] = lambda: newest
    return found


def _extras(folder: str, given: Sequence[Path], limit: int) -> dict[str, Load]:
    """Each under its SHA-256; read again when it is written, and refused where it changed meanwhile."""
    found: dict[str, Load] = {}
    for file in given:
        content = files.read(file, folder[:-1], largest=limit)
        if folder == SAMPLES:
            Sample.decode(content)  # one that cannot be read is no evidence
        digest = hashlib.sha256(content).hexdigest()
        found[f"{folder}/{digest}.{folder[:-1]}"] = partial(_same, file, digest, folder[:-1])
    return found


def _same(file: Path, digest: str, what: str) -> bytes:
    content = files.read(file, what)
    if hashlib.sha256(content).hexdigest() != digest:
        raise HostError(f"{file} changed while the bundle was made", hint="Make the bundle again")
    return content


def _policy(file: Path) -> bytes:
    Policy.load(file)  # one that cannot be read is no evidence
    return file.read_bytes()


def _required(source: Source, path: str, state: Path | None = None) -> bytes:
    content = source.read(path)
    if content is None:
        where = f"the log in {state}" if state is not None else "the log"
        raise EvidenceRejected(f"{where} lacks {path}", hint=_HINT)
    return content


def _write(out: Path, members: dict[str, Load]) -> int:
    """Whole or not at all."""
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            count = write_archive(file, ((name, members[name]()) for name in sorted(members)))
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise HostError(
            f"{out} cannot be written ({error.strerror})", hint="Name a file in a folder with room"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return count


def _raise(problem: EvidenceRejected) -> None:
    raise problem
