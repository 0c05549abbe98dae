"""Whether what a server's log says of its answers fits together: check inferences.

Of each keyset: its receipts are numbered without gaps and each names the one before; their times do not run backwards,
and are of when the keyset was in force; signatures of its receipt key cover them to the last; nothing follows its end.
Of each model: receipts and the server's statement name one commitment to its weights.
Remembered are the keysets that have not ended, and the newest that have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quatrefoil.audit import serving_log
from quatrefoil.audit.checks.statements import Attested
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.inference_receipts import MOST_AHEAD, require_in_force
from quatrefoil.audit.serving_log import ENDED, INFERENCE, KEYS, Served
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import EvidenceRejected

NAME = "inferences"
MOST_OPEN = 256
MOST_ENDED = 4096
MOST_MODELS = 4096
_COMMITTED = "committed-model"
_KINDS = (KEYS, INFERENCE, ENDED, _COMMITTED)


@dataclass
class _Keyset:
    """``unsigned``: how many receipts follow the last one of which a signature is logged."""

    served: Served
    receipts: int
    last: bytes
    time: int
    unsigned: int = 0


class Inferences:
    """Follows one log."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._open: dict[str, _Keyset] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._commitments: dict[str, str] = {}
        """By model, what was first named: hexadecimal both."""
        self._receipts = 0
        self._incomplete = 0
        self._keysets = 0
        self._killed = 0

    def follow(self, entry: Entry, said: Sequence[Attested]) -> None:
        """Take in an entry, with what was found of the keyset that it attaches."""
        if entry.kind not in _KINDS:
            return
        try:
            if entry.kind == KEYS:
                self._begin(said)
            elif entry.kind == INFERENCE:
                self._answered(entry)
            elif entry.kind == _COMMITTED:
                self._committed(str(entry.body["model"]), str(entry.body["commitment"]))
            else:
                self._end(entry)
        except EvidenceRejected as error:
            self._findings.problem(NAME, f"entry {entry.index}: {error.problem}")

    def end(self) -> None:
        for name, one in self._open.items():
            if one.unsigned:
                self._findings.problem(
                    NAME, f"no signature covers the last {count(one.unsigned, 'receipt')} of keyset {name[:16]}"
                )
        parts = [f"{count(self._receipts, 'receipt')} under {count(self._keysets, 'keyset')}"]
        if self._incomplete:
            parts.append(f"{self._incomplete} of answers that broke off")
        if self._open:
            parts.append(f"{len(self._open)} not ended")
        if self._killed:
            parts.append(f"{self._killed} ended by the owner's word alone, after the process was killed")
        self._findings.say(NAME, "; ".join(parts))

    # --------------------------------------------------------------------------------------------------------- steps

    def _begin(self, said: Sequence[Attested]) -> None:
        served = next((one for one in said if isinstance(one, Served)), None)
        if served is None:
            raise _wrong("begins a keyset that could not be verified")
        digest = served.keyset.digest()
        if digest.hex() in self._open or digest.hex() in self._ended:
            raise _wrong(f"begins keyset {digest.hex()[:16]} a second time")
        if len(self._open) == MOST_OPEN:
            self._findings.not_run(NAME, f"over {MOST_OPEN} keysets are not ended")
            return
        self._open[digest.hex()] = _Keyset(served, 0, digest, served.keyset.not_before * 1000)
        self._keysets += 1
        if served.terms.commitment:
            self._committed(served.terms.model.hex(), served.terms.commitment.hex())

    def _committed(self, model: str, commitment: str) -> None:
        if model not in self._commitments and len(self._commitments) == MOST_MODELS:
            self._findings.not_run(NAME, f"over {MOST_MODELS} models have a commitment")
            return
        if (first := self._commitments.setdefault(model, commitment)) != commitment:
            raise _wrong(
                f"names the commitment {commitment[:16]} to the weights of model {model[:16]}, and an entry before it "
                f"{first[:16]}"
            )

    def _answered(self, entry: Entry) -> None:
        one = self._keyset(entry)
        receipt = serving_log.receipt_from(entry.body, one.served)
        expected, last, time = one.receipts, one.last, one.time
        one.receipts, one.last, one.time = receipt.sequence + 1, receipt.digest(), max(time, receipt.time)
        one.unsigned += 1
        self._receipts += 1
        self._incomplete += not receipt.complete
        if "signature" in entry.body:
            serving_log.verify_logged(receipt, entry.body["signature"], one.served.keyset)
            one.unsigned = 0
        if receipt.sequence != expected:
            raise _wrong(f"is receipt {receipt.sequence} of its keyset, where {expected} should be")
        if receipt.previous != last:
            raise _wrong(f"is receipt {receipt.sequence}, and names another before it than the one that is there")
        if receipt.time < time:
            raise _wrong(f"is receipt {receipt.sequence}, and of a time before the one before it")
        require_in_force(receipt, one.served.keyset)
        if receipt.moment > datetime.fromisoformat(entry.time) + MOST_AHEAD:
            raise _wrong("is of a receipt that was yet to come")

    def _end(self, entry: Entry) -> None:
        one = self._keyset(entry)
        name = str(entry.body["keyset"])
        del self._open[name]
        self._ended[name] = None
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        ending = serving_log.ending_from(entry.body)
        if one.unsigned:
            raise _wrong(f"ends keyset {name[:16]}, and no signature covers its last {one.unsigned} receipts")
        if (ending.receipts, ending.last) != (one.receipts, one.last):
            raise _wrong(f"ends keyset {name[:16]} after {ending.receipts} receipts, and {one.receipts} are there")
        if entry.body["signature"] == "":
            self._killed += 1
        else:
            serving_log.verify_logged(ending, entry.body["signature"], one.served.keyset)

    def _keyset(self, entry: Entry) -> _Keyset:
        name = str(entry.body["keyset"])[:64]
        if name in self._ended:
            raise _wrong(f"is of keyset {name[:16]}, after its end")
        if (found := self._open.get(name)) is None:
            raise _wrong(f"is of keyset {name[:16]}, which has not begun")
        return found


def _wrong(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"it {problem}", hint="Ask the log's owner, and keep it as evidence", check=NAME)


__all__ = ["NAME", "Inferences"]
