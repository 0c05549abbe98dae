"""Wycheproof's AES-GCM and HKDF cases, as sealed files call the two (``sealed.chunks``, ``sealed.layout``)."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from published import naming, wycheproof


def test_aes_256_gcm():
    """Keys of 32 bytes and nonces of 12 are what is used here; the other cases are passed over, and counted."""
    used = {"valid": 0, "invalid": 0}
    for case in wycheproof("aes_gcm_test.json"):
        if (case["keySize"], case["ivSize"], case["tagSize"]) != (256, 96, 128):
            continue
        used[case.result] += 1
        with naming(case):
            cipher, sealed = AESGCM(case["key"]), case["ct"] + case["tag"]
            if case.result == "valid":
                assert cipher.encrypt(case["iv"], case["msg"], case["aad"]) == sealed
                assert cipher.decrypt(case["iv"], sealed, case["aad"]) == case["msg"]
            else:
                with pytest.raises(InvalidTag):
                    cipher.decrypt(case["iv"], sealed, case["aad"])
    assert used == {"valid": 39, "invalid": 27}


def test_hkdf_sha384():
    for case in wycheproof("hkdf_sha384_test.json"):
        with naming(case):
            if case.result == "valid":
                derived = HKDF(hashes.SHA384(), case["size"], salt=case["salt"], info=case["info"]).derive(case["ikm"])
                assert derived == case["okm"]
            else:
                with pytest.raises(ValueError):
                    HKDF(hashes.SHA384(), case["size"], salt=case["salt"], info=case["info"])
