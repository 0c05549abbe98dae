"""Keysets and receipts on their way into the log: what is slow there holds up no answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from quatrefoil.appraisal import AppraisalPolicy, measurement_of
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import QuatrefoilError
from quatrefoil.serving.keys import InForce
from quatrefoil.serving.receipts import ReceiptIssuer


class Records:
    """Tells ``issuer`` of keysets, and has its receipts logged, in one thread. ``policy``: what measurements are
    compared by. ``report``: told where the log takes nothing."""

    def __init__(self, issuer: ReceiptIssuer, policy: AppraisalPolicy, report: Callable[[str], None]) -> None:
        self._issuer = issuer
        self._policy = policy
        self._report = report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")

    def begin(self, held: InForce, attestation: bytes) -> None:
        """The keyset is in the log when this returns."""
        measurement = measurement_of(held.accepted.verdict, self._policy)
        self._issuer.begin(held.keyset, held.receipt_key, attestation, measurement=measurement)

    def end(self, held: InForce) -> None:
        """No receipt follows: its end is logged soon."""
        self._thread.submit(self._told, lambda: self._issuer.end(held.keyset))

    def issue(self, request: bytes, answer: bytes, status: int, complete: bool, *, keyset: Keyset) -> bytes:
        return self._issuer.issue(request, answer, status, complete, keyset=keyset)

    def flush(self) -> Future[None]:
        """Log what waits."""
        return self._thread.submit(self._told, self._issuer.flush)

    def close(self) -> None:
        """Log everything, and that it ends."""
        self._thread.shutdown(wait=True)
        self._issuer.close()

    def _told(self, step: Callable[[], object]) -> None:
        try:
            step()
        except QuatrefoilError as error:
            self._report(f"the log is behind: {error}")


__all__ = ["Records"]
