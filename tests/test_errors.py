"""The error tree: one printable line each, whoever wrote the text."""

from __future__ import annotations

import inspect
import pickle

import pytest

from quatrefoil import errors
from quatrefoil.errors import MessageRefused, PeerError, QuatrefoilError

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, QuatrefoilError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_what_is_wrong_and_what_to_do(kind):
    error = kind("7 is odd.", hint="Take 8")
    assert (str(error), error.problem, error.hint) == ("7 is odd. Take 8", "7 is odd.", "Take 8")


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x00b", "a\u2028b", "a\u202eb", "a\ud800b", "a\x9bb"]
)
def test_text_from_outside_stays_on_one_printable_line(text):
    error = MessageRefused(text, hint=text)
    for shown in (str(error), error.problem, error.hint):
        assert shown.isprintable() and "a" in shown and "b" in shown
        shown.encode()


def test_letters_of_every_language_stay():
    assert MessageRefused("Zürich sagt nein: 東京", hint="-").problem == "Zürich sagt nein: 東京"


def test_the_party_at_fault_is_kept():
    assert MessageRefused("x", hint="y", party="bari").party == "bari"
    assert PeerError("x", hint="y").party is None


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_go_from_process_to_process(kind):
    error = kind("7 is odd.", hint="Take 8")
    if isinstance(error, PeerError):
        error.party = "bari"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
