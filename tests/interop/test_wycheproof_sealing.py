"""Wycheproof's ML-KEM, X25519 and P-384 cases against the keys that sealed files and envelopes are sealed to.

A case's ciphertext or share becomes half of a wrapped file key that is made by hand around the case's own secret
(tests/reference/hpke.py). ``RecipientKey.unwrap`` then opens it exactly if it computes that secret, implicit rejection
included, and refuses what the case calls invalid.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs8 import expanded_pem, seed_pem
from published import naming, wycheproof
from tests.reference import hpke

from quatrefoil.errors import MessageRefused, StateCorrupt
from quatrefoil.transport import envelope, policy_named
from quatrefoil.transport.sealed.keys import KEY_FILE, RecipientKey
from quatrefoil.transport.suites import HYBRID_768, HYBRID_1024, Suite

INFO, FILE_KEY = b"info", bytes(range(32))
KINDS: dict[Suite, Any] = {HYBRID_768: mlkem.MLKEM768PrivateKey, HYBRID_1024: mlkem.MLKEM1024PrivateKey}
LABELS = {HYBRID_768: hpke.XWING, HYBRID_1024: hpke.P384}

both = pytest.mark.parametrize("suite", KINDS, ids=lambda suite: suite.name)


@cache
def halves(suite: Suite) -> tuple[Any, Any]:
    return hpke.expand_seed(LABELS[suite], bytes(32))


@cache
def share(suite: Suite) -> tuple[bytes, bytes]:
    """A sender's share for the curve half, and the secret that it makes with ``halves``."""
    other = hpke.expand_seed(LABELS[suite], bytes(range(32)))[1]
    point = hpke.curve_point(other)
    return point, hpke.exchange(halves(suite)[1], point)


def wrapped(suite: Suite, ml_kem: tuple[bytes, bytes], curve: tuple[bytes, bytes], public: bytes) -> bytes:
    """A wrapped file key. ``ml_kem``, ``curve``: ciphertext or share, and the secret that goes with it."""
    shared = hpke.combine(ml_kem[1], curve[1], curve[0], public)
    return ml_kem[0] + curve[0] + hpke.schedule(suite.identifiers, shared, INFO).seal(FILE_KEY)


def parameters(suite: Suite) -> str:
    return "768" if suite is HYBRID_768 else "1024"


# ------------------------------------------------------------------------------------------------------- ML-KEM


@both
def test_decapsulation(suite: Suite, tmp_path: Path):
    _, curve = halves(suite)
    point = hpke.curve_point(curve)
    for case in wycheproof(f"mlkem_{parameters(suite)}_test.json"):
        with naming(case):
            if case.result == "invalid" and len(case["seed"]) != 64:
                with pytest.raises(ValueError):
                    KINDS[suite].from_seed_bytes(case["seed"])
                with pytest.raises(StateCorrupt, match="cannot be read"):
                    saved_and_loaded(
                        suite, tmp_path / str(case.number), seed_pem(f"ML-KEM-{parameters(suite)}", case["seed"])
                    )
                continue
            key = RecipientKey(suite, KINDS[suite].from_seed_bytes(case["seed"]), curve)
            assert key.recipient.public[: suite.ml_kem_bytes] == case["ek"]
            sealed = wrapped(suite, (case["c"], case["K"]), share(suite), point)
            if case.result == "valid":
                assert key.unwrap(sealed, INFO) == FILE_KEY
            else:
                assert len(case["c"]) != suite.encapsulated_bytes - suite.curve_bytes
                with pytest.raises(MessageRefused, match="does not open"):
                    key.unwrap(sealed, INFO)


@both
def test_key_generation(suite: Suite, tmp_path: Path):
    """From the seed as it lies in a file of ours."""
    for case in wycheproof(f"mlkem_{parameters(suite)}_keygen_seed_test.json"):
        with naming(case):
            key = saved_and_loaded(
                suite, tmp_path / str(case.number), seed_pem(f"ML-KEM-{parameters(suite)}", case["seed"])
            )
            assert key.recipient.public[: suite.ml_kem_bytes] == case["ek"]


@both
def test_public_keys(suite: Suite, consortium):
    """Whoever seals takes a valid key and refuses any other, in files and in envelopes. ``m`` cannot be set."""
    point, sender = hpke.curve_point(halves(suite)[1]), consortium.identity("cleveland", "silo")
    policy = policy_named(suite.name)
    for case in wycheproof(f"mlkem_{parameters(suite)}_encaps_test.json"):
        with naming(case):
            public = case["ek"] + point
            for take in (
                lambda public=public: suite.wrap(FILE_KEY, public, INFO),
                lambda public=public: envelope.seal(public, b"", context=b"", sender=sender, policy=policy),
            ):
                if case.result == "valid":
                    take()
                else:
                    with pytest.raises(MessageRefused, match="public key"):
                        take()


@both
def test_expanded_keys(suite: Suite, tmp_path: Path):
    """The form of a private key without its seed (RFC 9935 section 6): a file in it is refused, whatever it holds."""
    for case in wycheproof(f"mlkem_{parameters(suite)}_semi_expanded_decaps_test.json"):
        with naming(case), pytest.raises(StateCorrupt, match="cannot be read"):
            saved_and_loaded(
                suite, tmp_path / str(case.number), expanded_pem(f"ML-KEM-{parameters(suite)}", case["dk"])
            )


# ------------------------------------------------------------------------------------------------------- curves


def test_x25519():
    """ "Acceptable" cases give their secret, as RFC 7748 has it, but for one kind: a secret of zeros is refused."""
    ml_kem, _ = halves(HYBRID_768)
    ciphertext, secret = encapsulated(HYBRID_768)
    zeros = 0
    for case in wycheproof("x25519_test.json"):
        with naming(case):
            curve = x25519.X25519PrivateKey.from_private_bytes(case["private"])
            key = RecipientKey(HYBRID_768, ml_kem, curve)
            sealed = wrapped(
                HYBRID_768, (ciphertext, secret), (case["public"], case["shared"]), hpke.curve_point(curve)
            )
            if "ZeroSharedSecret" in case.flags:
                zeros += 1
                with pytest.raises(MessageRefused, match="does not open"):
                    key.unwrap(sealed, INFO)
            else:
                assert key.unwrap(sealed, INFO) == FILE_KEY
    assert zeros == 31


def test_p384():
    """A compressed point, "acceptable" to Wycheproof, is none of ours: HPKE has uncompressed points only."""
    ml_kem, _ = halves(HYBRID_1024)
    ciphertext, secret = encapsulated(HYBRID_1024)
    for case in wycheproof("ecdh_secp384r1_ecpoint_test.json"):
        with naming(case):
            curve = ec.derive_private_key(int.from_bytes(case["private"], "big"), ec.SECP384R1())
            key = RecipientKey(HYBRID_1024, ml_kem, curve)
            sealed = wrapped(
                HYBRID_1024, (ciphertext, secret), (case["public"], case["shared"]), hpke.curve_point(curve)
            )
            if case.result == "valid":
                assert key.unwrap(sealed, INFO) == FILE_KEY
            else:
                with pytest.raises(MessageRefused, match="does not open"):
                    key.unwrap(sealed, INFO)
                with pytest.raises(MessageRefused, match="public key"):
                    HYBRID_1024.read_public(ml_kem.public_key().public_bytes_raw() + case["public"])


@cache
def encapsulated(suite: Suite) -> tuple[bytes, bytes]:
    """An ML-KEM ciphertext to ``halves``, and its secret."""
    secret, ciphertext = halves(suite)[0].public_key().encapsulate()
    return ciphertext, secret


def saved_and_loaded(suite: Suite, folder: Path, ml_kem: bytes) -> RecipientKey:
    """The key of a file as ``RecipientKey.save`` writes it, with ``ml_kem`` for the first of its two blocks."""
    folder.mkdir()
    (folder / KEY_FILE).touch(0o600)
    curve = halves(suite)[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / KEY_FILE).write_bytes(ml_kem + curve)
    return RecipientKey.load(folder)
