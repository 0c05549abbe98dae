"""Workload files: what they mean, and every way in which one is refused."""

from __future__ import annotations

import math
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


SCORE = """\
name = "test"

[[phases]]
name = "score"
kind = "score"
data = "record"
parameters = 30
batch = 1000
latency_ms = 10
site = "premises"
largest_error = 0.5
largest_bytes = 1000
deadline_ms = 20.5
"""
NETWORK = SCORE.replace('"score"', '"infer"').replace(
    "parameters = 30\n", "message_bytes = 9\nparameters = 30\nhidden = 5\n"
)


def test_what_a_phase_asks_for_besides_is_read_and_is_in_the_digest() -> None:
    (phase,) = Workload.parse(SCORE, source="w.toml").phases
    assert (phase.site, phase.largest_error, phase.largest_bytes, phase.deadline_ms) == ("premises", 0.5, 1000, 20.5)
    (network,) = Workload.parse(NETWORK, source="w.toml").phases
    assert (network.parameters, network.hidden) == (30, 5)
    digests = {Workload.parse(text, source="w").digest() for text in (SCORE, NETWORK)}
    for line in SCORE.splitlines()[9:]:
        without = Workload.parse(SCORE.replace(f"{line}\n", ""), source="w.toml")
        assert Workload.decode(without.encode()) == without
        digests.add(without.digest())
    assert len(digests) == 6
    exact = [Workload.parse(SCORE.replace("= 0.5", f"= {zero}"), source="w").digest() for zero in ("0", "0.0", "-0.0")]
    assert len(set(exact)) == 1 and exact[0] not in digests


ASKED_WRONGLY = {
    "a site that is none": ("site", 'site = "basement"', "w.toml:10: phases[1].site: 'basement' is not 'elsewhere' or"),
    "a site that is no text": ("site", "site = 1", "w.toml:10: phases[1].site: is an integer, not a string"),
    "a site twice": ("site", 'site = "premises"\nsite = "premises"', "w.toml:11: is not TOML"),
    "no error": ("largest_error", "largest_error = nan", "w.toml:11: phases[1].largest_error: is nan"),
    "a negative error": ("largest_error", "largest_error = -1e-9", "phases[1].largest_error: is -1e-09, not"),
    "an infinite error": ("largest_error", "largest_error = inf", "phases[1].largest_error: is inf"),
    "an error in words": (
        "largest_error",
        'largest_error = "small"',
        "w.toml:11: phases[1].largest_error: is a string",
    ),
    "a boolean for an error": ("largest_error", "largest_error = false", "phases[1].largest_error: is a boolean"),
    "no bytes": ("largest_bytes", "largest_bytes = 0", "w.toml:12: phases[1].largest_bytes: is 0, outside 1 to"),
    "negative bytes": ("largest_bytes", "largest_bytes = -5", "phases[1].largest_bytes: is -5, outside 1 to"),
    "too many bytes": (
        "largest_bytes",
        f"largest_bytes = {1 << 60}",
        "phases[1].largest_bytes: is 1152921504606846976,",
    ),
    "huge bytes": ("largest_bytes", f"largest_bytes = {1 << 200}", "phases[1].largest_bytes: is huge, outside"),
    "half a byte": ("largest_bytes", "largest_bytes = 0.5", "phases[1].largest_bytes: is a float, not an integer"),
    "a deadline of zero": ("deadline_ms", "deadline_ms = 0", "w.toml:13: phases[1].deadline_ms: is 0.0, not a finite"),
    "an infinite deadline": ("deadline_ms", "deadline_ms = inf", "phases[1].deadline_ms: is inf, not a finite number"),
    "a deadline that is none": ("deadline_ms", "deadline_ms = nan", "phases[1].deadline_ms: is nan"),
    "a misspelt deadline": ("deadline_ms", "deadline = 3", "phases[1].deadline: is not a known key. Did you mean"),
    "hidden units of no network": ("batch", "batch = 9\nhidden = 3", "w.toml:9: phases[1].hidden: is not a known key"),
    "threats of its own": ("batch", "batch = 9\nthreats = []", "phases[1].threats: is not a known key"),
}


@pytest.mark.parametrize("case", ASKED_WRONGLY)
def test_what_is_asked_for_wrongly_is_refused_with_line_and_field(case: str) -> None:
    key, line, expected = ASKED_WRONGLY[case]
    (old,) = [found for found in SCORE.splitlines() if found.startswith(f"{key} =")]
    assert expected in refusal(SCORE.replace(old, line))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NETWORK.replace("hidden = 5\n", ""), "w.toml:8: phases[1].parameters: is given without hidden"),
        (NETWORK.replace("parameters = 30\n", ""), "w.toml:8: phases[1].hidden: is given without parameters"),
        (NETWORK.replace("hidden = 5", "hidden = 0"), "w.toml:9: phases[1].hidden: is 0, outside 1 to 1048576"),
        (NETWORK.replace("hidden = 5", "hidden = 2000000"), "phases[1].hidden: is 2000000, outside"),
        (NETWORK.replace("parameters = 30", "parameters = 0"), "w.toml:8: phases[1].parameters: is 0, outside"),
        (
            ROUND.replace("rounds = 5", 'rounds = 5\nsite = "premises"', 1),
            "w.toml:10: phases[1].site: is 'premises', but",
        ),
        (
            ROUND.replace("rounds = 5", "rounds = 5\nlargest_error = 0.1", 1),
            "w.toml:10: phases[1].largest_error: is given",
        ),
    ],
)
def test_what_contradicts_the_kind_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


HOSTILE = {
    "empty": "",
    "deep lists": "name = " + "[" * 20_000,
    "deep tables": "name = " + "{a=" * 9_000,
    "a key of many parts": "a." * 30_000 + "b = 1",
    "a header of many parts": "[" + "a." * 30_000 + "b]",
    "an integer of many digits": SCORE.replace("1000", "9" * 50_000),
    "many keys": SCORE + "\n".join(f"k{n} = 1" for n in range(6_000)),
    "many tables": SCORE + "\n".join(["[[phases]]"] * 4_000),
    "a long name": SCORE.replace('"test"', f'"{"x" * 60_000}"'),
    "too large": "#" * 70_000,
    "a lone surrogate": 'name = "\\ud800"',
    "controls in a kind": SCORE.replace('kind = "score"', 'kind = "\\u001b[2J\\n"'),
    "controls in a key": SCORE + '"\\u001b[2J\\n" = 1',
    "a phase that is a list": 'name = "x"\nphases = [[1]]',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_in_one_short_line(case: str) -> None:
    refusal(HOSTILE[case])


def test_requirements_that_a_peer_sent_are_checked_as_strictly() -> None:
    (phase,) = Workload.parse(SCORE, source="w").phases
    for name, value in (
        ("site", "basement"),
        ("largest_error", math.nan),
        ("deadline_ms", -1.0),
        ("largest_bytes", 1 << 60),
    ):
        bad = object.__new__(Phase)
        for field, given in {**vars(phase), name: value}.items():
            object.__setattr__(bad, field, given)
        bent = object.__new__(Workload)
        object.__setattr__(bent, "name", "test")
        object.__setattr__(bent, "phases", (bad,))
        with pytest.raises(MessageRefused, match=name):
            Workload.decode(bent.encode())


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
