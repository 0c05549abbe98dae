"""Make these vectors again, with new keys: ``python tests/vectors/sealed_models/generate.py``.

Needed when something that is inside a container changes its form, as an appraisal policy may.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1]), str(HERE.parents[1] / "resources")]

from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402
from release_policies import policy  # noqa: E402
from sealing_models import ABOUT, ED25519, Parts, owner, seal_bytes, seal_file  # noqa: E402

from quatrefoil.resources import Resource, verify  # noqa: E402
from quatrefoil.resources.container import TENSORS  # noqa: E402
from quatrefoil.resources.container.layout import Geometry, Head, Keys, Manifest  # noqa: E402
from quatrefoil.transport import PostQuantumTransport  # noqa: E402
from quatrefoil.transport.sealed import SUITES, RecipientKey  # noqa: E402
from quatrefoil.transport.sealed.chunks import nonce  # noqa: E402
from quatrefoil.transport.sealed.keys import KEY_FILE  # noqa: E402
from quatrefoil.transport.statement import Signed  # noqa: E402
from support import Consortium, clock_at  # noqa: E402

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
CONTENT = hashlib.shake_256(b"quatrefoil sealed model vectors").digest(100)
KEY = b"\x05" * 32
"""Key and salt of the containers that attacks are made from."""


COMMITMENTS = {
    "commitment-cut": {"commitment": b"\x0c" * 31, "openings": 64},
    "commitment-without-openings": {"commitment": b"\x0c" * 32},
    "commitment-of-too-many-openings": {"commitment": b"\x0c" * 32, "openings": 65},
    "openings-of-no-commitment": {"openings": 64},
}
"""What a manifest may not say of committed weights."""


def main() -> None:
    for old in (*HERE.glob("*.sealed"), *HERE.glob("hybrid-*")):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        made = Vectors(Path(folder))
        made.accept()
        made.reject()
        index = {"at": AT.isoformat(), "content": 'SHAKE256("quatrefoil sealed model vectors"), its first bytes'}
        index |= {"ed25519": ED25519.public_key().public_bytes_raw().hex()}
        index |= {"accepted": made.accepted, "rejected": made.rejected}
        (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n")


class Vectors:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        consortium = Consortium(folder / "ca", "sealed-model-vectors", clock=clock_at(AT - timedelta(days=1)))
        (HERE / "root.pem").write_bytes(consortium.authority.root.public_bytes(Encoding.PEM))
        self.north, self.south = (
            PostQuantumTransport(consortium.identity(name, "silo"), consortium.trust, clock=clock_at(AT))
            for name in ("north", "south")
        )
        self.keys = {suite.name: RecipientKey.generate(suite) for suite in SUITES}
        for name, key in self.keys.items():
            key.save(HERE / name, b"")
            (HERE / name / KEY_FILE).chmod(0o644)
            (HERE / name / "sealing.certificate").unlink()
        self.about = replace(ABOUT, made_at=int(AT.timestamp()) - 3600)
        self.to = self.keys["hybrid-768"].recipient.public
        self.accepted: dict[str, object] = {}
        self.rejected: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------------------ accepted

    def accept(self) -> None:
        for name, size in (("empty", 0), ("one-byte", 1), ("one-hundred-bytes", 100)):
            self._accept(name, self._seal(CONTENT[:size]), size)
        both = tuple(key.recipient.public for key in self.keys.values())
        self._accept("two-brokers", self._seal(CONTENT, brokers=both), 100, keys=list(self.keys))
        strong = (self.keys["hybrid-1024"].recipient.public,)
        self._accept("hybrid-1024", self._seal(CONTENT, brokers=strong), 100, keys=["hybrid-1024"])
        data = replace(self.about, kind="dataset", name="doses", media="csv")
        self._accept("data-set", self._seal(CONTENT, about=data, salt=b"\x09" * 32), 100)
        derived = replace(self.about, stages=("serve",), parent=b"\x0d" * 32)
        self._accept("derived", self._seal(CONTENT, about=derived), 100)
        committed = replace(self.about, commitment=b"\x0c" * 32, openings=64)
        self._accept("committed", self._seal(CONTENT, about=committed), 100)
        file = self.folder / "model.npz"
        np.savez(file, weights=np.arange(6, dtype=np.float32).reshape(2, 3), bias=np.array([0.5]))
        self._accept(
            "tensors", seal_file(file, owner(self.north), form=TENSORS, about=self.about, brokers=(self.to,)), 32
        )

    def _accept(self, name: str, container: bytes, size: int, keys: list[str] | None = None) -> None:
        (HERE / f"{name}.sealed").write_bytes(container)
        owned = verify(Parts.of(container).trailer.resource, self.north.verify)
        self.accepted[name] = {
            "size": size,
            "keys": keys or ["hybrid-768"],
            "kind": owned.resource.kind,
            "name": owned.resource.name,
            "root": owned.resource.content.hex(),
            "policy": owned.policy.digest().hex(),
            "commitment": Manifest.decode(self._body(Parts.of(container))).commitment.hex(),
        }

    # ------------------------------------------------------------------------------------------------------ rejected

    def reject(self) -> None:
        whole = self._seal(CONTENT, random=lambda size: KEY)
        other = self._seal(bytes(100), random=lambda size: KEY)
        parts, their, place = Parts.of(whole), Parts.of(other), Geometry(100)
        chunk, page, head = place.chunk_at(0), place.page_at(0), place.head_at
        self._reject("cut-off", whole[:-1], "cut off")
        self._reject("byte-after-the-end", whole + b"\0", "something follows its end")
        self._reject("byte-before-the-trailer", replace(parts, body=parts.body + b"\0").whole, "head of the container")
        self._reject(
            "chunk-altered", whole[:chunk] + b"\0" + whole[chunk + 1 :], "chunk 0 of the container does not open"
        )
        mixed = replace(parts, body=parts.body[:chunk] + their.body[chunk:page] + parts.body[page:]).whole
        self._reject("chunk-of-another-under-the-same-key", mixed, "chunk 0 of the container is not in its root")
        mixed = replace(parts, body=parts.body[:page] + their.body[page:head] + parts.body[head:]).whole
        self._reject("page-of-another-under-the-same-key", mixed, "is not in its root")
        mixed = replace(parts, body=parts.body[:head] + their.body[head:]).whole
        self._reject("head-of-another-under-the-same-key", mixed, "does not lead to its root")
        self._reject("trailer-of-another", replace(parts, trailer=their.trailer).whole, "does not lead to its root")
        self._reject("without-ed25519", parts.with_(ed25519=b"").whole, "Ed25519 signature")
        self._reject(
            "manifest-by-another", parts.with_(manifest=self.south.sign(self._body(parts))).whole, "signed by 'south'"
        )
        self._reject("manifest-of-another", parts.with_(manifest=their.trailer.manifest).whole, "another resource")
        self._reject("longer-by-the-owners-word", self._resigned(parts, length=101), "does not open")
        self._reject("another-form", self._resigned(parts, content="tensors"), "not one of tensors")
        self._reject("another-cipher", self._resigned(parts, cipher="AES-256-CTR"), "is encrypted with")
        for fault, changes in COMMITMENTS.items():
            self._reject(fault, self._resigned(parts, **changes), "names a commitment of")
        named = {"commitment": b"\x0c" * 32, "openings": 64}
        self._reject(
            "commitment-to-tensors", self._resigned(parts, content="tensors", **named), "which nothing computes"
        )
        data = replace(self.about, kind="dataset", name="doses", media="csv")
        doses = Parts.of(self._seal(CONTENT, about=data, salt=b"\x09" * 32))
        self._reject("commitment-to-a-data-set", self._resigned(doses, **named), "to the weights of a dataset")
        looser = replace(
            Resource.decode(Signed.decode(parts.trailer.resource).body),
            policy=policy("longest_lease_s = 3600", "longest_lease_s = 999999").encode(),
        )
        self._reject("looser-policy", parts.with_(resource=self.north.sign(looser.encode())).whole, "another policy")
        self._reject("broker-twice", parts.with_(keys=parts.trailer.keys * 2).whole, "names a broker twice")
        self._reject("no-broker", parts.with_(keys=()).whole, "not sealed to this key")
        self._reject("key-not-committed-to", self._other_key(parts), "committed to")
        header = Head.decode(AESGCM(Keys.derive(KEY, KEY).index).decrypt(nonce(1, final=True), parts.body[head:], None))
        forged = replace(header, header=header.header.replace(b"100", b"101")).encode()
        sealed = AESGCM(Keys.derive(KEY, KEY).index).encrypt(nonce(1, final=True), forged, None)
        self._reject("header-not-in-the-root", replace(parts, body=parts.body[:head] + sealed).whole, "not in its root")
        future = replace(self.about, made_at=int(AT.timestamp()) + 86400)
        self._reject("from-the-future", self._seal(CONTENT, about=future), "still to come")

    def _reject(self, name: str, container: bytes, said: str) -> None:
        (HERE / f"{name}.sealed").write_bytes(container)
        self.rejected[name] = said

    def _other_key(self, parts: Parts) -> bytes:
        """The owner seals another key than the one committed to; ``seal_key`` would not."""
        from quatrefoil.resources.sealed_key import Binding, SealedKey

        owned = verify(parts.trailer.resource, self.north.verify)
        key = self.keys["hybrid-768"]
        info = Binding(key.suite.identifiers, key.fingerprint, owned.digest)
        sealed = key.suite.wrap(b"\x06" * 32, self.to, info.encode())
        return parts.with_(keys=(SealedKey(info.suite, info.recipient, info.resource, sealed).encode(),)).whole

    def _resigned(self, parts: Parts, **changes: object) -> bytes:
        manifest = replace(Manifest.decode(self._body(parts)), **changes)
        signed, second = self.north.sign(manifest.encode()), ED25519.sign(manifest.signed_by_ed25519())
        return parts.with_(manifest=signed, ed25519=second).whole

    def _body(self, parts: Parts) -> bytes:
        return Signed.decode(parts.trailer.manifest).body

    def _seal(self, content: bytes, **more: object) -> bytes:
        options = {"about": self.about, "brokers": (self.to,)} | more
        return seal_bytes(content, owner(self.north), self.folder, **options)


if __name__ == "__main__":
    main()
