"""A driver of jobs that starts whoever was killed at a durable step again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from killing import Fuse, FusedLog, FusedState, Killed
from quatrefoil.audit import Log, MemoryLog
from quatrefoil.errors import RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.messages import Confirmation, KeyRelease, RosterProposal, RoundOffer, RoundVoid
from quatrefoil.state import State
from signed_messages import body_of
from world import UPDATES, World


@dataclass
class Witness:
    """Everything that left a party, and the rules that must hold over all of it."""

    answers: dict[bytes, set[bytes]] = field(default_factory=dict)
    voids: dict[bytes, set[bytes]] = field(default_factory=dict)
    messages: dict[tuple[str, bytes], set[bytes]] = field(default_factory=dict)
    offers: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)
    proposals: dict[bytes, set[bytes]] = field(default_factory=dict)
    confirmations: dict[tuple[str, bytes], set[bytes]] = field(default_factory=dict)

    def answered(self, answer: bytes) -> bytes:
        context = KeyRelease.decode(body_of(parts.split(answer, 2)[0])).context
        assert context not in self.voids, "answered after its void"
        self.answers.setdefault(context, set()).add(answer)
        return answer

    def voided(self, void: bytes) -> bytes:
        context = RoundVoid.decode(body_of(void)).context
        assert context not in self.answers, "voided after its answer"
        self.voids.setdefault(context, set()).add(void)
        return void

    def offered(self, offer: bytes) -> bytes:
        context = RoundOffer.decode(body_of(offer)).context
        self.offers.setdefault((context.round, context.attempt), set()).add(offer)
        return offer

    def sent(self, name: str, offer: bytes, message: bytes) -> bytes:
        context = RoundOffer.decode(body_of(offer)).context.digest()
        self.messages.setdefault((name, context), set()).add(message)
        return message

    def proposed(self, proposal: bytes) -> bytes:
        self.proposals.setdefault(RosterProposal.decode(body_of(proposal)).context, set()).add(proposal)
        return proposal

    def confirmed(self, name: str, confirmation: bytes) -> bytes:
        context = Confirmation.decode(body_of(confirmation)).context
        self.confirmations.setdefault((name, context), set()).add(confirmation)
        return confirmation

    def check(self) -> None:
        for what in (
            self.answers, self.voids, self.messages, self.offers, self.proposals, self.confirmations,
        ):  # fmt: skip
            assert all(len(forms) == 1 for forms in what.values()), "one question, two answers"
        contexts = [RoundOffer.decode(body_of(offer)).context for forms in self.offers.values() for offer in forms]
        answered = [context.round for context in contexts if context.digest() in self.answers]
        assert len(answered) == len(set(answered)), "a round was answered twice"


class Drive:
    """Runs a job to its end, whoever dies on the way: each step may be repeated, as the services repeat theirs."""

    def __init__(
        self, world: World, victim: str, fuse: Fuse, *, disk: State | None = None, log: Log | None = None
    ) -> None:
        self.world = world
        self.victim = victim
        self.witness = Witness()
        self.deaths = 0
        self.disk = disk or FusedState(fuse)
        world.states[victim] = self.disk
        world.logs[victim] = log or FusedLog(fuse, MemoryLog(world.clock))
        self._start()

    def run(self) -> Drive:
        while True:
            try:
                self._run()
                return self
            except Killed:
                self.deaths += 1
                self._start()

    def _start(self) -> None:
        """The victim, new in memory, on its own disk. Starting writes too: it may die again."""
        world = self.world
        while True:
            try:
                if self.victim == "keeper":
                    world.keeper = world.make_keeper()
                elif self.victim == "hub":
                    world.enrolments = world.make_enrolments()
                else:
                    world.silos[self.victim] = world.make_silo(self.victim)
                return
            except Killed:
                self.deaths += 1

    def _run(self) -> None:
        world = self.world
        self._agree()
        while world.aggregator.rounds_done < world.rounds:
            self._round()
        self._hand_out()

    def _agree(self) -> None:
        world = self.world
        for name, silo in world.silos.items():
            if not silo.started:
                world.enrolments.enrol(silo.enrol(world.enrolments.invite(name)))
        for silo in world.silos.values():
            if not silo.started:
                world.enrolments.consent(silo.consent(world.enrolments.job()))
        job = world.enrolments.agreed()
        assert job is not None
        world.aggregator = world.make_aggregator(job)
        for silo in world.silos.values():
            silo.start(job.encoded, world.model_bytes)

    def _round(self) -> None:
        world = self.world
        try:
            offer = world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request())
            world.aggregator.opened(self.witness.offered(offer))
            self._hand_out()
            for name, silo in world.silos.items():
                trained = [array + array.dtype.type(UPDATES[name]) for array in silo.model]
                message = silo.contribute(offer, trained, world.aggregator.voids)
                world.aggregator.receive(name, self.witness.sent(name, offer, message))
                silo.acknowledged(RoundOffer.decode(body_of(offer)).context)
            check_keys(world.keeper.check, world.aggregator)
            proposal = self.witness.proposed(world.aggregator.propose())
            for name, silo in world.silos.items():
                confirmation = silo.confirm(offer, proposal, world.aggregator.voids)
                world.aggregator.confirm(name, self.witness.confirmed(name, confirmation))
            world.aggregator.finish(self.witness.answered(world.keeper.answer(world.aggregator.key_request())))
        except RoundVoided:
            void = world.keeper.void(world.aggregator.void_request("lost"))
            world.aggregator.voided(self.witness.voided(void))

    def _hand_out(self) -> None:
        for name, silo in self.world.silos.items():
            while (finished := self.world.aggregator.finished(silo.rounds_done + 1)) is not None:
                silo.accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))


def steps_of(victim: str, **world: Any) -> list[str]:
    """The durable steps of a party in an undisturbed job."""
    fuse = Fuse()
    Drive(World(**world), victim, fuse).run()
    return fuse.steps
