"""Workload files: what they mean, and every way in which one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.workload import DATA, KINDS, SIZES, Phase, Workload

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "workloads").glob("*.toml"))

ROUND = """\
name = "test"

[[phases]]
name = "collect"
kind = "collect"
data = "update"
parameters = 100
silos = 4
rounds = 5
latency_ms = 10

[[phases]]
name = "sum"
kind = "aggregate"
data = "update"
parameters = 100
silos = 4
rounds = 5
latency_ms = 10.5

[[phases]]
name = "keys"
kind = "keys"
data = "key"
silos = 4
rounds = 5
latency_ms = 10
"""
LINES = ROUND.split("\n")


def refusal(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        Workload.parse(text, source="w.toml")
    message = str(caught.value)
    assert message.startswith("w.toml:") and message.isprintable() and len(message) < 400
    return message


def with_line(number: int, line: str) -> str:
    """The text with its line ``number``, counted from 1, replaced."""
    return "\n".join([*LINES[: number - 1], line, *LINES[number:]])


def test_a_workload_reads_as_it_is_written() -> None:
    workload = Workload.parse(ROUND, source="w.toml")
    assert workload.phases[1] == Phase("sum", "aggregate", "update", 10.5, parameters=100, silos=4, rounds=5)
    assert Workload.decode(workload.encode()) == workload


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_workloads(file: Path) -> None:
    assert Workload.load(file).name == file.stem


@pytest.mark.parametrize("number", [n for n, line in enumerate(LINES, 1) if " = " in line])
def test_every_line_is_needed_and_is_in_the_digest(number: int) -> None:
    assert "is missing" in refusal(with_line(number, ""))
    changed = LINES[number - 1].replace("100", "101").replace("4", "3").replace("10", "11").replace("5", "6")
    if changed != LINES[number - 1] and "latency" in changed:
        digest = Workload.parse(with_line(number, changed), source="w").digest()
        assert digest != Workload.parse(ROUND, source="w").digest()


REFUSED = {
    "an unknown kind": (5, 'kind = "train"', "w.toml:5: phases[1].kind: 'train' is not"),
    "an unknown data class": (6, 'data = "secret"', "w.toml:6: phases[1].data: 'secret' is not 'update'"),
    "a data class of another kind": (15, 'data = "key"', "phases[2].data: 'key' is not 'update'"),
    "a size of another kind": (7, "parameters = 100\nbatch = 3", "w.toml:8: phases[1].batch: is not a known key"),
    "a misspelt key": (8, "silo = 4", "phases[1].silo: is not a known key. Did you mean 'silos'?"),
    "no silos": (8, "silos = 0", "w.toml:8: phases[1].silos: is 0, outside 1 to 2048"),
    "too many silos": (8, "silos = 2049", "phases[1].silos: is 2049, outside 1 to 2048"),
    "a negative size": (7, "parameters = -1", "phases[1].parameters: is -1, outside"),
    "a huge size": (7, f"parameters = {1 << 70}", "phases[1].parameters: is huge, outside"),
    "a boolean for a size": (8, "silos = true", "phases[1].silos: is a boolean, not an integer"),
    "a float for a size": (8, "silos = 4.0", "phases[1].silos: is a float, not an integer"),
    "a latency of zero": (10, "latency_ms = 0", "w.toml:10: phases[1].latency_ms: is 0.0, not a finite number above 0"),
    "a negative latency": (10, "latency_ms = -1", "phases[1].latency_ms: is -1.0"),
    "an infinite latency": (10, "latency_ms = inf", "phases[1].latency_ms: is inf"),
    "a latency that is no number": (10, "latency_ms = nan", "phases[1].latency_ms: is nan"),
    "a boolean for a latency": (10, "latency_ms = true", "phases[1].latency_ms: is a boolean, not a number"),
    "a name taken twice": (22, 'name = "sum"', "w.toml:22: phases[3].name: 'sum' is taken"),
    "a name that is none": (4, 'name = "A phase"', "w.toml:4: phases[1].name: 'A phase' is not a name"),
    "silos that disagree": (25, "silos = 5", "w.toml:25: phases[3].silos: is 5, but 4 in phase 'collect'"),
    "rounds that disagree": (26, "rounds = 6", "w.toml:26: phases[3].rounds: is 6, but 5 in phase 'collect'"),
    "parameters that disagree": (16, "parameters = 7", "w.toml:16: phases[2].parameters: is 7, but 100"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_line_and_field(case: str) -> None:
    number, line, expected = REFUSED[case]
    assert expected in refusal(with_line(number, line))


def test_a_round_without_keys_or_without_collecting() -> None:
    assert "phases: has aggregate, collect without keys" in refusal(ROUND[: ROUND.rindex("[[phases]]")])
    start, end = ROUND.index("[[phases]]"), ROUND.index('[[phases]]\nname = "sum"')
    assert "phases: has aggregate, keys without collect" in refusal(ROUND[:start] + ROUND[end:])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "x"', "w.toml:1: phases: is missing"),
        ('name = "x"\nphases = []', "w.toml:2: phases: has 0, not 1 to 64"),
        ('name = "x"\nphases = 3', "w.toml:2: phases: is an integer, not a list of tables [[phases]]"),
        ('name = "x"\nphases = [1]', "w.toml:2: phases: is a list, not a list of tables"),
        ('name = "x"\n[phases]', "w.toml:2: phases: is a table, not a list of tables"),
        ('name = "x"\n' + "[[phases]]\n" * 3, "w.toml:2: phases[1].name: is missing"),
        ('name = "x"\n[[phases]]\nname = "a"\nkind = 7', "phases[1].data: is missing"),
        ("[[phases", "w.toml:1: is not TOML"),
    ],
)
def test_shapes_that_are_no_workload(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_too_many_phases() -> None:
    phase = '[[phases]]\nname = "a{}"\nkind = "audit"\ndata = "log"\nbatch = 1\nlatency_ms = 1\n'
    assert "phases: has 65, not 1 to 64" in refusal('name = "x"\n' + "".join(phase.format(n) for n in range(65)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        Workload.load(tmp_path / "none.toml")


def test_a_phase_built_in_python_is_checked_as_strictly() -> None:
    with pytest.raises(PolicyInvalid, match="silos: is given, but audit phases have none"):
        Phase("a", "audit", "log", 1.0, batch=1, silos=2)
    with pytest.raises(PolicyInvalid, match="batch: is 0"):
        Phase("a", "audit", "log", 1.0)


@pytest.mark.parametrize(
    ("kind", "other"), [(b"transport", b"tran}port"), (b"update", b"u@date"), (b"collect", b"Collect")]
)
def test_a_workload_that_a_peer_sent_and_that_is_none_is_the_peers_fault(kind: bytes, other: bytes) -> None:
    (training,) = (Workload.load(file) for file in EXAMPLES if file.stem == "hospital-training")
    sent = training.encode()
    assert Workload.decode(sent) == training
    assert kind in sent
    with pytest.raises(MessageRefused, match="Workload"):
        Workload.decode(sent.replace(kind, other, 1))


def test_the_vocabularies_fit_together() -> None:
    for kind in KINDS.values():
        assert set(kind.data) <= set(DATA) and set(kind.sizes) <= set(SIZES)
