"""Appraisal policy files, and policies as peers send them."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.held import refused_or, refused_or_same

import attesting
from quatrefoil.appraisal import AppraisalPolicy, parse

EXAMPLE = Path(__file__).parents[3] / "examples" / "appraisal" / "sev-snp.toml"
OWN = attesting.FOLDER / "policy.toml"


def seeds() -> list[bytes]:
    files = [file.read_bytes() for file in (EXAMPLE, OWN)]
    return [*files, parse(files[0].decode(), source="seed").encode()]


def one(data: bytes) -> None:
    policy = refused_or(lambda: parse(data.decode("utf-8", "replace"), source="fuzz"))
    if policy is not None:
        assert AppraisalPolicy.decode(policy.encode()) == policy
    refused_or_same(lambda: AppraisalPolicy.decode(data), AppraisalPolicy.encode, data)
