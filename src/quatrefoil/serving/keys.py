"""The keys that a server answers for: made here, in memory only, replaced while it serves, and wiped.

Each keyset has a key to seal requests to and one that signs receipts. Before it is in force, evidence of it is
collected and held to the policy exactly as clients will: a server whose evidence they would refuse gets no keys. The
next keyset is in force before the last one ends; what was sealed to that is still answered during the overlap.

The sealing key is wiped when its keyset ends and nothing is being opened with it; the receipt key when the last answer
to a request under it has ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quatrefoil import exchange, ohttp
from quatrefoil.attested import Attested, Attester, RelyingParty
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors import Collector
from quatrefoil.errors import CallerError, HostError, KeyUnknown
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import GatewayKeys, HybridKey
from quatrefoil.transport import Clock

CLOCK_SKEW_S = 300
"""Seconds by which a client's clock may be behind ours without finding the keyset not good yet."""

MOST_IN_FORCE = 64
"""Keysets at once: identifiers have one byte, and no two share one."""

KeyMaker = Callable[[], HybridKey]


class KeyEvents(Protocol):
    """Who is told of keysets: the issuer of receipts."""

    def begin(self, held: InForce, attestation: bytes) -> None:
        """Before ``held`` is in force. ``attestation``: the encoded ``Attestation`` of it that was accepted here.
        Whatever is raised keeps it from coming into force."""
        ...

    def end(self, held: InForce) -> None:
        """No receipt will be signed under ``held`` any more."""
        ...


@dataclass(frozen=True)
class InForce:
    """A keyset and its private halves. ``accepted``: what this server's own evidence of it was found to be.

    ``until``: when requests to it are refused, in seconds since 1970. The keyset itself is good for as long as the
    longest stream that may have begun before: receipts are of a time in which their keyset is.
    """

    keyset: Keyset
    until: int
    key_id: int
    gateway: GatewayKeys
    receipt_key: mldsa.MLDSA44PrivateKey
    accepted: Attested

    def __repr__(self) -> str:
        return f"InForce({self.keyset.digest().hex()[:16]}, keys=<secret>)"


@dataclass
class _Use:
    held: InForce
    opening: int = 0
    answering: int = 0
    over: bool = False
    sealing_wiped: bool = False


class ServingKeys:
    """Keysets in force, newest last. May be called from several threads; :meth:`rotate` collects evidence, and so
    belongs in one of its own."""

    def __init__(
        self,
        collector: Collector,
        policy: exchange.ServingPolicy,
        *,
        devices: Sequence[Collector] = (),
        collateral: Callable[[], Collateral],
        events: KeyEvents,
        clock: Clock,
        new_key: KeyMaker = HybridKey.generate,
    ) -> None:
        self._collector, self._devices = collector, tuple(devices)
        self._policy = policy
        self._collateral = collateral
        self._events = events
        self._clock = clock
        self._new_key = new_key
        self._lock = threading.Lock()
        self._rotating = threading.Lock()
        self._uses: dict[int, _Use] = {}
        self._newest: InForce | None = None
        self._attester: Attester | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------------------------ rotation

    def rotate(self) -> InForce:
        """Make a keyset, have this server's evidence of it accepted under the policy, and put it in force.

        ``EvidenceRejected`` where clients would refuse it, ``HostError`` where none can be collected: nothing has
        changed then. The last keyset stays in force until :meth:`retire` finds it over.
        """
        with self._rotating:
            made, attester, evidence = self._made()
            try:
                self._require_open()
                self._events.begin(made, evidence)
                with self._lock:
                    self._require_open()
                    self._uses[made.key_id] = _Use(made)
                    self._newest, self._attester = made, attester
            except BaseException:
                made.gateway.retire(made.key_id)
                raise
            return made

    def _require_open(self) -> None:
        if self._closed:
            raise CallerError("these keys were closed", hint="Make new ones")

    def _made(self) -> tuple[InForce, Attester, bytes]:
        key, key_id = self._fresh_key()
        receipt_key = mldsa.MLDSA44PrivateKey.generate()
        now, keys = int(self._clock().timestamp()), self._policy.keys
        until = now + keys.rotate_s + keys.overlap_s
        keyset = Keyset(
            sealing=protocol.sealing_key(key),
            tls=b"",
            receipt=receipt_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            not_before=now - CLOCK_SKEW_S,
            expires=until + self._policy.limits.stream_seconds + 1,
        )
        try:
            attester = Attester(
                keyset, self._collector, devices=self._devices, purposes=[protocol.PURPOSE], clock=self._clock
            )
            party = RelyingParty(
                self._policy.attestation.appraisal,
                self._collateral(),
                purpose=protocol.PURPOSE,
                clock=self._clock,
                answer_seconds=3600,  # this is no peer that could be late: hardware takes what it takes
                life_seconds=self._policy.attestation.life_s,
            )
            evidence = attester.answer(party.challenge(), b"")
            accepted = party.accept(evidence, b"")
        except BaseException:
            key.wipe()
            raise
        return InForce(keyset, until, key_id, GatewayKeys({key_id: key}), receipt_key, accepted), attester, evidence

    def _fresh_key(self) -> tuple[HybridKey, int]:
        """A key whose identifier none in force has."""
        with self._lock:
            taken = set(self._uses)
        if len(taken) >= MOST_IN_FORCE:
            raise HostError(
                f"{len(taken)} keysets are in force or still answered for",
                hint="Let keys.overlap_s be shorter beside keys.rotate_s, or rotate less often",
            )
        while True:
            key = self._new_key()
            if (key_id := protocol.key_id(key.public)) not in taken:
                return key, key_id
            key.wipe()

    @property
    def rotate_in(self) -> float:
        """Seconds until the next keyset is due; 0 where there is none, or it is due."""
        newest = self._newest
        if newest is None:
            return 0.0
        due = newest.until - self._policy.keys.overlap_s
        return max(0.0, due - self._clock().timestamp())

    @property
    def current(self) -> bool:
        """Whether there is a keyset that clients would take now."""
        newest = self._newest
        return newest is not None and self._clock().timestamp() < newest.until

    def retire(self) -> None:
        """End the keysets whose overlap is over, but for the newest while it is good: refuse what is sealed to them
        from now on, and wipe what is not in use."""
        with self._lock:
            for use in self._uses.values():
                use.over = self._over(use)
        self._wipe()

    def _over(self, use: _Use) -> bool:
        """Whether nothing that is sealed to it is opened any more, be it retired yet or not."""
        return use.over or self._clock().timestamp() >= use.held.until

    def close(self) -> None:
        """End every keyset, whatever is still being answered."""
        with self._lock:
            self._closed = True
            self._newest = self._attester = None
            for use in self._uses.values():
                use.over = True
                use.answering = 0
        self._wipe()

    # ----------------------------------------------------------------------------------------------------------- use

    def attest(self, challenge: bytes) -> bytes:
        """The encoded ``Attestation`` for a client's ``challenge``, of the newest keyset. Takes what hardware takes.

        Raises as ``Attester.answer`` does.
        """
        attester = self._attester
        if attester is None:
            raise HostError("there is no keyset yet", hint="Try again in a moment")
        return attester.answer(challenge, b"")

    @property
    def configurations(self) -> bytes:
        """``application/ohttp-keys``: what requests may be sealed to, the newest key first."""
        with self._lock:
            held = [use.held for use in reversed(self._uses.values()) if not self._over(use)]
        if not held:
            raise HostError("no key is in force", hint="Try again in a moment")
        return ohttp.encode_list([one for each in held for one in each.gateway.configurations])

    @contextlib.contextmanager
    def opening(self, key_id: int) -> Iterator[InForce]:
        """The keyset whose requests have this identifier, while one of them is opened; it is then answered for until
        :meth:`answered`, also where opening raises. ``KeyUnknown`` where none is in force."""
        with self._lock:
            use = self._uses.get(key_id)
            if use is None or self._over(use):
                raise KeyUnknown(
                    f"key {key_id} is not in force",
                    hint="Ask the gateway for its keys, verify them, and seal it again",
                )
            use.opening += 1
            use.answering += 1
        try:
            yield use.held
        finally:
            with self._lock:
                use.opening -= 1
            if use.over:
                self._wipe()

    def answered(self, held: InForce) -> None:
        """A request under ``held`` has had its answer, and receipt."""
        with self._lock:
            use = self._uses.get(held.key_id)
            if use is None or use.held is not held:
                return  # closed meanwhile
            use.answering -= 1
            over = use.over
        if over:
            self._wipe()

    def _wipe(self) -> None:
        ended = []
        with self._lock:
            for key_id, use in list(self._uses.items()):
                if use.over and use.opening <= 0 and not use.sealing_wiped:
                    use.held.gateway.retire(key_id)
                    use.sealing_wiped = True
                if use.sealing_wiped and use.answering <= 0:
                    ended.append(self._uses.pop(key_id).held)
        for held in ended:
            self._events.end(held)

    def __repr__(self) -> str:
        return f"ServingKeys({sorted(self._uses)})"


__all__ = ["CLOCK_SKEW_S", "InForce", "KeyEvents", "ServingKeys"]
