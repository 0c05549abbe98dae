"""Making and opening a table's key without processes: a broker releases it, and what does not fit is refused."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brokering import BROKER, OWNER, Site, Workload, broker_key, chain_policy
from identities import TRUSTED, Clock, consortium, identity, speaking_as
from quatrefoil.aggregation.he import SETS, SecretKey
from quatrefoil.analytics import (
    HolderKey,
    LinearModel,
    TablePublicKey,
    encrypt_numbers,
    open_scores,
    save_secret,
    score,
    verify_key,
)
from quatrefoil.broker.messages import Asker, ReleaseRequest
from quatrefoil.errors import CallerError, LeaseEnded, MessageRefused, ParametersRefused, QuatrefoilError, StateCorrupt
from quatrefoil.resources import OwnedResource
from quatrefoil.resources.container import FILE, About, Content, FileHeader, Owner, claimed_time, opened_front, seal
from quatrefoil.resources.container.front import Verifying
from quatrefoil.table_keys import load, make, require_pair, under_lease
from quatrefoil.table_keys.opening import LARGEST
from quatrefoil.transport.sealed import Judged

SET = "ckks-linear-4096"
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = LinearModel("linear", ("a", "b"), (3.0, -2.0), 7.0)
VALUES = np.array([[5.0, -3.0], [12.0, 2.0], [-4.0, 0.0]])
OTHER = Asker("clinic", "silo")


def about(**changed: Any) -> About:
    given = About("table-key", "trial", 1, int(Clock().now.timestamp()), ("train",), chain_policy(), "")
    return replace(given, **changed)


def owner(who: Asker = OWNER) -> Owner:
    security = speaking_as(identity(who.name, who.role))
    return Owner(security.sign, security.verify, ED25519)


def verifying() -> Callable[[bytes], Verifying]:
    return claimed_time(consortium(TRUSTED).trust, judged=Judged.NOW, clock=Clock())


@dataclass(frozen=True)
class Made:
    container: bytes
    owned: OwnedResource
    signed: bytes

    @property
    def key(self) -> HolderKey:
        return verify_key(self.signed, speaking_as(identity("north", "silo")).verify)

    def file(self, folder: Path, name: str = "key.sealed") -> Path:
        (folder / name).write_bytes(self.container)
        return folder / name


@cache
def _made(number: int, who: Asker, serial: int) -> Made:
    sink = io.BytesIO()
    brokers = [broker_key().recipient.public]
    owned, signed = make(SETS[SET], sink, about=about(serial=serial), owner=owner(who), brokers=brokers)
    return Made(sink.getvalue(), owned, signed)


def made(number: int = 0, who: Asker = OWNER, serial: int = 1) -> Made:
    return _made(number, who, serial)


def registered(site: Site, one: Made, folder: Path) -> Workload:
    """The key at the broker, and code that may ask for it."""
    with opened_front(one.file(folder), verifying()) as (_stream, front):
        (sealed_key,) = front.keys
    by = Asker(one.owned.owner.signer, one.owned.owner.role)
    site.broker.register(one.owned.signed, sealed_key.encode(), asker=by)
    return site.workload(one.owned)


def content_of(data: bytes) -> Content:
    return Content(FILE, FileHeader(len(data), bytes(32)), iter((data,)))


def sealed_by_hand(data: bytes, kind: str = "table-key") -> tuple[bytes, OwnedResource, bytes]:
    """A container with whatever content, and the key that opens it."""
    sink = io.BytesIO()
    owned = seal(
        content_of(data),
        sink,
        about=about(kind=kind),
        owner=owner(),
        brokers=[broker_key().recipient.public],
        threads=1,
        progress=lambda done: None,
        random=lambda size: bytes([7]) * size,
    )
    return sink.getvalue(), owned, bytes([7]) * 32


def test_the_released_key_opens_answers_and_nothing_is_left(tmp_path: Path) -> None:
    site, one = Site(), made()
    workload = registered(site, one, tmp_path)
    table = encrypt_numbers(one.key, ("a", "b"), VALUES)
    lease = workload.acquire()
    assert lease.resource == one.owned.digest and site.logged("lease")[0]["stage"] == "train"
    released = workload.holder.key
    secret = load(tmp_path / "key.sealed", verifying(), released, owned=one.owned, key=one.key)
    scores = open_scores(secret, table.digest(), 3, score(table, MODEL))
    assert np.abs(scores.values - (VALUES @ [3, -2] + 7)).max() <= scores.error
    secret.wipe()
    workload.holder.end("done")
    with pytest.raises(LeaseEnded):
        _ = workload.holder.key
    with pytest.raises(CallerError, match="wiped"):
        secret.save()
    with pytest.raises(MessageRefused, match="not the one that"):  # its bytes were overwritten at random
        load(tmp_path / "key.sealed", verifying(), bytes(32), owned=one.owned, key=one.key)


def test_a_release_that_was_recorded_opens_nothing_for_another(tmp_path: Path) -> None:
    site, one = Site(), made()
    first = registered(site, one, tmp_path)
    request = first.request()
    answer = first.ask(request)
    first.holder.accept(answer)
    second = site.workload(one.owned, name="mallory")
    second.request()
    with pytest.raises(QuatrefoilError):  # the recorded answer is to another request and another key
        second.holder.accept(answer)
    third = site.workload(one.owned, name="mallory")
    with pytest.raises(MessageRefused):  # and the recorded request is another's nonce
        third.ask(request)


def test_evidence_for_one_stage_is_none_for_another(tmp_path: Path) -> None:
    site, one = Site(), made()
    workload = registered(site, one, tmp_path)
    asked = ReleaseRequest.decode(workload.request())
    with pytest.raises(QuatrefoilError, match="'aggregate'"):
        workload.ask(replace(asked, stage="aggregate").encode())


# -------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (lambda: made(number=1), "is of another sealed key"),
        (lambda: made(serial=2), "is of another sealed key"),
        (lambda: made(who=OTHER), "'hospital' sealed the key, and 'clinic' signed the public one"),
    ],
)
def test_halves_that_do_not_belong_together(tmp_path: Path, other: Callable[[], Made], problem: str) -> None:
    one = made()
    require_pair(one.owned, one.key)
    with pytest.raises(MessageRefused, match=problem):
        require_pair(one.owned, other().key)
    with pytest.raises(MessageRefused, match=problem):
        load(one.file(tmp_path), verifying(), bytes(32), owned=one.owned, key=other().key)


def test_a_container_that_was_exchanged_while_its_key_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MessageRefused, match="was exchanged"):
        load(made(1).file(tmp_path), verifying(), bytes(32), owned=made().owned, key=made().key)


def test_contents_that_are_no_secret_half(tmp_path: Path) -> None:
    pair, other = SecretKey.pair(SETS[SET]), SecretKey.pair(SETS[SET])[0]
    for data, error, problem in (
        (b"", StateCorrupt, "no key of an encrypted table"),
        (bytes(save_secret(pair[0]))[:-1], StateCorrupt, "no key of an encrypted table"),
        (b"\xff" * 5000, StateCorrupt, "no key of an encrypted table"),
        (bytes(LARGEST + 1), MessageRefused, "bytes, over"),
        (bytes(save_secret(other)), MessageRefused, "is not the secret half of the public one"),
    ):
        container, owned, released = sealed_by_hand(data)
        (tmp_path / "bad").write_bytes(container)
        said = TablePublicKey("trial", 1, 0, owned.digest, SET, pair[1].key_id, pair[1].save())
        security = speaking_as(identity(OWNER.name, OWNER.role))
        key = verify_key(security.sign(said.encode()), security.verify)
        with pytest.raises(error, match=problem):
            load(tmp_path / "bad", verifying(), released, owned=owned, key=key)


def test_another_kind_of_resource_is_no_table_key() -> None:
    _, owned, _ = sealed_by_hand(b"model", kind="model")
    with pytest.raises(MessageRefused, match="a model is in the container"):
        require_pair(owned, made().key)
    with pytest.raises(CallerError, match="sealed as a dataset"):
        make(SETS[SET], io.BytesIO(), about=about(kind="dataset"), owner=owner(), brokers=[])
    with pytest.raises(ParametersRefused, match="a key of their own only"):
        make(SETS["ckks-network-8192"], io.BytesIO(), about=about(), owner=owner(), brokers=[])
    with pytest.raises(CallerError, match="blinded"):
        seal(
            Content(FILE, FileHeader(1, None), iter((b"x",))),
            io.BytesIO(),
            about=about(),
            owner=owner(),
            brokers=[broker_key().recipient.public],
            threads=1,
            progress=lambda done: None,
        )
    assert BROKER.role == "broker"


# ------------------------------------------------------------------------------------------------------------ leases


class Leased:
    """What ``under_lease`` uses of a holder; the lease ends when ``over`` is set."""

    def __init__(self) -> None:
        self.ended = False
        self.over = asyncio.Event()

    @property
    def key(self) -> bytearray:
        if self.ended:
            raise LeaseEnded("the lease is over", hint="Ask anew")
        return bytearray(32)

    async def keep(self) -> None:
        await self.over.wait()
        self.ended = True
        raise LeaseEnded("it was revoked", hint="Ask anew")


def test_what_was_opened_after_the_lease_had_ended_counts_for_nothing() -> None:
    async def during() -> str:
        held: Any = Leased()
        loop, done = asyncio.get_running_loop(), threading.Event()

        def work(_: bytearray) -> str:
            loop.call_soon_threadsafe(held.over.set)
            loop.call_soon_threadsafe(done.set)
            done.wait(30)
            return "scores"

        return await under_lease(held, work)

    with pytest.raises(LeaseEnded, match="revoked"):
        asyncio.run(during())

    async def just_before() -> str:
        held: Any = Leased()

        def work(_: bytearray) -> str:
            held.ended = True
            return "scores"

        return await under_lease(held, work)

    with pytest.raises(LeaseEnded, match="over"):
        asyncio.run(just_before())


def test_what_the_work_gives_or_raises_is_what_comes_out() -> None:
    async def of(work: Callable[[bytearray], Any]) -> Any:
        held: Any = Leased()
        return await under_lease(held, work)

    assert asyncio.run(of(len)) == 32
    with pytest.raises(ZeroDivisionError):
        asyncio.run(of(lambda key: 1 // 0))
