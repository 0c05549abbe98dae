"""Who may speak to a silo's seat, where it listens, and which silos have one."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from seat_stand import Moved, brought, seated

from committee_world import policy_text
from policy_text import TEXT as KEEPER
from quatrefoil import cli
from quatrefoil.errors import (
    CallerError,
    HostError,
    MessageRefused,
)
from quatrefoil.flower.seat import listening, user_named
from quatrefoil.flower.seat_line import (
    Line,
    ask_seat,
)
from quatrefoil.flower.settings import seat_of, silo_settings

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
        filled = policy_text()
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
