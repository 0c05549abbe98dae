"""Keys of the transport layer in a keyset, and back: nothing is sealed to what is not an allowed key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from attested_parties import SEALING, keyset, leaf_digest

from quatrefoil.attested import recipient, sealing_key, tls_key
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.transport import CNSA_2_0, HYBRID_768, HYBRID_1024, ChannelPolicy, SealingKey, system_clock
from support import Consortium

POLICIES = pytest.mark.parametrize("policy", [HYBRID_768, HYBRID_1024, CNSA_2_0], ids=lambda policy: policy.name)


@POLICIES
def test_a_sealing_key_comes_back_as_it_was(consortium: Consortium, policy: ChannelPolicy) -> None:
    key = SealingKey(consortium.trust, clock=system_clock, policy=policy)
    held = keyset(sealing=sealing_key(key.public))
    assert recipient(held, policy) == key.public
    sent = consortium.transport("cleveland", "silo")
    if policy is HYBRID_768:
        assert key.open(sent.seal(recipient(held, policy), b"s", context=b"c"), context=b"c").plaintext == b"s"


def test_a_key_of_a_suite_that_the_policy_does_not_allow_is_rejected(consortium: Consortium) -> None:
    key = SealingKey(consortium.trust, clock=system_clock, policy=HYBRID_768)
    with pytest.raises(EvidenceRejected, match="which hybrid-1024 does not allow") as refused:
        recipient(keyset(sealing=sealing_key(key.public)), HYBRID_1024)
    assert refused.value.check == "keyset"


@pytest.mark.parametrize(
    ("sealing", "problem"),
    [
        (b"", "holds no sealing key"),
        (SEALING[:-1], "has 1216 bytes, not 1215"),
        (SEALING[:6] + b"\xff" * 1216, "is not one of hybrid-768"),
        (b"\x00\x10" + SEALING[2:], "HPKE suite 001000010002, which hybrid-768 does not allow"),
    ],
    ids=["none", "short", "no key", "classical"],
)
def test_nothing_is_sealed_to_what_is_no_key(sealing: bytes, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        recipient(replace(keyset(tls=b"t" * 32), sealing=sealing), HYBRID_768)
    assert refused.value.check == "keyset"


@pytest.mark.parametrize("public", [b"", b"k" * 32, b"\xff" * 1216], ids=["none", "classical", "no key"])
def test_what_is_no_public_key_does_not_enter_a_keyset(public: bytes) -> None:
    with pytest.raises(CallerError):
        sealing_key(public)


def test_a_tls_key_is_named_by_its_subject_public_key_info(consortium: Consortium) -> None:
    one = consortium.identity("cleveland", "silo")
    assert tls_key(one) == leaf_digest(one) != tls_key(consortium.identity("hub", "aggregator"))
