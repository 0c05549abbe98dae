"""The broker's room with a server of a sealed model in it, each in a process of its own, on a TPM in software."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker_room import Room, Running
from quatrefoil import cli, exchange
from quatrefoil.client import Client
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.transport import TrustAnchor
from serving_policies import serving_policy
from small_models import linear
from software_tpm import software_tpm
from support import Consortium


class Ward(Room):
    """The broker's room, with a server in it."""

    def seal_model(self, name: str, lease: int) -> None:
        (self.folder / "model.onnx").write_bytes(linear())
        root = self.model_sealed("model.onnx", name, lease)
        (self.folder / "serving.toml").write_text(serving_policy("linear", root))

    def serving(self, name: str, more: str = "") -> Running:
        return self.process(
            f"serve {name}.sealed --policy serving.toml --listen 127.0.0.1:0 --identity worker --root root.pem "
            f"--state server-{name} --broker 127.0.0.1:{self.port} --broker-name vault --stage serve "
            f"--collateral collateral {self.collecting} {more}"
        )

    def url(self, server: Running) -> str:
        port = self.waited(server, r"answers for model linear on 127.0.0.1:(\d+)")
        return f"https://127.0.0.1:{port}"

    def client(self, url: str) -> Client:
        return Client(
            url,
            policy=exchange.load(self.folder / "serving.toml"),
            collateral=Collateral.load(self.folder / "collateral"),
            identity=self.people.identity("hospital", "silo"),
            trust=TrustAnchor.load(self.root),
        )


@contextmanager
def serving_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    """A broker that runs, and an owner with a key, in ``tmp_path``, which becomes the folder one is in."""
    monkeypatch.chdir(tmp_path)
    with software_tpm() as machine:
        made = Ward(tmp_path, machine, Consortium(tmp_path / "ca"))
        new = "broker new --identity vault --root root.pem --state vault-state --root-key vault.key"
        assert cli.main(new.split()) == 0
        made.start()
        try:
            made.asks("key --out vault.cert --unattested")
            assert cli.main(["model", "key", "owner.pem"]) == 0
            yield made
        finally:
            made.kill()
