"""Leases end, are renewed on fresh evidence only, and are revoked; the holder's key is gone in each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokering import (
    GOOD,
    HOUR,
    KEY,
    OPERATOR,
    OWNER,
    Asker,
    Machine,
    Site,
    Workload,
    altered,
    appraisal_policy,
    chain_policy,
    resource_of,
    revocation,
)
from identities import Clock, identity, speaking_as
from quatrefoil.appraisal import verify
from quatrefoil.audit.leases import Lease
from quatrefoil.broker.clock import TOLERATED_S
from quatrefoil.broker.ledger import KEPT_S
from quatrefoil.broker.messages import LeaseList, Release, ReleaseRequest, RenewalRequest, ResourceList, Revocation
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import (
    CallerError,
    EvidenceRejected,
    HostError,
    LeaseEnded,
    MessageRefused,
    PolicyError,
    QuatrefoilError,
)
from quatrefoil.resources import OwnedResource
from signed_messages import damaged

CHANGED = {7: b"\xee" * 32}


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def owned(site: Site) -> OwnedResource:
    return site.registered()


@pytest.fixture
def workload(site: Site, owned: OwnedResource) -> Workload:
    held = site.workload(owned)
    held.acquire()
    return held


# ---------------------------------------------------------------------------------------------------------- renewal


def test_a_lease_is_renewed_and_the_key_stays(site: Site, workload: Workload) -> None:
    first = workload.holder.lease
    for number in (1, 2, 3):
        workload.pass_time(workload.holder.renew_in)
        lease = workload.renew()
        assert (lease.id, lease.number) == (first.id, number)
    assert workload.holder.key == KEY
    assert lease.expires == first.expires + 3 * HOUR // 2
    assert [entry["number"] for entry in site.logged("lease")] == [0, 1, 2, 3]


def test_an_expired_lease_is_not_renewed_and_its_key_is_wiped(site: Site, workload: Workload) -> None:
    key, request = workload.holder.key, workload.request()
    workload.pass_time(HOUR)
    with pytest.raises(LeaseEnded, match="not renewed in time"):
        _ = workload.holder.key
    assert bytes(key) != KEY
    fresh = altered(request, RenewalRequest, nonce=workload.nonce())
    with pytest.raises(PolicyError, match="the lease ended at"):
        workload.ask_renewal(fresh)


def test_a_policy_that_lets_nobody_renew(site: Site) -> None:
    workload = site.workload(site.registered(resource_of(policy=chain_policy(renewal="refused"))))
    workload.acquire()
    assert not workload.holder.renewable and workload.holder.renew_in == HOUR
    with pytest.raises(PolicyError, match="lets nobody renew"):
        workload.renew()


def test_code_that_changed_is_not_renewed(site: Site, workload: Workload) -> None:
    workload.machine.values = GOOD | CHANGED
    with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
        workload.renew()
    assert site.logged("refusal")[0]["lease"] == workload.holder.lease.id.hex()


def test_a_lease_is_renewed_by_its_holder_and_its_keyset_only(site: Site, workload: Workload) -> None:
    lease, other = workload.holder.lease, site.workload(site.registered(resource_of(name="b")), name="other")
    with pytest.raises(MessageRefused, match="another keyset"):
        workload.ask_renewal(
            altered(workload.request(), RenewalRequest, keyset=replace(workload.holder.keyset, not_before=1))
        )
    other.acquire()
    stolen = altered(other.request(), RenewalRequest, lease=lease.id)
    with pytest.raises(MessageRefused, match="you hold no such lease"):
        other.ask_renewal(stolen)
    unknown = altered(workload.request(), RenewalRequest, lease=bytes(32))
    with pytest.raises(MessageRefused, match="you hold no such lease"):
        workload.ask_renewal(unknown)


def test_evidence_of_a_release_renews_nothing(site: Site, owned: OwnedResource, workload: Workload) -> None:
    """Fresh evidence for another purpose: that of a second release."""
    second = site.workload(owned)
    nonce = second.nonce()
    release = ReleaseRequest.decode(second.request(nonce))
    second.holder.accept(second.ask(release.encode()))
    nonce = second.nonce()
    renewal = RenewalRequest.decode(second.request(nonce))
    with pytest.raises(EvidenceRejected, match="report-data"):
        second.ask_renewal(replace(renewal, evidence=release.evidence).encode())


def test_a_renewal_whose_answer_was_lost_does_no_harm(workload: Workload) -> None:
    workload.ask_renewal(workload.request())
    assert workload.renew().number == 2
    assert workload.holder.key == KEY


def test_the_same_renewal_gets_the_same_bytes(site: Site, workload: Workload) -> None:
    request = workload.request()
    answer = workload.ask_renewal(request)
    site.restart()
    assert workload.ask_renewal(request) == answer


# --------------------------------------------------------------------------------------------------------- revocation


def claim(what: str) -> dict[str, object]:
    made = Machine()
    return {
        "measurement": {"what": "measurement", "kind": "tpm", "name": "pcr7", "value": GOOD[7]},
        "platform": {"what": "platform", "kind": "tpm", "name": "ak", "value": ak_of(made)},
    }[what]


def ak_of(machine: Machine) -> bytes:
    evidence = machine.attester(bytes(32)).primary
    return verify(evidence, Collateral(), datetime(2030, 1, 1, tzinfo=UTC)).claims.platform["ak"]


@pytest.mark.parametrize("what", ["resource", "lease", "measurement", "platform"])
@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_what_is_revoked_is_neither_renewed_nor_released(
    site: Site, owned: OwnedResource, workload: Workload, what: str, again: bool
) -> None:
    lease = workload.holder.lease
    values = {"resource": {"value": owned.digest}, "lease": {"value": lease.id}}
    fields = values[what] if what in values else claim(what)
    site.revoke(**{"what": what} | fields)
    if again:
        site.restart()
    with pytest.raises(PolicyError, match=f"{what} .* was revoked by broker broker: test"):
        workload.renew()
    other = site.workload(owned)
    if what == "lease":
        other.acquire()
    else:
        with pytest.raises(PolicyError, match="was revoked"):
            other.acquire()
    (entry,) = site.logged("revocation")
    assert (entry["what"], entry["by"], entry["reason"]) == (what, "broker", "test")


def test_a_revoked_machine_does_not_stop_another(site: Site, owned: OwnedResource) -> None:
    site.revoke(**claim("platform"))
    with pytest.raises(PolicyError, match="platform"):
        site.workload(owned).acquire()
    site.workload(owned, machine=Machine(ak=1)).acquire()


def test_an_owner_revokes_for_its_own_resource_only(site: Site, owned: OwnedResource) -> None:
    other_owner = Asker("clinic", "silo")
    other = site.registered(resource_of(other_owner, name="other"))
    site.revoke(OWNER, **claim("measurement") | {"resource": owned.digest})
    with pytest.raises(PolicyError, match="was revoked"):
        site.workload(owned).acquire()
    lease = site.workload(other).acquire()
    for fields in (
        {"what": "resource", "value": other.digest},
        {"what": "lease", "value": lease.id},
        {"what": "lease", "value": bytes(32)},
        {"what": "resource", "value": bytes(32)},
        claim("measurement"),
        claim("measurement") | {"resource": other.digest},
        claim("platform"),
    ):
        with pytest.raises(PolicyError, match="silo hospital may not revoke"):
            site.revoke(OWNER, **fields)
    with pytest.raises(PolicyError, match="may not revoke"):
        site.revoke(Asker(OPERATOR.name, "silo"), what="resource", value=other.digest)
    site.revoke(other_owner, what="lease", value=lease.id)
    assert len(site.logged("revocation")) == 2 and len(site.logged("refusal")) == 9


def test_revoking_again_changes_nothing(site: Site, owned: OwnedResource) -> None:
    signed = revocation(OWNER, clock=site.clock, value=owned.digest)
    for _ in range(2):
        site.broker.revoke(signed)
        site.restart()
    assert len(site.logged("revocation")) == 1


def test_revocations_that_are_no_such_thing(site: Site) -> None:
    with pytest.raises(MessageRefused):
        site.broker.revoke(damaged(revocation(value=bytes(32))))
    for fields in (
        {"what": "everything"},
        {"what": "resource", "value": b"short"},
        {"what": "lease", "value": bytes(32), "resource": bytes(32)},
        {"what": "measurement", "value": bytes(32)},
        {"what": "platform", "kind": "tpm", "name": "ak", "value": b""},
        {"what": "resource", "value": bytes(32), "kind": "tpm", "name": "ak"},
        {"what": "resource", "value": bytes(32), "reason": "x" * 401},
        # What no evidence ever says: it would be revoked for nobody.
        {"what": "measurement", "kind": "tmp", "name": "pcr7", "value": bytes(32)},
        {"what": "measurement", "kind": "tpm", "name": "pcr07", "value": bytes(32)},
        {"what": "measurement", "kind": "tpm", "name": "ak", "value": bytes(34)},
        {"what": "measurement", "kind": "tpm", "name": "pcr7", "value": bytes(2)},
        {"what": "measurement", "kind": "tdx", "name": "mrtd", "value": bytes(32)},
        {"what": "platform", "kind": "nitro", "name": "pcr0", "value": bytes(48)},
    ):
        with pytest.raises(MessageRefused):
            Revocation(**{"kind": "", "name": "", "value": b"", "resource": b"", "reason": ""} | fields)


def test_a_revocation_between_the_request_and_its_answer_wins(site: Site, owned: OwnedResource) -> None:
    """Calls follow each other: it is before the release or after it, and before it nothing is given."""
    workload = site.workload(owned)
    request = workload.request()
    site.revoke(value=owned.digest)
    with pytest.raises(PolicyError, match="was revoked"):
        workload.ask(request)


# --------------------------------------------------------------------------------------------------------------- clock


def test_a_clock_set_back_releases_nothing_and_prolongs_nothing(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    workload.acquire()
    request, later = workload.request(), workload.request()
    site.clock.pass_time(seconds=-TOLERATED_S - 1)
    for ask in (workload.nonce, lambda: workload.ask_renewal(request), lambda: site.workload(owned).acquire()):
        with pytest.raises(HostError, match="behind"):
            ask()
    site.restart()
    with pytest.raises(HostError, match="behind"):
        workload.ask_renewal(later)
    site.revoke(value=owned.digest)  # taking away is always possible
    site.clock.pass_time(seconds=TOLERATED_S + 1)
    with pytest.raises(PolicyError, match="was revoked"):
        workload.ask_renewal(later)


def test_a_small_step_back_lets_time_stand_still(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    granted = workload.acquire().granted
    site.clock.pass_time(seconds=-TOLERATED_S + 1)
    assert workload.renew().granted == granted


def test_what_has_ended_stays_ended_when_the_clock_goes_back(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    workload.acquire()
    request = workload.request()
    site.clock.pass_time(seconds=HOUR)
    other = site.workload(owned)
    other.nonce()  # writes the time down
    site.clock.pass_time(seconds=-30)
    site.restart()
    with pytest.raises((PolicyError, MessageRefused)):
        workload.ask_renewal(request)


# --------------------------------------------------------------------------------------------------------------- lists


def test_lists_show_what_is_the_askers(site: Site, owned: OwnedResource, workload: Workload) -> None:
    def leases(asker: Asker) -> list[str]:
        return [one.standing for one in LeaseList.decode(site.broker.leases(asker)).leases]

    assert leases(OPERATOR) == leases(OWNER) == leases(workload.asker) == ["held"]
    assert leases(Asker("clinic", "silo")) == leases(Asker("worker", "silo")) == []
    resources = ResourceList.decode(site.broker.resources(OWNER)).resources
    assert [(one.resource, one.revoked) for one in resources] == [(owned.digest, False)]
    assert ResourceList.decode(site.broker.resources(workload.asker)).resources == ()
    site.revoke(**claim("measurement"))
    assert leases(OWNER) == ["revoked"]
    workload.pass_time(HOUR)
    site.revoke(value=owned.digest)
    assert ResourceList.decode(site.broker.resources(OPERATOR)).resources[0].revoked
    workload.pass_time(KEPT_S)
    workload.nonce()
    assert leases(OPERATOR) == []


def test_an_ended_lease_is_shown_as_such_for_a_day(site: Site, workload: Workload) -> None:
    workload.pass_time(HOUR + KEPT_S - 61)
    workload.nonce()
    (shown,) = LeaseList.decode(site.broker.leases(OPERATOR)).leases
    assert shown.standing == "expired"


# ---------------------------------------------------------------------------------------------------------- the holder


def test_the_holder_counts_from_before_it_asked(site: Site, owned: OwnedResource) -> None:
    """A slow answer shortens the lease here, so that the key is gone before the lease ends at the broker."""
    workload = site.workload(owned)
    request = workload.request()
    workload.elapsed += 600
    workload.holder.accept(workload.ask(request))
    assert workload.holder.ends_in == HOUR - 600


def test_a_broker_cannot_prolong_beyond_the_owners_policy(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    answer = Release.decode(workload.ask(request := workload.request()))
    lease = workload.security.verify(answer.lease)
    longer = replace(Lease.decode(lease.body), expires=2**40)
    sealed = site.security.seal(workload.holder.keyset.sealing_public, KEY, context=longer.encode())
    workload.holder.accept(Release(site.security.sign(longer.encode()), sealed).encode())
    assert workload.holder.ends_in == HOUR and request


def test_a_renewal_that_comes_after_the_end_is_too_late(workload: Workload) -> None:
    answer = workload.ask_renewal(workload.request())
    workload.pass_time(HOUR)
    with pytest.raises(LeaseEnded, match="not renewed in time"):
        workload.holder.accept(answer)


def test_the_key_is_overwritten_at_the_end_and_stays_gone(workload: Workload) -> None:
    key = workload.holder.key
    workload.holder.end("revoked")
    assert bytes(key) not in (KEY, bytes(32))
    for ask in (lambda: workload.holder.key, lambda: workload.holder.lease, workload.request):
        with pytest.raises(LeaseEnded, match="revoked"):
            ask()
    workload.holder.end("again")
    assert "ended" in repr(workload.holder) and KEY.hex() not in repr(workload.holder)


LIES = {
    "another nonce": {"nonce": bytes(32)},
    "another request": {"id": bytes(32)},
    "another resource": {"resource": bytes(32)},
    "another stage": {"stage": "serve"},
    "another keyset": {"keyset": bytes(32)},
    "a later number": {"number": 1},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_says_something_else_ends_the_lease(site: Site, owned: OwnedResource, lie: str) -> None:
    workload = site.workload(owned)
    true = Lease.decode(workload.security.verify(Release.decode(workload.ask(workload.request())).lease).body)
    said = replace(true, **LIES[lie])
    sealed = site.security.seal(workload.holder.keyset.sealing_public, KEY, context=said.encode())
    with pytest.raises(MessageRefused, match="the lease"):
        workload.holder.accept(Release(site.security.sign(said.encode()), sealed).encode())
    with pytest.raises(LeaseEnded):
        _ = workload.holder.key


@pytest.mark.parametrize("signer", [Asker("broker", "silo"), Asker("other", "broker")], ids=str)
def test_an_answer_of_somebody_else(site: Site, owned: OwnedResource, signer: Asker) -> None:
    workload = site.workload(owned)
    answer = Release.decode(workload.ask(workload.request()))
    forger = speaking_as(identity(signer.name, signer.role), site.clock)
    body = workload.security.verify(answer.lease).body
    with pytest.raises(MessageRefused, match="is signed by"):
        workload.holder.accept(replace(answer, lease=forger.sign(body)).encode())
    workload = site.workload(owned)
    answer = Release.decode(workload.ask(workload.request()))
    body = workload.security.verify(answer.lease).body
    sealed = forger.seal(workload.holder.keyset.sealing_public, KEY, context=body)
    with pytest.raises(MessageRefused, match="sealed"):
        workload.holder.accept(replace(answer, sealed_key=sealed).encode())


def test_a_key_that_the_owner_did_not_commit_to(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    answer = Release.decode(workload.ask(workload.request()))
    body = workload.security.verify(answer.lease).body
    sealed = site.security.seal(workload.holder.keyset.sealing_public, bytes(32), context=body)
    with pytest.raises(MessageRefused, match="committed"):
        workload.holder.accept(replace(answer, sealed_key=sealed).encode())


def test_what_the_caller_may_not_do(site: Site, owned: OwnedResource) -> None:
    workload = site.workload(owned)
    with pytest.raises(CallerError, match="not been released"):
        _ = workload.holder.key
    with pytest.raises(CallerError, match="nothing was asked for"):
        workload.holder.accept(b"")
    with pytest.raises(CallerError, match="not released to the stage"):
        site.workload(owned, stage="serve")
    answer = workload.ask(workload.request())
    workload.holder.accept(answer)
    with pytest.raises(CallerError, match="nothing was asked for"):
        workload.holder.accept(answer)


@given(steps=st.lists(st.sampled_from(["renew", "wait", "long", "fail", "sleep"]), max_size=12))
def test_whoever_has_the_key_has_a_lease_at_the_broker(steps: list[str]) -> None:
    """Whatever happens: while the holder gives its key out, the lease has not ended by the broker's clock."""
    site = Site(clock=Clock())
    workload = site.workload(site.registered())
    workload.acquire()
    for step in steps:
        workload.pass_time({"wait": 600, "long": 2400, "sleep": HOUR}.get(step, 0))
        try:
            if step == "renew":
                workload.renew()
            elif step == "fail":
                workload.machine.values = GOOD | CHANGED
                workload.renew()
        except QuatrefoilError:
            pass
        finally:
            workload.machine.values = dict(GOOD)
        try:
            assert workload.holder.key == KEY
        except LeaseEnded:
            return
        (shown,) = LeaseList.decode(site.broker.leases(OPERATOR)).leases
        assert shown.standing == "held"


def test_an_appraisal_policy_with_several_values(site: Site) -> None:
    several = appraisal_policy("both", [GOOD[7].hex(), CHANGED[7].hex()])
    owned = site.registered(resource_of(policy=chain_policy(train=several)))
    site.workload(owned, machine=Machine(values=GOOD | CHANGED)).acquire()
    site.revoke(what="measurement", kind="tpm", name="pcr7", value=CHANGED[7])
    with pytest.raises(PolicyError, match="was revoked"):
        site.workload(owned, machine=Machine(values=GOOD | CHANGED)).acquire()
    site.workload(owned).acquire()
