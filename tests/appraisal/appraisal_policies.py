"""The policy file that accepts the evidence of ``attesting``, and files that differ from it in one place."""

from __future__ import annotations

from attesting import FOLDER
from quatrefoil.appraisal import AppraisalPolicy, parse

TEXT = (FOLDER / "policy.toml").read_text()


def with_(old: str, new: str) -> str:
    """The text with one place changed."""
    assert TEXT.count(old) == 1, f"{old!r} stands {TEXT.count(old)} times in the policy"
    return TEXT.replace(old, new)


def policy(old: str = "", new: str = "") -> AppraisalPolicy:
    return parse(with_(old, new) if old else TEXT, source="policy.toml")
