"""Receipts issued: numbered, chained, signed, and written down before they are given out.

``ReceiptIssuer.issue`` puts a receipt into the journal, which outlives the process; ``flush`` takes what is there into
the log, which outlives the machine, many at once. A process that finds another's journal logs what it holds before it
issues anything, and ends the keysets of that process: their keys are gone with it.

What a power loss takes of the journal is not in the log. Whoever holds such a receipt has the proof that it was given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.attested import Attestation
from quatrefoil.audit import Event, Log, inference_receipts, serving_log
from quatrefoil.audit.computations import Computation
from quatrefoil.audit.inference_receipts import InferenceReceipt, receipt_key
from quatrefoil.audit.serving_log import Served, ServingEnded, Terms, Unended
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, StateCorrupt
from quatrefoil.serving.receipt_journal import HINT, ReceiptJournal

MOST_BEHIND = 1 << 16
"""Receipts that may wait for the log. Beyond, nothing is issued until the log takes them: some 200 MB of journal."""

_AT_ONCE = 1 << 12
"""Entries of one append."""

_Signed = tuple[InferenceReceipt, bytes]

_KILLED = "the process that held its key was killed"


@dataclass(frozen=True)
class Recovered:
    """What another process left. ``logged``: receipts of its journal that were not in the log yet. ``torn``: bytes of
    one that it was writing, and had not given out. ``ended``: keysets that are ended now, by digest."""

    logged: int
    torn: int
    ended: tuple[bytes, ...]


@dataclass(frozen=True, repr=False)
class Computed:
    """What an answer was computed from. ``keep``: told of the signed receipt before anything else knows it; what it
    raises leaves no receipt."""

    commitments: Computation
    keep: Callable[[bytes], None]


@dataclass
class _Chain:
    """A keyset in force: where its receipts have got to."""

    key: MLDSA44PrivateKey
    terms: Terms
    sequence: int
    previous: bytes
    time: int
    open: bool = True


class ReceiptIssuer:
    """Issues receipts under keysets in force, of which there may be several. May be called from several threads.

    ``journal``: a folder of its own, of whoever has ``log`` open. ``recovered``: what was found there.
    ``StateCorrupt`` where the journal is not what an issuer for this log has written: nothing of it is logged then.
    """

    def __init__(
        self,
        *,
        issuer: str,
        model: bytes,
        commitment: bytes,
        measurement: str,
        policy: bytes,
        plan: bytes,
        journal: Path,
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        """``issuer``: the certified name of the log's owner. ``commitment``: root of the commitment to the weights of
        ``model``, empty where there is none. ``measurement``: ``appraisal.measurement_of`` this server's own evidence.
        ``policy``, ``plan``: digests; the plan's may be empty."""
        self._terms = Terms(issuer, model, commitment, measurement, policy, plan)
        self._log = log
        self._clock = clock
        self._journal = ReceiptJournal(journal)
        self._issuing = threading.Lock()
        """Over chains, journal and what waits for the log."""
        self._logging = threading.Lock()
        """Over the log and the journal's older files. Taken before the other one."""
        self._chains: dict[Keyset, _Chain] = {}
        self._waiting: list[_Signed] = []
        self.recovered = self._recover()

    # ----------------------------------------------------------------------------------------------------- keysets

    def begin(self, keyset: Keyset, key: MLDSA44PrivateKey, evidence: bytes, *, measurement: str | None = None) -> None:
        """Put ``keyset`` into the log, durably: receipts are issued under it from now on.

        ``evidence``: the encoded ``Attestation`` of it, made without a channel. ``measurement``: of this evidence,
        where it is another than the issuer's.
        """
        said = Attestation.decode(evidence)
        if said.keyset != keyset or keyset.receipt != receipt_key(key):
            raise CallerError(
                "the evidence is of another keyset, or the keyset of another receipt key",
                hint="Give the three that were made together",
            )
        terms = self._terms
        if measurement is not None:
            terms = replace(terms, measurement=measurement)
        served = Served(keyset, terms, said.nonce, serving_log.PURPOSE)
        digest = keyset.digest()
        with self._logging:
            with self._issuing:
                if keyset in self._chains:
                    raise CallerError("this keyset has begun already", hint="Make a new one")
                beside = [one.digest() for one in self._chains]
            event = serving_log.begun(served, said.evidence, beside)
            self._log.append(event.kind, event.body, event.attached)
            with self._issuing:
                self._chains[keyset] = _Chain(key, terms, 0, digest, keyset.not_before * 1000)

    def end(self, keyset: Keyset | None = None) -> None:
        """Sign and log that no receipt follows under ``keyset``; without one, under any. What waits is logged first.
        Ends what has begun; of another keyset nothing."""
        with self._logging:
            with self._issuing:
                ending = [one for one in self._chains if keyset in (None, one)]
                for one in ending:
                    self._chains[one].open = False
            self._flush()
            events = []
            for one in ending:
                chain = self._chains[one]
                said = ServingEnded(one.digest(), chain.sequence, chain.previous, max(chain.time, self._now()))
                events.append(serving_log.ended(said, chain.key, "its time was over, or the server stopped"))
            self._log.append_all(events)
            with self._issuing:
                for one in ending:
                    del self._chains[one]

    # ---------------------------------------------------------------------------------------------------- receipts

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset | None = None,
        computed: Computed | None = None,
    ) -> bytes:
        """The signed receipt of an answer, with the kernel in the journal when it returns: about 3 KB.

        ``request`` and ``answer``: the commitments. ``keyset``: under which the request came, None for the newest.
        ``computed``: what else it commits to, and what keeps a record of it.
        ``HostError`` where the journal cannot be written or the log is too far behind: give no answer out then.
        """
        with self._issuing:
            keyset, chain = self._chain(keyset)
            if len(self._waiting) >= MOST_BEHIND:
                raise HostError(
                    f"{len(self._waiting)} receipts wait for the log", hint="Let the log be written: look at its disk"
                )
            terms = chain.terms
            receipt = InferenceReceipt(
                terms.issuer,
                keyset.digest(),
                chain.sequence,
                chain.previous,
                max(chain.time, self._now()),  # a clock that is set back is not followed
                terms.model,
                terms.commitment,
                terms.measurement,
                terms.policy,
                terms.plan,
                request,
                answer,
                status,
                complete,
                *(() if computed is None else (computed.commitments.inputs, computed.commitments.outputs)),
            )
            try:
                inference_receipts.require_in_force(receipt, keyset)
            except EvidenceRejected as error:
                raise HostError(error.problem, hint="Rotate the keyset in time, and check the clock") from None
            encoded = inference_receipts.sign(receipt, chain.key)
            if computed is not None:
                computed.keep(encoded)  # first: whatever receipt the log comes to know has its record
            self._journal.append(encoded)
            chain.sequence, chain.previous, chain.time = receipt.sequence + 1, receipt.digest(), receipt.time
            self._waiting.append((receipt, encoded))
            return encoded

    def flush(self) -> int:
        """Take what was issued into the log, durably: how many receipts. Issuing goes on meanwhile."""
        with self._logging:
            return self._flush()

    def close(self) -> None:
        """End every keyset, log what waits, and let the journal go."""
        self.end()
        with self._issuing:
            self._journal.close()
            self._journal.drop(self._journal.numbers)

    def _flush(self) -> int:
        with self._issuing:
            waiting = tuple(self._waiting)
            if not waiting:  # the log has all that the journal holds: what could not be removed then is now
                self._journal.drop(self._journal.numbers[:-1])
                return 0
            done = self._journal.turn()
        for some in _portions(waiting):
            self._log.append_all(_events(some))
            with self._issuing:  # a log that takes no more of them has these: they are not given to it again
                del self._waiting[: len(some)]
        with self._issuing:
            self._journal.drop(done)
        return len(waiting)

    def _chain(self, keyset: Keyset | None) -> tuple[Keyset, _Chain]:
        if keyset is None:
            keyset = next((one for one in reversed(self._chains) if self._chains[one].open), None)
        chain = None if keyset is None else self._chains.get(keyset)
        if keyset is None or chain is None or not chain.open:
            raise CallerError("no receipt is issued under a keyset that is not in force", hint="Begin it first")
        return keyset, chain

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)

    # ---------------------------------------------------------------------------------------------------- recovery

    def _recover(self) -> Recovered:
        left = self._journal.left()
        try:
            receipts = [(inference_receipts.read(one), one) for one in left.receipts]
            known = serving_log.unended(self._log, {(one.keyset, one.sequence) for one, _ in receipts})
            missing = [pair for pair in receipts if _is_missing(*pair, known)]
        except EvidenceRejected as error:
            raise StateCorrupt(f"the journal of receipts does not fit the log: {error.problem}", hint=HINT) from None
        for some in _portions(missing):
            self._log.append_all(_events(some))
        self._journal.drop(self._journal.numbers)
        self._log.append_all([_broken_off(digest, one) for digest, one in known.items()])
        return Recovered(len(missing), left.torn, tuple(known))


def _is_missing(receipt: InferenceReceipt, encoded: bytes, known: dict[bytes, Unended]) -> bool:
    """Whether the log lacks a receipt of the journal, which is then the next of its keyset; ``known`` follows it.
    ``EvidenceRejected`` where it is none that was issued under a keyset of this log."""
    one = known.get(receipt.keyset)
    if one is None:
        raise inference_receipts.rejected("is of a keyset that the log does not have, or has ended", "keyset")
    inference_receipts.verify(encoded, one.served.keyset)
    if not one.served.terms.of(receipt):
        raise inference_receipts.rejected("says something else than the entry that begins its keyset", "terms")
    if receipt.sequence < one.receipts:
        if one.digests.get(receipt.sequence) != receipt.digest():
            raise inference_receipts.rejected("is another than the log has under its number", "sequence")
        return False
    if (receipt.sequence, receipt.previous) != (one.receipts, one.last) or receipt.time < one.time:
        raise inference_receipts.rejected("does not follow the one before", "sequence")
    one.receipts, one.last, one.time = receipt.sequence + 1, receipt.digest(), receipt.time
    one.digests[receipt.sequence] = one.last
    return True


def _broken_off(digest: bytes, one: Unended) -> Event:
    return serving_log.ended(ServingEnded(digest, one.receipts, one.last, one.time), None, _KILLED)


def _portions(receipts: Sequence[_Signed]) -> Iterator[Sequence[_Signed]]:
    """What is appended at once."""
    return (receipts[start : start + _AT_ONCE] for start in range(0, len(receipts), _AT_ONCE))


def _events(receipts: Sequence[_Signed]) -> list[Event]:
    """Entries for receipts in order; the last of each keyset with its signature, which covers those before it."""
    last = {receipt.keyset: at for at, (receipt, _) in enumerate(receipts)}
    return [
        serving_log.answered(receipt, encoded if last[receipt.keyset] == at else None)
        for at, (receipt, encoded) in enumerate(receipts)
    ]


__all__ = ["MOST_BEHIND", "Computed", "ReceiptIssuer", "Recovered"]
