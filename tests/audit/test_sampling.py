"""Samples of inference receipts: what is drawn, by whom it can be repeated, and what it catches."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import audit_sampling as reference

import made_inferences as made
from quatrefoil.audit.log import LOG_FOLDER, PAYLOADS
from quatrefoil.audit.sampling import MOST_DRAWN, Sample, Terms, draw, rule, verify
from quatrefoil.audit.sampling.population import MOST_KEYSETS
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.catching import TRIES, caught
from quatrefoil.errors import CallerError
from sampled import NAMES, SIGNED, Cosigners, ed25519_cosigned, quiet, serve, server, terms, witness_key

PAGE = (Path(__file__).parents[2] / "docs" / "audit-sampling.md").read_text()
CHALLENGE = bytes(range(32))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serve(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def note(state: Path) -> bytes:
    return Cosigners().cosigned(state)


def names(sample: Sample) -> list[tuple[str, int, int, str]]:
    return [(one.keyset.hex(), one.sequence, one.entry, one.digest.hex()) for one in sample.drawn]


def payloads(state: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (state / LOG_FOLDER / PAYLOADS).iterdir()}


# ------------------------------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("challenge", [None, CHALLENGE], ids=["bare", "challenged"])
@pytest.mark.parametrize("count", [1, 5, 19])
def test_a_second_implementation_draws_the_same(state: Path, note: bytes, count: int, challenge: bytes | None) -> None:
    log = server(state)
    sample = draw(log, note, terms(count, challenge=challenge), quiet)
    leaves = [leaf for _, leaf in log.reader.leaves()]
    again = reference.drawn(
        leaves, payloads(state), sample.checkpoint, list(sample.witnesses), count, 0, challenge or b""
    )
    assert names(sample) == again
    assert sample.seed == reference.seed(note.decode(), list(sample.witnesses), challenge or b"")


def test_it_says_what_it_was_drawn_from(state: Path, note: bytes) -> None:
    sample = draw(server(state), note, terms(19), quiet)
    assert sample.population == 19 == len(set(sample.drawn))
    assert sorted(one.receipts for one in sample.keysets) == [0, 7, 12]
    assert [one.receipts for one in sample.open] == [3] and all(one.attested for one in sample.keysets)
    assert {one.model for one in sample.keysets} == {made.MODEL}
    for one in sample.drawn:
        entry = server(state).entry(one.entry)
        assert (entry.body["keyset"], entry.body["sequence"]) == (one.keyset.hex(), one.sequence)


def test_whoever_has_the_log_verifies_it(state: Path, note: bytes) -> None:
    sample = draw(server(state), note, terms(), quiet)
    for checkpoint in (None, note):
        assert verify(sample.encode(), server(state), terms(), quiet, checkpoint=checkpoint) == sample
    assert Sample.decode(sample.encode()) == sample


def test_the_order_of_witnesses_and_other_signatures_do_not_count(state: Path, note: bytes) -> None:
    alone = draw(server(state), note, terms(names=["north"]), quiet)
    first, *rest = note.decode().partition("\n\n")[2].splitlines(keepends=True)
    turned = (note.decode().partition("\n\n")[0] + "\n\n" + "".join([*rest[::-1], first])).encode()
    assert draw(server(state), turned, terms(names=["north"]), quiet) == alone
    assert draw(server(state), turned, terms(names=NAMES[::-1]), quiet) == draw(server(state), note, terms(), quiet)


def test_an_older_witness_of_ed25519_counts(state: Path, note: bytes) -> None:
    signed, key = ed25519_cosigned(note, state, SIGNED)
    of = Terms((key, witness_key("north").verifier), 3)  # type: ignore[arg-type]
    sample = draw(server(state), signed, of, quiet)
    assert verify(sample.encode(), server(state), of, quiet, checkpoint=note) == sample


def test_each_cosignature_and_the_challenge_move_the_seed(state: Path, note: bytes) -> None:
    again = Cosigners().cosigned(state)  # ML-DSA hedges: another signature of the same checkpoint
    assert again != note
    seeds = {
        draw(server(state), content, of, quiet).seed
        for content, of in [
            (note, terms()),
            (again, terms()),
            (note, terms(names=["north"])),
            (note, terms(challenge=CHALLENGE)),
            (note, terms(challenge=CHALLENGE[:31])),
        ]
    }
    assert len(seeds) == 5
    assert draw(server(state), note, terms(3), quiet).seed in seeds, "the count is no part of it"


def test_more_of_them_begin_with_the_same(state: Path, note: bytes) -> None:
    few, many = (draw(server(state), note, terms(count), quiet) for count in (4, 15))
    assert many.drawn[:4] == few.drawn


def test_a_log_that_has_grown_gives_the_same_sample(tmp_path: Path) -> None:
    state = serve(tmp_path, (4,), left_open=2)
    note = Cosigners().cosigned(state)
    before = draw(server(state), note, terms(3), quiet)
    with made.server_log(state) as log:
        # The process of the open keyset was killed; another goes on.
        issuer = made.issuer(tmp_path / "journal", log)
        made.begun(issuer, 7)
        issuer.issue(made.REQUEST, made.ANSWER, 200, True)
        issuer.flush()
        issuer.end()
    assert draw(server(state), note, terms(3), quiet) == before
    later = draw(server(state), Cosigners().cosigned(state), terms(7), quiet)
    assert later.population == 7 and sorted(one.attested for one in later.keysets) == [False, True, True]
    since = draw(server(state), Cosigners().cosigned(state), terms(3, after=before_size(note)), quiet)
    assert since.population == 3, "the two that were open then, and the one of after"


def before_size(note: bytes) -> int:
    return int(note.decode().split("\n")[1])


def test_progress_ends_with_all(state: Path, note: bytes) -> None:
    said: list[tuple[int, int]] = []
    draw(server(state), note, terms(), lambda done, total: said.append((done, total)))
    size = server(state).size
    assert said == [(0, size), (size, size)] * 2, "the log is read twice"


# ------------------------------------------------------------------------------------------------------------ the rule


@given(st.binary(min_size=32, max_size=32), st.integers(1, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_places_are_different_and_those_of_a_whole_shuffle(seed: bytes, size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, size))
    places = list(rule.places(seed, size, count))
    assert len(set(places)) == count and all(0 <= place < size for place in places)
    assert places == reference.shuffled(seed, size, count)


def test_places_are_uniform() -> None:
    """Every pair, over many seeds: chi-squared of 56 cells stays below its value at 1e-6."""
    drawn = Counter(tuple(rule.places(number.to_bytes(32, "big"), 8, 2)) for number in range(28_000))
    assert len(drawn) == 56
    assert sum((seen - 500) ** 2 / 500 for seen in drawn.values()) < 122


def test_a_population_as_large_as_numbers_go() -> None:
    places = list(rule.places(bytes(32), (1 << 63) - 1, 1000))
    assert len(set(places)) == 1000 and max(places) > 1 << 62


# ----------------------------------------------------------------------------------------------------- what it catches


@given(st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_the_chance_is_exact(population: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, population))
    share = data.draw(st.floats(0, 1))
    found = caught(population, count, share)
    missed = Fraction(math.comb(population - found.false, count), math.comb(population, count))
    assert found.false == min(population, math.ceil(share * population))
    assert math.isclose(found.probability, float(1 - missed), abs_tol=1e-9)
    assert found.after_tries == pytest.approx(found.probability, abs=1e-9), "one try is no choice"


def test_trying_out_seeds_is_counted_in_full() -> None:
    found = caught(100_000, 300, 0.05, TRIES)
    assert found.probability > 0.9999997 and 0.7 < found.after_tries < 0.8
    assert caught(100_000, 300, 0.01, TRIES).after_tries == 0.0


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_page_has_the_numbers_of_the_code() -> None:
    for value in (MOST_DRAWN, MOST_KEYSETS, LARGEST_SAMPLE, math.ceil(math.log(TRIES) / 0.01)):
        assert f"{value:,}" in PAGE
    assert TRIES == 1 << 20 and f"1 to {rule.MOST_WITNESSES}, by their keys" in PAGE
    assert f"{rule.SHORTEST_CHALLENGE} to {rule.LONGEST_CHALLENGE} bytes" in PAGE
    assert TRIES // 86_400 == 12 and "in twelve days" in PAGE


def test_the_page_names_every_field_of_the_file(state: Path, note: bytes) -> None:
    import json

    made_of = json.loads(draw(server(state), note, terms(), quiet).encode())
    table = PAGE.partition("## The file")[2]
    for name in [*made_of, *made_of["keysets"][0], *made_of["open"][0], *made_of["drawn"][0]]:
        assert re.search(rf"`{name}`", table), name


# ------------------------------------------------------------------------------------------------- terms that are none

WRONG: dict[str, dict[str, object]] = {
    "none to draw": {"count": 0},
    "too many to draw": {"count": MOST_DRAWN + 1},
    "no witness": {"names": []},
    "a witness twice": {"names": ["north", "north"]},
    "a negative size": {"after": -1},
    "a short challenge": {"challenge": bytes(15)},
    "a long challenge": {"challenge": bytes(65)},
    "a time without a zone": {"not_before": datetime(2030, 1, 1)},
    "parts of a second": {"not_before": SIGNED + timedelta(milliseconds=1)},
}


@pytest.mark.parametrize("name", WRONG)
def test_terms_that_are_none_are_refused(name: str) -> None:
    given = {"count": 5, **WRONG[name]}
    with pytest.raises(CallerError):
        terms(**given)  # type: ignore[arg-type]


def test_more_than_there_are_cannot_be_drawn(state: Path, note: bytes) -> None:
    with pytest.raises(CallerError, match=r"20 receipts cannot be drawn from 19; 1 keyset not ended"):
        draw(server(state), note, terms(20), quiet)
    with pytest.raises(CallerError, match="cannot be drawn from 0"):
        draw(server(state), note, terms(1, after=server(state).size), quiet)
