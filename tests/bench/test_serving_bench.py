"""The bench of serving measures what it says, on servers that answer alike; never how fast."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from quatrefoil.bench import serving, serving_bound, serving_load, serving_models, serving_site
from quatrefoil.bench.receipts import measure_receipts
from quatrefoil.bench.serving_load import Pairs, Saturation
from quatrefoil.bench.serving_models import MODELS
from quatrefoil.bench.serving_near import asking
from quatrefoil.bench.serving_site import ServingSite
from quatrefoil.cli import bench_serving, main
from quatrefoil.client import AsyncClient
from quatrefoil.demo import models
from quatrefoil.errors import DependencyMissing, HostError, ParametersRefused
from quatrefoil.inference import InferRequest, OnnxEngine
from quatrefoil.web.client import WebClient

# ------------------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(("name", "parameters"), [("resnet-50", 25_530_472), ("mobilenet-v2", 3_487_816)])
def test_models_of_images_have_the_published_size_and_compute(name, parameters) -> None:
    """Published: 25,557,032 and 3,504,872, with two values of batch normalisation a channel where here is one bias."""
    served = MODELS[name]()
    assert served.parameters == parameters and served.training == "random weights"
    assert 4 * parameters < len(served.model) < 4.1 * parameters
    answer = OnnxEngine(served.model, name=name).infer(InferRequest(dict([served.input])))
    (scores,) = answer.outputs.values()
    assert scores.shape == (1, 1000) and np.isfinite(scores).all() and scores.std() > 0


def test_the_tabular_model_is_trained_and_says_what_its_perceptron_says() -> None:
    served = MODELS["tabular"]()
    answer = OnnxEngine(served.model, name="tabular").infer(InferRequest(dict([served.input])))
    assert 0 < answer.outputs["probability"][0] < 1 and served.parameters == 545
    start = models.initial("mlp", served.input[1].shape[1], 0)
    assert not np.allclose(answer.outputs["probability"], models.predict_probability(start, served.input[1]), atol=0.05)


def test_without_onnx_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for build in (serving_models.mobilenet_v2, serving_models.tabular):
        with pytest.raises(DependencyMissing, match="onnx is not installed"):
            build()


# --------------------------------------------------------------------------------------------------------------- load


@dataclass
class Asked:
    """What was asked, in order; ``ask`` takes no time of its own."""

    order: list[str] = field(default_factory=list)

    def ask(self, name: str):
        async def one() -> None:
            self.order.append(name)
            await asyncio.sleep(0)

        return one


def test_pairs_alternate_and_the_first_are_not_counted() -> None:
    asked = Asked()
    found = asyncio.run(serving_load.pairs(asked.ask("plain"), asked.ask("layered"), 1e-9, fewest=6))
    assert len(found.plain) == len(found.layered) == 6
    counted = asked.order[2 * serving_load.WARM_UP :]
    assert counted == ["plain", "layered", "layered", "plain"] * 3


def test_overhead_is_of_differences_within_pairs() -> None:
    plain = [10.0, 20.0, 30.0, 40.0, 50.0] * 20
    found = Pairs(plain, [one + 3 for one in plain])
    assert found.overhead == pytest.approx(3 / 30) and found.added_ms == pytest.approx(3)
    assert found.overhead_between == (pytest.approx(0.1), pytest.approx(0.1))
    spread = Pairs([10.0] * 101, [10.0 + number for number in range(101)])
    low, high = spread.overhead_between
    assert low == pytest.approx(4.0) and high == pytest.approx(6.0)  # order statistics 40 and 60 of 0 to 100
    assert Pairs([2.0] * 20, [1.0] * 20).overhead == -0.5


def test_everybody_asks_without_pause_and_turns_are_told() -> None:
    asked, turns = Asked(), []
    found = asyncio.run(
        serving_load.saturation(asked.ask("plain"), asked.ask("layered"), 0.06, clients=3, on_turn=turns.append)
    )
    assert turns == [0, 1, 1, 0, 0, 1, -1]
    assert found.answers == (asked.order.count("plain"), asked.order.count("layered"))
    assert Saturation((100, 50), (2.0, 2.0)).ratio == 0.5
    assert Saturation((100, 50), (2.0, 2.0)).per_s == (50, 25)


def test_a_client_that_fails_ends_the_measurement() -> None:
    async def refused() -> None:
        raise HostError("no", hint="no")

    with pytest.raises(ExceptionGroup) as told:
        asyncio.run(serving_load.flood(refused, 1, clients=2))
    assert told.group_contains(HostError)


@pytest.mark.parametrize(("part", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_are_measured_values(part, expected) -> None:
    assert serving_load.percentile(range(100, 0, -1), part) == expected


@pytest.mark.parametrize(
    "wanted",
    [([], 0, 8, 1), (["tabular"], 0, 8, 1), (["tabular"], 1, 0, 1), (["tabular"], 1, 8, 0), (["cats"], 1, 8, 1)],
)
def test_nothing_cannot_be_measured(wanted) -> None:
    with pytest.raises(ParametersRefused):
        models, seconds, clients, threads = wanted
        serving.measure_serving(models, seconds, clients, threads, print)
    with pytest.raises(ParametersRefused):
        measure_receipts(0)
    with pytest.raises(ParametersRefused):
        asyncio.run(serving_load.pairs(Asked().ask("x"), Asked().ask("x"), 0))
    with pytest.raises(ParametersRefused):
        asyncio.run(serving_load.flood(Asked().ask("x"), 1, clients=0))


def test_the_bound_counts_every_step_of_the_cryptography() -> None:
    found = serving_bound.cryptography_ms(1000, repeats=1)
    assert set(found) == {"signature", "verification", "seal_and_open", "commitments", "tls"}
    assert all(one > 0 for one in found.values())


# ------------------------------------------------------------------------------------------------------------ servers


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with ServingSite(tmp_path_factory.mktemp("bench") / "tabular", MODELS["tabular"]()) as made:
        yield made


def test_both_servers_answer_alike_and_one_of_them_with_receipts(site) -> None:
    name, value = site.served.input
    servers = {kind: site.start(kind) for kind in ("plain", "layered")}

    async def both() -> None:
        for server in servers.values():
            async with asking(site, server) as ask:
                await ask()
        people, collateral = site.site.people[serving_site.OWNER], site.site.collateral
        async with AsyncClient(
            servers["layered"].url, policy=site.policy, collateral=collateral, identity=people, trust=site.site.trust
        ) as client:
            found = await client.infer({name: value})
        assert found.receipt.fields.model == site.policy.model.root
        expected = OnnxEngine(site.served.model, name="tabular").infer(InferRequest({name: value})).outputs
        assert np.array_equal(found.outputs["probability"], expected["probability"])
        async with WebClient(tls=None) as web:
            nothing = await web.request("GET", f"{servers['plain'].url}/.well-known/ohttp-gateway")
            assert nothing.status >= 400  # it has none of the layers

    asyncio.run(both())
    for server in servers.values():
        used = server.usage()
        assert used.cpu_s > 0 and used.resident > 1 << 20
        server.stop()
        server.stop()


def test_a_server_that_does_not_start_says_why(site) -> None:
    policy = site.folder / serving_site.POLICY
    held = policy.read_bytes()
    policy.write_bytes(b"no policy")
    try:
        with pytest.raises(HostError, match="plain server of the bench did not start"):
            site.start("plain")
    finally:
        policy.write_bytes(held)


def test_the_command_prints_every_figure_and_the_shape_of_the_work(monkeypatch, tmp_path, capfd) -> None:
    monkeypatch.setattr(serving, "RECEIPTS", 20)
    monkeypatch.setattr(serving, "TOKENS", 50)
    monkeypatch.setattr(serving, "STREAMS", 1)
    file = tmp_path / "serving.json"
    command = ["bench", "serving", "--model", "tabular", "--seconds", "0.5", "--clients", "2", "--json", str(file)]
    assert main(command) == 0
    shown = capfd.readouterr()
    found = json.loads(file.read_text())
    assert found["schema"] == "quatrefoil.bench-serving/1" and found["machine"]
    (row,) = found["rows"]
    for text in ("tabular", "trained on the demo's patients", "545", f"{row['p50_ms']:.2f}", "no enclave"):
        assert text in shown.out
    assert len(shown.err.splitlines()) == 4
    for name in ("plain_p50_ms", "p50_ms", "plain_p99_ms", "p99_ms", "cold_start_ms", "throughput_ratio"):
        assert row[name] > 0
    assert row["plain_p50_ms"] <= row["plain_p99_ms"] and row["p50_ms"] <= row["p99_ms"]
    assert row["overhead_low"] <= row["overhead"] <= row["overhead_high"]
    assert row["overhead"] == pytest.approx(row["added_ms"] / row["plain_p50_ms"])
    assert row["throughput_ratio"] == pytest.approx(row["per_s"] / row["plain_per_s"])
    plain_ms = row["plain_server_cpu_ms"] + row["plain_client_cpu_ms"]
    assert row["throughput_bound"] == pytest.approx(plain_ms / (plain_ms + row["cryptography_ms"]))
    for name in ("token_us", "receipts_per_s"):
        assert row[name] == found[name] > 0
    assert (row["parameters"], row["threads"], row["clients"]) == (545, 1, 2)
    assert row["request_bytes"] > 128 and "no enclave" in row["evidence"]


def test_the_command_refuses_what_it_does_not_have(capfd) -> None:
    with pytest.raises(SystemExit) as usage:
        main(["bench", "serving", "--model", "cats"])
    assert usage.value.code == 2
    assert main(["bench", "serving", "--model", "tabular", "--seconds", "0"]) == 1
    assert "measure nothing" in capfd.readouterr().err
    assert set(bench_serving.MODELS) == set(MODELS)
