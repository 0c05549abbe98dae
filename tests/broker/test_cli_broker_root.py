"""``quatrefoil broker root`` from a ceremony to a recovery in another place, and killed at every durable step."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from soft_token import PIN, SoftToken

from killing import Killed
from quatrefoil import cli
from quatrefoil.audit import TileLog
from quatrefoil.broker import root_pkcs11, root_recovery, root_stage
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_pkcs11 import TokenRootKey, identities
from quatrefoil.broker.root_token import PIN_VARIABLE
from quatrefoil.cli import broker_root
from quatrefoil.errors import HostError
from quatrefoil.transport import sealed
from quatrefoil.transport.sealed import HYBRID_768, RecipientKey
from support import Consortium

OPERATORS = ("anna", "bruno", "carla")


class Room:
    """The files that a ceremony needs, in ``folder``."""

    def __init__(self, folder: Path, consortium: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._consortium = consortium
        self._capsys = capsys
        self.root = consortium.directory / "root.pem"
        consortium.identity("vault", "broker")
        self.vault = consortium.folder("vault", "broker")
        for name in OPERATORS:
            identity = consortium.identity(name, "auditor")
            key = RecipientKey.generate(HYBRID_768)
            key.save(folder / f"key-{name}", sealed.certify(key, identity))
        key = RecipientKey.generate(HYBRID_768)
        key.save(folder / "key-machine", sealed.certify(key, consortium.identity("vault", "broker")))

    def run(self, *line: object) -> tuple[int, str, str]:
        code = cli.main([str(word) for word in line])
        shown = self._capsys.readouterr()
        return code, " ".join(shown.out.split()), shown.err

    def does(self, *line: object) -> str:
        code, out, err = self.run(*line)
        assert (code, err) == (0, ""), err
        return out

    def refuses(self, *line: object) -> str:
        code, out, err = self.run(*line)
        assert (code, out) == (1, "") and len(err.splitlines()) == 1
        return err

    def party(self) -> list[object]:
        return ["--identity", self.vault, "--root", self.root]

    def operators(self, *names: str, threshold: int = 2) -> list[object]:
        to = [word for name in names for word in ("--to", self.folder / f"key-{name}" / "sealing.certificate")]
        return [*to, "--threshold", threshold]

    def root_command(self, action: str, out: str, *rest: object) -> list[object]:
        return ["broker", "root", action, self.folder / out, *self.party(), *rest]

    def new(self, out: str, *rest: object) -> list[object]:
        return self.root_command("new", out, *self.operators(*OPERATORS), *rest)

    def hand_over(self, ceremony: str, name: str) -> Path:
        """What operator ``name`` does at home."""
        handed = self.folder / f"{ceremony}-{name}.handed"
        if handed.exists():
            return handed
        self.does(
            *("rewrap", self.folder / ceremony / f"{name}.share", "--key", self.folder / f"key-{name}"),
            *("--to", self.folder / "key-machine" / "sealing.certificate", "--out", handed),
            *("--identity", self._consortium.folder(name, "auditor"), "--root", self.root),
        )
        return handed

    def shares(self, ceremony: str, *names: str) -> list[object]:
        handed = [word for name in names for word in ("--share", self.hand_over(ceremony, name))]
        statement = self.folder / ceremony / root_stage.STATEMENT
        root = self.shown(statement, "--root", self.root)["root"]
        return ["--ceremony", statement, *handed, "--key", self.folder / "key-machine", "--root-identity", root]

    def shown(self, *line: object) -> dict[str, object]:
        code = cli.main(["broker", "root", "show", *map(str, line), "--json", "-"])
        found = json.loads(self._capsys.readouterr().out)
        assert code == 0
        return dict(found)


@pytest.fixture
def room(tmp_path: Path, consortium: Consortium, capsys: pytest.CaptureFixture[str]) -> Room:
    return Room(tmp_path, consortium, capsys)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken()
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    return made


def in_token(token: SoftToken) -> list[object]:
    return ["--token", token.place.token, "--pkcs11", token.place.module]


# ------------------------------------------------------------------------------------------------- whole ceremonies


def test_from_a_token_that_is_lost_into_another(room, token):
    said = room.does(*room.new("first", *in_token(token), "--state", room.folder / "state"))
    assert "operator 2" in said and "bruno (auditor)" in said
    opened = TokenRootKey(token.place, token.pin)
    wrapped = opened.wrap(b"the key of a model", b"model")
    opened.close()
    token.take_away()

    other = SoftToken()
    out = room.does(
        *room.root_command("recover", "again", *room.shares("first", "anna", "carla"), *in_token(other)),
        *("--state", room.folder / "state"),
    )
    assert "contributors" in out and "anna, carla" in out
    recovered = TokenRootKey(other.place, other.pin)
    assert recovered.unwrap(wrapped, b"model") == b"the key of a model"
    recovered.close()
    shown = room.shown(*in_token(other))
    assert shown["root"] == room.shown(room.folder / "first" / "ceremony.statement", "--root", room.root)["root"]
    with TileLog(room.folder / "state", room._consortium.identity("vault", "broker"), room._consortium.trust) as log:
        assert [e.kind for e in log.entries() if e.kind.startswith("root")] == ["root-ceremony", "root-recovery"]


def test_from_a_file_into_a_token_and_on_to_new_operators(room, token):
    room.does(*room.new("first", "--in-file"))
    key = room.folder / "first" / "root.key"
    assert key.stat().st_mode & 0o777 == 0o600
    room.does(*room.root_command("recover", "moved", *room.shares("first", "bruno", "carla"), *in_token(token)))
    assert sorted(p.name for p in (room.folder / "moved").iterdir()) == ["kept-in", "recovery.statement"]

    said = room.does(
        *room.root_command("share", "second", *room.shares("first", "anna", "bruno"), *room.operators("bruno", "carla"))
    )
    assert "have every operator destroy theirs" in said
    first, second = (room.shown(room.folder / one / "ceremony.statement", "--root", room.root) for one in PAIR)
    assert second["previous"] == first["ceremony"] and second["root"] == first["root"]
    assert [one["name"] for one in second["operators"]] == ["bruno", "carla"]
    recovery = room.shown(room.folder / "second" / "recovery.statement", "--root", room.root)
    assert recovery["what"] == "root-recovery to share" and recovery["contributors"] == ["anna", "bruno"]
    room.does(*room.root_command("recover", "third", *room.shares("second", "bruno", "carla"), "--in-file"))
    assert FileRootKey.load(room.folder / "third" / "root.key").identity() == FileRootKey.load(key).identity()


PAIR = ("first", "second")


def test_a_key_in_a_file_is_split_anew(room):
    room.does(*room.new("first", "--in-file"))
    room.does(
        *room.root_command("share", "second", "--root-key", room.folder / "first" / "root.key"),
        *room.operators("anna", "carla"),
    )
    assert sorted(p.name for p in (room.folder / "second").iterdir()) == [
        "anna.share",
        "carla.share",
        "ceremony.statement",
        "kept-in",
    ]
    room.does(*room.root_command("recover", "third", *room.shares("second", "anna", "carla"), "--in-file"))


def test_a_token_may_keep_its_own_key(room, token):
    said = room.does(*room.root_command("new", "own", *in_token(token), "--no-backup"))
    assert "none: the key is lost with its token" in said
    assert room.shown(room.folder / "own" / "ceremony.statement", "--root", room.root)["operators"] == []


def test_a_statement_is_logged_later_and_once(room):
    room.does(*room.new("first", "--in-file"))
    statement = room.folder / "first" / "ceremony.statement"
    line = ["broker", "root", "log", statement, *room.party(), "--state", room.folder / "state"]
    assert room.does(*line) == "written"
    assert room.does(*line) == "it is in the log already"
    assert "no log is named" in room.refuses("broker", "root", "log", statement, *room.party())


def test_no_secret_is_printed_or_left_in_the_open(room, token):
    said = room.does(*room.new("first", "--in-file"))
    key = (room.folder / "first" / "root.key").read_bytes()[-32:]
    said += room.does("broker", "root", "show", "--root-key", room.folder / "first" / "root.key")
    said += room.does(*room.root_command("recover", "x", *room.shares("first", "anna", "bruno"), *in_token(token)))
    assert key.hex() not in said and PIN not in said
    for file in room.folder.rglob("*"):
        if file.is_file() and file.name != "root.key":
            assert key not in file.read_bytes() and key[:16] not in file.read_bytes(), file


# -------------------------------------------------------------------------------------------------------- refusals


def test_what_is_asked_for_wrongly_is_refused_before_anything_is_made(room, token, monkeypatch):
    cases: list[tuple[list[object], str]] = [
        (room.new("out"), "kept in a token or in a file"),
        (room.new("out", "--in-file", *in_token(token)), "kept in a token or in a file"),
        (room.root_command("new", "out", "--in-file"), "without operators cannot be recovered"),
        (room.root_command("new", "out", *room.operators("anna", "bruno")[:-2], "--in-file"), "without operators"),
        (room.root_command("new", "out", *room.operators("anna"), "--in-file"), "2 of 1 shares cannot be asked for"),
        (room.new("out", "--in-file", "--no-backup"), "--no-backup is for a key that a token makes"),
        (room.new("out", "--token", token.place.token), "Give --pkcs11"),
        (room.new("out", "--token", "elsewhere", "--pkcs11", token.place.module), "there is no token 'elsewhere'"),
        (room.new("out", "--in-file", "--days", 0), "0 days is no lifetime"),
        (room.root_command("share", "out", *room.operators("anna", "bruno")), "Give --root-key, or --ceremony"),
        (room.new("key-anna", "--in-file"), "exists already"),
    ]
    for line, problem in cases:
        assert problem in room.refuses(*line), line
        assert not (room.folder / "out").exists()
    monkeypatch.setenv(PIN_VARIABLE, "wrong pin")
    said = room.refuses(*room.new("out", *in_token(token)))
    assert "refuses the PIN" in said and "wrong pin" not in said
    assert [p.name for p in room.folder.iterdir() if p.name.startswith(".")] == []


def test_too_few_operators_get_nothing(room):
    room.does(*room.new("first", "--in-file"))
    said = room.refuses(*room.root_command("recover", "out", *room.shares("first", "carla"), "--in-file"))
    assert "2 shares give the key, and 1 are here (of carla). Ask 1 more of: anna, bruno" in said
    assert not (room.folder / "out").exists()


@pytest.mark.parametrize("action", ["share", "recover"])
def test_a_key_put_together_is_wiped_though_nothing_can_be_said_of_it(room, monkeypatch, action):
    room.does(*room.new("first", "--in-file"))
    held: list[bytearray] = []

    def fails(recovered, *_given, **_options):
        held.append(recovered.key)
        assert any(recovered.key)
        raise HostError("the identity cannot sign", hint="Look at it")

    monkeypatch.setattr(root_recovery, "state", fails)
    rest = room.operators("bruno", "carla") if action == "share" else ["--in-file"]
    line = room.root_command(action, "out", *room.shares("first", "anna", "bruno"), *rest)
    assert "the identity cannot sign" in room.refuses(*line)
    assert held == [bytearray(32)] and not (room.folder / "out").exists()


def test_a_ceremony_of_another_key_is_refused(room):
    room.does(*room.new("first", "--in-file"))
    line = room.root_command("recover", "out", *room.shares("first", "anna", "bruno")[:-1], "00" * 32, "--in-file")
    assert "the ceremony of 'vault' is of root key" in room.refuses(*line)
    assert not (room.folder / "out").exists()


def test_a_log_that_takes_nothing_is_said_and_the_ceremony_stays(room):
    (room.folder / "state").write_text("no folder")
    code, out, err = room.run(*room.new("first", "--in-file", "--state", room.folder / "state"))
    assert code == 1 and "operator 3" in out
    assert "ceremony.statement is not in the log" in err and "nothing else is to be done again" in err
    room.does("broker", "root", "show", room.folder / "first" / "ceremony.statement", "--root", room.root)


def test_one_thing_is_shown(room):
    assert "one thing to show" in room.refuses("broker", "root", "show")
    room.does(*room.new("first", "--in-file"))
    key, statement = room.folder / "first" / "root.key", room.folder / "first" / "ceremony.statement"
    assert "one thing to show" in room.refuses("broker", "root", "show", statement, "--root-key", key)
    assert "Give --root" in room.refuses("broker", "root", "show", statement)
    assert "holds root key" in room.refuses("broker", "root", "show", "--root-key", key, "--root-identity", "00" * 32)
    share = room.folder / "first" / "anna.share"
    assert "quatrefoil:" in room.refuses("broker", "root", "show", share, "--root", room.root)


# ---------------------------------------------------------------------------------------------- killed at each step


class Steps:
    """Counts the durable steps of this process, and kills it before or after one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int | None = None, *, after: bool = False) -> None:
        self.count, self._at, self._after = 0, at, after
        for owner, name in ((os, "fsync"), (os, "link"), (Path, "rename"), (broker_root, "import_key")):
            monkeypatch.setattr(owner, name, self._step(getattr(owner, name)))

    def _step(self, real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **options: object) -> object:
            number, self.count = self.count, self.count + 1
            if number == self._at and not self._after:
                raise Killed
            done = real(*args, **options)
            if number == self._at:
                raise Killed
            return done

        return step


MOST_STEPS = 16


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("where", ["token", "file"])
def test_a_ceremony_killed_anywhere_is_nothing_or_whole(room, consortium, where, after):
    def begin(out: str, target: list[object], patch: pytest.MonkeyPatch, at: int | None) -> int:
        with patch.context() as patched:
            steps = Steps(patched, at, after=after)
            try:
                room.run(*room.new(out, *target))
            except Killed:
                assert at is not None
            return steps.count

    patch = pytest.MonkeyPatch()
    patch.setenv(PIN_VARIABLE, PIN)
    try:
        token = SoftToken() if where == "token" else None
        total = begin("counted", ["--in-file"] if token is None else in_token(token), patch, None)
        assert 6 <= total <= MOST_STEPS
        for at in range(total):
            token = SoftToken() if where == "token" else None
            target = ["--in-file"] if token is None else in_token(token)
            out = f"at-{at}"
            begin(out, target, patch, at)
            folder = room.folder / out
            if folder.exists():
                check(room, out, token)
            else:
                room.does(*room.new(out, *target))
                check(room, out, token)
            assert [p.name for p in room.folder.iterdir() if p.name.startswith(".")] == []
    finally:
        patch.undo()


def check(room: Room, out: str, token: SoftToken | None) -> None:
    """The folder is whole, the one key is in its place, and the shares give that key."""
    said = room.shown(room.folder / out / "ceremony.statement", "--root", room.root)
    files = {"ceremony.statement", "kept-in", *(f"{name}.share" for name in OPERATORS)}
    if token is not None:
        assert [one.hex() for one in identities(token.place, token.pin)] == [said["root"]]
    else:
        files |= {"root.key"}
        assert FileRootKey.load(room.folder / out / "root.key").identity().hex() == said["root"]
    assert {file.name for file in (room.folder / out).iterdir()} == files
    again = f"{out}-recovered"
    room.does(*room.root_command("recover", again, *room.shares(out, "anna", "carla"), "--in-file"))
    assert FileRootKey.load(room.folder / again / "root.key").identity().hex() == said["root"]
    shutil.rmtree(room.folder / again)


def test_an_interrupted_ceremony_is_not_cleared_away_by_another_command(room, token, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(root_stage, "_finish", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            room.run(*room.new("out", *in_token(token)))
    assert len(identities(token.place, token.pin)) == 1
    elsewhere = SoftToken()
    said = room.refuses(*room.new("out", *in_token(elsewhere)))
    assert f"for a key in token '{token.place.token}'" in said
    assert identities(elsewhere.place, elsewhere.pin) == []
    room.does(*room.new("other", "--in-file"))
    said = room.refuses(
        *room.root_command("recover", "out", *room.shares("other", "anna", "bruno"), *in_token(token)),
    )
    assert "`quatrefoil broker root new` was interrupted while it made" in said
    assert "it is finished now" in room.does(*room.new("out", *in_token(token)))
    check(room, "out", token)


def test_a_recovery_that_is_killed_is_done_again(room, token, monkeypatch):
    room.does(*room.new("first", "--in-file"))
    line = room.root_command("recover", "again", *room.shares("first", "anna", "bruno"), *in_token(token))
    for broken in ("write", "import", "name"):
        with monkeypatch.context() as patched:
            if broken == "write":
                patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(Killed()))
            elif broken == "import":
                patched.setattr(broker_root, "import_key", lambda *_: (_ for _ in ()).throw(Killed()))
            else:
                patched.setattr(root_stage, "_finish", lambda *_: (_ for _ in ()).throw(Killed()))
            with pytest.raises(Killed):
                room.run(*line)
        assert not (room.folder / "again").exists()
    room.does(*line)
    assert len(identities(token.place, token.pin)) == 1
    assert sorted(p.name for p in (room.folder / "again").iterdir()) == ["kept-in", "recovery.statement"]
    assert root_pkcs11.LABEL == "quatrefoil-root"
