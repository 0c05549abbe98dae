"""Networks that are read from JSON, and bytes that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quatrefoil.analytics.networks import Network
from quatrefoil.errors import ModelRefused

JSON = {
    "kind": "network",
    "features": ["a", "b"],
    "hidden": {"weights": [[1, -0.5], [0.25, 2]], "biases": [0.5, 0]},
    "output": {"weights": [[2, -1]], "biases": [-1]},
    "outputs": ["risk"],
    "activation": "sigmoid",
}


def test_a_network_is_read_from_json() -> None:
    rows, output = ((1.0, -0.5), (0.25, 2.0)), ((2.0, -1.0),)
    expected = Network(("a", "b"), rows, (0.5, 0.0), output, (-1.0,), ("risk",), "sigmoid")
    assert Network.parse(json.dumps(JSON).encode()) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "linear"},
        {"kind": ["network"]},
        {"features": []},
        {"features": ["a"]},
        {"features": ["a", "a"]},
        {"features": ["a", ""]},
        {"features": ["a", 1]},
        {"features": "ab"},
        {"hidden": {}},
        {"hidden": []},
        {"hidden": {"weights": [], "biases": []}},
        {"hidden": {"weights": [[]], "biases": [1]}},
        {"hidden": {"weights": [[1, 2], [1]], "biases": [0, 0]}},
        {"hidden": {"weights": [[1, 2], [1, 2]], "biases": [0]}},
        {"hidden": {"weights": [[1, 2], [1, "2"]], "biases": [0, 0]}},
        {"hidden": {"weights": [[1, 2], [1, True]], "biases": [0, 0]}},
        {"hidden": {"weights": [[1, 2], [1, 1e40]], "biases": [0, 0]}},
        {"hidden": {"weights": [[1, 2], [1, 2]], "biases": [0, 0], "more": 1}},
        {"hidden": {"weights": 1, "biases": [0, 0]}},
        {"hidden": {"weights": [1, 2], "biases": [0, 0]}},
        {"output": {"weights": [[2]], "biases": [-1]}},
        {"output": {"weights": [[2, -1]], "biases": -1}},
        {"outputs": []},
        {"outputs": ["a", "b"]},
        {"activation": "relu"},
        {"activation": None},
        {"more": 1},
    ],
)
def test_json_that_is_no_network(change: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused) as refusal:
        Network.parse(json.dumps(JSON | change).encode())
    assert refusal.value.hint


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"kind":"network","kind":"network"}', b" " * (9 << 20)])
def test_bytes_that_are_no_network(data: bytes) -> None:
    with pytest.raises(ModelRefused):
        Network.parse(data)
