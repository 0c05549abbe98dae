"""Operators who lie in one way and follow the argument in all else are rejected; without the one claim or check that
speaks against them, they are accepted. At toy size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from toy_answers import CONV, DENSE, LINEAR, SEED, Operator, run

import inference.prover
import inference.verifier
from bounded_update.commitment import Rows
from bounded_update.field import ZERO, Ext, P
from inference import Randomness, Rejected, Statement, Weights, verify
from inference.claims import LinearClaims, Samples, WeightsClaims
from inference.constraint import Constraint
from inference.model import Run, Trace
from inference.program import Program
from inference.prover import Prover

Patch = pytest.MonkeyPatch


def rejected(prover: Prover, reason: str) -> None:
    proof = run(prover).to_bytes()
    with pytest.raises(Rejected, match=reason):
        verify(prover.statement, proof)


def accepted(prover: Prover) -> None:
    verify(prover.statement, run(prover).to_bytes())


def unmasked(prover: Prover, *names: str) -> Prover:
    """With masks of claims 0: a claim that is left out cannot pay for its mask."""
    shape, drawn = prover.shape, prover.randomness
    mask = list(drawn.mask)
    for name in names:
        for layer in shape.layers:
            mask[shape.places[name, layer.place]] = [ZERO]
    prover.randomness = replace(drawn, mask=mask)
    return prover


ROWS = "the opened rows do not take"


class Spoiling(Run):
    """Spoils the first cell of this number, counted as they are made, and goes on with what comes of it."""

    def __init__(self, program: Program, weights: Weights, number: int, spoil: Callable[[list[int], Trace], None]):
        super().__init__(program, weights)
        self._number, self._spoil = number, spoil

    def cell(self, sums: Sequence[int], shift: int, low: int, high: int) -> list[int]:
        y = super().cell(sums, shift, low, high)
        if len(self.found.y) == self._number + 1:
            self._spoil([shift, low, high], self.found)
        return y


def spoilt(program: Program, number: int, spoil: Callable[[list[int], Trace], None]) -> Prover:
    """A prover of which one cell is spoilt in the first sample. The answers are what then comes out."""
    operator = Operator(program, batch=1 if program is CONV else 3)
    first = Spoiling(program, operator.weights, number, spoil).trace(operator.inputs[0])
    honest = [Run(program, operator.weights).trace(sample) for sample in operator.inputs]
    assert first.values[-1] != honest[0].values[-1] or first.values != honest[0].values or first.q != honest[0].q
    traces = [first, *honest[1:]]

    class Liar(Prover):
        def traces(self) -> list[Trace]:
            return traces

    return operator.prover(Liar, [trace.values[-1] for trace in traces])


def without_lookups(patch: Patch) -> None:
    """Both sides leave out that the fractions are what they are, and that they add up to zero."""
    patch.setattr(Constraint, "fractions", lambda *_: ZERO)
    evaluate = Constraint.evaluate

    def without_sum(self: Constraint, committed: Sequence[Ext], public: Any) -> Ext:
        cut = [*committed[: self.shape.c], *[ZERO] * (2 * self.shape.m_q)]
        return evaluate(self, cut, public)

    patch.setattr(Constraint, "evaluate", without_sum)


# Rounding and clipping.


def rounded_up(rule: list[int], trace: Trace) -> None:
    """q is larger by one, and r smaller by 2^shift: the sum is the same."""
    shift, low, high = rule
    trace.q[-1][0] += 1
    trace.r[-1][0] -= 1 << shift
    trace.y[-1][0] = min(max(trace.q[-1][0], low), high)


def rounded_down(rule: list[int], trace: Trace) -> None:
    shift, low, high = rule
    trace.q[-1][0] -= 1
    trace.r[-1][0] += 1 << shift
    trace.y[-1][0] = min(max(trace.q[-1][0], low), high)


def clipped_otherwise(rule: list[int], trace: Trace) -> None:
    """Another value within the range."""
    high = rule[2]
    trace.y[-1][0] += 1 if trace.y[-1][0] < high else -1


def not_clipped(_: list[int], trace: Trace) -> None:
    trace.y[-1][0] = trace.q[-1][0] if trace.q[-1][0] != trace.y[-1][0] else trace.y[-1][0] + 100


@pytest.mark.parametrize("spoil", [rounded_up, rounded_down, clipped_otherwise, not_clipped])
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_in_no_table_is_seen(number: int, spoil: Any, monkeypatch: Patch) -> None:
    rejected(spoilt(DENSE, number, spoil), ROWS)
    without_lookups(monkeypatch)
    accepted(spoilt(DENSE, number, spoil))


def test_lies_in_convolutions_and_pools_are_seen() -> None:
    """Cells: convolution, three of a pool, convolution, sum, average, dense."""
    for number in (0, 2, 4, 7):
        rejected(spoilt(CONV, number, clipped_otherwise), ROWS)


class RepairsTheSum(Prover):
    """Changes an inverse, so that all of them add up to zero."""

    found: list[Trace]

    def inverses(self, alpha: Ext, beta: Ext) -> Rows:
        columns = super().inverses(alpha, beta)
        for part in (0, 1):
            columns[part][0] = (columns[part][0] - sum(sum(column) for column in columns[part::2])) % P
        return columns


def test_a_repaired_sum_of_fractions_is_seen() -> None:
    liar = spoilt(DENSE, 0, rounded_up)
    traces = liar.traces()

    class Both(RepairsTheSum):
        def traces(self) -> list[Trace]:
            return traces

    rejected(Both(liar.statement, liar.committed, liar.weights, liar.randomness), ROWS)


@pytest.mark.parametrize("change", [1, -1])
def test_a_wrong_count_of_uses_is_seen(change: int) -> None:
    class Miscounts(Prover):
        def witness(self) -> None:
            super().witness()
            uses = self.columns[self.shape.column("uses")]
            uses[3] = (uses[3] + change) % P

    rejected(Operator(DENSE).prover(Miscounts), ROWS)


# Sums that are others than those of the layers.


def other_sum(rule: list[int], trace: Trace) -> None:
    """q, r and y are those of a sum that is larger by 2^shift."""
    _, low, high = rule
    trace.q[-1][0] += 1
    trace.y[-1][0] = min(max(trace.q[-1][0], low), high)


def test_a_rounded_sum_that_is_another_is_seen(monkeypatch: Patch) -> None:
    rejected(spoilt(DENSE, 0, other_sum), ROWS)
    monkeypatch.setattr(LinearClaims, "_sums_of_layer", lambda *_: None)
    accepted(unmasked(spoilt(DENSE, 0, other_sum), "rho_A"))


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6], ids=["pool 1", "pool 2", "pool 3", "sum", "average"])
def test_a_pool_or_a_sum_that_is_another_is_seen(number: int, monkeypatch: Patch) -> None:
    rejected(spoilt(CONV, number, other_sum), ROWS)
    original = LinearClaims._linear_cell
    skipped = {1: 0, 2: 1, 3: 2, 5: 3, 6: 4}[number]

    def all_but_one(self: LinearClaims, j: int, t: int) -> None:
        if j != skipped:
            original(self, j, t)

    monkeypatch.setattr(LinearClaims, "_linear_cell", all_but_one)
    accepted(spoilt(CONV, number, other_sum))


def skipping() -> Prover:
    """The last layer takes what the first gives, as if the one between were the identity on three of four features."""
    operator = Operator(DENSE)
    honest = [Run(DENSE, operator.weights).trace(sample) for sample in operator.inputs]
    traces = []
    for trace in honest:
        values = [list(value) for value in trace.values]
        values[2] = values[1][:3]  # what the last layer is given; the columns keep what was computed
        run_of_last = Run(DENSE, operator.weights)
        number, last = DENSE.layers[-1]
        values[3] = run_of_last.sums(number, len(DENSE.layers) - 1, last, values[2])
        traces.append(Trace(values, trace.q, trace.r, trace.y))

    class Skips(Prover):
        def traces(self) -> list[Trace]:
            return traces

    return operator.prover(Skips, [trace.values[-1] for trace in traces])


def test_a_skipped_layer_is_seen(monkeypatch: Patch) -> None:
    rejected(skipping(), ROWS)
    monkeypatch.setattr(LinearClaims, "_source_of_layer", lambda *_: None)
    accepted(unmasked(skipping(), "rho_X"))


# Other answers, inputs and models.


def other_answer(operator: Operator) -> list[list[int]]:
    outputs = operator.outputs()
    outputs[1][0] += 1
    return outputs


def swapped_answers(operator: Operator) -> list[list[int]]:
    outputs = operator.outputs()
    assert outputs[0] != outputs[1]
    return [outputs[1], outputs[0], *outputs[2:]]


@pytest.mark.parametrize("lie", [other_answer, swapped_answers])
@pytest.mark.parametrize("program", [DENSE, LINEAR], ids=["three layers", "one layer"])
def test_other_answers_are_seen(program: Program, lie: Any, monkeypatch: Patch) -> None:
    """The last layer is not rounded: its sums are the answers."""
    operator = Operator(program)
    liar = operator.prover(outputs=lie(operator))
    rejected(liar, ROWS)
    honest = operator.outputs()

    def of_the_honest(samples: Samples) -> list[Ext]:
        return samples._combined(honest)

    monkeypatch.setattr(Samples, "outputs", property(of_the_honest))
    accepted(liar)


@pytest.mark.parametrize("lie", [other_answer, swapped_answers])
def test_other_rounded_answers_are_seen(lie: Any, monkeypatch: Patch) -> None:
    operator = Operator(CONV)
    liar = operator.prover(outputs=lie(operator))
    rejected(liar, ROWS)
    monkeypatch.setattr(LinearClaims, "_outputs", lambda *_: None)
    accepted(liar)


def test_a_changed_input_is_seen(monkeypatch: Patch) -> None:
    """The prover computed with another input than that of the statement."""
    operator = Operator(DENSE)
    computed = [list(sample) for sample in operator.inputs]
    computed[2][1] = (computed[2][1] + 1) % 16
    traces = [Run(DENSE, operator.weights).trace(sample) for sample in computed]

    class OtherInput(Prover):
        def traces(self) -> list[Trace]:
            return traces

    liar = operator.prover(OtherInput, [trace.values[-1] for trace in traces])
    rejected(liar, ROWS)
    monkeypatch.setattr(Samples, "inputs", property(lambda samples: samples._combined(computed)))
    accepted(liar)


def with_other_weights(change: Callable[[Weights], None]) -> Prover:
    """The committed weights are the operator's; the answers are those of others."""
    operator = Operator(DENSE)
    weights = Weights([list(one) for one in operator.weights.weights], [list(b) for b in operator.weights.biases])
    change(weights)
    statement = operator.statement(operator.outputs(weights))
    return Prover(statement, operator.commit(), weights, Randomness.from_seed(operator.shape, SEED))


def another_weight(weights: Weights) -> None:
    weights.weights[1][5] += 1  # type: ignore[index]


def another_bias(weights: Weights) -> None:
    weights.biases[2][0] -= 1  # type: ignore[index]


def another_model(weights: Weights) -> None:
    other = Operator(DENSE, seed=77).weights
    for one, by in ((weights.weights, other.weights), (weights.biases, other.biases)):
        for layer, values in enumerate(by):
            one[layer][:] = values  # type: ignore[index]


@pytest.mark.parametrize("change", [another_weight, another_bias, another_model])
def test_another_model_is_seen(change: Any, monkeypatch: Patch) -> None:
    rejected(with_other_weights(change), ROWS)
    monkeypatch.setattr(WeightsClaims, "_weights_of_layer", lambda *_: None)
    monkeypatch.setattr(WeightsClaims, "_biases_of_layer", lambda *_: None)
    accepted(unmasked(with_other_weights(change), "rho_M", "rho_B"))


def test_each_of_weights_and_biases_has_its_own_claim(monkeypatch: Patch) -> None:
    monkeypatch.setattr(WeightsClaims, "_weights_of_layer", lambda *_: None)
    accepted(unmasked(with_other_weights(another_weight), "rho_M"))
    rejected(unmasked(with_other_weights(another_bias), "rho_M"), ROWS)


def test_a_weight_behind_the_last_input_is_not_used() -> None:
    """Rows of a Dense are filled up: what stands there, whatever it is, is in no sum."""
    operator = Operator(DENSE)
    committed = operator.commit()
    shape = committed.shape
    assert shape.weight_place(0, 3) == shape.weight_place(0, 2) + 2
    committed.columns[0][shape.weight_place(0, 2) + 1] = 5
    rows = committed.commitment.rows
    rows[0][shape.weight_place(0, 2) + 1] = 5
    from toy_answers import WEIGHTS_SEED

    from bounded_update.commitment import Commitment
    from inference.commitment import WeightsRandomness

    salts = WeightsRandomness.from_seed(shape, WEIGHTS_SEED).salts
    committed.commitment = Commitment(rows, shape.code.n, salts)
    statement = replace(operator.statement(), root=committed.root)
    accepted(Prover(statement, committed, operator.weights, Randomness.from_seed(operator.shape, SEED)))


# Other statements than the one that is proven.


def other_binding(statement: Statement) -> Statement:
    """Other receipts."""
    return replace(statement, binding=bytes(32))


def other_root(statement: Statement) -> Statement:
    return replace(statement, root=bytes(32))


def other_input(statement: Statement) -> Statement:
    return replace(statement, inputs=[[*statement.inputs[0][:-1], 15 - statement.inputs[0][-1]], *statement.inputs[1:]])


def other_output(statement: Statement) -> Statement:
    return replace(
        statement, outputs=[[statement.outputs[0][0] + 1, *statement.outputs[0][1:]], *statement.outputs[1:]]
    )


def other_program(statement: Statement) -> Statement:
    return replace(statement, shape=replace(statement.shape, program=replace(DENSE, w_max=DENSE.w_max + 1)))


STATEMENTS = [other_binding, other_root, other_input, other_output, other_program]


@pytest.mark.parametrize("change", STATEMENTS)
def test_a_proof_is_of_one_statement(change: Callable[[Statement], Statement]) -> None:
    prover = Operator(DENSE).prover()
    proof = run(prover).to_bytes()
    with pytest.raises(Rejected, match="another statement"):
        verify(change(prover.statement), proof)


@pytest.mark.parametrize("change", STATEMENTS)
def test_the_digest_in_a_proof_is_not_what_binds_it(change: Callable[[Statement], Statement]) -> None:
    prover = Operator(DENSE).prover()
    proof = bytearray(run(prover).to_bytes())
    other = change(prover.statement)
    proof[12:44] = other.digest
    with pytest.raises(Rejected):
        verify(other, bytes(proof))


def test_without_the_binding_in_the_statement_a_proof_is_of_any_receipts(monkeypatch: Patch) -> None:
    to_bytes = Statement.to_bytes
    monkeypatch.setattr(Statement, "to_bytes", lambda statement: to_bytes(statement)[:-32])
    prover = Operator(DENSE).prover()
    verify(other_binding(prover.statement), run(prover).to_bytes())


@pytest.mark.parametrize("entry", [16, -1])
def test_an_input_outside_the_range_is_seen(entry: int, monkeypatch: Patch) -> None:
    """A prover can compute with it: only the verifier's look at the inputs speaks against it."""
    operator = Operator(DENSE)
    operator.inputs[0] = [entry, 0, 0]
    prover = operator.prover()
    rejected(prover, "outside the range of the program")
    monkeypatch.setattr(inference.statement, "check_range", lambda _: None)
    accepted(prover)


def test_another_number_of_samples_or_entries_is_seen() -> None:
    prover = Operator(DENSE).prover()
    proof = run(prover).to_bytes()
    statement = prover.statement
    for other in (
        replace(statement, inputs=statement.inputs[:2]),
        replace(statement, outputs=statement.outputs[:2]),
        replace(statement, inputs=[[*sample, 0] for sample in statement.inputs]),
        replace(statement, outputs=[sample[:1] for sample in statement.outputs]),
        replace(statement, outputs=[[1 << 31, 0], *statement.outputs[1:]]),
    ):
        with pytest.raises(Rejected, match=r"another number|more than 32 bits"):
            verify(other, proof)


# Hidden inputs.


def with_secrets(change: Callable[[list[list[int]]], None]) -> Prover:
    """The hashes are those of the operator's inputs; the proof is made with others, and the answers are theirs."""
    operator = Operator(DENSE, hidden=True)
    statement, secrets = operator.statement(), operator.secrets
    change(secrets)
    features = DENSE.values[0].features
    outputs = [Run(DENSE, operator.weights).trace(sample[:features]).values[-1] for sample in secrets]
    drawn = Randomness.from_seed(operator.shape, SEED)
    return Prover(replace(statement, outputs=outputs), operator.commit(), operator.weights, drawn, secrets)


def other_hidden_input(secrets: list[list[int]]) -> None:
    secrets[0][1] = 15 - secrets[0][1]


def other_rho(secrets: list[list[int]]) -> None:
    secrets[2][-1] = 15 - secrets[2][-1]


@pytest.mark.parametrize("change", [other_hidden_input, other_rho])
def test_another_hidden_input_is_seen(change: Any, monkeypatch: Patch) -> None:
    rejected(with_secrets(change), ROWS)
    monkeypatch.setattr(LinearClaims, "_hash", lambda *_: None)
    accepted(with_secrets(change))


@pytest.mark.parametrize("entry", [-1, 16])
def test_a_hidden_input_outside_the_range_is_seen(entry: int, monkeypatch: Patch) -> None:
    """The hash is that of what was used: only the table of the inputs' range speaks against it."""
    operator = Operator(DENSE, hidden=True)
    operator.inputs[0][0] = entry
    rejected(operator.prover(), ROWS)
    without_lookups(monkeypatch)
    accepted(operator.prover())


def test_an_input_that_is_hidden_is_the_one_that_is_used(monkeypatch: Patch) -> None:
    """The hash fits, but the first layer takes another input."""
    operator = Operator(DENSE, hidden=True)
    computed = [list(sample) for sample in operator.inputs]
    computed[1][2] = 15 - computed[1][2]
    traces = [Run(DENSE, operator.weights).trace(sample) for sample in computed]

    class OtherInput(Prover):
        def traces(self) -> list[Trace]:
            return traces

    liar = operator.prover(OtherInput, [trace.values[-1] for trace in traces])
    rejected(liar, ROWS)
    monkeypatch.setattr(LinearClaims, "_source_of_layer", lambda *_: None)
    accepted(unmasked(liar, "rho_X"))


def test_an_element_of_a_hash_that_is_not_reduced_is_seen() -> None:
    prover = Operator(DENSE, hidden=True).prover()
    statement = prover.statement
    inputs = [[*statement.inputs[0][:-1], statement.inputs[0][-1] + P], *statement.inputs[1:]]
    with pytest.raises(Rejected, match="not below p"):
        verify(replace(statement, inputs=inputs), run(prover).to_bytes())


def test_hidden_and_public_inputs_are_two_statements() -> None:
    prover = Operator(DENSE, hidden=True).prover()
    public = Operator(DENSE).statement()
    with pytest.raises(Rejected):
        verify(public, run(prover).to_bytes())
