"""The served model: out of its container into memory, if it is the policy's; and a broker that is away, or refuses."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brokering import appraisal_policy
from quatrefoil.errors import CallerError, ChannelRefused, MessageRefused, ModelRefused, PeerUnreachable
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import InferRequest
from quatrefoil.resources import ReleasePolicy, Stage
from quatrefoil.resources.container import FILE, TENSORS, About, Owner, claimed_time, opened_front, reading, seal
from quatrefoil.resources.container.front import Verifying
from quatrefoil.serving.model import acquire, engine_of, read_model, require_served
from quatrefoil.transport import system_clock
from quatrefoil.transport.sealed import SUITES, Judged, RecipientKey
from serving_parts import serving_policy
from small_models import B, W, linear
from support import Consortium

BROKER = RecipientKey.generate(SUITES[0])


class Sealed:
    """Containers of one owner in a folder."""

    def __init__(self, people: Consortium, folder: Path) -> None:
        self.folder = folder
        self._by = people.transport("hospital", "silo")
        self.verifying: Callable[[bytes], Verifying] = claimed_time(people.trust, judged=Judged.NOW, clock=system_clock)

    def seal(self, content: bytes, name: str = "m.sealed", *, kind: str = "model", form: str = FILE) -> Path:
        source, sink = self.folder / f"{name}.plain", io.BytesIO()
        source.write_bytes(content)
        release = ReleasePolicy("r", ("serve",), (Stage("serve", appraisal_policy(), 60, "allowed", ()),))
        owner = Owner(self._by.sign, self._by.verify, Ed25519PrivateKey.generate())
        about = About(kind, "m", 1, 1_700_000_000, ("serve",), release, "")
        salt = bytes(32) if kind == "dataset" else None
        with reading(source, form, salt=salt) as given:
            seal(
                given,
                sink,
                about=about,
                owner=owner,
                brokers=(BROKER.recipient.public,),
                threads=1,
                progress=lambda _: None,
            )
        path = self.folder / name
        path.write_bytes(sink.getvalue())
        return path

    def policy(self, path: Path) -> ServingPolicy:
        """One that names the model in ``path``."""
        with opened_front(path, self.verifying) as (_, front):
            return serving_policy(model__root=front.root)

    def key(self, path: Path) -> bytearray:
        with opened_front(path, self.verifying) as (_, front):
            return front.open_key(BROKER)

    def loaded(self, path: Path, policy: ServingPolicy, key: bytearray, resource: bytes) -> Any:
        content = read_model(path, self.verifying, key, policy, resource=resource, threads=2)
        return engine_of(content, policy, threads=2)


@pytest.fixture
def sealed(consortium: Consortium, tmp_path: Path) -> Sealed:
    return Sealed(consortium, tmp_path)


def test_the_model_of_the_policy_computes_and_is_written_nowhere(sealed: Sealed) -> None:
    path = sealed.seal(linear())
    policy = sealed.policy(path)
    owned = require_served(path, sealed.verifying, policy).owned
    before = set(sealed.folder.iterdir())
    engine = sealed.loaded(path, policy, sealed.key(path), owned.digest)
    x = np.ones((1, 3), "f4")
    assert np.allclose(engine.infer(InferRequest({"x": x})).outputs["y"], x @ W + B)
    assert engine.metadata.name == policy.model.name
    assert set(sealed.folder.iterdir()) == before


def test_what_is_not_the_model_of_the_policy_is_refused_before_anything_is_released(
    sealed: Sealed, tmp_path: Path
) -> None:
    model = sealed.seal(linear())
    with pytest.raises(MessageRefused, match="root"):
        require_served(model, sealed.verifying, serving_policy())
    data = sealed.seal(linear(), "d.sealed", kind="dataset")
    with pytest.raises(MessageRefused):
        require_served(data, sealed.verifying, sealed.policy(data))
    np.savez(tmp_path / "w.npz", w=W)
    tensors = sealed.seal((tmp_path / "w.npz").read_bytes(), "t.sealed", form=TENSORS)
    with pytest.raises(CallerError, match="no model that computes"):
        require_served(tensors, sealed.verifying, sealed.policy(tensors))
    with pytest.raises(MessageRefused, match="no sealed model"):
        require_served(tmp_path / "w.npz", sealed.verifying, serving_policy())


def test_a_container_that_changes_after_it_was_looked_at_is_refused(sealed: Sealed) -> None:
    path = sealed.seal(linear())
    policy, key = sealed.policy(path), sealed.key(path)
    owned = require_served(path, sealed.verifying, policy).owned
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with pytest.raises(MessageRefused, match="does not open"):
        sealed.loaded(path, policy, key, owned.digest)
    sealed.seal(linear())  # the same content under another key and statement
    with pytest.raises(MessageRefused, match="exchanged"):
        sealed.loaded(path, policy, key, owned.digest)
    path.write_bytes(whole)
    with pytest.raises(MessageRefused):
        sealed.loaded(path, policy, bytearray(32), owned.digest)


def test_a_file_that_is_no_model_is_refused_without_its_content(sealed: Sealed) -> None:
    path = sealed.seal(b"SECRET-MARKER is no model")
    policy = sealed.policy(path)
    owned = require_served(path, sealed.verifying, policy).owned
    with pytest.raises(ModelRefused) as refused:
        sealed.loaded(path, policy, sealed.key(path), owned.digest)
    assert "SECRET" not in str(refused.value)


class Lease:
    """A lease holder whose broker answers as it is told."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    async def acquire(self) -> Any:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return type("Granted", (), {"id": bytes(32), "kind": "tpm", "isolation": "none"})


def test_a_broker_that_is_away_is_asked_again_and_one_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.serving.model.FIRST_PAUSE", 0.001)
    away = PeerUnreachable("nobody is there", hint="Start it")
    odd = ChannelRefused("another certificate", hint="Look")

    async def run(lease: Lease, patience_s: float) -> list[str]:
        said: list[str] = []
        await acquire(lease, patience_s=patience_s, report=said.append)  # type: ignore[arg-type]
        return said

    said = asyncio.run(run(Lease(away, odd, None), 60))
    assert ["nobody is there" in said[0], "another certificate" in said[1], "lease" in said[2]] == [True] * 3
    with pytest.raises(PeerUnreachable):
        asyncio.run(run(Lease(away, away), 0.0))
    refused = Lease(MessageRefused("revoked", hint="Ask its owner"), None)
    with pytest.raises(MessageRefused, match="revoked"):
        asyncio.run(run(refused, 60))
    assert refused.answers == [None]
