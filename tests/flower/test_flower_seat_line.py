"""The line between a ClientApp and its silo's seat: what it carries, and what is refused on it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seat_stand import LONGEST, MODEL, Moved, brought, seated

from quatrefoil.errors import (
    CallerError,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PeerUnreachable,
    QuatrefoilError,
    StateTaken,
    UpdateRefused,
)
from quatrefoil.federation.vectors import Arrays, layout_of
from quatrefoil.flower import seat, seat_line
from quatrefoil.flower.contents import ForSilo
from quatrefoil.flower.seat_line import (
    LARGEST_METRICS,
    FarApp,
    Line,
    ask_seat,
    error_parts,
    read_error,
)

# ------------------------------------------------------------------------------------------------------ what is carried


def test_a_message_is_brought_and_the_app_trains_and_evaluates_in_between(tmp_path: Path) -> None:
    made: list[Moved] = []

    def does(app: Any) -> bytes:
        trained = app.train(MODEL)
        app.evaluate(trained)
        assert app.metrics == {"loss": 0.25, "first": 2.0}
        assert [array.dtype for array in trained] == [np.float64, np.float32]
        return b"".join(array.tobytes() for array in trained)

    def app_of(sent: ForSilo) -> Moved:
        made.append(Moved(sent))
        return made[-1]

    with seated(tmp_path, does) as (path, node, refused, _):
        answer = ask_seat(path, brought(), b"sealed", app_of)
        assert answer == b"".join((array + array.dtype.type(1)).tobytes() for array in MODEL)
        assert node.asked == [(b"sealed", bytes(48), 3, "train")]
        assert ask_seat(path, brought(hello=True), b"hello", app_of) == b"answer to hello"
        assert node.asked[1] == (b"hello", 7, 9) and node.kept == 1
    assert [(app.sent.names, app.sent.config) for app in made] == [(["a", "b"], {"rate": 0.5})] * 2
    assert refused.said == []


def test_what_the_seat_refuses_is_raised_at_the_app(tmp_path: Path) -> None:
    def does(_: Any) -> bytes:
        raise MessageRefused("message 3 was altered", hint="Start the run again")

    with seated(tmp_path, does) as (path, _, refused, ended):
        with pytest.raises(MessageRefused, match="message 3 was altered"):
            ask_seat(path, brought(), b"sealed", Moved)
        assert refused.said == [] and ended == []  # the SuperLink's doing: it stands in no log


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (UpdateRefused("the app replied with 0 ArrayRecords", hint="Reply"), UpdateRefused),
        (CallerError("the app's train function raised ValueError", hint="See"), CallerError),
        (StateTaken("an app plays the state", hint="It must not"), CallerError),
    ],
)
def test_what_an_app_fails_with_reaches_the_silo_and_is_the_app_s_fault(
    tmp_path: Path, raised: QuatrefoilError, seen: type[QuatrefoilError]
) -> None:
    found: list[QuatrefoilError] = []

    class Failing(Moved):
        def train(self, model: Arrays) -> Sequence[np.ndarray]:
            raise raised

    def does(app: Any) -> bytes:
        with pytest.raises(QuatrefoilError) as error:
            app.train(MODEL)
        found.append(error.value)
        return b"fault"

    with seated(tmp_path, does) as (path, _, __, ___):
        assert ask_seat(path, brought(), b"sealed", Failing) == b"fault"
    assert type(found[0]) is seen and found[0].problem == raised.problem


def test_an_app_that_goes_away_in_training_is_given_up_and_the_next_is_attended(tmp_path: Path) -> None:
    gone: list[QuatrefoilError] = []

    class Killed(Moved):
        def train(self, model: Arrays) -> Sequence[np.ndarray]:
            raise KeyboardInterrupt

    def does(app: Any) -> bytes:
        try:
            app.train(MODEL)
        except QuatrefoilError as error:
            gone.append(error)
        return b"done"

    with seated(tmp_path, does) as (path, _, __, ended):
        with pytest.raises(KeyboardInterrupt):
            ask_seat(path, brought(), b"sealed", Killed)
        assert ask_seat(path, brought(), b"sealed", Moved) == b"done"
        assert [type(error) for error in gone] == [PeerUnreachable] and ended == []


def test_a_seat_whose_state_another_process_has_taken_ends(tmp_path: Path) -> None:
    def does(_: Any) -> bytes:
        raise StateTaken("another process has the state", hint="End")

    with seated(tmp_path, does) as (path, _, __, ended), pytest.raises(StateTaken):
        ask_seat(path, brought(), b"sealed", Moved)
    assert [type(error) for error in ended] == [StateTaken]


@given(st.sampled_from([MessageRefused, EvidenceRejected, HostError, UpdateRefused]), st.text(max_size=50))
def test_errors_travel_as_they_are(kind: type[QuatrefoilError], text: str) -> None:
    error = kind(text, hint="Do")
    read = read_error(error_parts(error))
    assert (type(read), read.problem, read.hint) == (kind, error.problem, "Do")


@pytest.mark.parametrize("name", [b"SystemExit", b"QuatrefoilErrors", b"annotations", b"\xff"])
def test_an_error_of_no_class_of_ours_is_a_refusal(name: bytes) -> None:
    assert type(read_error([name, b"x", b"y"])) is MessageRefused
    assert type(read_error([name])) is MessageRefused


# -------------------------------------------------------------------------------------------------------------- garbage


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bytes is none of a seat's line"),
        ((LONGEST + 1).to_bytes(8, "big"), f"here it has at most {LONGEST}"),
        (bytes(8), "ends inside its header"),
        ((4).to_bytes(8, "big") + bytes(4), "a frame of 0 parts"),
        ((4).to_bytes(8, "big") + b"\xff" * 4, "more than 8"),
        ((29).to_bytes(8, "big") + bytes(3) + b"\x02" + bytes(7) + b"\x05" + bytes(7) + b"\x04" + b"garbagely", "CBOR"),
    ],
    ids=["a browser", "too long", "empty", "no parts", "many parts", "no message"],
)
def test_garbage_is_refused_and_logged_and_the_next_is_attended(tmp_path: Path, sent: bytes, said: str) -> None:
    with seated(tmp_path, lambda _: b"fine") as (path, node, refused, ended):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            connection.sendall(sent)
            name, kind, problem, _ = Line(connection).receive(begins=10.0)
        assert (name, kind) == (b"refused", b"MessageRefused") and said in problem.decode()
        assert len(refused.said) == 1 and said in refused.said[0] and node.asked == []
        assert ask_seat(path, brought(), b"sealed", Moved) == b"fine" and ended == []


@pytest.mark.parametrize("sent", [b"", bytes(3), (100).to_bytes(8, "big") + b"half"])
def test_one_that_leaves_before_it_has_said_anything_is_no_hindrance(tmp_path: Path, sent: bytes) -> None:
    with seated(tmp_path, lambda _: b"fine") as (path, _, __, ended):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            connection.sendall(sent)
        assert ask_seat(path, brought(), b"sealed", Moved) == b"fine" and ended == []


@pytest.mark.parametrize(
    "said",
    [
        [b"trained"],
        [b"train", b"no layout", b"", b"\xa0"],
        [b"evaluate", b"\xa0"],
        [b"failed"],
        [b"failed", b"StateTaken", b"x", b"y"],
        [],
    ],
)
def test_what_is_no_answer_of_an_app_is_refused_as_a_fault_of_the_app(tmp_path: Path, said: list[bytes]) -> None:
    found: list[QuatrefoilError] = []

    def does(app: FarApp) -> bytes:
        with pytest.raises((MessageRefused, CallerError)) as error:
            app.train(MODEL)
        found.append(error.value)
        return b"fault"

    with seated(tmp_path, does) as (path, _, __, ended):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            line = Line(connection)
            line.send(brought().encode(), b"sealed")
            assert line.receive(begins=10.0)[0] == b"train"
            line.send(*said)
            assert line.receive(begins=10.0) == [b"reply", b"fault"]
        assert ended == [] and not isinstance(found[0], HostError)


def test_arrays_that_are_not_as_long_as_they_say_are_refused(tmp_path: Path) -> None:
    def does(app: FarApp) -> bytes:
        with pytest.raises(MessageRefused, match="a model of 8 bytes arrived where 56"):
            app.train(MODEL)
        return b"fault"

    with seated(tmp_path, does) as (path, *_), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        line = Line(connection)
        line.send(brought().encode(), b"sealed")
        line.receive(begins=10.0)
        line.send(b"train", layout_of(MODEL).encode(), bytes(8), b"\xa0")
        assert line.receive(begins=10.0) == [b"reply", b"fault"]


def test_one_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "PATIENCE", 0.05)
    with (
        seated(tmp_path, lambda _: b"fine") as (path, _, __, ended),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent,
    ):
        silent.connect(str(path))
        assert ask_seat(path, brought(), b"sealed", Moved) == b"fine" and ended == []


# ------------------------------------------------------------------------------------------------- who holds the line

LEFT_BEHIND = """
import os, socket, sys, time
from pathlib import Path
from quatrefoil.flower.seat_line import Line
from seat_stand import brought
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.connect(sys.argv[1])
line = Line(connection)
line.send(brought().encode(), b"sealed")
assert line.receive(begins=60.0)[0] == b"train"
if child := os.fork():
    Path(sys.argv[2]).write_text(str(child))
else:
    time.sleep(600)
"""
"""A ClientApp that is asked to train, and leaves a process behind that has its end of the line."""


def test_a_process_that_an_app_leaves_behind_with_the_line_open_keeps_nobody_out(tmp_path: Path) -> None:
    gone: list[QuatrefoilError] = []

    def does(app: FarApp) -> bytes:
        try:
            app.train(MODEL)
        except PeerUnreachable as error:
            gone.append(error)
        return b"done"

    left = tmp_path / "left"
    with seated(tmp_path, does) as (path, _, __, ended):
        program = [sys.executable, "-c", LEFT_BEHIND, str(path), str(left)]
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(program, env=paths, timeout=60, check=True)
        try:
            assert ask_seat(path, brought(), b"sealed", Moved) == b"done"
            assert [error.problem for error in gone] == ["the other end of the seat's line is gone: it was to train"]
            assert ended == []
        finally:
            os.kill(int(left.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("what", ["train", "evaluate"])
def test_an_app_that_never_answers_is_given_up_and_the_next_is_attended(tmp_path: Path, what: str) -> None:
    gone: list[PeerUnreachable] = []

    def does(app: Any) -> bytes:
        if not gone:
            with pytest.raises(PeerUnreachable) as error:
                app.train(MODEL) if what == "train" else app.evaluate(MODEL)
            gone.append(error.value)
        return b"done"

    with (
        seated(tmp_path, does, app_seconds=0.05) as (path, _, __, ended),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
    ):
        connection.connect(str(path))
        line = Line(connection)
        line.send(brought().encode(), b"sealed")
        assert line.receive(begins=60.0)[0] == what.encode()
        assert ask_seat(path, brought(), b"sealed", Moved) == b"done" and ended == []
    assert f"fell silent: it was to {what}" in gone[0].problem and "more as `app-seconds`" in gone[0].hint


def test_a_frame_that_comes_byte_by_byte_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come, each in time."""
    monkeypatch.setattr(seat_line, "PATIENCE", 0.2)
    stop = threading.Event()

    def trickle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall((1000).to_bytes(8, "big"))
            while not stop.wait(0.01):
                connection.sendall(b"x")

    with (
        seated(tmp_path, lambda _: b"fine") as (path, _, __, ended),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as slow,
    ):
        slow.connect(str(path))
        thread = threading.Thread(target=trickle, args=(slow,))
        thread.start()
        try:
            assert ask_seat(path, brought(), b"sealed", Moved) == b"fine" and ended == []
        finally:
            stop.set()
            thread.join()


def test_what_an_app_answers_is_no_longer_than_the_model_and_its_metrics(tmp_path: Path) -> None:
    """Refused by the length that it announces: not one byte of it is waited for."""
    said: list[str] = []

    def does(app: Any) -> bytes:
        with pytest.raises(MessageRefused) as error:
            app.train(MODEL)
        said.append(error.value.problem)
        return b"fault"

    with seated(tmp_path, does) as (path, *_), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        line = Line(connection)
        line.send(brought().encode(), b"sealed")
        line.receive(begins=60.0)
        connection.sendall((2 * LARGEST_METRICS).to_bytes(8, "big"))
        assert line.receive(begins=60.0) == [b"reply", b"fault"]
    longest = LARGEST_METRICS + 2 * len(layout_of(MODEL).encode()) + 8 * 8
    assert said == [f"a frame of {2 * LARGEST_METRICS} bytes is none of a seat's line: here it has at most {longest}"]
