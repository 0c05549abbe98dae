"""Keys go to the code that the owner's policy accepts, and to nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest

from brokering import (
    BROKER,
    GOOD,
    HOUR,
    KEY,
    OWNER,
    Asker,
    Machine,
    Site,
    altered,
    appraisal_policy,
    chain_policy,
    lease_of,
    resource_of,
    sealed_for,
)
from quatrefoil.audit.leases import Lease, LeaseEvidence
from quatrefoil.broker import ledger, registry
from quatrefoil.broker.messages import Registered, Release, ReleaseRequest, ResourceList
from quatrefoil.broker.nonces import MOST_NONCES, NONCE_S
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused, PolicyError
from quatrefoil.state import MemoryState
from signed_messages import body_of, damaged


@pytest.fixture
def site() -> Site:
    return Site()


# ------------------------------------------------------------------------------------------------------------ accepted


def test_measured_code_gets_the_key_under_a_lease(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    lease = workload.acquire()
    assert workload.holder.key == KEY
    assert (lease.number, lease.stage, lease.holder) == (0, "train", "worker")
    assert lease.expires - lease.granted == HOUR
    assert (lease.kind, lease.isolation) == ("tpm", "none")
    (entry,) = site.logged("lease")
    assert (
        entry["lease"] == lease.id.hex()
        and entry["appraisal"] == chain_policy().stage("train").appraisal.digest().hex()
    )  # type: ignore[union-attr]
    assert entry["policy"] == owned.policy.digest().hex() and "signature" in entry["checks"]


def test_the_log_lets_anybody_appraise_again(site: Site) -> None:
    """The request with its evidence lies beside the entry, and the entry has the exporter that it was bound to."""
    workload = site.workload(site.registered())
    request = workload.request()
    workload.ask(request)
    (entry,) = [one for one in site.log.entries() if one.kind == "lease"]
    beside = LeaseEvidence.decode(site.log.payload(entry.attached["evidence"].sha256))
    assert beside.request == request and Lease.decode(body_of(beside.lease)).entry().items() <= entry.body.items()


def test_two_clients_at_once_get_leases_of_their_own(site: Site) -> None:
    owned = site.registered()
    first, second = site.workload(owned), site.workload(owned, name="other", machine=Machine(ak=1))
    one, two = first.request(), second.request()
    leases = {lease_of(first.ask(one)).id, lease_of(second.ask(two)).id}
    assert len(leases) == 2


def test_a_release_opens_only_for_the_attested_key(site: Site) -> None:
    owned = site.registered()
    first, second = site.workload(owned), site.workload(owned)
    answer = first.ask(first.request())
    second.request()
    with pytest.raises(MessageRefused):
        second.holder.accept(answer)


# -------------------------------------------------------------------------------------------------------- asked again


def test_the_same_request_gets_the_same_bytes_also_after_a_restart(site: Site) -> None:
    workload = site.workload(site.registered())
    request = workload.request()
    answer = workload.ask(request)
    assert workload.ask(request) == answer
    site.restart()
    assert workload.ask(request) == answer
    assert len(site.logged("lease")) == 1


def test_a_used_nonce_serves_no_other_request_also_after_a_restart(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    nonce = workload.nonce()
    workload.ask(workload.request(nonce))
    other = site.workload(owned)
    for _ in range(2):
        with pytest.raises(MessageRefused, match="the nonce has been used"):
            other.ask(other.request(nonce))
        site.restart()
    assert len(site.logged("lease")) == 1


def test_a_nonce_that_was_not_used_is_good_after_a_restart(site: Site) -> None:
    workload = site.workload(site.registered())
    nonce = workload.nonce()
    site.restart()
    workload.holder.accept(workload.ask(workload.request(nonce)))
    assert workload.holder.key == KEY


def test_a_refused_request_is_refused_again_in_the_same_words(site: Site) -> None:
    machine = Machine(values=GOOD | {7: b"\xee" * 32})
    workload = site.workload(site.registered(), machine=machine)
    request = workload.request()
    for _ in range(2):
        with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
            workload.ask(request)
        site.restart()
    (entry,) = site.logged("refusal")
    assert entry["party"] == "worker" and "accepted-pcr7" in entry["reason"] and entry["asked"] == "release"


def test_the_answer_is_not_given_again_once_it_was_revoked_or_has_ended(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    request = workload.request()
    lease = lease_of(workload.ask(request))
    site.revoke(what="lease", value=lease.id)
    with pytest.raises(PolicyError, match="was revoked"):
        workload.ask(request)
    short = site.registered(resource_of(name="short", policy=chain_policy(lease_s=60)))
    other = site.workload(short)
    request = other.request()
    other.ask(request)
    other.pass_time(60)
    with pytest.raises(PolicyError, match="has ended"):
        other.ask(request)


# ------------------------------------------------------------------------------------------------------------- nonces


def test_nonces_that_are_unknown_expired_or_anothers(site: Site) -> None:
    workload = site.workload(site.registered())
    with pytest.raises(MessageRefused, match="nonce"):
        workload.ask(workload.request(bytes(32)))
    request = workload.request()
    with pytest.raises(MessageRefused, match="nonce"):
        site.broker.release(request, asker=Asker("other", "workload"), exporter=b"", peer_key=b"")
    with pytest.raises(MessageRefused, match="nonce"):
        site.broker.release(request, asker=Asker("worker", "silo"), exporter=b"", peer_key=b"")
    workload.pass_time(NONCE_S)
    with pytest.raises(MessageRefused, match="expired"):
        workload.ask(request)
    assert not site.logged("lease") and not site.logged("refusal")


def test_nobody_fills_the_disk_with_nonces(site: Site) -> None:
    workload = site.workload(site.registered())
    first = workload.nonce()
    others = [workload.nonce() for _ in range(MOST_NONCES)]
    assert len(site.state.names("nonce/")) == MOST_NONCES
    with pytest.raises(MessageRefused):
        workload.ask(workload.request(first))
    workload.ask(workload.request(others[0]))
    workload.pass_time(NONCE_S + 1)
    workload.nonce()
    assert len(site.state.names("nonce/")) == 1


# ------------------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stage": "serve"}, "does not release"),
        ({"stage": "\x07"}, "does not release"),
        ({"resource": bytes(32)}, "not registered"),
        ({"evidence": b""}, "not well-formed"),
    ],
)
def test_requests_for_something_else(site: Site, changes: dict[str, object], problem: str) -> None:
    workload = site.workload(site.registered())
    request = altered(workload.request(), ReleaseRequest, **changes)
    with pytest.raises((PolicyError, MessageRefused, EvidenceRejected), match=problem):
        workload.ask(request)
    assert len(site.logged("refusal")) == 1


@pytest.mark.parametrize("field", ["nonce", "resource"])
def test_fields_of_another_length(site: Site, field: str) -> None:
    with pytest.raises(MessageRefused, match=field):
        altered(site.workload(site.registered()).request(), ReleaseRequest, **{field: b"short"})


def test_a_keyset_of_another_tls_key_than_the_channels_is_refused(site: Site) -> None:
    """Whoever relays a request has to answer for the TLS key that the attested code names as its own."""
    owned = site.registered()
    workload = site.workload(owned, tls_key=bytes(range(32)))
    workload.exporter, workload.peer_key = b"e" * 32, bytes(32)
    with pytest.raises(EvidenceRejected, match="another TLS key") as refused:
        workload.acquire()
    assert refused.value.check == "tls-key"
    again = site.workload(owned, tls_key=bytes(range(32)))
    again.exporter, again.peer_key = b"e" * 32, bytes(range(32))
    assert again.acquire().holder == "worker"
    again.peer_key = bytes(32)
    with pytest.raises(EvidenceRejected, match="another TLS key"):
        again.renew()


def test_evidence_of_a_kind_that_the_policy_does_not_name_is_not_read(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    wanted = ReleaseRequest.decode(workload.request())
    machine = EvidenceSet.decode(wanted.evidence).primary
    beside = EvidenceSet(machine, (replace(machine, kind="nvidia-cc", report=b"for a parser to choke on"),))
    with pytest.raises(EvidenceRejected, match="nvidia-cc evidence is not named by the policy"):
        workload.ask(replace(wanted, evidence=beside.encode()).encode())


def test_evidence_is_for_one_resource_one_stage_and_one_purpose(site: Site) -> None:
    """The relay of good evidence to another question fails: the purpose is in the report data."""
    first, second = site.registered(), site.registered(resource_of(name="second"))
    workload = site.workload(first)
    request = altered(workload.request(), ReleaseRequest, resource=second.digest)
    with pytest.raises(EvidenceRejected, match="report-data"):
        workload.ask(request)
    both = site.registered(
        resource_of(
            name="both", policy=replace(chain_policy(), entry=("aggregate", "train")), stages=("aggregate", "train")
        )
    )
    accepted = Machine(values=GOOD | {7: b"\xaa" * 32})
    workload = site.workload(both, "train", machine=accepted)
    with pytest.raises(EvidenceRejected, match="report-data"):
        workload.ask(altered(workload.request(), ReleaseRequest, stage="aggregate"))


def test_evidence_relayed_for_another_key_is_refused(site: Site) -> None:
    """The host of good code asks with a keyset of its own, beside evidence that the code made for its keyset."""
    owned = site.registered()
    good, host = site.workload(owned), site.workload(owned)
    nonce = good.nonce()
    evidence = ReleaseRequest.decode(good.request(nonce)).evidence
    stolen = altered(host.request(nonce), ReleaseRequest, evidence=evidence)
    with pytest.raises(EvidenceRejected, match="report-data"):
        host.ask(stolen)


def test_evidence_of_another_channel_is_refused(site: Site) -> None:
    workload = site.workload(site.registered())
    workload.exporter = bytes(range(32))
    request = workload.request()
    with pytest.raises(EvidenceRejected, match="report-data"):
        site.broker.release(request, asker=workload.asker, exporter=bytes(32), peer_key=b"")


def test_a_machine_that_nobody_pinned(site: Site) -> None:
    workload = site.workload(site.registered(), machine=Machine(ak=2))
    with pytest.raises(EvidenceRejected, match="signer"):
        workload.acquire()


def test_a_keyset_that_is_over_or_has_another_suite(site: Site) -> None:
    workload = site.workload(site.registered())
    request = ReleaseRequest.decode(workload.request())
    for keyset, problem in (
        (replace(request.keyset, not_before=0, expires=1), "expired on"),
        (replace(request.keyset, sealing=bytes(6) + request.keyset.sealing_public), "does not allow"),
        (replace(request.keyset, sealing=request.keyset.sealing[:-1]), "has 1216 bytes"),
        (replace(request.keyset, sealing=b"", tls=bytes(32)), "no sealing key"),
    ):
        with pytest.raises(EvidenceRejected, match=problem):
            workload.ask(replace(request, nonce=workload.nonce(), keyset=keyset).encode())


def test_a_lease_ends_before_its_keyset(site: Site) -> None:
    workload = site.workload(site.registered(resource_of(policy=chain_policy(lease_s=60 * 86400))))
    lease = workload.acquire()
    assert lease.expires == workload.holder.keyset.expires


# -------------------------------------------------------------------------------------------------------- registration


def test_registering_again_gives_the_same_answer(site: Site) -> None:
    owned = resource_of()
    key = sealed_for(owned)
    answer = site.broker.register(owned.signed, key, asker=OWNER)
    assert site.broker.register(owned.signed, key, asker=OWNER) == answer
    said = Registered.decode(body_of(answer))
    assert (said.resource, said.sealed_key) == (owned.digest, hashlib.sha256(key).digest())
    assert len(site.logged("resource")) == 1
    with pytest.raises(MessageRefused, match="another sealed key"):
        site.broker.register(owned.signed, sealed_for(owned), asker=OWNER)


def test_what_is_not_registered(site: Site) -> None:
    owned, other = resource_of(), resource_of(name="other")
    with pytest.raises(MessageRefused, match="signed by silo hospital"):
        site.broker.register(owned.signed, sealed_for(owned), asker=Asker("thief", "silo"))
    with pytest.raises(MessageRefused, match="another resource"):
        site.broker.register(owned.signed, sealed_for(other), asker=OWNER)
    with pytest.raises(MessageRefused):
        site.broker.register(damaged(owned.signed), sealed_for(owned), asker=OWNER)
    derived = resource_of(parent=bytes(32))
    with pytest.raises(MessageRefused, match="derived"):
        site.broker.register(derived.signed, sealed_for(derived), asker=OWNER)
    assert not site.logged("resource") and not site.state.names("resource/")
    assert [entry["asked"] for entry in site.logged("refusal")] == ["register"] * 4


def test_a_keyset_of_another_key_makes_no_broker(site: Site) -> None:
    keyset = replace(site.broker._keyset, sealing=b"x" * 40)
    with pytest.raises(CallerError, match="sealing key"):
        site.make(keyset=keyset)


def test_the_answer_is_signed_by_the_broker(site: Site) -> None:
    workload = site.workload(site.registered())
    release = Release.decode(workload.ask(workload.request()))
    said = workload.security.verify(release.lease)
    assert (said.signer, said.role) == (BROKER.name, BROKER.role)


def test_large_resources_are_not_kept_in_memory(site: Site) -> None:
    """An owner registers what it likes: a broker reads it again rather than holding thousands of policies."""
    values = [f"{number:064x}" for number in range(1, 1024)] + [GOOD[7].hex()]
    owned = site.registered(resource_of(policy=chain_policy(train=appraisal_policy("large", values))))
    assert len(owned.signed) > ledger.LARGEST_CACHED
    before = ledger._decoded.cache_info().misses, registry._cached.cache_info().misses
    assert ResourceList.decode(site.broker.resources(OWNER)).resources[0].resource == owned.digest
    assert (ledger._decoded.cache_info().misses, registry._cached.cache_info().misses) == before
    assert site.workload(owned).acquire().holder == "worker"


def test_a_resource_that_would_keep_everybody_waiting_is_refused_unread(site: Site) -> None:
    with pytest.raises(MessageRefused, match="over 1048576"):
        site.broker.register(bytes(registry.LARGEST_RESOURCE + 1), b"", asker=OWNER)
    (entry,) = site.logged("refusal")
    assert entry["party"] == OWNER.name


# -------------------------------------------------------------------------------------------------- a disk that is full


class FullOnce(MemoryState):
    """Stores nothing the next time that ``full`` says so."""

    full = False

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        if self.full:
            self.full = False
            raise HostError("the disk is full", hint="Make room")
        super().replace(changes)


def test_what_was_logged_and_not_stored_counts_as_used() -> None:
    """The broker goes on after its disk was full: the log shows a lease for this nonce, and it is given to nobody."""
    state = FullOnce()
    site = Site(state=state)
    owned = site.registered()
    workload = site.workload(owned)
    nonce = workload.nonce()
    state.full = True
    with pytest.raises(HostError, match="full"):
        workload.ask(workload.request(nonce))
    assert len(site.logged("lease")) == 1
    with pytest.raises(MessageRefused, match="has been used"):
        workload.ask(workload.request(nonce))
    with pytest.raises(MessageRefused, match="has been used"):
        site.workload(owned).ask(site.workload(owned).request(nonce))
    assert [entry["nonce"] for entry in site.logged("lease")] == [nonce.hex()]
    assert site.workload(owned).acquire().number == 0
