"""What comes out of a recorded exchange is what its receipt commits to, read in one way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from float_models import everything, numbers
from proven_answers import PATH, Ward, small_graph
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proven import Exchange, open_exchange
from quatrefoil.proven.recorded import read_exchanges
from quatrefoil.quantised import enter, quantise, trace_of

SAMPLES = 2 * numbers(7, 3, 6)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    found = Ward(tmp_path_factory.mktemp("ward"), small_graph())
    yield found
    found.close()


@pytest.fixture(scope="module")
def exchange(ward: Ward) -> Exchange:
    return ward.answer(SAMPLES)


@pytest.mark.parametrize("binary", [False, True])
def test_requests_in_json_and_in_binary_open_to_the_same_numbers(ward: Ward, binary: bool):
    found = open_exchange(ward.answer(SAMPLES, binary=binary), ward.said())
    assert np.array_equal(found.inputs, SAMPLES.astype("f4"))
    assert np.array_equal(found.answers, trace_of(ward.graph, enter(ward.graph, SAMPLES)).outputs)


def test_places_of_the_largest_are_read_as_such(tmp_path: Path):
    ward = Ward(tmp_path, quantise(everything(), numbers(1, 30, 2, 8, 8)))
    samples = numbers(5, 4, 2, 8, 8)
    found = open_exchange(ward.answer(samples), ward.said())
    outputs = trace_of(ward.graph, enter(ward.graph, samples)).outputs
    assert found.answers.tolist() == outputs.argmax(axis=1).tolist()
    ward.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"salt": bytes(32)}, "another request, or the salt"),
        ({"salt": bytes(31)}, "a salt of 31 bytes"),
        ({"method": b"GET"}, "another request"),
        ({"path": b"/v2/models/other/infer"}, "another request"),
        ({"request": b"{}"}, "another request"),
        ({"answer": b"{}"}, "another answer"),
        ({"receipt": b"\x80"}, "a receipt is none"),
    ],
)
def test_a_record_that_was_altered_is_refused(ward: Ward, exchange: Exchange, changes, why):
    with pytest.raises(EvidenceRejected, match=why):
        open_exchange(replace(exchange, **changes), ward.said())


def test_every_byte_of_request_and_answer_counts(ward: Ward, exchange: Exchange):
    for name in ("request", "answer"):
        content = bytearray(getattr(exchange, name))
        content[-3] ^= 1
        with pytest.raises(EvidenceRejected, match="another"):
            open_exchange(replace(exchange, **{name: bytes(content)}), ward.said())


def test_a_receipt_of_another_model_is_refused(ward: Ward, exchange: Exchange):
    with pytest.raises(EvidenceRejected, match="is of the model"):
        open_exchange(exchange, ward.said(model=bytes(32)))


def documents(exchange: Exchange) -> tuple[dict, dict]:
    return json.loads(exchange.request), json.loads(exchange.answer)


def altered(ward: Ward, exchange: Exchange, request: dict | None = None, answer: dict | None = None) -> Exchange:
    """A server that signs for other contents."""
    asked, answered = documents(exchange)
    given = [json.dumps(old | (new or {})).encode() for old, new in ((asked, request), (answered, answer))]
    return ward.recorded(*given)


@pytest.mark.parametrize(
    ("part", "changed", "why"),
    [
        ("inputs", {"name": "z"}, "other tensors than"),
        ("inputs", {"datatype": "FP64"}, "has inputs float64"),
        ("inputs", {"shape": [18]}, "has inputs"),
        ("outputs", {"name": "z"}, "other tensors than"),
        ("outputs", {"datatype": "FP64"}, "has outputs float64"),
        ("outputs", {"shape": [1, 9]}, "has inputs"),
    ],
)
def test_tensors_that_are_not_those_of_the_model_are_refused(ward: Ward, exchange: Exchange, part, changed, why):
    request, answer = documents(exchange)
    given = {"request": {}, "answer": {}}
    document, where = (request, "request") if part == "inputs" else (answer, "answer")
    given[where] = {part: [document[part][0] | changed]}
    with pytest.raises(EvidenceRejected, match=why):
        open_exchange(altered(ward, exchange, given["request"], given["answer"]), ward.said())


def test_an_answer_between_the_integers_is_refused(ward: Ward, exchange: Exchange):
    _, answer = documents(exchange)
    data = list(np.array(answer["outputs"][0]["data"]).reshape(-1))
    for wrong in (data[0] + 2.0 ** (-1 - ward.graph.exponents[-1]), 2.0 ** (31 - ward.graph.exponents[-1])):
        given = {"outputs": [answer["outputs"][0] | {"data": [wrong, *data[1:]]}]}
        with pytest.raises(EvidenceRejected, match="no integer of the output's scale"):
            open_exchange(altered(ward, exchange, answer=given), ward.said())


@pytest.mark.parametrize(
    ("status", "complete", "path", "why"),
    [
        (500, True, PATH, "no whole answer: its status is 500"),
        (200, False, PATH, "no whole answer"),
        (200, True, b"/v2/models/heart", "of contents that cannot be read"),
        (200, True, b"/v2/models/heart/ready", "of contents that cannot be read"),
        (200, True, b"/elsewhere", "of contents that cannot be read"),
    ],
)
def test_what_is_no_answer_of_a_model_is_refused(ward: Ward, exchange: Exchange, status, complete, path, why):
    made = ward.recorded(exchange.request, exchange.answer, status=status, complete=complete, path=path)
    with pytest.raises(EvidenceRejected, match=why):
        open_exchange(made, ward.said())


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"inputs": []}', b"{" * 100_000])
def test_contents_that_are_none_are_refused(ward: Ward, exchange: Exchange, content):
    for given in ((content, exchange.answer), (exchange.request, content)):
        with pytest.raises(EvidenceRejected):
            open_exchange(ward.recorded(*given), ward.said())


def test_where_the_json_ends_follows_from_the_content(ward: Ward):
    """A header field could be told otherwise later: bytes between the JSON and the tensors are refused."""
    made = ward.answer(SAMPLES, binary=True)
    end = json.JSONDecoder().raw_decode(made.request.decode("latin-1"))[1]
    padded = made.request[:end] + b" " + made.request[end:]
    with pytest.raises(EvidenceRejected, match="cannot be read"):
        open_exchange(ward.recorded(padded, made.answer), ward.said())


def test_records_are_read_from_a_file_and_from_a_folder(tmp_path: Path, exchange: Exchange):
    (tmp_path / "a.exchange").write_bytes(exchange.encode())
    (tmp_path / "b.exchange").write_bytes(replace(exchange, salt=bytes(32)).encode())
    (tmp_path / "readme").write_bytes(b"")
    assert read_exchanges(tmp_path) == [exchange, replace(exchange, salt=bytes(32))]
    assert read_exchanges(tmp_path / "a.exchange") == [exchange]
    (tmp_path / "b.exchange").write_bytes(b"garbage")
    with pytest.raises(EvidenceRejected, match=r"b.exchange is no recorded exchange"):
        read_exchanges(tmp_path)


def test_no_number_of_an_object_is_read_that_is_none():
    with pytest.raises(MessageRefused):
        Exchange.decode(b"")
