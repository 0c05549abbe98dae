"""Inference receipts in two implementations: the vectors in the tree, what we sign now, and a server's log."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import inference_receipts as reference
from tests.reference import ml_dsa_44

import made_inferences as made
from quatrefoil.audit import entries
from quatrefoil.audit.inference_histories import require_one_history
from quatrefoil.audit.inference_receipts import (
    InferenceReceipt,
    commit_answer,
    commit_request,
    sign,
    verify,
)
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import FolderSource, LogReader, fetch_checkpoint

FOLDER = Path(__file__).parents[1] / "vectors" / "inference_receipts"
INDEX = json.loads((FOLDER / "index.json").read_text())
ENCODED = bytes.fromhex(INDEX["keyset"])
KEYSET = Keyset.decode(ENCODED)
SALT = bytes.fromhex(INDEX["salt"])

each_accepted = pytest.mark.parametrize("listed", INDEX["accepted"], ids=lambda one: one["file"])
each_rejected = pytest.mark.parametrize("file", INDEX["rejected"])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each_accepted
def test_both_accept_and_read_the_same(listed: dict) -> None:
    encoded = (FOLDER / listed["file"]).read_bytes()
    found = verify(encoded, KEYSET)
    ours = {field.name: getattr(found, field.name) for field in fields(InferenceReceipt)}
    assert {name: one.hex() if isinstance(one, bytes) else one for name, one in ours.items()} == listed["payload"]
    assert found.digest().hex() == listed["digest"]
    assert reference.verify(encoded, ENCODED) == ours


@each_rejected
def test_both_reject(file: str) -> None:
    encoded = (FOLDER / file).read_bytes()
    with pytest.raises(EvidenceRejected):
        verify(encoded, KEYSET)
    with pytest.raises(ValueError):
        reference.verify(encoded, ENCODED)


def test_the_commitments_are_those_of_the_exchange() -> None:
    first = INDEX["accepted"][0]["payload"]
    asked = INDEX["request"]
    named = asked["method"].encode(), asked["path"].encode(), asked["content"].encode()
    assert commit_request(SALT, *named).hex() == first["request"]
    assert commit_answer(SALT, first["status"], INDEX["answer"].encode()).hex() == first["answer"]


def test_three_of_them_are_a_chain() -> None:
    require_one_history(verify((FOLDER / one["file"]).read_bytes(), KEYSET) for one in INDEX["accepted"][:3])


def test_the_generator_makes_them_again() -> None:
    made_again = generator()
    assert made_again.KEYSET == ENCODED
    first = reference.sign(reference.write_receipt(made_again.fields()), made_again.SEED)
    assert first == (FOLDER / "first.receipt").read_bytes()
    for name in ("another-keyset", "longer-form"):
        assert made_again.rejected()[name] == (FOLDER / f"rejected-{name}.receipt").read_bytes()


Digests = st.binary(min_size=32, max_size=32)


@given(
    salt=Digests,
    method=st.binary(max_size=8),
    path=st.binary(max_size=80),
    content=st.binary(max_size=200),
    status=st.integers(200, 599),
)
def test_commitments_are_the_same_in_both(salt: bytes, method: bytes, path: bytes, content: bytes, status: int) -> None:
    assert commit_request(salt, method, path, content) == reference.request(salt, method, path, content)
    assert commit_answer(salt, status, content) == reference.answer(salt, status, content)


@settings(max_examples=15)
@given(
    issuer=st.text(min_size=1, max_size=40),
    sequence=st.integers(0, (1 << 63) - 1),
    time=st.integers((made.SECONDS - 300) * 1000, (made.SECONDS + 7200) * 1000),
    measurement=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=100),
    plan=st.one_of(st.just(b""), Digests),
    request=Digests,
    status=st.integers(200, 599),
    complete=st.booleans(),
)
def test_what_we_sign_the_second_one_reads(**changes: object) -> None:
    receipt = made.receipt(**changes)
    found = reference.verify(sign(receipt, made.key()), made.keyset().encode())
    assert found == {field.name: getattr(receipt, field.name) for field in fields(InferenceReceipt)}
    assert reference.write_receipt(found) == receipt.encode()


def test_the_signatures_of_the_second_one_are_those_of_fips_204() -> None:
    seed = bytes(range(32))
    message = b"a message of no particular length"
    public = ml_dsa_44.public_key(seed)
    signature = ml_dsa_44.sign(seed, message)
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    key = MLDSA44PrivateKey.from_seed_bytes(seed)
    assert key.public_key().public_bytes_raw() == public
    key.public_key().verify(signature, message)
    assert ml_dsa_44.verifies(public, message, key.sign(message))
    for at in (0, 31, 32, 2000, 2336, 2415, 2419):
        altered = bytearray(signature)
        altered[at] ^= 1
        assert not ml_dsa_44.verifies(public, message, bytes(altered))
    assert not ml_dsa_44.verifies(public, message + b".", signature)


def test_the_second_one_reads_a_servers_log(tmp_path: Path) -> None:
    with made.server_log(tmp_path / "party") as log:
        issuer = made.issuer(tmp_path / "journal", log)
        of = made.begun(issuer)
        given_out = [issuer.issue(made.REQUEST, made.ANSWER, 200, bool(number % 2)) for number in range(5)]
        issuer.flush()
        given_out.append(issuer.issue(made.REQUEST, made.ANSWER, 404, True))
        made.issuer(tmp_path / "journal", log)
        attached = {
            entry.attached["keyset"].sha256: of.encode() for entry in log.entries() if "keyset" in entry.attached
        }
        signed = fetch_checkpoint(FolderSource(tmp_path / "party" / LOG_FOLDER), log.keys.verifiers)
    leaves = [leaf for _, leaf in LogReader(FolderSource(tmp_path / "party" / LOG_FOLDER), signed).leaves()]
    found = reference.check_log(leaves, attached)
    assert found == [reference.verify(one, of.encode()) for one in given_out]
    answers = [at for at, leaf in enumerate(leaves) if entries.decode(at, leaf).kind == "inference"]
    for dropped in answers:
        with pytest.raises(ValueError):
            reference.check_log([leaf for at, leaf in enumerate(leaves) if at != dropped], attached)
