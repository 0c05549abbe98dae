"""Another implementation of C2SP reads our logs and we read its: the crates tlog_tiles, signed_note and ml-dsa."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interop.peer_program import Peer, PeerSays
from tests.tlog.small_logs import (
    BOTH,
    NOON,
    ORIGIN,
    ed25519,
    leaf,
    log_of,
    ml_dsa_44,
    reader,
    verified,
    writer,
)

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import Checkpoint, LogReader, read_checkpoint
from quatrefoil.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from quatrefoil.tlog.notes import Note, NoteSignature

SIZES = [1, 2, 255, 256, 257, 300, 512, 700]
SEED = b"1" * 32


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer("tlog", "tlog") as running:
        yield running


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log_of(tmp_path_factory.mktemp("ours") / "log", 700, batch=190)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


def split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def at(now: LogReader) -> list[bytes]:
    return [u64(now.size), now.checkpoint.root]


def signer_key() -> bytes:
    """As Go's note package writes a signing key."""
    verifier = BOTH[0].verifier
    secret = base64.b64encode(bytes([verifier.kind]) + SEED).decode()
    return f"PRIVATE+KEY+{ORIGIN}+{verifier.key_id.hex()}+{secret}".encode()


# ---------------------------------------------------------------------------------------------------- it reads our logs


def test_it_verifies_our_checkpoint(peer: Peer, ours: Path) -> None:
    note, key = (ours / "checkpoint").read_bytes(), BOTH[0].verifier.encode().encode()
    now = reader(ours)
    assert peer.ask("checkpoint", "-", note, key) == u64(700) + now.checkpoint.root + ORIGIN.encode()
    for wrong in (note.replace(b"\n700\n", b"\n701\n"), note.replace(b"log.example", b"log.another"), note[:-1], b""):
        with pytest.raises(PeerSays):
            peer.ask("checkpoint", "-", wrong, key)
    with pytest.raises(PeerSays):
        peer.ask("checkpoint", "-", note, ed25519(seed=b"2" * 32).verifier.encode().encode())


def test_it_authenticates_our_tiles_and_its_proofs_from_them_are_ours(peer: Peer, ours: Path) -> None:
    now, folder = reader(ours), str(ours).encode()
    for index in (0, 1, 255, 256, 511, 512, 699):
        assert split(peer.ask("prove-leaf", "-", folder, *at(now), u64(index))) == now.inclusion_proof(index)
    for old in (1, 2, 255, 256, 257, 512, 699):
        assert split(peer.ask("prove-tree", "-", folder, *at(now), u64(old))) == now.consistency_proof(old)
    with pytest.raises(PeerSays, match="inconsistent tile"):
        peer.ask("prove-leaf", "-", folder, u64(700), bytes(32), u64(0))


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_checks_our_proofs_as_we_do(peer: Peer, ours: Path, draw: st.DataObject) -> None:
    now = reader(ours)
    index, old = draw.draw(st.integers(0, 699)), draw.draw(st.integers(1, 699))
    proof, content = now.inclusion_proof(index), now.leaf(index)
    peer.ask("check-leaf", "-", b"".join(proof), *at(now), u64(index), content)
    grown = now.consistency_proof(old)
    peer.ask("check-tree", "-", b"".join(grown), *at(now), u64(old), now.root_at(old))
    for wrong in ([*proof, bytes(32)], proof[:-1], proof[::-1]):
        with pytest.raises(PeerSays, match="invalid transparency proof"):
            peer.ask("check-leaf", "-", b"".join(wrong), *at(now), u64(index), content)
        with pytest.raises(EvidenceRejected):
            verify_inclusion(leaf_hash(content), index, 700, wrong, now.checkpoint.root)
    for wrong in ([*grown, bytes(32)], grown[:-1]):
        with pytest.raises(PeerSays, match="invalid transparency proof"):
            peer.ask("check-tree", "-", b"".join(wrong), *at(now), u64(old), now.root_at(old))
        with pytest.raises(EvidenceRejected):
            verify_consistency(old, now.root_at(old), 700, now.checkpoint.root, wrong)


def altered(folder: Path, size: int) -> LogReader:
    log_of(folder, size)
    tile = folder / "tile/0/000"
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    return reader(folder)


def test_it_refuses_an_altered_tile_of_ours(peer: Peer, tmp_path: Path) -> None:
    now = altered(tmp_path / "log", 257)
    with pytest.raises(PeerSays, match="inconsistent tile"):
        peer.ask("prove-leaf", "-", str(tmp_path / "log").encode(), *at(now), u64(3))
    with pytest.raises(EvidenceRejected, match="leaf 3 is not in the tree of 257"):
        now.leaf(3)


def test_a_proof_that_it_makes_of_an_altered_tile_verifies_on_neither_side(peer: Peer, tmp_path: Path) -> None:
    """Where the edge of the tree lies several times in one tile, version 0.2.0 passes over tiles unauthenticated."""
    now = altered(tmp_path / "log", 300)
    proof = peer.ask("prove-leaf", "-", str(tmp_path / "log").encode(), *at(now), u64(3))
    with pytest.raises(PeerSays, match="invalid transparency proof"):
        peer.ask("check-leaf", "-", proof, *at(now), u64(3), leaf(3))
    with pytest.raises(EvidenceRejected, match="leaf 3 is not in the tree of 300"):
        verify_inclusion(leaf_hash(leaf(3)), 3, 300, split(proof), now.checkpoint.root)


# ---------------------------------------------------------------------------------------------------- we read its logs


@pytest.mark.parametrize("size", SIZES)
def test_we_read_a_log_that_it_wrote(peer: Peer, tmp_path: Path, size: int) -> None:
    """Published at sizes before, too: whoever kept an older checkpoint finds its tiles."""
    folder = tmp_path / "log"
    before = [one for one in SIZES if one <= size]
    root = peer.ask("write", "-", str(folder).encode(), ORIGIN.encode(), signer_key(), *map(u64, before))
    now = reader(folder, BOTH[:1])
    assert (now.size, now.checkpoint.root) == (size, root)
    wanted = [str(number).encode() for number in range(size)]
    assert verified(folder, BOTH[:1]) == wanted
    assert all(now.leaf(index) == wanted[index] for index in (0, size // 2, size - 1))
    verify_consistency(before[0], now.root_at(before[0]), size, root, now.consistency_proof(before[0]))
    with pytest.raises(EvidenceRejected, match="no ML-DSA-44 cosignature"):
        reader(folder)


def test_the_same_leaves_give_the_same_tiles(peer: Peer, tmp_path: Path) -> None:
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    peer.ask("write", "-", str(theirs).encode(), ORIGIN.encode(), signer_key(), u64(700))
    with writer(mine) as log:
        log.append([str(number).encode() for number in range(700)])
    files = {
        str(path.relative_to(mine / "tile")): path.read_bytes() for path in (mine / "tile").rglob("*") if path.is_file()
    }
    assert files == {
        str(path.relative_to(theirs / "tile")): path.read_bytes()
        for path in (theirs / "tile").rglob("*")
        if path.is_file()
    }
    line = Note.decode((theirs / "checkpoint").read_bytes()).signatures[0]
    assert line in Note.decode((mine / "checkpoint").read_bytes()).signatures, "Ed25519 is deterministic"


# -------------------------------------------------------------------------------------------- ML-DSA-44 cosignatures

WITNESS = ml_dsa_44("witness.example/east", b"w" * 32)


def test_it_verifies_our_cosignature(peer: Peer, ours: Path) -> None:
    checkpoint = reader(ours).checkpoint
    for signer in (WITNESS, BOTH[1]):
        public, name = signer.verifier.public, signer.name.encode()
        signature = signer.sign(checkpoint, NOON).signature
        text = checkpoint.text().encode()
        peer.ask("check-cosignature", "-", public, name, signature, text)
        later = u64(1 + int(NOON.timestamp())) + signature[8:]
        for wrong in (
            (public, b"another.example", signature, text),
            (public, name, later, text),
            (public, name, signature, text.replace(b"700", b"701")),
            (ml_dsa_44(seed=b"x" * 32).verifier.public, name, signature, text),
        ):
            with pytest.raises(PeerSays, match="does not verify"):
                peer.ask("check-cosignature", "-", *wrong)


def test_we_verify_its_cosignature(peer: Peer) -> None:
    checkpoint = Checkpoint("log.example/é", 1 << 40, bytes(range(32)))
    text, name, time = checkpoint.text(), WITNESS.name.encode(), u64(int(NOON.timestamp()))
    signature = peer.ask("cosign", "-", b"w" * 32, name, time, text.encode())
    line = NoteSignature(WITNESS.name, WITNESS.verifier.key_id, signature)
    found = read_checkpoint(Note(text, (line,)).encode(), [WITNESS.verifier])
    assert [one.at for one in found.signed] == [NOON]
    for moment in (0, 1 << 63):
        refused = peer.ask("cosign", "-", b"w" * 32, name, u64(moment), text.encode())
        with pytest.raises(EvidenceRejected, match="does not fit"):
            read_checkpoint(Note(text, (NoteSignature(line.name, line.key_id, refused),)).encode(), [WITNESS.verifier])
