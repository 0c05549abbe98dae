"""Keysets and receipts on their way into the log: what is slow there holds up no answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from quatrefoil.appraisal import AppraisalPolicy, measurement_of
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import QuatrefoilError
from quatrefoil.serving.keys import InForce
from quatrefoil.serving.receipts import Computed, ReceiptIssuer
from quatrefoil.serving.record_writer import Recorder


class ReceiptLog:
    """Tells ``issuer`` of keysets, and has its receipts logged, in one thread. ``policy``: what measurements are
    compared by. ``report``: told where the log takes nothing. ``recorder``: in audit mode."""

    def __init__(
        self,
        issuer: ReceiptIssuer,
        policy: AppraisalPolicy,
        report: Callable[[str], None],
        *,
        recorder: Recorder | None = None,
    ) -> None:
        self._issuer = issuer
        self._recorder = recorder
        self._policy = policy
        self._report = report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")

    def begin(self, held: InForce, attestation: bytes) -> None:
        """The keyset is in the log when this returns."""
        if self._recorder is not None:
            self._recorder.begin(held.keyset)
        measurement = measurement_of(held.accepted.verdict, self._policy)
        self._issuer.begin(held.keyset, held.receipt_key, attestation, measurement=measurement)

    def end(self, held: InForce) -> None:
        """No receipt follows: its end is logged soon."""
        self._thread.submit(self._told, lambda: self._end(held.keyset))

    def _end(self, keyset: Keyset) -> None:
        if self._recorder is not None:
            self._recorder.end(keyset)
        self._issuer.end(keyset)

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset,
        computed: Computed | None = None,
    ) -> bytes:
        return self._issuer.issue(request, answer, status, complete, keyset=keyset, computed=computed)

    def flush(self) -> Future[None]:
        """Log what waits: records of answers are on the disk before their receipts are in the log."""
        return self._thread.submit(self._told, self._flush)

    def _flush(self) -> None:
        if self._recorder is not None:
            self._recorder.synchronise()
        self._issuer.flush()

    def close(self) -> None:
        """Log everything, and that it ends."""
        self._thread.shutdown(wait=True)
        if self._recorder is not None:
            self._recorder.close()
        self._issuer.close()

    def _told(self, step: Callable[[], object]) -> None:
        try:
            step()
        except QuatrefoilError as error:
            self._report(f"the log is behind: {error}")


__all__ = ["ReceiptLog"]
