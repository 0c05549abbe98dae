"""Wycheproof's ML-DSA cases against the keys of identities and roots, read and used as transport reads and uses them.

A leaf's key is read from PKCS #8 by ``identity.read_key``, a public key from the structure that a certificate holds.
Signing is hedged (FIPS 204 section 3.4), so that signatures cannot be compared: those of the cases are verified, and
ours are verified against the cases' public keys.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs8 import expanded_pem, seed_pem
from published import Case, naming, wycheproof

from quatrefoil.errors import StateCorrupt
from quatrefoil.transport.identity import read_key

SETS: dict[str, tuple[Any, Any]] = {
    "65": (mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey),
    "87": (mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey),
}
each_set = pytest.mark.parametrize("parameters", SETS)


@each_set
def test_verify(parameters: str):
    kind = SETS[parameters][0]
    for case in wycheproof(f"mldsa_{parameters}_verify_test.json"):
        with naming(case):
            if "IncorrectPublicKeyLength" in case.flags:
                for load in (load_der_public_key, kind.from_public_bytes):
                    with pytest.raises(ValueError):
                        load(case["publicKeyDer"] if load is load_der_public_key else case["publicKey"])
                continue
            key = load_der_public_key(case["publicKeyDer"])
            assert isinstance(key, kind) and key.public_bytes_raw() == case["publicKey"]
            if case.result == "valid":
                key.verify(case["sig"], case["msg"], case.get("ctx"))
            else:
                with pytest.raises((InvalidSignature, ValueError)):
                    key.verify(case["sig"], case["msg"], case.get("ctx"))


@each_set
def test_sign_from_a_seed(parameters: str):
    kind = SETS[parameters][1]
    for case in wycheproof(f"mldsa_{parameters}_sign_seed_test.json"):
        with naming(case):
            if "IncorrectPrivateKeyLength" in case.flags:
                with pytest.raises(ValueError):
                    kind.from_seed_bytes(case["privateSeed"])
                with pytest.raises(StateCorrupt, match="cannot be read"):
                    read_key(seed_pem(f"ML-DSA-{parameters}", case["privateSeed"]), "key", "hint")
                continue
            key = read_key(seed_pem(f"ML-DSA-{parameters}", case["privateSeed"]), "key", "hint")
            assert isinstance(key, kind)
            signs_as(key, case)


@each_set
def test_sign_from_an_expanded_key(parameters: str):
    """The form of a private key without its seed (RFC 9881 section 6): taken or refused, but never misread."""
    kind, taken = SETS[parameters][1], 0
    for case in wycheproof(f"mldsa_{parameters}_sign_noseed_test.json"):
        with naming(case):
            try:
                key = read_key(expanded_pem(f"ML-DSA-{parameters}", case["privateKey"]), "key", "hint")
            except StateCorrupt:
                continue
            taken += 1
            assert isinstance(key, kind)
            assert not {"IncorrectPrivateKeyLength", "InvalidPrivateKey"} & set(case.flags)
            signs_as(key, case)
    assert taken == 0  # identities are seeds: a file in this form is refused, whatever it holds


def signs_as(key: mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey, case: Case) -> None:
    """The case's public key and signature are those of ``key``, and it signs what the case says can be signed."""
    public = key.public_key()
    assert public.public_bytes_raw() == case["publicKey"]
    if case.result == "invalid":
        assert case.flags == ("InvalidContext",)
        with pytest.raises(ValueError):
            key.sign(case["msg"], case["ctx"])
    elif "Internal" in case.flags:
        return  # signs a hash that the caller made: there is no such entry
    else:
        public.verify(case["sig"], case["msg"], case.get("ctx"))
        public.verify(key.sign(case["msg"], case.get("ctx")), case["msg"], case.get("ctx"))
