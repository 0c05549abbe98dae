"""A release policy of three stages, train -> aggregate -> serve, and files that differ from it in one place."""

from __future__ import annotations

from attesting import FOLDER
from quatrefoil import appraisal
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.resources import ReleasePolicy, parse

APPRAISAL = (FOLDER / "policy.toml").read_text()

TEXT = """\
name = "hospital-model"
entry = ["train"]

[stages.train]
appraisal = "train.toml"
longest_lease_s = 3600
renewal = "allowed"
[stages.train.outputs]
round-key = ["aggregate"]

[stages.aggregate]
appraisal = "aggregate.toml"
longest_lease_s = 600
renewal = "refused"
[stages.aggregate.outputs]
model = ["serve"]

[stages.serve]
appraisal = "serve.toml"
longest_lease_s = 86400
renewal = "allowed"
outputs = {}
"""


def appraised(name: str) -> AppraisalPolicy:
    """The appraisal policy of a stage: the same but for its name."""
    return appraisal.parse(APPRAISAL.replace('"keeper"', f'"{name.removesuffix(".toml")}"'), source=name)


def with_(old: str, new: str) -> str:
    """The text with one place changed."""
    assert TEXT.count(old) == 1, f"{old!r} stands {TEXT.count(old)} times in the policy"
    return TEXT.replace(old, new)


def policy(old: str = "", new: str = "") -> ReleasePolicy:
    return parse(with_(old, new) if old else TEXT, source="release.toml", appraisal_policy=appraised)
