"""Data carries its policy: what is made of it goes where its owner's policy lets it go, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokering import GOOD, HOUR, OWNER, Asker, Machine, Site, Workload, altered, chain_policy, resource_of, sealed_for
from quatrefoil.broker.messages import DeriveRequest, Registered
from quatrefoil.errors import EvidenceRejected, MessageRefused, PolicyError
from quatrefoil.resources import OwnedResource
from signed_messages import body_of

UPDATE_KEY, MODEL_KEY = bytes(range(32)), bytes(range(32, 64))
WORKER = Asker("worker", "workload")


@pytest.fixture
def site() -> Site:
    return Site()


def machine(register: str) -> Machine:
    return Machine(values=GOOD | {7: bytes.fromhex(register * 32)})


@pytest.fixture
def trainer(site: Site) -> Workload:
    held = site.workload(site.registered())
    held.acquire()
    return held


def update_of(trainer: Workload, **changes: object) -> OwnedResource:
    given = {"name": "update", "kind": "dataset", "stages": ("aggregate",), "secret": UPDATE_KEY}
    return resource_of(WORKER, **given | {"parent": trainer.holder.lease.resource} | changes)  # type: ignore[arg-type]


def test_the_whole_chain(site: Site, trainer: Workload) -> None:
    """train -> aggregate -> serve, each by code of its own, under one policy that nobody but the owner wrote."""
    update = update_of(trainer)
    said = Registered.decode(body_of(trainer.derived(update, UPDATE_KEY)))
    assert said.resource == update.digest
    aggregator = site.workload(update, "aggregate", machine=machine("aa"))
    aggregator.acquire()
    assert aggregator.holder.key == UPDATE_KEY
    model = resource_of(WORKER, name="model", kind="model", stages=("serve",), parent=update.digest, secret=MODEL_KEY)
    aggregator.derived(model, MODEL_KEY)
    server = site.workload(model, "serve", machine=machine("bb"))
    server.acquire()
    assert server.holder.key == MODEL_KEY
    assert [entry.get("stage") for entry in site.logged("resource")] == [None, "train", "aggregate"]


def test_code_of_another_stage_gets_no_derived_key(site: Site, trainer: Workload) -> None:
    update = update_of(trainer)
    trainer.derived(update, UPDATE_KEY)
    with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
        site.workload(update, "aggregate", machine=Machine()).acquire()


LOOSER = chain_policy(lease_s=24 * HOUR)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"policy_bytes": LOOSER.encode()}, "another policy"),
        ({"policy_bytes": replace(chain_policy(), name="renamed").encode()}, "another policy"),
        ({"stages": ("serve",)}, "may not go"),
        ({"stages": ("aggregate", "train")}, "may not go"),
        ({"kind": "model"}, "may not put out"),
        ({"kind": "round-key"}, "may not put out"),
        ({"parent": bytes(32)}, "another parent"),
    ],
)
def test_outputs_that_the_policy_does_not_name(
    site: Site, trainer: Workload, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(MessageRefused, match=problem):
        trainer.derived(update_of(trainer, **changes), UPDATE_KEY)
    assert len(site.logged("resource")) == 1 and len(site.logged("refusal")) == 1


def test_the_measured_code_itself_puts_it_out(site: Site, trainer: Workload) -> None:
    """Its host cannot exchange what the code puts out: the evidence is bound to the output's digest."""
    update, other = update_of(trainer), update_of(trainer, name="other")
    request = trainer.holder.derive(trainer.nonce(), update.signed, sealed_for(update, UPDATE_KEY), exporter=b"")
    swapped = altered(request, DeriveRequest, resource=other.signed, sealed_key=sealed_for(other, UPDATE_KEY))
    with pytest.raises(EvidenceRejected, match="report-data"):
        site.broker.derive(swapped, asker=WORKER, exporter=b"", peer_key=b"")


def test_a_host_of_changed_code_puts_nothing_out(site: Site, trainer: Workload) -> None:
    trainer.machine.values = GOOD | {7: b"\xee" * 32}
    with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
        trainer.derived(update_of(trainer), UPDATE_KEY)


def test_outputs_come_under_a_lease_of_ones_own_that_has_not_ended(site: Site, trainer: Workload) -> None:
    update = update_of(trainer)
    request = trainer.holder.derive(trainer.nonce(), update.signed, sealed_for(update, UPDATE_KEY), exporter=b"")
    with pytest.raises(MessageRefused, match="no such lease"):
        site.broker.derive(altered(request, DeriveRequest, lease=bytes(32)), asker=WORKER, exporter=b"", peer_key=b"")
    foreign = resource_of(
        Asker("thief", "workload"), name="update", stages=("aggregate",), parent=update.resource.parent
    )
    with pytest.raises(MessageRefused, match="signed by workload thief"):
        trainer.derived(foreign, bytes(range(7, 39)))
    late = trainer.holder.derive(trainer.nonce(), update.signed, sealed_for(update, UPDATE_KEY), exporter=b"")
    trainer.pass_time(HOUR)
    with pytest.raises(PolicyError, match="ended at"):
        site.broker.derive(
            altered(late, DeriveRequest, nonce=trainer.nonce()), asker=WORKER, exporter=b"", peer_key=b""
        )
    assert len(site.logged("resource")) == 1


def test_a_revoked_parent_takes_everything_with_it_that_derives_from_it(site: Site, trainer: Workload) -> None:
    update = update_of(trainer)
    trainer.derived(update, UPDATE_KEY)
    aggregator = site.workload(update, "aggregate", machine=machine("aa"))
    aggregator.acquire()
    site.revoke(OWNER, value=update.resource.parent)
    with pytest.raises(PolicyError, match="was revoked by silo hospital"):
        aggregator.renew()
    with pytest.raises(PolicyError, match="was revoked by silo hospital"):
        trainer.derived(update_of(trainer, name="more"), UPDATE_KEY)


def test_what_derives_is_the_first_owners_to_revoke(site: Site, trainer: Workload) -> None:
    update = update_of(trainer)
    trainer.derived(update, UPDATE_KEY)
    with pytest.raises(PolicyError, match="may not revoke"):
        site.revoke(WORKER, value=update.digest)
    site.revoke(OWNER, value=update.digest)
    with pytest.raises(PolicyError, match="was revoked"):
        site.workload(update, "aggregate", machine=machine("aa")).acquire()


def test_handing_in_again_changes_nothing_and_another_key_is_refused(site: Site, trainer: Workload) -> None:
    update = update_of(trainer)
    key = sealed_for(update, UPDATE_KEY)

    def hand_in(sealed_key: bytes) -> bytes:
        request = trainer.holder.derive(trainer.nonce(), update.signed, sealed_key, exporter=b"")
        return site.broker.derive(request, asker=WORKER, exporter=b"", peer_key=b"")

    assert hand_in(key) == hand_in(key)
    with pytest.raises(MessageRefused, match="another sealed key"):
        hand_in(sealed_for(update, UPDATE_KEY))
