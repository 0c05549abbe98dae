"""A resource says one thing, signed by its owner; its key opens for one broker, under exactly that statement."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from owners import KEY, owned, resource
from release_policies import policy

from quatrefoil.errors import CallerError, MessageRefused, PolicyInvalid
from quatrefoil.resources import (
    SealedKey,
    check_derived,
    key_commitment,
    open_key,
    seal_key,
    sign,
    verify,
)
from quatrefoil.transport import PostQuantumTransport
from quatrefoil.transport.sealed import SUITES, RecipientKey, Suite

BROKER = RecipientKey.generate(SUITES[0])


def test_a_signed_resource_verifies(north: PostQuantumTransport) -> None:
    found = owned(north)
    assert found.resource == resource()
    assert found.policy == policy()
    assert (found.owner.signer, found.owner.role) == ("north", "silo")
    assert len(found.digest) == 32


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_broker_opens_the_key(north: PostQuantumTransport, suite: Suite) -> None:
    broker, one = RecipientKey.generate(suite), owned(north)
    assert open_key(one, seal_key(one, KEY, broker.recipient.public), broker) == KEY


def test_a_round_key_has_no_content(north: PostQuantumTransport) -> None:
    assert owned(north, resource(kind="round-key", content=b"")).resource.content == b""


# ------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "secret"}, "no kind"),
        ({"name": "Tumour!"}, "not a name"),
        ({"serial": 0}, "serial: is 0"),
        ({"serial": 1 << 63}, "serial"),
        ({"made_at": -1}, "made_at"),
        ({"made_at": 253402300800}, "made_at"),
        ({"content": b""}, "content: has 0 bytes, not 32"),
        ({"content": b"\x07" * 31}, "content: has 31 bytes"),
        ({"kind": "round-key"}, "content: has 32 bytes, not 0"),
        ({"commitment": b""}, "commitment"),
        ({"parent": b"\x01" * 16}, "parent"),
        ({"stages": ()}, "stages: is empty"),
        ({"stages": ("train", "train")}, "repeats a name"),
        ({"stages": ("serve",)}, "'serve' is not open"),
        ({"stages": ("publish",), "parent": b"\x01" * 32}, "'publish' is not open"),
        ({"policy": b""}, "policy"),
        ({"policy": b"\xff"}, "policy"),
    ],
)
def test_a_resource_that_contradicts_itself_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyInvalid, match=said):
        resource(**changed)


def test_from_a_peer_it_is_the_peers_fault(north: PostQuantumTransport) -> None:
    wrong = resource()
    object.__setattr__(wrong, "stages", ("serve",))
    with pytest.raises(MessageRefused, match="'serve' is not open"):
        verify(sign(wrong, north.sign), north.verify)


def test_every_flipped_bit_of_a_signed_resource_is_refused(north: PostQuantumTransport) -> None:
    signed = owned(north).signed
    for position in range(0, len(signed), 37):
        altered = bytearray(signed)
        altered[position] ^= 1 << position % 8
        with pytest.raises(MessageRefused):
            verify(bytes(altered), north.verify)


def test_another_consortiums_owner_is_refused(north: PostQuantumTransport, stranger: Any) -> None:
    with pytest.raises(MessageRefused):
        verify(owned(north).signed, stranger.transport("north", "silo").verify)


def test_another_policy_does_not_open_the_key(north: PostQuantumTransport) -> None:
    """The attack: the operator of the broker has the owner's key sealed, and loosens the policy around it."""
    one = owned(north)
    sealed = seal_key(one, KEY, BROKER.recipient.public)
    looser = owned(north, resource(policy=policy("longest_lease_s = 3600", "longest_lease_s = 999999").encode()))
    with pytest.raises(MessageRefused, match="another resource, or to this one under another policy"):
        open_key(looser, sealed, BROKER)
    renamed = replace(SealedKey.decode(sealed), resource=looser.digest).encode()
    with pytest.raises(MessageRefused, match="does not open"):
        open_key(looser, renamed, BROKER)


def test_another_owners_signature_does_not_open_the_key(
    north: PostQuantumTransport, south: PostQuantumTransport
) -> None:
    """The attack: another member signs the same words and asks for the key in its own name."""
    sealed = seal_key(owned(north), KEY, BROKER.recipient.public)
    theirs = owned(south)
    with pytest.raises(MessageRefused, match="does not open"):
        open_key(theirs, replace(SealedKey.decode(sealed), resource=theirs.digest).encode(), BROKER)


def test_another_broker_does_not_open_the_key(north: PostQuantumTransport) -> None:
    one = owned(north)
    sealed = seal_key(one, KEY, BROKER.recipient.public)
    other = RecipientKey.generate(SUITES[0])
    with pytest.raises(MessageRefused, match="is sealed to"):
        open_key(one, sealed, other)
    renamed = replace(SealedKey.decode(sealed), recipient=other.fingerprint).encode()
    with pytest.raises(MessageRefused, match="does not open"):
        open_key(one, renamed, other)


def test_every_flipped_byte_of_a_sealed_key_is_refused(north: PostQuantumTransport) -> None:
    one = owned(north)
    sealed = seal_key(one, KEY, BROKER.recipient.public)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1 << position % 8
        with pytest.raises(MessageRefused):
            open_key(one, bytes(altered), BROKER)


def test_a_key_that_the_owner_did_not_commit_to_is_refused(north: PostQuantumTransport) -> None:
    """The attack: whoever knows the broker's public key seals it a key of their own for the owner's resource."""
    one, other = owned(north), os.urandom(32)
    with pytest.raises(MessageRefused, match="committed to"):
        seal_key(one, other, BROKER.recipient.public)
    theirs = owned(north, replace(resource(), commitment=key_commitment(other)))
    forged = replace(SealedKey.decode(seal_key(theirs, other, BROKER.recipient.public)), resource=one.digest)
    with pytest.raises(MessageRefused):
        open_key(one, forged.encode(), BROKER)
    for key in (KEY[:31], KEY + b"\x00", b""):
        with pytest.raises(MessageRefused, match="committed to"):
            one.require_key(key)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_keys_of_32_bytes_are_committed_to(size: int) -> None:
    with pytest.raises(CallerError, match=f"not {size}"):
        key_commitment(bytes(size))


@pytest.mark.parametrize("public", [b"", b"\x04" * 65, b"\x00" * 1184])
def test_a_public_key_of_no_hybrid_suite_is_refused(north: PostQuantumTransport, public: bytes) -> None:
    with pytest.raises(CallerError, match="no hybrid suite"):
        seal_key(owned(north), KEY, public)


# -------------------------------------------------------------------------------------------------------- deriving


def test_a_derived_resource_of_the_policys_chain_passes(north: PostQuantumTransport) -> None:
    parent = owned(north)
    child = resource(kind="round-key", content=b"", stages=("aggregate",), parent=parent.digest)
    check_derived(parent, "train", child)


@pytest.mark.parametrize(
    ("stage", "changed", "said"),
    [
        ("train", {"parent": b"\x01" * 32}, "another parent"),
        ("train", {"policy": policy('"serve.toml"', '"train.toml"').encode()}, "another policy"),
        ("publish", {}, "does not have"),
        ("aggregate", {}, "may not put out"),
        ("serve", {}, "may not put out"),
        ("train", {"kind": "model", "content": b"\x07" * 32}, "may not put out"),
        ("train", {"stages": ("serve",)}, "may not go"),
        ("train", {"stages": ("aggregate", "serve")}, "may not go"),
        ("train", {"stages": ("train",)}, "may not go"),
    ],
)
def test_a_derived_resource_outside_the_chain_is_refused(
    north: PostQuantumTransport, stage: str, changed: dict[str, Any], said: str
) -> None:
    parent = owned(north)
    child = resource(kind="round-key", content=b"", stages=("aggregate",), parent=parent.digest)
    with pytest.raises(MessageRefused, match=said):
        check_derived(parent, stage, replace(child, **changed))
