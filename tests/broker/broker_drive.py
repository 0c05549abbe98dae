"""A broker that may die at any durable step, and clients that ask again: everything that it ever gave is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from brokering import GOOD, OWNER, Asker, Machine, Site, Workload, lease_of, resource_of, revocation, sealed_for
from identities import Clock
from killing import Fuse, FusedLog, FusedState, Killed
from quatrefoil.audit import Log, MemoryLog
from quatrefoil.broker.messages import DeriveRequest, ReleaseRequest, RenewalRequest
from quatrefoil.errors import EvidenceRejected, MessageRefused, PolicyError, QuatrefoilError
from quatrefoil.resources import OwnedResource
from quatrefoil.state import State

UPDATE_KEY = bytes(range(60, 92))
WORKER = Asker("worker", "workload")

Result = TypeVar("Result")


class BrokerDrive:
    """Registers, releases, renews, derives, refuses and revokes, whoever dies on the way."""

    def __init__(self, fuse: Fuse, *, disk: State | None = None, log: Log | None = None) -> None:
        self.deaths = 0
        self.answers: dict[bytes, set[bytes]] = {}
        """By nonce, every answer that was given."""
        self.refused: dict[bytes, set[str]] = {}
        self.disk = disk or FusedState(fuse)
        clock = Clock()
        self.log = log or FusedLog(fuse, MemoryLog(clock))
        self.site = self._born(clock)

    def _born(self, clock: Clock) -> Site:
        while True:
            try:
                return Site(clock=clock, state=self.disk, log=self.log)
            except Killed:
                self.deaths += 1

    def _alive(self, call: Callable[[], Result]) -> Result:
        """``call``, with the broker started again as often as it dies: a client asks the same again."""
        while True:
            try:
                return call()
            except Killed:
                self.deaths += 1
                self._restart()

    def _restart(self) -> None:
        while True:
            try:
                self.site.restart()
                return
            except Killed:
                self.deaths += 1

    def run(self) -> BrokerDrive:
        self.owned = resource_of()
        key = sealed_for(self.owned)
        self._alive(lambda: self.site.broker.register(self.owned.signed, key, asker=OWNER))
        workload = self.workload = self.site.workload(self.owned)
        lease = self._until_answered(workload, lambda: workload.request(self._nonce(workload)), workload.ask)
        workload.holder.accept(lease)
        renewal = self._until_answered(workload, lambda: workload.request(self._nonce(workload)), workload.ask_renewal)
        workload.holder.accept(renewal)
        self._derive(workload)
        self._refuse()
        self._revoke(workload)
        return self

    def _nonce(self, workload: Workload) -> bytes:
        return self._alive(workload.nonce)

    def _until_answered(self, workload: Workload, make: Callable[[], bytes], ask: Callable[[bytes], bytes]) -> bytes:
        while True:
            request = make()
            try:
                return self._given(request, self._alive(lambda r=request: ask(r)))
            except MessageRefused as refusal:
                # It was killed between log and state: the request is over, and a new one is made.
                assert "the nonce has been used" in refusal.problem, refusal

    def _given(self, request: bytes, answer: bytes) -> bytes:
        nonce = nonce_of(request)
        self.answers.setdefault(nonce, set()).add(answer)
        return answer

    def _derive(self, workload: Workload) -> None:
        self.update = self._update(workload.holder.lease.resource)
        key = sealed_for(self.update, UPDATE_KEY)

        def make() -> bytes:
            return workload.holder.derive(self._nonce(workload), self.update.signed, key, exporter=b"")

        self._until_answered(
            workload, make, lambda request: self.site.broker.derive(request, asker=WORKER, exporter=b"", peer_key=b"")
        )

    @staticmethod
    def _update(parent: bytes) -> OwnedResource:
        return resource_of(WORKER, name="update", stages=("aggregate",), secret=UPDATE_KEY, parent=parent)

    def _refuse(self) -> None:
        """Code that the policy does not accept asks, and goes on asking."""
        evil = self.site.workload(self.owned, machine=Machine(values=GOOD | {7: b"\xee" * 32}))
        request = evil.request(self._nonce(evil))
        for _ in range(2):
            try:
                self._alive(lambda: evil.ask(request))
                raise AssertionError("a key was given to code that the policy refuses")
            except (EvidenceRejected, MessageRefused) as refusal:
                self.refused.setdefault(nonce_of(request), set()).add(type(refusal).__name__)

    def _revoke(self, workload: Workload) -> None:
        signed = revocation(OWNER, clock=self.site.clock, value=self.owned.digest)
        self._alive(lambda: self.site.broker.revoke(signed))
        other = self.site.workload(self.owned)
        for ask, request in (
            (workload.ask_renewal, workload.request(self._nonce(workload))),
            (other.ask, other.request(self._nonce(other))),
        ):
            try:
                self._given(request, self._alive(lambda a=ask, r=request: a(r)))
                raise AssertionError("something was given after its revocation")
            except (PolicyError, MessageRefused):
                pass

    # --------------------------------------------------------------------------------------------------------- checks

    def check(self) -> None:
        """One nonce, one answer; everything given or revoked is in the log, and stands in the state."""
        logged = {entry["nonce"]: entry for entry in self.site.logged("lease")}
        assert all(len(given) == 1 for given in self.answers.values()), "one nonce, two answers"
        for nonce, (answer,) in self.answers.items():
            try:
                lease = lease_of(answer)
            except QuatrefoilError:
                continue  # of a derived resource
            assert logged[nonce.hex()]["lease"] == lease.id.hex()
        assert self.site.logged("revocation") and self.site.logged("resource")
        resources = {entry["resource"] for entry in self.site.logged("resource")}
        assert resources == {self.owned.digest.hex(), self.update.digest.hex()}
        leases = {nonce for nonce in self.answers if nonce.hex() in logged}
        assert len(leases) == 2, "a release and a renewal"


def nonce_of(request: bytes) -> bytes:
    for kind in (ReleaseRequest, RenewalRequest, DeriveRequest):
        try:
            decoded: Any = kind.decode(request)
            return bytes(decoded.nonce)
        except MessageRefused:
            continue
    raise AssertionError("no request")


def steps() -> list[str]:
    """The durable steps of an undisturbed run."""
    fuse = Fuse()
    BrokerDrive(fuse).run().check()
    return fuse.steps
