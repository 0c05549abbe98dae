"""Places of the largest: honest ones are accepted; liars are rejected, and accepted once the one claim against them is
left out. At toy size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from toy_answers import (
    ARGMAX,
    DENSE,
    FIRST_OF_A_VALUE,
    FIRST_OF_SUMS,
    LAST_OF_A_VALUE,
    LAST_OF_SUMS,
    PLACE_OF_THE_INPUT,
    Operator,
    run,
)  # fmt: skip

from bounded_update.field import ZERO, Ext
from inference import Rejected, Weights, verify
from inference.claims import LinearClaims, Samples
from inference.constraint import Constraint, Public
from inference.model import Run, Trace
from inference.program import Program
from inference.program_bytes import parse
from inference.prover import Prover
from inference.steps import ArgMax, Conv, Dense, Flatten
from inference.values import Refused, Rounding, Windows

Patch = pytest.MonkeyPatch
ROWS = "the opened rows do not take"
each_program = pytest.mark.parametrize("program", ARGMAX.values(), ids=ARGMAX.keys())
of_both_kinds = pytest.mark.parametrize("program", [FIRST_OF_SUMS, LAST_OF_A_VALUE], ids=["sums", "a value"])


def argmax_of(program: Program) -> ArgMax:
    assert program.argmax is not None
    return program.argmax


def source_of(program: Program, trace: Trace) -> list[int]:
    return trace.values[argmax_of(program).source]


def equal(operator: Operator) -> Operator:
    """Every sum is 0: all places tie, in every sample."""
    given = operator.weights
    operator.weights = Weights([[0] * len(layer) for layer in given.weights], [[0] * len(b) for b in given.biases])
    return operator


@each_program
@pytest.mark.parametrize(("batch", "openings"), [(1, 1), (3, 2), (4, 1)])
def test_the_place_of_the_largest_is_proven(program: Program, batch: int, openings: int) -> None:
    operator = Operator(program, batch, openings)
    prover = operator.prover()
    assert verify(prover.statement, run(prover).to_bytes()).statement == prover.statement.digest


@each_program
def test_it_is_proven_with_hidden_inputs(program: Program) -> None:
    prover = Operator(program, 2, hidden=True).prover()
    verify(prover.statement, run(prover).to_bytes())


@pytest.mark.parametrize(
    ("program", "place"), [(FIRST_OF_SUMS, 0), (LAST_OF_SUMS, 4), (FIRST_OF_A_VALUE, 0), (LAST_OF_A_VALUE, 5)]
)
def test_where_all_are_equal_the_place_is_the_first_or_the_last(program: Program, place: int) -> None:
    operator = equal(Operator(program))
    assert operator.outputs() == [[place]] * 3
    prover = operator.prover()
    verify(prover.statement, run(prover).to_bytes())


# Other places.


def another_place(program: Program, trace: Trace) -> int:
    """The smallest value, which is no largest."""
    entries = source_of(program, trace)
    return entries.index(min(entries))


def next_place(program: Program, trace: Trace) -> int:
    return (trace.values[-1][0] + 1) % len(source_of(program, trace))


def other_end(program: Program, trace: Trace) -> int:
    """The other end of a tie of all."""
    return len(source_of(program, trace)) - 1 - trace.values[-1][0]


class Placing(Run):
    """Says that the place is another one, with the numbers that this makes."""

    def __init__(self, operator: Operator, choose: Callable[[Program, Trace], int], more: int = 0) -> None:
        super().__init__(operator.program, operator.weights)
        self._choose, self._more = choose, more

    def place(self, number: int, step: ArgMax, given: Sequence[int]) -> list[int]:
        honest = super().place(number, step, given)
        q, r, y = (self.found.q[:-2], self.found.r[:-2], self.found.y[:-2])
        c = self._choose(self.program, Trace([*self.found.values, honest], q, r, y))
        del self.found.q[-2:], self.found.r[-2:], self.found.y[-2:]
        largest = given[c] + self._more
        self.cut(step, [largest - entry - step.counts(k, c) for k, entry in enumerate(given)])
        self.cut(step, [largest - step.floor(self.program.given(number)[0])])
        return [c]


def lying(operator: Operator, runs: Callable[[], Run]) -> Prover:
    """The first sample is a liar's, the others are honest."""
    traces = [Run(operator.program, operator.weights).trace(sample) for sample in operator.inputs]
    traces[0] = runs().trace(operator.inputs[0])

    class Liar(Prover):
        def traces(self) -> list[Trace]:
            return traces

    return operator.prover(Liar, [trace.values[-1] for trace in traces])


def rejected(prover: Prover, reason: str = ROWS) -> None:
    with pytest.raises(Rejected, match=reason):
        verify(prover.statement, run(prover).to_bytes())


def accepted(prover: Prover) -> None:
    verify(prover.statement, run(prover).to_bytes())


def without_lookups(patch: Patch) -> None:
    patch.setattr(Constraint, "fractions", lambda *_: ZERO)
    evaluate = Constraint.evaluate

    def without_sum(self: Constraint, committed: Sequence[Ext], public: Public) -> Ext:
        return evaluate(self, [*committed[: self.shape.c], *[ZERO] * (2 * self.shape.m_q)], public)

    patch.setattr(Constraint, "evaluate", without_sum)


@of_both_kinds
@pytest.mark.parametrize("choose", [another_place, next_place])
def test_a_place_that_is_no_largest_is_seen(
    program: Program, choose: Callable[[Program, Trace], int], monkeypatch: Patch
) -> None:
    """A distance is negative, and in no table."""

    def liar() -> Prover:
        operator = Operator(program)
        return lying(operator, lambda: Placing(operator, choose))

    assert liar().statement.outputs != Operator(program).outputs()
    rejected(liar())
    without_lookups(monkeypatch)
    accepted(liar())


@pytest.mark.parametrize("program", [FIRST_OF_SUMS, LAST_OF_SUMS, FIRST_OF_A_VALUE, LAST_OF_A_VALUE])
def test_a_tie_that_is_broken_the_other_way_is_seen(program: Program, monkeypatch: Patch) -> None:
    def liar() -> Prover:
        operator = equal(Operator(program))
        return lying(operator, lambda: Placing(operator, other_end))

    rejected(liar())
    without_lookups(monkeypatch)
    accepted(liar())


@of_both_kinds
def test_without_ties_any_of_several_largest_would_do(program: Program, monkeypatch: Patch) -> None:
    """A prover who breaks the tie the other way, and counts no distance as one less."""
    counts = ArgMax.counts

    def liar() -> Prover:
        operator = equal(Operator(program))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ArgMax, "counts", lambda *_: 0)
            return lying(operator, lambda: Placing(operator, other_end))

    rejected(liar())
    honest = equal(Operator(program)).prover()
    traces = honest.traces()
    monkeypatch.setattr(ArgMax, "counts", lambda *_: 0)
    accepted(liar_all(program, other_end))
    monkeypatch.setattr(ArgMax, "counts", counts)
    assert traces == equal(Operator(program)).prover().traces()


def liar_all(program: Program, choose: Callable[[Program, Trace], int]) -> Prover:
    operator = equal(Operator(program))
    return lying(operator, lambda: Placing(operator, choose))


@of_both_kinds
@pytest.mark.parametrize("more", [1, 3])
def test_a_largest_that_is_no_entry_is_seen(program: Program, more: int, monkeypatch: Patch) -> None:
    """Above all entries: every distance is in its table, whatever the place. Only the place speaks against it."""

    def liar() -> Prover:
        operator = equal(Operator(program))
        return lying(operator, lambda: Placing(operator, other_end, more))

    rejected(liar())
    monkeypatch.setattr(Constraint, "_places", lambda _: iter(()))
    accepted(liar())


@of_both_kinds
def test_a_largest_above_an_honest_place_is_seen(program: Program, monkeypatch: Patch) -> None:
    def liar() -> Prover:
        operator = otherwise_placed(program) if program is LAST_OF_A_VALUE else Operator(program)
        return lying(operator, lambda: Placing(operator, lambda _, trace: trace.values[-1][0], 1))

    rejected(liar())
    monkeypatch.setattr(Constraint, "_places", lambda _: iter(()))
    accepted(liar())


class OtherEntries(Run):
    """Distances and largest of other entries than the source's: the first one is above all."""

    def place(self, number: int, step: ArgMax, given: Sequence[int]) -> list[int]:
        return super().place(number, step, [max(given) + 1, *given[1:]])


def otherwise_placed(program: Program) -> Operator:
    """An operator whose first sample's largest is not in the first place, nor the largest value there can be."""
    for seed in range(1, 60):
        operator = Operator(program, seed=seed)
        trace = Run(program, operator.weights).trace(operator.inputs[0])
        if trace.values[-1][0] != 0 and max(source_of(program, trace)) < 3:
            return operator
    raise AssertionError("no such operator")


def test_distances_of_other_sums_are_seen(monkeypatch: Patch) -> None:
    def liar() -> Prover:
        operator = Operator(FIRST_OF_SUMS)
        assert operator.outputs()[0] != [0]
        prover = lying(operator, lambda: OtherEntries(operator.program, operator.weights))
        mask = list(prover.randomness.mask)
        for layer in prover.shape.layers:
            mask[prover.shape.places["rho_A", layer.place]] = [ZERO]
        prover.randomness = replace(prover.randomness, mask=mask)
        return prover

    assert liar().statement.outputs[0] == [0]
    rejected(liar())
    monkeypatch.setattr(LinearClaims, "_sums_before_argmax", lambda *_: None)
    accepted(liar())


def test_distances_of_another_value_are_seen(monkeypatch: Patch) -> None:
    def liar() -> Prover:
        operator = otherwise_placed(LAST_OF_A_VALUE)
        return lying(operator, lambda: OtherEntries(operator.program, operator.weights))

    assert liar().statement.outputs[0] == [0]
    rejected(liar())
    monkeypatch.setattr(LinearClaims, "_largest", lambda *_: None)
    accepted(liar())


@of_both_kinds
def test_swapped_places_are_seen(program: Program, monkeypatch: Patch) -> None:
    """The columns are honest, the answers of two samples have changed places."""
    operators = (Operator(program, seed=seed) for seed in range(60))
    operator = next(found for found in operators if found.outputs()[0] != found.outputs()[1])
    outputs = operator.outputs()
    swapped = [*outputs[1:], outputs[0]]
    prover = operator.prover(outputs=swapped)
    rejected(prover)
    honest = [sample[0] for sample in outputs]
    monkeypatch.setattr(Samples, "places", property(lambda _: honest))
    accepted(prover)


@pytest.mark.parametrize("number", [-2, -1], ids=["a distance", "the largest"])
@pytest.mark.parametrize("program", [FIRST_OF_SUMS, FIRST_OF_A_VALUE], ids=["sums", "a value"])
def test_a_number_that_is_cut_otherwise_is_seen(program: Program, number: int, monkeypatch: Patch) -> None:
    """q is less by one, r more by 2^shift: their sum is the same."""

    class Cuts(Run):
        def place(self, at: int, step: ArgMax, given: Sequence[int]) -> list[int]:
            found = super().place(at, step, given)
            self.found.q[number][0] -= 1
            self.found.r[number][0] += 1 << step.shift
            return found

    def liar() -> Prover:
        operator = Operator(program)
        return lying(operator, lambda: Cuts(operator.program, operator.weights))

    rejected(liar())
    without_lookups(monkeypatch)
    accepted(liar())


def test_a_value_beside_a_distance_is_seen(monkeypatch: Patch) -> None:
    """y of the cells is 0."""

    class Beside(Run):
        def place(self, at: int, step: ArgMax, given: Sequence[int]) -> list[int]:
            found = super().place(at, step, given)
            self.found.y[-2][0] = 1
            return found

    def liar() -> Prover:
        operator = Operator(FIRST_OF_SUMS)
        return lying(operator, lambda: Beside(operator.program, operator.weights))

    rejected(liar())
    without_lookups(monkeypatch)
    accepted(liar())


# Statements and programs.


@pytest.mark.parametrize("place", [-1, 5])
def test_an_answer_that_is_no_place_is_refused(place: int) -> None:
    prover = Operator(FIRST_OF_SUMS).prover()
    proof = run(prover).to_bytes()
    outputs = [[place], *prover.statement.outputs[1:]]
    with pytest.raises(Rejected, match="no place of 5 values"):
        verify(replace(prover.statement, outputs=outputs), proof)


def test_a_proof_of_first_places_is_none_of_last_ones() -> None:
    """Where no two are equal the answers are the same; the programs are not."""
    prover = Operator(FIRST_OF_SUMS).prover()
    proof = run(prover).to_bytes()
    other = replace(argmax_of(FIRST_OF_SUMS), last=1)
    program = replace(FIRST_OF_SUMS, steps=(*FIRST_OF_SUMS.steps[:-1], other))
    statement = replace(prover.statement, shape=replace(prover.statement.shape, program=program))
    with pytest.raises(Rejected, match="another statement"):
        verify(statement, proof)


@each_program
def test_programs_are_read_back(program: Program) -> None:
    assert parse(program.to_bytes()) == program
    assert program.outputs == 1 and not program.last_is_rounded


ROUNDING = Rounding(3, 0, 7, 5)
SUMS = Dense(0, 4, None)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((Dense(0, 4, ROUNDING), ArgMax(1, 0, 0, 3), Dense(1, 2, None)), "an ArgMax, and not the last"),
        ((SUMS, Dense(0, 3, ROUNDING), ArgMax(2, 0, 0, 3)), "step 1 is not rounded"),
        ((SUMS, Flatten(1), ArgMax(2, 0, 0, 9)), "step 1 is not rounded"),
        ((Dense(0, 3, ROUNDING), SUMS, ArgMax(1, 0, 0, 3)), "step 2 is not rounded"),
        ((Dense(0, 9, ROUNDING), ArgMax(1, 0, 0, 2)), "not below 2\\^2 wide"),
        ((Dense(0, 4, ROUNDING), ArgMax(2, 0, 0, 3)), "takes what is not there"),
    ],
)
def test_programs_with_an_argmax_elsewhere_are_refused(steps: tuple[Dense, ...], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Program((3,), 0, 15, 3, steps)


def test_an_argmax_of_an_image_is_refused() -> None:
    image = Conv(0, 2, Windows((2, 2), (1, 1)), ROUNDING)
    with pytest.raises(Refused, match="which is no vector"):
        Program((1, 3, 3), 0, 15, 3, (image, ArgMax(1, 0, 0, 3)))
    with pytest.raises(Refused, match="step 1 is not rounded"):
        Program((1, 2, 2), 0, 15, 3, (replace(image, rounding=None), ArgMax(1, 0, 0, 9)))


@pytest.mark.parametrize(("last", "shift", "q_bits"), [(2, 0, 3), (0, 17, 3), (0, 0, 0), (0, 0, 17)])
def test_numbers_of_an_argmax_out_of_range_are_refused(last: int, shift: int, q_bits: int) -> None:
    data = Program((3,), 0, 15, 3, (SUMS, ArgMax(1, 0, 0, 9))).to_bytes()
    spoilt = data[:-12] + b"".join(number.to_bytes(4, "little") for number in (last, shift, q_bits))
    with pytest.raises(Refused, match=r"ArgMax|shift"):
        parse(spoilt)


def test_an_argmax_of_the_input_draws_and_pulls_from_it() -> None:
    shape = Operator(PLACE_OF_THE_INPUT).shape
    assert shape.argmax_draws == 4 and shape.argmax_cells == (1, 2)
    assert Operator(FIRST_OF_SUMS).shape.argmax_draws == 0 and Operator(DENSE).shape.argmax_draws == 0
