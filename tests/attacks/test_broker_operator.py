"""Whoever runs the broker's disk: edited policies, swapped keys, forged records, old copies; and what nothing stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokering import (
    GOOD,
    HOUR,
    KEY,
    OWNER,
    Asker,
    Machine,
    Site,
    appraisal_policy,
    broker_key,
    chain_policy,
    resource_of,
    sealed_for,
)
from identities import identity, speaking_as
from quatrefoil.audit import MemoryLog
from quatrefoil.broker.ledger import ResourceRecord
from quatrefoil.errors import MessageRefused, PolicyError, StateCorrupt
from quatrefoil.resources import OwnedResource, Resource, key_commitment, verify
from quatrefoil.resources import sealed_key as sealing
from quatrefoil.state import MemoryState
from signed_messages import body_of, damaged

BAIT = bytes(range(100, 132))
EVIL = Machine(values=GOOD | {7: b"\xee" * 32})
LOOSE = chain_policy(train=appraisal_policy("loose", [GOOD[7].hex(), "ee" * 32]))


@pytest.fixture
def site() -> Site:
    return Site()


def record_of(site: Site, digest: bytes) -> ResourceRecord:
    stored = site.state.get(f"resource/{digest.hex()}")
    assert stored is not None
    return ResourceRecord.decode(stored)


def write(site: Site, digest: bytes, record: ResourceRecord) -> None:
    """What the operator does, with a broker that is stopped meanwhile."""
    site.state.replace({f"resource/{digest.hex()}": record.encode()})
    site.restart()


def loosened(owned: OwnedResource, signer: Asker) -> OwnedResource:
    """The owner's resource under another policy, signed by whoever would like to have it so."""
    security = speaking_as(identity(signer.name, signer.role))
    body = replace(owned.resource, policy=LOOSE.encode())
    return verify(security.sign(body.encode()), security.verify)


# --------------------------------------------------------------------------------------------------- edited policies


def test_a_statement_that_was_edited_in_place_is_found(site: Site) -> None:
    owned = site.registered()
    edited = loosened(owned, Asker("operator", "broker"))
    write(site, owned.digest, replace(record_of(site, owned.digest), signed=edited.signed))
    with pytest.raises(StateCorrupt, match="somebody changed it"):
        site.workload(owned, machine=EVIL).acquire()


def test_under_another_policy_the_owners_key_does_not_open(site: Site) -> None:
    """The operator signs the resource itself, with a policy that lets its code in, and stores the owner's key there."""
    owned = site.registered()
    edited = loosened(owned, Asker("operator", "broker"))
    write(site, edited.digest, replace(record_of(site, owned.digest), signed=edited.signed))
    with pytest.raises(StateCorrupt, match="belongs to another resource"):
        site.workload(edited, machine=EVIL).acquire()
    assert "somebody" not in str(site.logged("refusal")) and site.logged("refusal")[0]["asked"] == "release"


def test_the_name_on_the_sealed_key_does_not_help(site: Site) -> None:
    """The label is changed as well: then HPKE's own binding refuses."""
    owned = site.registered()
    edited = loosened(owned, Asker("operator", "broker"))
    record = record_of(site, owned.digest)
    relabelled = replace(sealing.SealedKey.decode(record.sealed_key), resource=edited.digest).encode()
    write(site, edited.digest, replace(record, signed=edited.signed, sealed_key=relabelled))
    with pytest.raises(StateCorrupt, match="does not open"):
        site.workload(edited, machine=EVIL).acquire()


def test_without_the_binding_the_edited_policy_would_give_the_key_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, with keys that are sealed to the broker and to nothing else."""
    monkeypatch.setattr(sealing.Binding, "encode", lambda _: b"bound to nothing")
    owned = site.registered()
    edited = loosened(owned, Asker("operator", "broker"))
    record = record_of(site, owned.digest)
    relabelled = replace(sealing.SealedKey.decode(record.sealed_key), resource=edited.digest).encode()
    write(site, edited.digest, replace(record, signed=edited.signed, sealed_key=relabelled))
    evil = site.workload(edited, machine=EVIL)
    evil.acquire()
    assert evil.holder.key == KEY


# ------------------------------------------------------------------------------------------------------- swapped keys


def test_keys_swapped_between_resources_are_found(site: Site) -> None:
    """Code that one owner's policy accepts would else get the other's key."""
    mine = site.registered(resource_of(Asker("thief", "silo"), name="bait", policy=LOOSE, secret=BAIT), BAIT)
    theirs = site.registered()
    swapped = replace(record_of(site, mine.digest), sealed_key=record_of(site, theirs.digest).sealed_key)
    write(site, mine.digest, swapped)
    with pytest.raises(StateCorrupt, match="does not open"):
        site.workload(mine, machine=EVIL).acquire()


def test_a_key_of_the_operators_own_is_found(site: Site) -> None:
    """Sealed properly, under the owner's statement: the statement commits to the key."""
    owned = site.registered()
    body = replace(owned.resource, commitment=key_commitment(bytes(32)))
    forged = OwnedResource(body, owned.policy, owned.owner, owned.signed)
    own = sealing.seal_key(forged, bytes(32), broker_key().recipient.public)
    write(site, owned.digest, replace(record_of(site, owned.digest), sealed_key=own))
    with pytest.raises(StateCorrupt, match="committed"):
        site.workload(owned).acquire()


def test_an_ancestor_that_was_taken_out_stops_what_derives_from_it(site: Site) -> None:
    """Otherwise its owner's revocation of what that derives from would reach nothing any more."""
    owned = site.registered()
    trainer = site.workload(owned)
    trainer.acquire()
    update = resource_of(trainer.asker, name="update", stages=("aggregate",), secret=BAIT, parent=owned.digest)
    trainer.derived(update, BAIT)
    site.state.replace({f"resource/{owned.digest.hex()}": None})
    site.restart()
    aggregator = site.workload(update, "aggregate", machine=Machine(values=GOOD | {7: b"\xaa" * 32}))
    with pytest.raises(StateCorrupt, match="not in the state"):
        aggregator.acquire()


def test_a_record_that_is_damaged_is_not_used(site: Site) -> None:
    owned = site.registered()
    name = f"resource/{owned.digest.hex()}"
    stored = site.state.get(name)
    assert stored is not None
    site.state.replace({name: damaged(stored, 0)})
    with pytest.raises(StateCorrupt, match="does not read back"):
        site.workload(owned).acquire()


def test_a_code_that_asks_for_one_resource_gets_no_other(site: Site) -> None:
    """A resource of the operator's under the name of the owner's digest: the holder knows what it asks for."""
    owned = site.registered()
    bait = resource_of(Asker("operator", "broker"), secret=bytes(32))
    write(
        site,
        owned.digest,
        replace(record_of(site, owned.digest), signed=bait.signed, sealed_key=sealed_for(bait, bytes(32))),
    )
    with pytest.raises(StateCorrupt, match="another one"):
        site.workload(owned).acquire()


# --------------------------------------------------------------------------------------------------------- old copies


def test_an_old_state_beside_the_whole_log_forgets_no_revocation(site: Site) -> None:
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    backup = site.state.copy()
    site.revoke(OWNER, value=owned.digest)
    site.broker = site.make(state=backup)
    with pytest.raises(PolicyError, match="was revoked"):
        site.workload(owned).acquire()
    assert len(site.logged("revocation")) == 1


def test_an_old_state_beside_the_whole_log_takes_no_nonce_twice(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    nonce = workload.nonce()
    assert isinstance(site.state, MemoryState)
    backup = site.state.copy()
    request = workload.request(nonce)
    workload.ask(request)
    site.broker = site.make(state=backup)
    for asked in (request, site.workload(owned).request(nonce)):
        with pytest.raises(MessageRefused, match="has been used"):
            workload.ask(asked)
    assert len(site.logged("lease")) == 1


def test_an_old_state_knows_no_lease_that_came_later(site: Site) -> None:
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    backup = site.state.copy()
    workload = site.workload(owned)
    workload.acquire()
    site.broker = site.make(state=backup)
    with pytest.raises(MessageRefused, match="no such lease"):
        workload.renew()


def test_an_old_log_beside_the_state_stops_the_broker(site: Site) -> None:
    owned = site.registered()
    before = Site(clock=site.clock).log
    site.workload(owned).acquire()
    with pytest.raises(StateCorrupt, match="the log was cut"):
        site.make(log=before)


def test_the_limit_an_old_copy_of_both_forgets_a_revocation(site: Site) -> None:
    """Nothing on the machine can know better. Owners hold the broker's answer, witnesses a newer checkpoint; and a
    lease still ends, so that what was revoked gets a key only by asking again."""
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    backup, log = site.state.copy(), _copied(site)
    site.revoke(OWNER, value=owned.digest)
    site.broker = site.make(state=backup, log=log)
    assert site.workload(owned).acquire().number == 0


def test_an_old_copy_of_both_takes_no_nonce_of_before_once_it_has_expired(site: Site) -> None:
    owned = site.registered()
    workload = site.workload(owned)
    request = workload.request()
    assert isinstance(site.state, MemoryState)
    backup, log = site.state.copy(), _copied(site)
    workload.ask(request)
    workload.pass_time(HOUR)
    site.broker = site.make(state=backup, log=log)
    with pytest.raises(MessageRefused, match="expired"):
        workload.ask(request)


def test_two_brokers_on_copies_of_one_state_are_two_histories(site: Site) -> None:
    """Each gives its own answer once; nonces that one gives out, the other does not know."""
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    second = site.make(state=site.state.copy(), log=_copied(site))
    workload = site.workload(owned)
    request = workload.request()
    with pytest.raises(MessageRefused, match="nonce"):
        second.release(request, asker=workload.asker, exporter=b"", peer_key=b"")


def _copied(site: Site) -> MemoryLog:
    """The log as a backup has it."""
    copy = MemoryLog(site.clock)
    copy._leaves = list(site.log._leaves)  # type: ignore[attr-defined]
    copy._payloads = dict(site.log._payloads)  # type: ignore[attr-defined]
    return copy


# ------------------------------------------------------------------------------------------------------------- limits


def test_the_limit_whoever_reads_the_brokers_memory_reads_every_key(site: Site) -> None:
    """The sealing key opens everything that was sealed to it. Owners who do not want to trust its host seal only to a
    broker that shows evidence."""
    owned = site.registered()
    record = record_of(site, owned.digest)
    assert sealing.open_key(owned, record.sealed_key, broker_key()) == KEY


def test_the_limit_a_code_that_was_let_in_may_keep_the_key(site: Site) -> None:
    """A lease binds code that keeps to it: whether it does is what its measurement stands for."""
    workload = site.workload(site.registered())
    workload.acquire()
    kept = bytes(workload.holder.key)
    workload.pass_time(2 * HOUR)
    assert kept == KEY


def test_the_statement_says_whose_it_is(site: Site) -> None:
    """The broker took the owner's signature; an operator's statement is the operator's resource."""
    owned = site.registered()
    assert Resource.decode(body_of(record_of(site, owned.digest).signed)) == owned.resource
    with pytest.raises(MessageRefused, match="signed by"):
        edited = loosened(owned, Asker("operator", "broker"))
        site.broker.register(edited.signed, sealed_for(owned), asker=OWNER)
