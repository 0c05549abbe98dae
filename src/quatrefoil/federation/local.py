"""A job in one process: the same machines as between hosts, handed their bytes directly.

Every message is still signed, sealed and checked; what is missing is the channel, and the fact that one process sees
everything. Use it to try, to test and to measure; run `quatrefoil keeper|aggregator|silo` to be protected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from quatrefoil.audit import Log
from quatrefoil.audit.dsse import Envelope, Notary, Verifier
from quatrefoil.contracts import (
    IntegrityProof,
    IsolationAppraiser,
    IsolationAttester,
    PrivateAggregation,
    TransportSecurity,
)
from quatrefoil.errors import CallerError, PeerError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.authorities import NOBODY
from quatrefoil.federation.commitments import NOTHING, Commitments
from quatrefoil.federation.committees import Members, gather_shares
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local_witnesses import LocalWitnesses
from quatrefoil.federation.messages import Job, Member
from quatrefoil.federation.provenance import AggregatorProvenance, SiloProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.vectors import Arrays, encode_arrays, layout_of, model_digest
from quatrefoil.policy import Policy
from quatrefoil.state import MemoryState
from quatrefoil.transport import Clock

Train = Callable[[str, Arrays], Sequence[NDArray[np.floating]]]
"""Trains one silo, by name, from the given parameters; returns the new parameters."""


@dataclass(frozen=True)
class Party:
    """What one party of a job is built from. ``proofs`` None: the job has none. ``notary``: what signs statements of
    provenance, with the same identity as ``security``."""

    security: TransportSecurity
    notary: Notary
    aggregation: PrivateAggregation
    proofs: IntegrityProof | None


class LocalJob:
    """A keeper, an aggregator and silos in this process, enrolled and ready to run rounds."""

    def __init__(
        self,
        name: str,
        *,
        silos: Mapping[str, tuple[Party, int]],
        aggregator: Party,
        keeper: Party | None,
        attester: IsolationAttester | None,
        appraiser: IsolationAppraiser | None,
        policy: Policy,
        plan: bytes,
        initial: Sequence[NDArray[np.floating]],
        rounds: int,
        log: Log,
        clock: Clock,
        random: Callable[[int], bytes],
        kinds: Mapping[str, type[Silo]] | None = None,
        commits: Mapping[str, Commitments] | None = None,
        parent: bytes | None = None,
        ancestors: Verifier | None = None,
        witnesses: Callable[[Job], LocalWitnesses] | None = None,
    ) -> None:
        """``attester``: the keeper's. ``appraiser``: what every silo holds its evidence to. All three are None where
        the policy appoints a committee. ``kinds``: silos, by name, that are of a class of their own: one that does not
        keep to the protocol, to show what it gets. ``commits``: what silos commit to; one that is not named, to
        nothing. ``parent``: the envelope about ``initial``, and ``ancestors`` whom to believe of it. ``witnesses``:
        makes the witnesses of the agreed job, where the policy asks for any."""
        if policy.witnesses and witnesses is None:
            raise CallerError(
                f"policy {policy.name} asks for {policy.witnesses} witnesses, and this job is given none",
                hint="Give it witnesses, or try it with a policy that asks for none",
            )
        layout = layout_of(initial)
        model = encode_arrays(initial, layout)
        receipt_key = Ed25519PrivateKey.generate() if policy.signs_receipts_twice else None
        state = MemoryState()
        self._provenance = AggregatorProvenance(
            initial,
            parent,
            notary=aggregator.notary,
            policy=policy,
            state=state,
            log=log,
            clock=clock,
            ancestors=ancestors,
        )
        terms = JobTerms(
            name,
            tuple(sorted(silos)),
            NOBODY if keeper is None else _member(keeper.security),
            layout,
            model_digest(initial, layout),
            rounds,
            plan,
            receipt_key.public_key().public_bytes_raw() if receipt_key else b"",
            self._provenance.parent_digest,
        )
        states = {silo: MemoryState() for silo in silos}
        enrolments = Enrolments(
            terms,
            security=aggregator.security,
            aggregation=aggregator.aggregation,
            proofs=aggregator.proofs,
            policy=policy,
            state=state,
            log=log,
            clock=clock,
            random=random,
        )
        self.silos = {
            silo: (kinds or {}).get(silo, Silo)(
                security=party.security,
                aggregation=party.aggregation,
                proofs=party.proofs,
                appraiser=appraiser,
                policy=policy,
                samples=samples,
                state=states[silo],
                log=log,
                clock=clock,
                commits=(commits or {}).get(silo, NOTHING),
            )
            for silo, (party, samples) in sorted(silos.items())
        }
        job = _enrol_all(enrolments, self.silos)
        self._keeper: Keeper | None = None
        if keeper is not None:
            if attester is None:
                raise CallerError("a keeper attests what it runs on, and nothing is given to", hint="Give an attester")
            self._keeper = Keeper(
                security=keeper.security,
                aggregation=keeper.aggregation,
                proofs=keeper.proofs,
                attester=attester,
                policy=policy,
                state=MemoryState(),
                log=log,
            )
        self.aggregator = Aggregator(
            job,
            model,
            security=aggregator.security,
            aggregation=aggregator.aggregation,
            proofs=aggregator.proofs,
            policy=policy,
            state=state,
            log=log,
            clock=clock,
            receipt_key=receipt_key,
        )
        self._signing = {
            silo: SiloProvenance(
                security=party.security,
                notary=party.notary,
                policy=policy,
                state=states[silo],
                log=log,
                clock=clock,
                ancestors=ancestors,
            )
            for silo, (party, _) in silos.items()
        }
        for one, silo in self.silos.items():
            self._signing[one].begin(job.encoded, model, self._provenance.parent)
            silo.start(job.encoded, model)
        self._witnesses = None if witnesses is None else witnesses(job.job)

    def run_round(
        self,
        train: Train,
        *,
        away: Collection[str] = (),
        on_message: Callable[[str, bytes], None] | None = None,
        on_refused: Callable[[str, PeerError], None] | None = None,
    ) -> FinishedRound:
        """Train every silo, add, decrypt the sum, and hand the result to every silo.

        Silos that are ``away`` do not contribute, and take the result later. ``on_message`` sees each contribution as
        the aggregator receives it. A contribution that the aggregator refuses is named in the log, and raised; or given
        to ``on_refused``, and the others go on.
        """
        aggregator = self.aggregator
        present = {name: silo for name, silo in self.silos.items() if name not in away}
        offer = self._open(present)
        for name, silo in self.silos.items():
            if name in away:
                continue
            context = silo.check_offer(offer, aggregator.voids)
            message = silo.contribute(offer, train(name, silo.model), aggregator.voids)
            if on_message is not None:
                on_message(name, message)
            try:
                aggregator.receive(name, message)
            except PeerError as error:
                if on_refused is None:
                    raise
                on_refused(name, error)
            else:
                silo.acknowledged(context)
        finished = aggregator.finish(self._answer(offer, present))
        for name, silo in self.silos.items():
            silo.accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))
        if self._witnesses is not None:
            self._witnesses.round_finished(finished.number)
        return finished

    @property
    def keeper(self) -> Keeper:
        """The keeper of a job that has one."""
        if self._keeper is None:
            raise CallerError("the job has a committee, and no keeper", hint="Ask its members")
        return self._keeper

    def _open(self, present: Mapping[str, Silo]) -> bytes:
        """The offer of the next attempt, which the aggregator has taken. ``present``: silos that can be asked."""
        aggregator = self.aggregator
        if aggregator.desk is not None:
            return Members(aggregator, present).open()
        offer = self.keeper.open_round(aggregator.enrolled_job, aggregator.open_request())
        aggregator.opened(offer)
        return offer

    def _answer(self, offer: bytes, present: Mapping[str, Silo]) -> bytes:
        """The key authority's answer for what was received."""
        aggregator = self.aggregator
        if aggregator.desk is not None:
            members = Members(aggregator, present)
            gather_shares(members)
            aggregator.check_roster()
            return members.answers(offer, aggregator.propose())
        check_keys(self.keeper.check, aggregator)
        proposal = aggregator.propose()
        for name, silo in present.items():
            aggregator.confirm(name, silo.confirm(offer, proposal, aggregator.voids))
        return self.keeper.answer(aggregator.key_request())

    def provenance(self) -> Envelope:
        """The statement about the job, once its last round is done, signed by the aggregator and every silo."""
        self._provenance.make(self.aggregator.job, self.aggregator.model)
        asked = self._provenance.own().encode()
        for name, silo in self.silos.items():
            self._provenance.signed(name, self._signing[name].sign(asked, silo.job, silo.model))
        return self._provenance.envelope()


def check_keys(check: Callable[[bytes], None], aggregator: Aggregator) -> None:
    """Have the keeper check what was received; a silo that it names is left out, and the keeper asked again."""
    while True:
        try:
            return check(aggregator.key_request())
        except PeerError as error:
            if error.party is None or error.party not in aggregator.received:
                raise
            aggregator.exclude(error.party, error.problem)


def _enrol_all(enrolments: Enrolments, silos: Mapping[str, Silo]) -> AgreedJob:
    for name, silo in silos.items():
        enrolments.enrol(silo.enrol(enrolments.invite(name)))
    for silo in silos.values():
        enrolments.consent(silo.consent(enrolments.job()))
    job = enrolments.agreed()
    assert job is not None
    return job


def _member(security: TransportSecurity) -> Member:
    statement = security.verify(security.sign(b"quatrefoil/self"))
    return Member(statement.signer, statement.fingerprint, 0)
