"""Jobs over Flower's messages: the sum is right, nobody reads along, and whoever was killed goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flower_room import POLICY, ROUNDS, SILOS, FlowerRoom, Trained, initial, is_model, mean
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord

from logs import entries_of
from quatrefoil.errors import CallerError
from quatrefoil.flower import ConfidentialStrategy


def test_a_job_ends_with_the_weighted_mean_and_tells_apps_what_the_strategy_says(room: FlowerRoom) -> None:
    apps = {name: Trained(name) for name in SILOS}
    evaluated: dict[int, ArrayRecord] = {}

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        evaluated[number] = arrays
        return MetricRecord({"number": number})

    grid = room.grid(apps)
    result = room.run(grid, train_config=ConfigRecord({"rate": 0.5, "note": "9e8d7c6b5a"}), evaluate_fn=evaluate)
    assert list(result.arrays) == list(initial()) and is_model(result.arrays, ROUNDS * mean())
    assert [is_model(evaluated[number], number * mean()) for number in range(ROUNDS + 1)] == [True] * (ROUNDS + 1)
    assert result.evaluate_metrics_serverapp == {n: MetricRecord({"number": n}) for n in range(ROUNDS + 1)}
    for name, app in apps.items():
        assert app.trainings == [{"rate": 0.5, "note": "9e8d7c6b5a", "server-round": n} for n in (1, 2)], name
        assert [float(model[0][0, 0]) for model in app.evaluated] == pytest.approx([mean(), 2 * mean()], abs=1e-3)

    # Metrics: those that a silo's file names, weighted by samples, and no other.
    loss = sum(abs(step) * samples for step, samples in SILOS.values()) / 100
    assert [dict(one) for one in result.train_metrics_clientapp.values()] == [{"loss": pytest.approx(loss)}] * ROUNDS
    first = [dict(one)["first"] for one in result.evaluate_metrics_clientapp.values()]
    assert first == pytest.approx([mean(), 2 * mean()], abs=1e-3)

    # What crossed a SuperLink shows no update, no model, no configuration and no metric.
    crossed = b"".join(grid.crossed)
    for step, _ in SILOS.values():
        assert np.full(3, step, "<f4").tobytes() not in crossed and np.full(2, step, "<f8").tobytes() not in crossed
    for array in result.arrays.to_numpy_ndarrays():
        assert array.tobytes() not in crossed
    assert not [
        word for word in (b"9e8d7c6b5a", b"layer.bias", b"told-nobody", b"loss", b"num-examples") if word in crossed
    ]

    # Each round took two messages a silo, the evaluation another; and everybody signed what came of it.
    assert {len(node.received) for node in grid.nodes.values()} == {1 + 2 + 3 * ROUNDS + 2}
    statement = json.loads((room.folder / "state/aggregator/provenance.json").read_text())
    assert len(statement["signatures"]) == 1 + len(SILOS)
    assert all((room.folder / "state" / name / "provenance.json").exists() for name in SILOS)
    for name in SILOS:
        assert room.kinds(name).count("contribution") == ROUNDS


def test_a_server_app_that_died_in_a_round_goes_on_in_another_run(room: FlowerRoom) -> None:
    class Dying(ConfidentialStrategy):
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            raise SystemExit("killed")

    grid = room.grid()
    with pytest.raises(SystemExit):
        room.run(grid, strategy=Dying)
    grid = room.grid(run=78)
    result = room.run(grid)
    assert is_model(result.arrays, ROUNDS * mean())
    finished = [one.body["round"] for one in entries_of(room.log("aggregator")) if one.kind == "round-finished"]
    assert finished == [1, 2]


def test_a_client_app_that_dies_after_its_update_is_recorded_sends_the_same_bytes(room: FlowerRoom) -> None:
    app = Trained("bari")
    grid = room.grid({"bari": app})
    lost: list[Message] = []

    def lose(node: int, message: Message) -> Message:
        """The reply with the contribution to the first round is lost."""
        if node == 102 and len(app.trainings) == 1 and not lost:
            from flwr.app import Error

            lost.append(message)
            return Message(Error(8, "crashed"), reply_to=grid.nodes[node].received[-1])
        return message

    grid.to_server = lose
    result = room.run(grid)
    assert lost and is_model(result.arrays, ROUNDS * mean())
    assert len(app.trainings) == ROUNDS  # what was recorded is not trained again
    assert room.kinds("bari").count("contribution") == ROUNDS


def test_a_client_app_that_is_killed_while_it_trains_trains_again(room: FlowerRoom) -> None:
    killed: list[int] = []

    def kill() -> None:
        if not killed:
            killed.append(1)
            raise KeyboardInterrupt

    result = room.run(room.grid({"bari": Trained("bari", kill)}))
    assert killed and is_model(result.arrays, ROUNDS * mean())


def test_a_silo_that_comes_back_at_another_node_goes_on_there(room: FlowerRoom, capfd: Any) -> None:
    moved: list[int] = []
    app = Trained("bari")
    grid = room.grid({"bari": app})

    def move(node: int, message: Message) -> Message:
        if node == 102 and len(app.trainings) == 1 and not moved:
            moved.append(1)
            grid.nodes[202] = grid.nodes.pop(102)
        return message

    grid.to_server = move
    result = room.run(grid)
    assert moved and is_model(result.arrays, ROUNDS * mean())
    assert "bari is at node 202" in capfd.readouterr().err


def test_another_mod_behind_it_sees_what_an_app_sees(room: FlowerRoom) -> None:
    seen: list[list[str]] = []

    def watching(message: Message, context: Any, call_next: Any) -> Message:
        seen.append(sorted(message.content))
        return call_next(message, context)

    room.run(room.grid({"bari": Trained("bari", mods=(watching,))}), strategy=_Unevaluated)
    assert seen == [["arrays", "config"]] * ROUNDS


def test_silos_cosign_the_log_where_the_policy_asks_for_witnesses(tmp_path: Path, costs_file: Path) -> None:
    with FlowerRoom(tmp_path, costs_file, POLICY + "[audit]\nwitnesses = 2\n") as room:
        apps = {name: Trained(name) for name in SILOS}
        result = room.run(room.grid(apps))
        assert is_model(result.arrays, ROUNDS * mean())
        for app in apps.values():  # once a round, with what they are configured with, whatever else is asked first
            assert [given["server-round"] for given in app.trainings] == [1, 2] and len(app.evaluated) == ROUNDS
        assert list(result.train_metrics_clientapp) == list(result.evaluate_metrics_clientapp) == [1, 2]
        assert all("witnessed" in room.kinds(name) for name in SILOS) and "cosigned" in room.kinds("aggregator")


def test_where_a_strategy_gives_no_message_silos_do_not_evaluate(room: FlowerRoom) -> None:
    class Sometimes(ConfidentialStrategy):
        def configure_evaluate(self, server_round: int, *arguments: Any) -> Any:
            return super().configure_evaluate(server_round, *arguments) if server_round == 2 else []

    apps = {name: Trained(name) for name in SILOS}
    result = room.run(room.grid(apps), strategy=Sometimes)
    assert list(result.evaluate_metrics_clientapp) == [2]
    assert [len(app.evaluated) for app in apps.values()] == [1, 1, 1]


def test_rounds_that_were_not_planned_are_refused(room: FlowerRoom) -> None:
    with pytest.raises(CallerError, match=f"{ROUNDS + 1} rounds are asked for, the workload .* says {ROUNDS}"):
        room.run(room.grid(), rounds=ROUNDS + 1)


class _Unevaluated(ConfidentialStrategy):
    def __init__(self, settings: Path) -> None:
        super().__init__(settings, evaluates=False)
