"""Serving policies: the file that people write, and the canonical bytes that travel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil import appraisal
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.exchange import ServingPolicy
from quatrefoil.exchange.reader import parse
from serving_policies import serving_policy

VECTORS = Path(__file__).parents[2] / "vectors" / "attestation"
TEXT = serving_policy("heart", "ab" * 32)


@cache
def _appraised(_name: str = "") -> AppraisalPolicy:
    return appraisal.load(VECTORS / "policy.toml")


def _parsed(text: str) -> ServingPolicy:
    return parse(text, source="fuzzed", appraisal_policy=_appraised)


def seeds() -> list[bytes]:
    planned = TEXT.replace("[model]", f'plan = "{"cd" * 32}"\n[model]', 1)
    odd = [("600", "0x258"), ("600", "true"), ("16", "9" * 5000), ("window_ms = 0", "window_ms = -1"), ("60", "1e9")]
    written = [TEXT, planned, *(TEXT.replace(before, after) for before, after in odd)]
    return [*(b"\0" + one.encode() for one in written), *(b"\1" + _parsed(one).encode() for one in (TEXT, planned))]


def one(data: bytes) -> None:
    """By the first byte: canonical bytes, or the text of a file."""
    if data[:1] == b"\1":
        refused_or_same(lambda: ServingPolicy.decode(data[1:]), ServingPolicy.encode, data[1:])
        return
    policy = refused_or(lambda: _parsed(data[1:].decode(errors="replace")))
    if policy is not None:
        assert ServingPolicy.decode(policy.encode()) == policy
