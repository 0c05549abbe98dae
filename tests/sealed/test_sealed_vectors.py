"""Stored files, read by the library and by a second reader written from the specification."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from sealing_room import KEYS, open_, seal
from tests.reference import sealed_file as reference

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.revocation import RevocationList, fingerprint
from quatrefoil.transport.sealed import Judged, RecipientKey
from quatrefoil.transport.sealed.keys import KEY_FILE
from support import clock_at

FOLDER = Path(__file__).parents[1] / "vectors" / "sealed"
INDEX = json.loads((FOLDER / "index.json").read_text())
CLOCK = clock_at(datetime.fromisoformat(INDEX["at"]))
CONTENT = hashlib.shake_256(b"quatrefoil sealed file vectors").digest(70_000)
ROOT = x509.load_pem_x509_certificate((FOLDER / "root.pem").read_bytes())
TRUST = TrustAnchor(
    [ROOT],
    # The root's key was not kept, so that no list can be signed: one that names nobody, as if it had been verified.
    lists=[RevocationList(fingerprint(ROOT), 1, ROOT.not_valid_before_utc, ROOT.not_valid_after_utc, {})],
)
OPENED = [(name, key) for name, entry in INDEX["accepted"].items() for key in entry["keys"]]
NEEDS_A_CLOCK_OR_A_CONTEXT = {"from-the-future", "context-of-another-trial"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys, copied: a checkout does not keep the mode that a private key must have."""
    folder = tmp_path_factory.mktemp("keys")
    for name in KEYS:
        shutil.copytree(FOLDER / name, folder / name)
        (folder / name / KEY_FILE).chmod(0o600)
    return {name: RecipientKey.load(folder / name) for name in KEYS}


def test_every_file_is_in_the_index():
    assert {file.stem for file in FOLDER.glob("*.sealed")} == {*INDEX["accepted"], *INDEX["rejected"]}


@pytest.mark.parametrize(("name", "key"), OPENED)
def test_an_accepted_file_opens_in_both_readers(keys, name, key):
    file, entry = (FOLDER / f"{name}.sealed").read_bytes(), INDEX["accepted"][name]
    content, found = open_(file, TRUST, keys[key], sender="north", clock=CLOCK)
    assert content == CONTENT[: entry["size"]] and found.wrapper.name == entry["wrapper"]
    read = reference.read(file, (FOLDER / key / KEY_FILE).read_bytes(), ROOT)
    assert read.plaintext == content and read.recipients == list(found.recipients)
    assert read.wrapper.subject.rfc4514_string() == f"CN={entry['wrapper']}"


@pytest.mark.parametrize("name", INDEX["rejected"])
def test_a_rejected_file_is_refused_for_its_fault(keys, name):
    with pytest.raises(MessageRefused, match=INDEX["rejected"][name]):
        open_((FOLDER / f"{name}.sealed").read_bytes(), TRUST, keys["hybrid-768"], clock=CLOCK)


@pytest.mark.parametrize("name", [name for name in INDEX["rejected"] if name not in NEEDS_A_CLOCK_OR_A_CONTEXT])
def test_and_by_the_second_reader(name):
    with pytest.raises(Exception):  # noqa: B017  # whatever its libraries raise
        reference.read((FOLDER / f"{name}.sealed").read_bytes(), (FOLDER / "hybrid-768" / KEY_FILE).read_bytes(), ROOT)


@pytest.mark.parametrize("suite", KEYS)
@pytest.mark.parametrize("size", [0, 1, 65_536, 200_000])
def test_what_is_sealed_now_opens_in_the_second_reader(tmp_path, consortium, north, suite, size):
    KEYS[suite].save(tmp_path / "key", b"")
    file = seal(bytes(size), north, list(KEYS.values()))
    root = consortium.authority.root
    read = reference.read(file, (tmp_path / "key" / KEY_FILE).read_bytes(), root)
    assert read.plaintext == bytes(size)
    assert read.sender == read.wrapper == north.certificate


def test_the_vectors_are_not_opened_at_another_time(keys):
    file = (FOLDER / "one-byte.sealed").read_bytes()
    later = clock_at(CLOCK().replace(year=2028))
    with pytest.raises(MessageRefused, match="expired"):
        open_(file, TRUST, keys["hybrid-768"], clock=later)
    assert open_(file, TRUST, keys["hybrid-768"], clock=later, judged=Judged.AT_CLAIMED_TIME)[0] == CONTENT[:1]
