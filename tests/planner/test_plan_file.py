"""A plan read from its file: what it says of proofs is covered by the digest that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.planner.made_up import SERVING, make_available, make_costs, policy
from tests.planner.test_proven_plans import ANSWER, INTEGRITY, asking, planned

from quatrefoil.errors import PolicyInvalid
from quatrefoil.planner import plan
from quatrefoil.planner.plan_file import PlanFile

MADE = planned(asking(INTEGRITY, "tpm"), "tpm")


def written(change: Callable[[dict[str, Any]], object] = lambda _: None) -> str:
    content: dict[str, Any] = {"schema": "quatrefoil.plan/1", **json.loads(json.dumps(MADE.to_json()))}
    change(content)
    return json.dumps(content)


def refusal(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        PlanFile.parse(text, source="plan.json")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("plan.json: ")
    return message


def test_the_share_and_the_digest_are_those_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(written())
    assert PlanFile.load(tmp_path / "plan.json") == PlanFile(MADE.digest(), 0.02)
    without = planned(asking({"network"}, "tpm", share=0.0), "tpm", phase=ANSWER)
    assert PlanFile.parse(json.dumps(without.to_json()), source="p") == PlanFile(without.digest(), 0.0)


def test_every_plan_is_read_back() -> None:
    made = plan(
        SERVING,
        policy({"network"}, allow=asking({"network"}, "tpm").allow, proven_share=0.5, accept_insecure=()),
        make_costs(),
        make_available(servers=("tpm",)),
    )
    assert PlanFile.parse(json.dumps(made.to_json()), source="p").digest == made.digest()


def answer(content: dict[str, Any]) -> dict[str, Any]:
    return content["phases"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: answer(c).update(proven=None),
        lambda c: answer(c)["proven"].update(share=0.001),
        lambda c: answer(c)["backends"].pop(),
        lambda c: answer(c)["threats"].pop("malicious-server"),
        lambda c: answer(c)["threats"]["malicious-server"].update(condition="nothing"),
        lambda c: c.update(policy_digest="00" * 32),
        lambda c: c.update(unprotected=[]),
        lambda c: c.update(insecure=["software-keeper"]),
        lambda c: c.update(digest="00" * 32),
        lambda c: c.update(phases=[]),
    ],
)
def test_a_plan_that_was_altered_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    assert "and says that it is" in refusal(written(change))


def test_what_no_digest_covers_may_differ() -> None:
    text = written(lambda c: (answer(c).update(predicted_ms=1.0), answer(c)["proven"].update(prove_ms=9.0)))
    assert PlanFile.parse(text, source="p") == PlanFile(MADE.digest(), 0.02)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        "[" * 100_000,
        '{"digest": 1, "digest": 1}',
        written(lambda c: c.pop("digest")),
        written(lambda c: c.pop("phases")),
        written(lambda c: c.update(phases=3)),
        written(lambda c: c.update(phases=[3])),
        written(lambda c: c.update(workload_digest=3)),
        written(lambda c: c.update(workload_digest="x")),
        written(lambda c: answer(c).update(layers="transport")),
        written(lambda c: answer(c).update(layers=[["transport"]])),
        written(lambda c: answer(c).update(threats=[])),
        written(lambda c: answer(c)["proven"].update(share="all")),
        written(lambda c: answer(c)["proven"].pop("share")),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(text: str) -> None:
    refusal(text)
