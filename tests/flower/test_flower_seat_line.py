"""The line between a ClientApp and its silo's seat: who may speak over it, what it carries, what is refused."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from committee_world import POLICY as COMMITTEE
from policy_text import TEXT as KEEPER
from quatrefoil import cli
from quatrefoil.errors import (
    CallerError,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PeerError,
    PeerUnreachable,
    QuatrefoilError,
    StateTaken,
    UpdateRefused,
)
from quatrefoil.federation.vectors import Arrays, layout_of
from quatrefoil.flower import seat
from quatrefoil.flower.contents import ForSilo, Values
from quatrefoil.flower.node import AppOf
from quatrefoil.flower.seat import Seat, listening, user_named
from quatrefoil.flower.seat_line import (
    LARGEST,
    Brought,
    FarApp,
    Line,
    ask_seat,
    error_parts,
    read_error,
)
from quatrefoil.flower.settings import seat_of, silo_settings
from quatrefoil.services.vitals import Vitals

STATE = "/silos/bari/state"
MODEL: Arrays = [np.arange(6.0).reshape(2, 3), np.float32([1, 2])]


def brought(**changes: Any) -> Brought:
    given = {"state": STATE, "hello": False, "session": bytes(48), "number": 3, "kind": "train", "run": 7, "node": 9}
    return Brought(**(given | changes))


class Node:
    """What a seat drives: here it has the app do what a test wants."""

    def __init__(self, does: Callable[[Any], bytes]) -> None:
        self.files = SimpleNamespace(identity=SimpleNamespace(name="bari"))
        self.does = does
        self.asked: list[tuple[Any, ...]] = []
        self.kept = 0

    def greeted(self, hello: bytes, *, run: int, node: int) -> bytes:
        self.asked.append((hello, run, node))
        return b"answer to " + hello

    def reply(self, sealed: bytes, *, hello: bytes, number: int, kind: str, app_of: AppOf) -> bytes:
        self.asked.append((sealed, hello, number, kind))
        return self.does(app_of(ForSilo((), ["a", "b"], {"rate": 0.5})))

    def keep_costs(self) -> None:
        self.kept += 1


class Refused:
    def __init__(self) -> None:
        self.said: list[str] = []

    def connection(self, where: str, error: PeerError) -> None:
        self.said.append(error.problem)


@contextmanager
def seated(
    folder: Path, does: Callable[[Any], bytes] = lambda _: b"", users: set[int] | None = None
) -> Iterator[tuple[Path, Node, Refused, list[BaseException]]]:
    """A seat that attends in a thread."""
    path, node, refused, ended = folder / "seat.sock", Node(does), Refused(), []
    allowed = {os.getuid()} if users is None else users
    there: Any = Seat(node, STATE, allowed, refused, Vitals("silo"))  # type: ignore[arg-type]
    with listening(path, private=users is None) as listener:

        def serve() -> None:
            try:
                there.serve(listener)
            except BaseException as error:  # what ends a seat is for the test to see
                ended.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, node, refused, ended
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Moved:
    """An app that adds one."""

    def __init__(self, sent: ForSilo, metrics: Values | None = None) -> None:
        self.sent = sent
        self.metrics: Values = metrics or {}

    def train(self, model: Arrays) -> Sequence[np.ndarray]:
        self.metrics["loss"] = 0.25
        return [array + array.dtype.type(1) for array in model]

    def evaluate(self, model: Arrays) -> None:
        self.metrics["first"] = float(model[0][0, 1])


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


# -------------------------------------------------------------------------------------------------------- who may speak


def test_nobody_of_another_user_is_attended(tmp_path: Path) -> None:
    with seated(tmp_path, users={os.getuid() + 1}) as (path, node, refused, ended):
        for payload in (b"sealed", bytes(1 << 22)):  # also where the seat reads none of it
            with pytest.raises(MessageRefused, match=f"none of user {os.getuid()}. Run the SuperNode as that user"):
                ask_seat(path, brought(), payload, Moved)
        assert node.asked == [] and len(refused.said) == 2 and ended == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that only root writes, and others may enter, unlike those of tests; so are those above it."""
    with tempfile.TemporaryDirectory(prefix="quatrefoil-seat-", dir="/run") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_seat_for_others_does_not_begin_where_others_may_put_something_in_its_place(
    open_folder: Path, mode: int
) -> None:
    """A link there, to a key of the seat's user, would be opened to everybody."""
    open_folder.chmod(mode)
    path = open_folder / "seat.sock"
    with pytest.raises(CallerError, match="others than this user may make files in"), listening(path, private=False):
        pass
    assert not path.exists()
    with listening(path, private=True):  # its own user alone connects to this one
        assert path.stat().st_mode & 0o777 == 0o600


def said_as(user: int, path: Path) -> str:
    """What a process of this user is answered by the seat at ``path``, or why it is not."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = "nothing"
        try:
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            said = ask_seat(path, brought(), b"sealed", Moved).decode()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode()[:4000])
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/run", os.W_OK), reason="only root can be somebody else, and write there"
)
def test_of_other_users_the_one_who_is_named_is_attended_and_no_other(open_folder: Path) -> None:
    app, other = 12345, 12346
    with seated(open_folder, lambda _: b"fine", users={os.getuid(), app}) as (path, node, refused, _):
        assert said_as(app, path) == "fine"
        assert f"this seat attends processes of user 0 and of user {app}, and none of user {other}" in said_as(
            other, path
        )
        assert len(node.asked) == len(refused.said) == 1
    with seated(open_folder, lambda _: b"fine") as (path, node, *_):
        assert "HostError" in (said := said_as(app, path)) and "cannot be reached (Permission denied)" in said
        path.chmod(0o666)  # and if the file were open, the kernel still says who it is
        assert "none of user 12345" in said_as(app, path)
        assert node.asked == []


def test_only_its_own_user_may_open_a_seat_s_socket(tmp_path: Path) -> None:
    with seated(tmp_path) as (path, *_):
        assert path.stat().st_mode & 0o777 == 0o600
    with seated(tmp_path, users={os.getuid(), 12345}) as (path, *_):
        assert path.stat().st_mode & 0o777 == 0o666


def test_a_seat_of_another_silo_says_whose_it_is(tmp_path: Path) -> None:
    with seated(tmp_path) as (path, node, refused, _):
        with pytest.raises(MessageRefused, match="this is the seat of silo bari, whose state is /silos/bari/state"):
            ask_seat(path, brought(state="/silos/ambon/state"), b"sealed", Moved)
        assert node.asked == [] and len(refused.said) == 1


def test_an_app_tells_nothing_to_who_listens_where_others_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "inner"
    folder.mkdir(mode=0o755)
    with seated(folder) as (path, node, *_):
        monkeypatch.setattr(Line, "user", lambda _: os.getuid() + 1)
        with pytest.raises(HostError, match="is not this one, and not the only one who may write"):
            ask_seat(path, brought(), b"sealed", Moved)
        monkeypatch.setattr(os, "getuid", lambda: 54321)  # of the app
        monkeypatch.setattr(Line, "user", lambda _: folder.stat().st_uid)
        for open_to_all in (folder, tmp_path):  # in the folder, or above it, anybody could have been first
            open_to_all.chmod(0o777)
            with pytest.raises(HostError, match=f"write in {open_to_all}. Give the seat a folder of its own"):
                ask_seat(path, brought(), b"sealed", Moved)
            open_to_all.chmod(0o755)
        assert node.asked == []


@pytest.mark.parametrize("name", ["nobody-of-this-name", "65534"])
def test_a_user_that_is_not_there_or_stands_for_all_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CallerError, match=r"there is no user|stands for every user of another namespace"):
        user_named(name)
    assert user_named("0") == user_named("root") == 0


# -------------------------------------------------------------------------------------------------------------- garbage


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bytes is none of a seat's line"),
        ((LARGEST + 1).to_bytes(8, "big"), "is none of a seat's line"),
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


# -------------------------------------------------------------------------------------------------------------- sockets


def test_where_no_seat_has_begun_or_one_was_killed_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no seat of this silo has begun.*quatrefoil flower seat"):
        ask_seat(tmp_path / "seat.sock", brought(), b"sealed", Moved)
    left_behind(tmp_path / "seat.sock")
    with pytest.raises(HostError, match=r"no seat listens at .* any more.*quatrefoil flower seat"):
        ask_seat(tmp_path / "seat.sock", brought(), b"sealed", Moved)


def left_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))


def test_what_a_killed_seat_left_is_replaced_and_nothing_is_left_of_one_that_ends(tmp_path: Path) -> None:
    left_behind(tmp_path / "seat.sock")
    with seated(tmp_path, lambda _: b"fine") as (path, *_):
        assert ask_seat(path, brought(), b"sealed", Moved) == b"fine"
    assert not path.exists()


def test_a_seat_takes_no_place_from_another_nor_from_a_file(tmp_path: Path) -> None:
    with (
        seated(tmp_path) as (path, *_),
        pytest.raises(CallerError, match="another seat listens"),
        listening(path, private=True),
    ):
        pass
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CallerError, match="is there, and is no socket"), listening(tmp_path / "file", private=True):
        pass
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("s" * 120, CallerError, "longer than the 107 bytes"), ("none/seat.sock", HostError, "Name a folder that is")],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said), listening(tmp_path / name, private=True):
        pass


# ---------------------------------------------------------------------------------------------------------------- files

SILO = 'identity = "i"\nroot = "r.pem"\npolicy = "p.toml"\nstate = "s"\naggregator = "hub"\nsamples = 5\n'


@pytest.fixture
def silo(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(kind: str, more: str) -> Path:
        filled = COMMITTEE.format(members=8, silent=2, liars=1, colluding=1, group=1)
        (tmp_path / "p.toml").write_text(filled if kind == "committee" else KEEPER)
        (tmp_path / "silo.toml").write_text(SILO + more)
        return tmp_path / "silo.toml"

    return write


def test_a_silo_has_a_seat_where_a_committee_holds_the_keys_or_its_file_says_so(
    silo: Callable[[str, str], Path], tmp_path: Path
) -> None:
    assert seat_of(silo_settings(silo("committee", ""))) == tmp_path / "s" / "seat.sock"
    assert seat_of(silo_settings(silo("committee", 'seat = "/run/bari.sock"\n'))) == Path("/run/bari.sock")
    assert seat_of(silo_settings(silo("keeper", ""))) is None
    assert seat_of(silo_settings(silo("keeper", 'seat = "bari.sock"\n'))) == tmp_path / "bari.sock"


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("keeper", "", "has a keeper, and the silo needs no seat"),
        ("committee", "app-user = 1\n", "is for its owner only, and user 1 is to reach the seat"),
        ("committee", 'seat = "x.sock"\napp-user = "nobody-of-this-name"\n', "there is no user nobody-of-this-name"),
    ],
)
def test_a_seat_that_nobody_needs_or_reaches_does_not_start(
    silo: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str], kind: str, more: str, said: str
) -> None:
    assert cli.main(["flower", "seat", str(silo(kind, more))]) == 1
    assert said in capsys.readouterr().err
