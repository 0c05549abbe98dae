"""The pages of Nitro and GPU evidence name every check and every key of a policy, and the roots that are pinned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import nitro, nvidia
from quatrefoil.enclave.nitro.roots import pinned
from quatrefoil.enclave.nvidia.roots import devices, manifests

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"nitro": "attestation-nitro.md", "nvidia-cc": "attestation-nvidia.md"}


def page(kind: str) -> str:
    return (DOCS / PAGES[kind]).read_text()


def first_cells(text: str, heading: str) -> list[str]:
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return re.findall(r"^\| `([\w-]+)` \|", section, re.M)


def test_the_checks_of_the_verifiers_are_listed_in_their_order() -> None:
    assert first_cells(page("nitro"), "Checks of the Nitro verifier") == list(nitro.CHECKS)
    assert first_cells(page("nvidia-cc"), "Checks of the GPU verifier") == list(nvidia.CHECKS)
    for kind, more in (("nitro", ["revocation"]), ("nvidia-cc", ["revocation", "golden"])):
        assert [name for name in more if f"`{name}`" not in page(kind)] == []


@pytest.mark.parametrize("kind", PAGES)
def test_the_keys_of_a_policy_are_listed(kind: str) -> None:
    known = VOCABULARIES[kind]
    keys = {"measurements", *known.platforms, *known.listed, *known.refusable, *known.requirable}
    keys |= {"maximum_age_s"} if known.dated else set()
    keys |= {"gpus"} if known.counted else set()
    assert set(first_cells(page(kind), "Policy")) == keys
    for choices in known.listed.values():
        assert [one for one in choices if f"`{one}`" not in page(kind)] == []


def test_the_pinned_roots_are_named_by_their_digest() -> None:
    assert pinned().certificate.fingerprint(SHA256()).hex() in page("nitro")
    for root in (devices(), manifests()):
        assert root.certificate.fingerprint(SHA256()).hex() in page("nvidia-cc")
