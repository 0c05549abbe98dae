"""Stored containers, read by the library and by a second reader written from the specification."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from sealing_models import ABOUT, BROKER, Parts, open_bytes, opened, owner, seal_bytes
from tests.reference import sealed_model as reference

from quatrefoil.errors import MessageRefused
from quatrefoil.resources.container import Expected
from quatrefoil.transport import PostQuantumTransport, TrustAnchor
from quatrefoil.transport.revocation import RevocationList, fingerprint
from quatrefoil.transport.sealed import RecipientKey
from quatrefoil.transport.sealed.keys import KEY_FILE
from support import Consortium, clock_at

FOLDER = Path(__file__).parents[1] / "vectors" / "sealed_models"
INDEX = json.loads((FOLDER / "index.json").read_text())
CLOCK = clock_at(datetime.fromisoformat(INDEX["at"]))
CONTENT = hashlib.shake_256(b"quatrefoil sealed model vectors").digest(100)
ROOT = x509.load_pem_x509_certificate((FOLDER / "root.pem").read_bytes())
TRUST = TrustAnchor(
    [ROOT],
    # The root's key was not kept, so that no list can be signed: one that names nobody, as if it had been verified.
    lists=[RevocationList(fingerprint(ROOT), 1, ROOT.not_valid_before_utc, ROOT.not_valid_after_utc, {})],
)
OPENED = [(name, key) for name, entry in INDEX["accepted"].items() for key in entry["keys"]]
NEEDS_A_CLOCK = {"from-the-future"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RecipientKey]:
    """The keys, copied: a checkout does not keep the mode that a private key must have."""
    folder = tmp_path_factory.mktemp("keys")
    names = {key for _, key in OPENED}
    for name in names:
        shutil.copytree(FOLDER / name, folder / name)
        (folder / name / KEY_FILE).chmod(0o600)
    return {name: RecipientKey.load(folder / name) for name in names}


def expected(entry: dict[str, str]) -> Expected:
    return Expected(
        entry["kind"], "north", entry["name"], bytes.fromhex(entry["root"]), 1, bytes.fromhex(INDEX["ed25519"])
    )


def test_every_file_is_in_the_index() -> None:
    assert {file.stem for file in FOLDER.glob("*.sealed")} == {*INDEX["accepted"], *INDEX["rejected"]}


@pytest.mark.parametrize(("name", "key"), OPENED)
def test_an_accepted_container_opens_in_both_readers(
    tmp_path: Path, keys: dict[str, RecipientKey], name: str, key: str
) -> None:
    entry = INDEX["accepted"][name]
    file = FOLDER / f"{name}.sealed"
    with opened(file, TRUST, expected=expected(entry), key=keys[key], clock=CLOCK) as model:
        content = model.read(0, model.length)
        assert len(content) == model.length == entry["size"]
        assert model.front.owned.policy.digest().hex() == entry["policy"]
        assert model.front.manifest.commitment.hex() == entry["commitment"]
        if name == "tensors":
            assert model.tensor("weights").tolist() == [[0, 1, 2], [3, 4, 5]]
            assert model.tensor("bias").tolist() == [0.5]
        else:
            assert content == CONTENT[: entry["size"]]
    read = reference.read(file.read_bytes(), (FOLDER / key / KEY_FILE).read_bytes(), ROOT)
    assert read.content == content and read.manifest[7].hex() == entry["commitment"]
    assert read.owner.subject.rfc4514_string() == "CN=north"
    assert (read.resource[0], read.resource[1], read.resource[4].hex()) == (entry["kind"], entry["name"], entry["root"])


@pytest.mark.parametrize("name", INDEX["rejected"])
def test_a_rejected_one_is_refused_for_its_fault(tmp_path: Path, keys: dict[str, RecipientKey], name: str) -> None:
    container = (FOLDER / f"{name}.sealed").read_bytes()
    with pytest.raises(MessageRefused, match=INDEX["rejected"][name]):
        open_bytes(container, tmp_path, TRUST, key=keys["hybrid-768"], clock=CLOCK)


@pytest.mark.parametrize("name", [name for name in INDEX["rejected"] if name not in NEEDS_A_CLOCK])
def test_and_by_the_second_reader(name: str) -> None:
    with pytest.raises(Exception):  # noqa: B017  # whatever its libraries raise
        reference.read((FOLDER / f"{name}.sealed").read_bytes(), (FOLDER / "hybrid-768" / KEY_FILE).read_bytes(), ROOT)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (2 << 20) + 77])
def test_what_is_sealed_now_opens_in_the_second_reader(
    tmp_path: Path, consortium: Consortium, north: PostQuantumTransport, size: int
) -> None:
    BROKER.save(tmp_path / "key", b"")
    container = seal_bytes(bytes(size), owner(north), tmp_path)
    read = reference.read(container, (tmp_path / "key" / KEY_FILE).read_bytes(), consortium.authority.root)
    assert read.content == bytes(size)
    assert (read.resource[1], read.resource[2]) == (ABOUT.name, ABOUT.serial)


def test_the_second_reader_refuses_what_is_altered(
    tmp_path: Path, consortium: Consortium, north: PostQuantumTransport
) -> None:
    BROKER.save(tmp_path / "key", b"")
    container = seal_bytes(CONTENT, owner(north), tmp_path)
    key = (tmp_path / "key" / KEY_FILE).read_bytes()
    for position in range(0, len(container), len(Parts.of(container).body) // 3):
        altered = bytearray(container)
        altered[position] ^= 1
        with pytest.raises(Exception):  # noqa: B017
            reference.read(bytes(altered), key, consortium.authority.root)
