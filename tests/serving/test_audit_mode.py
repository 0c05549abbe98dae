"""Audit mode over a real server and client: what receipts commit to, and what clients hold them to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference import integer_graph

from audited_room import FILE, GRAPH, POLICY, SAMPLES, Audited, audited
from float_models import classifier, numbers, perceptron
from quatrefoil.audit.computations import opening_keys, require_outputs, rho_of
from quatrefoil.client import Client, require_computed
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused, ModelRefused, QuatrefoilError
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.compiler import Widths, quantise
from quatrefoil.quantised.rule import Rule
from quatrefoil.serving.audited import AuditedModel, Trace
from quatrefoil.serving.model import engine_of
from running_server import Running
from serving_parts import COMMITMENT
from small_models import linear
from support import Consortium


@pytest.fixture
def room(consortium: Consortium, tmp_path: Path) -> Iterator[Audited]:
    with audited(consortium, tmp_path) as made:
        yield made


def test_what_was_answered_is_recorded_and_is_what_the_graph_computes(room: Audited) -> None:
    first, second = room.answers(SAMPLES[:1], SAMPLES)
    room.server.stop()
    assert room.server.failed is None
    one, two = room.read()
    assert [one.sequence, two.sequence] == [0, 1] and not room.told
    for answer, found, samples in ((first, one, SAMPLES[:1]), (second, two, SAMPLES)):
        receipt = answer.receipt
        assert receipt is not None and receipt.encoded == found.receipt
        assert found.said == receipt.fields and found.keyset == receipt.keyset
        assert (found.outputs / 2.0 ** GRAPH.exponents[-1] == answer.outputs["y"]).all()
        assert as_the_reference_has_them(samples) == (found.inputs.tolist(), found.outputs.tolist())


def as_the_reference_has_them(samples: Any) -> tuple[list[list[int]], list[list[int]]]:
    inputs = [[integer_graph.entry(GRAPH.input, x) for x in sample] for sample in samples]
    return inputs, [list(answer) for answer in integer_graph.answers(GRAPH, samples)]


@pytest.mark.parametrize("options", [{}, {"keepdims": 1, "select_last_index": 1}])
def test_of_a_model_that_ends_in_an_arg_max_receipts_hold_places(
    consortium: Consortium, tmp_path: Path, options: dict[str, int]
) -> None:
    graph = quantise(classifier(3, inputs=6, relu=True, **options), numbers(7, 40, 6))
    rule = Rule.decode(Rule.of(graph).encode())
    with audited(consortium, tmp_path, onnx_form.encode(graph)) as room:
        with room.client(computes=rule) as client:
            answer = client.infer({"x": SAMPLES})
        room.server.stop()
        (found,) = room.read()
    places = answer.outputs["y"]
    assert places.dtype == np.int64 and places.shape == ((5, 1) if options else (5,))
    assert found.outputs.tolist() == [[place] for place in places.reshape(-1)]
    assert integer_graph.answers(graph, SAMPLES) == places.tolist()
    assert answer.receipt is not None
    for wrong in ((places + 1) % 5, places[::-1].copy(), places - 5):
        if not (wrong == places).all():
            with pytest.raises(EvidenceRejected, match="other"):
                require_computed(answer.receipt, rule, {"x": SAMPLES}, {"y": wrong})


def test_a_client_opens_both_with_its_salt(room: Audited) -> None:
    (answer,) = room.answers(SAMPLES)
    assert answer.receipt is not None
    keys, said = opening_keys(answer.receipt.salt), answer.receipt.fields
    trace = room.model.of(SAMPLES, answer.outputs["y"])
    made = room.model.commit(trace, keys)
    assert (made.inputs, made.outputs) == (said.inputs, said.outputs)
    require_outputs(said, keys.outputs, trace.outputs)
    (found,) = room.read()
    assert (found.inputs_key, found.output_key) == (keys.inputs, keys.outputs)
    length = room.model.field_hash.rho_bytes
    assert found.rho == tuple(rho_of(keys.inputs, row, length) for row in range(5))


def test_a_client_that_knows_the_rule_holds_receipts_to_it(room: Audited) -> None:
    rule = Rule.decode(Rule.of(GRAPH).encode())
    assert rule == room.model.rule
    with room.client(computes=rule) as client:
        answer = client.infer({"x": SAMPLES})
        client.infer({"x": SAMPLES[:2].tolist()})
    assert answer.receipt is not None
    for inputs, outputs, check in (
        (SAMPLES[::-1], answer.outputs["y"], "inputs"),
        (SAMPLES[:4], answer.outputs["y"], "inputs"),
        (SAMPLES, answer.outputs["y"][::-1], "outputs"),
        (SAMPLES, answer.outputs["y"] + np.float32(2.0 ** -GRAPH.exponents[-1]), "outputs"),
    ):
        with pytest.raises(EvidenceRejected) as told:
            require_computed(answer.receipt, rule, {"x": inputs}, {"y": outputs})
        assert told.value.check == check
    with pytest.raises(MessageRefused, match="no integer graph"):
        require_computed(answer.receipt, rule, {"x": SAMPLES}, {"y": answer.outputs["y"] + np.float32(0.3)})
    with pytest.raises(MessageRefused, match="was asked"):
        require_computed(answer.receipt, rule, {"z": SAMPLES}, {"y": answer.outputs["y"]})


def test_a_client_holds_receipts_to_the_committed_weights_that_it_knows(room: Audited) -> None:
    with room.client(committed=COMMITMENT) as client:
        answer = client.infer({"x": SAMPLES})
    assert answer.receipt is not None and answer.receipt.fields.commitment == COMMITMENT
    assert COMMITMENT.hex()[:16] in answer.receipt.line()
    with room.client(committed=b"d" * 32) as client, pytest.raises(EvidenceRejected, match="other committed") as told:
        client.infer({"x": SAMPLES})
    assert told.value.check == "commitment"
    with pytest.raises(CallerError, match="32 bytes, not 31"):
        room.client(committed=bytes(31))
    none = replace(answer.receipt, fields=replace(answer.receipt.fields, commitment=b""))
    with pytest.raises(EvidenceRejected, match="names no committed weights"):
        require_computed(none, room.model.rule, {"x": SAMPLES}, {"y": answer.outputs["y"]})


def test_a_server_that_commits_to_another_computation_is_caught(room: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, a server could prove answers that nobody got."""
    honest = room.model.commit
    for change in (
        lambda trace: Trace(trace.inputs, trace.outputs + 1),
        lambda trace: Trace(-1 - trace.inputs, trace.outputs),
    ):
        monkeypatch.setattr(room.model, "commit", lambda trace, keys, change=change: honest(change(trace), keys))
        with room.client(computes=room.model.rule) as client, pytest.raises(EvidenceRejected, match="other"):
            client.infer({"x": SAMPLES})


def test_a_client_with_a_rule_takes_no_receipt_that_says_nothing(server: Running) -> None:
    client = Client(
        server.url,
        policy=server.policy,
        collateral=server.collateral,
        identity=server.people.identity("hospital", "silo"),
        trust=server.people.trust,
        computes=Rule.of(GRAPH),
    )
    with client, pytest.raises(EvidenceRejected, match="does not commit") as told:
        client.infer({"x": np.ones((1, 3), "f4")})
    assert told.value.check == "inputs"


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("output"),
        lambda said: said.update(format="quatrefoil.integer-rule/2"),
        lambda said: said.update(more=1),
        lambda said: said["input"].__setitem__(1, [0]),
        lambda said: said["input"].__setitem__(2, 65),
        lambda said: said["input"].__setitem__(3, 1),
        lambda said: said["input"].__setitem__(4, 1 << 16),
        lambda said: said["output"].__setitem__(1, 1.5),
        lambda said: said["output"].__setitem__(0, None),
    ],
)
def test_what_is_no_rule_is_refused(change: Any) -> None:
    said = json.loads(Rule.of(GRAPH).encode())
    change(said)
    with pytest.raises(ModelRefused, match="no rule"):
        Rule.decode(json.dumps(said).encode())


def test_receipts_of_what_computes_nothing_commit_to_nothing(room: Audited) -> None:
    with room.client() as client:
        with pytest.raises(QuatrefoilError):
            client.infer({"x": np.ones((1, 7), "f4")})
        client.infer({"x": SAMPLES})
    room.server.stop()
    bodies = [entry.body for entry in room.server.log.entries() if entry.kind == "inference"]
    assert [bool(body["inputs"]) for body in bodies if body["status"] == 200][-1:] == [True]
    assert all(not body["inputs"] and not body["outputs"] for body in bodies if body["status"] != 200)
    assert len(room.read()) == 1


def test_a_server_without_it_commits_to_nothing(server: Running) -> None:
    client = Client(
        server.url,
        policy=server.policy,
        collateral=server.collateral,
        identity=server.people.identity("hospital", "silo"),
        trust=server.people.trust,
    )
    with client:
        receipt = client.infer({"x": np.ones((1, 3), "f4")}).receipt
    assert receipt is not None and (receipt.fields.inputs, receipt.fields.outputs) == (b"", b"")


def test_a_model_that_is_no_integer_graph_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelRefused, match="quatrefoil model quantise"):
        AuditedModel(linear())


def test_a_range_without_a_field_hash_is_refused() -> None:
    graph = quantise(perceptron(), numbers(7, 40, 6), Widths(8, 3))
    with pytest.raises(CallerError, match="cannot be committed to"):
        AuditedModel(onnx_form.encode(graph))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45])
def test_the_inputs_are_what_the_file_makes_of_them(special: float) -> None:
    model = AuditedModel(FILE)
    samples = np.array(SAMPLES)
    samples[0, 0] = special
    answered = engine_of(FILE, POLICY, threads=1).infer(_asked(samples)).outputs["y"]
    trace = model.of(samples, answered)
    assert as_the_reference_has_them(samples) == (trace.inputs.tolist(), trace.outputs.tolist())


def _asked(samples: Any) -> Any:
    from quatrefoil.inference import InferRequest

    return InferRequest({"x": samples})
