"""Release policies: the file that people write, and the canonical bytes that travel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil import appraisal
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.resources import ReleasePolicy, parse

VECTORS = Path(__file__).parents[2] / "vectors" / "attestation"

TEXT = """\
name = "fuzzed"
entry = ["train"]
[stages.train]
appraisal = "a.toml"
longest_lease_s = 3600
renewal = "allowed"
[stages.train.outputs]
round-key = ["serve"]
[stages.serve]
appraisal = "a.toml"
longest_lease_s = 60
renewal = "refused"
outputs = {}
"""


@cache
def _appraised(_name: str = "") -> AppraisalPolicy:
    return appraisal.load(VECTORS / "policy.toml")


@cache
def made() -> ReleasePolicy:
    """The policy of :data:`TEXT`."""
    return parse(TEXT, source="fuzzed", appraisal_policy=lambda name: _appraised())


def seeds() -> list[bytes]:
    return [b"\0" + TEXT.encode(), b"\1" + made().encode()]


def one(data: bytes) -> None:
    """By the first byte: canonical bytes, or the text of a file."""
    if data[:1] == b"\1":
        refused_or_same(lambda: ReleasePolicy.decode(data[1:]), lambda policy: policy.encode(), data[1:])
        return
    text = data[1:].decode(errors="replace")
    policy = refused_or(lambda: parse(text, source="fuzzed", appraisal_policy=lambda name: _appraised()))
    if policy is not None:
        assert ReleasePolicy.decode(policy.encode()) == policy
