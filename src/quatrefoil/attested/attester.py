"""The side that evidence is about (RFC 9334 section 3.1): it answers challenges with evidence of its keys."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from quatrefoil.attested.messages import Attestation, Challenge
from quatrefoil.enclave.binding import Keyset, check_purpose, report_data
from quatrefoil.enclave.collectors import Collector
from quatrefoil.enclave.evidence import DEVICE_KINDS, EvidenceSet
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused
from quatrefoil.transport import Clock


class Attester:
    """Evidence of ``keyset`` from ``collector``, and of ``devices`` beside it, for ``purposes`` only.

    The private halves of the keyset must be where the evidence says that code runs, and nowhere else: no evidence
    shows that. May be called from several threads.
    """

    def __init__(
        self,
        keyset: Keyset,
        collector: Collector,
        *,
        devices: Sequence[Collector] = (),
        purposes: Collection[str],
        clock: Clock,
    ) -> None:
        if isinstance(purposes, str) or not purposes:
            raise CallerError("an attester needs purposes", hint="Name, in a list, what evidence may be asked for")
        for purpose in purposes:
            check_purpose(purpose)
        if collector.kind in DEVICE_KINDS or any(device.kind not in DEVICE_KINDS for device in devices):
            raise CallerError(
                "the collectors are not of a machine and of devices beside it", hint="Give that of the machine first"
            )
        self._collector = collector
        self._devices = tuple(devices)
        self._purposes = frozenset(purposes)
        self._clock = clock
        self._lock = threading.Lock()
        self._keyset = keyset

    @property
    def keyset(self) -> Keyset:
        """The keys that the next answer is of."""
        with self._lock:
            return self._keyset

    def rotate(self, keyset: Keyset) -> None:
        """Answer for ``keyset`` from now on. Whoever accepted the old one believes it until that expires."""
        with self._lock:
            self._keyset = keyset

    def answer(self, challenge: bytes, exporter: bytes) -> bytes:
        """The encoded :class:`Attestation` for ``challenge``, on the channel that ``exporter`` was exported from with
        its nonce (``channels.exported``), or ``b""`` where there is no channel.

        ``MessageRefused`` for what is no challenge, or for another purpose; ``HostError`` where no evidence can be
        collected, or the keyset is not good at the time.
        """
        asked = Challenge.decode(challenge)
        if asked.purpose not in self._purposes:
            raise MessageRefused(
                f"evidence was asked for the purpose {asked.purpose[:60]!r}, for which there is none here",
                hint=f"Ask for {' or '.join(sorted(self._purposes))}",
            )
        keyset = self.keyset
        try:
            keyset.require_current(self._clock())
        except EvidenceRejected as refusal:
            raise HostError(refusal.problem, hint="Rotate the keyset before it expires, and check the clock") from None
        bound = report_data(keyset, asked.nonce, exporter, asked.purpose)
        machine, devices = self._collector.collect(bound), tuple(one.collect(bound) for one in self._devices)
        try:
            evidence = EvidenceSet(machine, devices)
        except EvidenceRejected as refusal:
            raise HostError(refusal.problem, hint="Give each device a collector of its own, of its kind") from None
        return Attestation(asked.nonce, keyset, evidence.encode()).encode()


__all__ = ["Attester"]
