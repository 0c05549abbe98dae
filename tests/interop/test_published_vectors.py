"""Vectors of the drafts and of NIST that packages ship, against sealing keys, identities and roots."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem
from peer_program import package
from pkcs8 import seed_pem
from published import acvp
from tests.reference import hpke

from quatrefoil.errors import MessageRefused
from quatrefoil.transport.identity import read_key
from quatrefoil.transport.sealed.keys import RecipientKey
from quatrefoil.transport.suites import HYBRID_768

INFO, FILE_KEY = b"info", bytes(range(32))


def test_x_wing():
    """draft-connolly-cfrg-xwing-kem, appendix C, in the crate x-wing: seed to key, ciphertext to secret."""
    found = json.loads((package("x-wing") / "tests" / "test-vectors.json").read_text())
    assert len(found) == 3
    for vector in found:
        seed, public, enc, shared = (bytes.fromhex(vector[name]) for name in ("sk", "pk", "ct", "ss"))
        ml_kem, curve = hpke.expand_seed(hpke.XWING, seed)
        key = RecipientKey(HYBRID_768, ml_kem, curve)
        assert key.recipient.public == public
        assert hpke.decapsulate(ml_kem, curve, enc) == shared
        assert key.unwrap(enc + hpke.schedule(HYBRID_768.identifiers, shared, INFO).seal(FILE_KEY), INFO) == FILE_KEY
        with pytest.raises(MessageRefused):
            key.unwrap(enc + hpke.schedule(HYBRID_768.identifiers, bytes(32), INFO).seal(FILE_KEY), INFO)


@pytest.mark.parametrize(
    ("parameters", "kind"), [("ML-KEM-768", mlkem.MLKEM768PrivateKey), ("ML-KEM-1024", mlkem.MLKEM1024PrivateKey)]
)
def test_key_generation_of_ml_kem(parameters: str, kind: type):
    """ACVP of NIST, in the crate fips203, from the seed as our files hold it (FIPS 203 algorithm 16)."""
    found = acvp("fips203", "ML-KEM-keyGen-FIPS203/internalProjection.json.gz", parameters)
    assert len(found) == 25
    for case in found:
        key = read_key(seed_pem(parameters, case["d"] + case["z"]), "key", "hint")
        assert isinstance(key, kind) and key.public_key().public_bytes_raw() == case["ek"]


@pytest.mark.parametrize(
    ("parameters", "kind"), [("ML-DSA-65", mldsa.MLDSA65PrivateKey), ("ML-DSA-87", mldsa.MLDSA87PrivateKey)]
)
def test_key_generation_of_ml_dsa(parameters: str, kind: type):
    """ACVP of NIST, in the crate fips204, from the seed as our files hold it (FIPS 204 algorithm 6)."""
    found = acvp("fips204", "ML-DSA-keyGen-FIPS204/internalProjection.json.gz", parameters)
    assert len(found) == 25
    for case in found:
        key = read_key(seed_pem(parameters, case["seed"]), "key", "hint")
        assert isinstance(key, kind) and key.public_key().public_bytes_raw() == case["pk"]
