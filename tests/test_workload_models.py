"""``model`` and ``answers`` of a phase: a model in integers with its sizes, and whether answers are to be proven."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quatrefoil.errors import PolicyInvalid
from quatrefoil.workload import Phase, Workload

INFER = """\
name = "test"

[[phases]]
name = "answer"
kind = "infer"
data = "record"
message_bytes = 9
batch = 5
latency_ms = 10
model = "integers"
inputs = 30
cells = 8
weights = 257
answers = "proven"
"""
SCORE = """\
name = "test"

[[phases]]
name = "score"
kind = "score"
data = "record"
parameters = 30
batch = 5
latency_ms = 10
model = "integers"
"""


def refusal(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        Workload.parse(text, source="w.toml")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


def one(text: str) -> Phase:
    return Workload.parse(text, source="w.toml").phases[0]


def test_sizes_of_a_model_in_integers_are_read_and_covered_by_the_digest() -> None:
    phase = one(INFER)
    assert (phase.inputs, phase.cells, phase.weights, phase.model, phase.answers) == (30, 8, 257, "integers", "proven")
    assert one(INFER.replace("cells = 8", "cells = 0")).cells == 0, "one layer rounds nothing"
    assert one(SCORE).model == "integers" and one(SCORE).answers == "signed"
    changed = [("inputs = 30", "inputs = 31"), ("cells = 8", "cells = 9"), ("257", "258"), ('"proven"', '"signed"')]
    texts = [INFER, *(INFER.replace(*pair) for pair in changed)]
    assert len({Workload.parse(text, source="w").digest() for text in texts}) == len(texts)
    workload = Workload.parse(INFER, source="w")
    assert Workload.decode(workload.encode()) == workload


def test_saying_what_is_meant_anyway_changes_nothing() -> None:
    plain = SCORE.replace('model = "integers"\n', "")
    said = SCORE.replace('"integers"', '"float"\nanswers = "signed"')
    assert Workload.parse(plain, source="w").digest() == Workload.parse(said, source="w").digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (INFER.replace("inputs = 30\n", ""), "phases[1].inputs: is missing"),
        (INFER.replace("cells = 8\n", ""), "phases[1].cells: is missing"),
        (INFER.replace("weights = 257\n", ""), "phases[1].weights: is missing"),
        (INFER.replace('model = "integers"\n', ""), "phases[1].inputs: is given, and the model is none in integers"),
        (INFER.replace('"integers"', '"float"'), "phases[1].inputs: is given, and the model is none in integers"),
        (INFER.replace('"integers"', '"bytes"'), "w.toml:10: phases[1].model: 'bytes' is not 'float' or 'integers'"),
        (INFER.replace('"integers"', "3"), "phases[1].model: is an integer, not a string"),
        (INFER.replace('"proven"', '"trusted"'), "w.toml:14: phases[1].answers: 'trusted' is not 'signed' or 'proven'"),
        (INFER.replace('"proven"', "true"), "phases[1].answers: is a boolean, not a string"),
        (INFER.replace("inputs = 30", "inputs = 0"), "w.toml:11: phases[1].inputs: is 0, outside 1 to"),
        (INFER.replace("cells = 8", "cells = -1"), "w.toml:12: phases[1].cells: is -1, outside 0 to"),
        (INFER.replace("weights = 257", f"weights = {1 << 40}"), "phases[1].weights: is 1099511627776, outside 1 to"),
        (INFER + "parameters = 3\nhidden = 2\n", "phases[1].parameters: is given, and the model is in integers"),
        (SCORE + "weights = 30\n", "phases[1].weights: is not a known key"),
        (
            SCORE.replace('kind = "score"', 'kind = "count"'),
            "is 'integers', but count phases have no model with weights",
        ),
        (
            SCORE.replace('kind = "score"', 'kind = "summarise"').replace('model = "integers"', 'answers = "proven"'),
            "phases[1].answers: is 'proven', but summarise phases have no model with weights",
        ),
    ],
)
def test_what_contradicts_the_model_is_refused(text: str, said: str) -> None:
    assert said in refusal(text)


def test_whoever_builds_a_phase_is_held_to_the_same() -> None:
    phase = one(INFER)
    for changed in ({"model": "float"}, {"inputs": 0}, {"weights": 0}, {"cells": -1}, {"answers": "x"}):
        with pytest.raises(PolicyInvalid):
            replace(phase, **changed)
    with pytest.raises(PolicyInvalid, match="weights"):
        replace(one(SCORE), weights=5)
