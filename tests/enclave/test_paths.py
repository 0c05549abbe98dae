"""Paths of P-384 certificates: each rule of RFC 5280 that is looked at refuses alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

import p384
from p384 import AT, certificate
from quatrefoil.enclave import paths
from quatrefoil.enclave.paths import Path, Root
from quatrefoil.errors import StateCorrupt

LEAF: dict[str, Any] = {"ca": False, "signs": True}


def read(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


ROOT = Root("the root", read(certificate("root", "root")))


def follow(leaf: dict[str, Any] | None = None, middle: dict[str, Any] | None = None, *lists: bytes, **at: Any) -> Path:
    low = certificate("leaf", "middle", **LEAF | (leaf or {}))
    between = certificate("middle", "root", **middle or {})
    found = [x509.load_der_x509_crl(der) for der in lists]
    return paths.follow(read(low), [read(between)], found, at.get("at", AT), at.get("root", ROOT))


def failed(path: Path) -> list[str]:
    assert path.holds == all(check.passed for check in path.checks)
    return [check.name for check in path.checks if not check.passed]


def test_a_path_leads_from_the_leaf_to_the_root() -> None:
    path = follow()
    assert failed(path) == [] and [check.name for check in path.checks] == ["chain", "validity"]
    assert [len(path.certificates), path.certificates[-1]] == [3, ROOT.certificate]
    assert follow(middle={"path_length": 0}).holds


@pytest.mark.parametrize(
    ("leaf", "middle"),
    [
        ({"signer": "stranger"}, {}),
        ({}, {"signer": "stranger"}),
        ({}, {"ca": False}),
        ({}, {"signs_certificates": False}),
        ({"ca": True, "signs": True}, {}),
        ({"signs": False}, {}),
        ({"extensions": {"1.2.3.4": b"\5\0"}, "critical": True}, {}),
        ({}, {"extensions": {"1.2.3.4": b"\5\0"}, "critical": True}),
        ({"serial": 6, "public": "middle", "signer": "leaf"}, {}),
    ],
    ids=[
        "forged leaf", "forged authority", "authority that is none", "authority that may not issue", "leaf that issues",
        "leaf that may not sign", "unknown critical extension", "unknown critical extension above", "own issuer",
    ],
)  # fmt: skip
def test_what_is_no_chain_is_refused(leaf: dict[str, Any], middle: dict[str, Any]) -> None:
    assert failed(follow(leaf, middle)) == ["chain", "validity"]


def test_an_unknown_extension_that_is_not_critical_is_passed_over() -> None:
    assert follow({"extensions": {"1.2.3.4": b"\5\0"}}).holds


def test_another_root_of_the_same_name_is_refused() -> None:
    other = Root("the root", read(certificate("root", "root", public="other", signer="other")))
    assert failed(follow(root=other)) == ["chain", "validity"]


def test_authorities_below_one_of_path_length_0_are_refused() -> None:
    middle, lower = certificate("middle", "root", path_length=0), certificate("lower", "middle")
    leaf = certificate("leaf", "lower", **LEAF)
    assert failed(paths.follow(read(leaf), [read(middle), read(lower)], [], AT, ROOT)) == ["chain", "validity"]
    longer = certificate("middle", "root", path_length=1)
    assert paths.follow(read(leaf), [read(longer), read(lower)], [], AT, ROOT).holds


def test_a_chain_that_is_too_long_is_refused() -> None:
    names = [f"authority {number}" for number in range(paths.LONGEST)]
    made = [read(certificate(low, high)) for low, high in zip(names, [*names[1:], "root"], strict=True)]
    leaf = read(certificate("leaf", names[0], **LEAF))
    path = paths.follow(leaf, made, [], AT, ROOT)
    assert failed(path) == ["chain", "validity"] and "over 8 certificates" in path.checks[0].detail


def test_a_ring_of_authorities_leads_nowhere() -> None:
    made = [read(certificate("a", "b")), read(certificate("b", "a"))]
    assert failed(paths.follow(read(certificate("leaf", "a", **LEAF)), made, [], AT, ROOT)) == ["chain", "validity"]


@pytest.mark.parametrize("which", ["leaf", "middle"])
def test_dates_are_named(which: str) -> None:
    path = follow(**{which: {"end": AT - timedelta(days=1)}})
    assert failed(path) == ["validity"] and f"{which} expired on 2026-05-31 00:00 UTC" in path.checks[1].detail
    path = follow(**{which: {"start": AT + timedelta(days=1)}})
    assert failed(path) == ["validity"] and f"{which} is not valid before 2026-06-02" in path.checks[1].detail


def test_of_two_certificates_of_an_authority_a_valid_one_is_taken() -> None:
    old = read(certificate("middle", "root", end=AT - timedelta(days=1)))
    new = read(certificate("middle", "root"))
    leaf = read(certificate("leaf", "middle", **LEAF))
    for order in ([old, new], [new, old]):
        assert paths.follow(leaf, order, [], AT, ROOT).holds


def test_revocation_lists_are_looked_at() -> None:
    good = follow(None, None, p384.revocation_list("middle"), p384.revocation_list("somebody else"))
    assert good.holds and good.revocation_checked and good.checks[-1].name == "revocation"
    assert not follow(None, None, p384.revocation_list("somebody else")).revocation_checked
    for made in (
        p384.revocation_list("middle", (5,)),
        p384.revocation_list("root", (5,)),
        p384.revocation_list("middle", signer="stranger"),
        p384.revocation_list("middle", end=AT - timedelta(days=1)),
        p384.revocation_list("root", start=AT + timedelta(days=1)),
    ):
        assert failed(follow(None, None, made)) == ["revocation"]


def scope(**said: Any) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """An issuing distribution point with a name, and what else it says."""
    nothing: dict[str, Any] = {
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    where = [x509.UniformResourceIdentifier("http://lists.example/one.crl")]
    return ((x509.IssuingDistributionPoint(full_name=where, **nothing | said), True),)


@pytest.mark.parametrize(
    "extensions",
    [
        ((x509.DeltaCRLIndicator(1), True),),
        ((x509.DeltaCRLIndicator(1), False),),
        ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),),
        scope(indirect_crl=True),
        scope(only_contains_attribute_certs=True),
        scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
    ],
)
def test_a_list_that_is_not_whole_is_refused(extensions: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    """A certificate that is not on a delta list may well be on the list that it adds to."""
    assert failed(follow(None, None, p384.revocation_list("middle", extensions=extensions))) == ["revocation"]


def test_a_list_counts_for_what_it_speaks_of() -> None:
    assert follow(None, None, p384.revocation_list("middle", extensions=scope())).revocation_checked
    of_users, of_authorities = (scope(only_contains_user_certs=True), scope(only_contains_ca_certs=True))
    for issuer, speaks, silent in (("middle", of_users, of_authorities), ("root", of_authorities, of_users)):
        assert follow(None, None, p384.revocation_list(issuer, extensions=speaks)).revocation_checked
        path = follow(None, None, p384.revocation_list(issuer, extensions=silent))
        assert path.holds and not path.revocation_checked
        assert failed(follow(None, None, p384.revocation_list(issuer, (5,), extensions=speaks))) == ["revocation"]


def test_an_altered_root_is_noticed() -> None:
    for file, fingerprint in (("aws_nitro_root_g1.pem", "00" * 32), ("none.pem", "00" * 32)):
        with pytest.raises(StateCorrupt, match="of somebody was altered"):
            paths.pinned("quatrefoil.enclave.nitro", file, "somebody", fingerprint)
