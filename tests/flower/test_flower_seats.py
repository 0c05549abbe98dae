"""A committee inside Flower: seats hold what members have in memory, and ClientApps come and go."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flower_room import ROUNDS, SILOS, SOON, FlowerRoom, Trained, is_model, mean
from flwr.app import Message
from seat_room import SeatRoom

from logs import entries_of
from process_memory import is_private
from quatrefoil import cli
from quatrefoil.contracts import TransportSecurity
from quatrefoil.demo.processes import command_line
from quatrefoil.federation import parts
from quatrefoil.federation.committee_messages import MemberRequest
from quatrefoil.federation.messages import RosterProposal
from quatrefoil.flower import strategy
from quatrefoil.flower.attending import Attending
from quatrefoil.flower.contents import ForSilo, FromSilo
from quatrefoil.flower.courier import TRAIN, Courier
from quatrefoil.flower.records import Carried
from quatrefoil.flower.replay import AT_ONCE, Answered
from quatrefoil.flower.seat_line import Line
from quatrefoil.services.rpc import LARGEST_EXPANSION
from quatrefoil.wire import LARGEST_MESSAGE


@pytest.fixture
def room(tmp_path: Path, costs_file: Path) -> Iterator[SeatRoom]:
    with SeatRoom(tmp_path, costs_file) as made:
        yield made


@pytest.fixture
def one(tmp_path: Path, costs_file: Path) -> Iterator[SeatRoom]:
    """With the seat of ambon alone."""
    with SeatRoom(tmp_path, costs_file, seats=False) as made:
        made.seat("ambon")
        yield made


def attempts(room: FlowerRoom, kind: str, name: str) -> list[tuple[object, object]]:
    """Of a silo's entries of this kind: rounds and attempts."""
    entries = [entry for entry in entries_of(room.log(name)) if entry.kind == kind]
    return [(entry.body["round"], entry.body["attempt"]) for entry in entries]


def restart(room: SeatRoom, name: str) -> None:
    room.kill(f"seat-{name}")
    assert room.socket(name).is_socket()  # what a process that was killed leaves there is no hindrance
    room.seat(name)


def refused_at(path: Path, length: int) -> list[str]:
    """What a seat says to a frame that announces this length, of which nothing comes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        connection.sendall(length.to_bytes(8, "big"))
        said, _, problem, _ = Line(connection).receive(begins=SOON)
    assert said == b"refused"
    return re.findall("here it has at most [0-9]+", problem.decode())


# ----------------------------------------------------------------------------------------------------------- whole jobs


def test_a_job_whose_keys_a_committee_holds_ends_with_the_weighted_mean(room: SeatRoom) -> None:
    apps = {name: Trained(name) for name in SILOS}
    grid = room.grid(apps)
    result = room.run(grid)
    assert is_model(result.arrays, ROUNDS * mean())
    # Beside hello, joining and the end: key, contribution, shares, answer (which may come too late), and evaluation.
    assert {len(node.received) for node in grid.nodes.values()} <= set(range(5 + 4 * ROUNDS, 6 + 5 * ROUNDS))
    for name, app in apps.items():
        assert [given["server-round"] for given in app.trainings] == [1, 2], name
        assert [float(model[0][0, 0]) for model in app.evaluated] == pytest.approx([mean(), 2 * mean()], abs=1e-3)
        assert attempts(room, "member-key", name) == attempts(room, "contribution", name) == [(1, 0), (2, 0)]
        assert (room.folder / "state" / name / "provenance.json").exists()
        said = room.told(name).splitlines()  # a silo begins anew with every message, and says so once
        assert [said.count(line) for line in said if "enrolled" in line or "started" in line] == [1, 1]
        assert [line.partition(":")[0] for line in said if "result accepted" in line] == ["round 1", "round 2"]
    loss = sum(abs(step) * samples for step, samples in SILOS.values()) / 100
    assert [dict(one) for one in result.train_metrics_clientapp.values()] == [{"loss": pytest.approx(loss)}] * ROUNDS
    answered = [set(attempts(room, "member-answer", name)) for name in SILOS]
    assert all(sum((number, 0) in one for one in answered) >= 2 for number in (1, 2))
    for name in ("aggregator", *SILOS):
        terms = ("--trust", str(room.root), "--policy", str(room.policy))
        assert cli.main(["audit", "verify", str(room.folder / "state" / name), *terms]) == 0

    # And a frame is refused by its length if it is longer than a message of this job can be.
    longest = LARGEST_MESSAGE + AT_ONCE * LARGEST_EXPANSION * 11
    assert refused_at(room.socket("ambon"), longest + 1) == [f"here it has at most {longest}"]

    crossed = b"".join(grid.crossed)
    for array in result.arrays.to_numpy_ndarrays():
        assert array.tobytes() not in crossed
    assert not [word for word in (b"layer.bias", b"told-nobody", b"member-key", b"answer") if word in crossed]
    assert np.full(3, SILOS["bari"][0], "<f4").tobytes() not in crossed


@pytest.mark.slow
def test_a_silo_may_have_a_seat_in_a_job_with_a_keeper_too(tmp_path: Path, costs_file: Path) -> None:
    with FlowerRoom(tmp_path, costs_file) as room:
        file = tmp_path / "bari.toml"
        file.write_text(file.read_text() + 'seat = "bari.sock"\n')
        SeatRoom.seat(room, "bari")  # type: ignore[arg-type]
        assert is_model(room.run(room.grid()).arrays, ROUNDS * mean())
        assert room.kinds("bari").count("contribution") == ROUNDS


# ------------------------------------------------------------------------------------------------- seats that are ended


def test_a_seat_that_is_killed_while_its_app_trains_is_silent_in_the_attempt_and_the_job_goes_on(
    room: SeatRoom, capfd: Any
) -> None:
    killed: list[int] = []

    def kill() -> None:
        if not killed:
            killed.append(1)
            restart(room, "bari")

    app = Trained("bari", kill)
    result = room.run(room.grid({"bari": app}))
    assert killed and is_model(result.arrays, ROUNDS * mean())
    assert len(app.trainings) == ROUNDS + 1  # what the first training led to went down with the seat
    assert attempts(room, "member-key", "bari") == [(1, 0), (2, 0)]
    assert (1, 0) not in attempts(room, "member-answer", "bari")
    assert "this member's key of round 1 attempt 0 is gone" in room.told("bari")
    assert "the other end of the seat's line is gone" in capfd.readouterr().err


@pytest.mark.slow
def test_a_seat_that_is_killed_after_its_update_was_recorded_sends_the_same_bytes(room: SeatRoom) -> None:
    app = Trained("cusco")
    grid, killed = room.grid({"cusco": app}), []

    def kill(node: int, message: Message) -> Message:
        """Once the first contribution is on its way."""
        if node == 103 and len(app.trainings) == 1 and not killed:
            killed.append(node)
            restart(room, "cusco")
        return message

    grid.to_server = kill
    result = room.run(grid)
    assert killed and is_model(result.arrays, ROUNDS * mean())
    assert len(app.trainings) == ROUNDS
    assert attempts(room, "contribution", "cusco") == [(1, 0), (2, 0)]
    assert (1, 0) not in attempts(room, "member-answer", "cusco")


@pytest.mark.slow
def test_with_more_seats_gone_than_may_be_silent_the_attempt_is_void_and_the_next_one_is_answered(
    room: SeatRoom,
) -> None:
    apps = {name: Trained(name) for name in SILOS}
    grid, killed = room.grid(apps), set()

    def kill(node: int, message: Message) -> Message:
        name = list(SILOS)[node - 101]
        if name != "ambon" and len(apps[name].trainings) == 1 and name not in killed:
            killed.add(name)
            restart(room, name)
        return message

    grid.to_server = kill
    result = room.run(grid)
    assert killed == {"bari", "cusco"} and is_model(result.arrays, ROUNDS * mean())
    assert (1, 1) in attempts(room, "member-key", "ambon")


@pytest.mark.slow
def test_a_node_without_a_seat_waits_for_it(tmp_path: Path, costs_file: Path, capfd: Any) -> None:
    with SeatRoom(tmp_path, costs_file, seats=False) as room:
        room.seat("ambon", "cusco")
        grid, began = room.grid(), []

        def begin(node: int, message: Message) -> Message:
            if node == 102 and message.has_error() and not began:
                began.append(message.error.reason)
                room.seat("bari")
            return message

        grid.to_server = begin
        assert is_model(room.run(grid).arrays, ROUNDS * mean())
        assert "no seat of this silo has begun" in began[0] and "quatrefoil flower seat" in began[0]


# -------------------------------------------------------------------------------------------------------------- attacks


def test_a_member_refuses_a_second_roster_that_is_brought_through_flower(
    room: SeatRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aggregator itself asks ambon, through the SuperLink and the ClientApp, for another roster of an attempt that
    it has answered: the difference would be one silo's update."""
    keys: list[TransportSecurity] = []

    class Seen(Attending):
        def __init__(self, *arguments: Any, security: TransportSecurity, **options: Any) -> None:
            keys.append(security)
            super().__init__(*arguments, security=security, **options)

    said: list[FromSilo] = []

    class Curious(Courier):
        async def _answer(self, question: bytes) -> None:
            if self._silo == "ambon" and parts.split(question, 2)[0] == b"answer" and not said:
                response = self._answers[-1].response  # what ambon has just been asked
                offer, request = parts.split(parts.split(parts.split(response, 2)[1], 2)[1], 2)
                proposal = RosterProposal.decode(keys[0].verify(MemberRequest.decode(request).proposal).body)
                fewer = replace(
                    proposal, contributors=proposal.contributors[:2], contributions=proposal.contributions[:2]
                )
                second = MemberRequest(keys[0].sign(fewer.encode()), ()).encode()
                news = parts.join([b"answer", parts.join([offer, second])])
                answers = [Answered.to(self._next(), parts.join([b"ok", news]))]
                message = ForSilo(answers, self._app.names, {}).encode()
                said.append(FromSilo.decode(await self._carry(message, TRAIN)))
            await super()._answer(question)

    monkeypatch.setattr(strategy, "Attending", Seen)
    monkeypatch.setattr("quatrefoil.flower.attending.Courier", Curious)
    result = room.run(room.grid())
    method, body = parts.split(said[0].question, 2)
    assert method == b"silent" and b"asks for a second roster of one attempt" in parts.split(body, 2)[1]
    refused = [entry.body for entry in entries_of(room.log("ambon")) if entry.kind == "refusal"]
    assert any("second roster" in str(body["reason"]) and body.get("party") == "aggregator" for body in refused)
    assert attempts(room, "member-answer", "ambon").count((1, 0)) == 1
    assert is_model(result.arrays, ROUNDS * mean())


def test_what_an_app_sends_to_a_seat_besides_changes_nothing(room: SeatRoom) -> None:
    def meddle() -> None:
        """While the seat waits for this training, its app talks to the others, and to the seat itself."""
        for name in SILOS:
            for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(8), os.urandom(300), (5).to_bytes(8, "big") + b"x"):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                    line.connect(str(room.socket(name)))
                    line.sendall(garbage)

    result = room.run(room.grid({"bari": Trained("bari", meddle)}))
    assert is_model(result.arrays, ROUNDS * mean())
    refused = [entry.body for entry in entries_of(room.log("ambon")) if entry.kind == "refusal"]
    assert len(refused) >= 3 and {body.get("address") for body in refused} == {"a process on this machine"}


def test_a_message_that_is_brought_again_is_refused_and_nothing_is_done_for_it(room: SeatRoom) -> None:
    """By the SuperLink or by an app's code: done again it would fill the log, and count as the aggregator's doing."""
    grid, brought, said = room.grid(), [], []

    def keep(node: int, message: Message) -> Message:
        if node == 101 and not Carried.read(message.content).hello:
            brought.append(Carried.read(message.content))
        return message

    def repeat(node: int, message: Message) -> Message:
        if node == 101 and message.has_content() and not Carried.read(message.content).hello:
            for one in (brought[-1], brought[0]):
                reply = grid.nodes[101].reply(
                    77, 101, Message(one.record(), 101, message.metadata.message_type, ttl=60.0)
                )
                said.append(reply.error.reason if reply.has_error() else "")
        return message

    grid.to_node, grid.to_server = keep, repeat
    assert is_model(room.run(grid).arrays, ROUNDS * mean())
    refused = [one for one in said if "was brought before" in one or "was altered" in one or "no such session" in one]
    assert said and refused == said and any("was brought before, or after" in one for one in said)
    kinds = room.kinds("ambon")
    assert kinds.count("member-key") == kinds.count("contribution") == ROUNDS and "refusal" not in kinds


def test_an_app_that_brings_a_message_of_its_own_gets_nothing(one: SeatRoom) -> None:
    node = one.grid().nodes[101]
    for carried in (Carried(os.urandom(400), hello=True), Carried(os.urandom(400), session=bytes(48), number=1)):
        reply = node.reply(77, 101, Message(carried.record(), 101, "train", ttl=60.0))
        assert reply.has_error() and "MessageRefused" in reply.error.reason


# --------------------------------------------------------------------------------------------------------------- seats


def test_before_a_job_is_agreed_a_seat_takes_no_model(one: SeatRoom) -> None:
    assert refused_at(one.socket("ambon"), LARGEST_MESSAGE + 1) == [f"here it has at most {LARGEST_MESSAGE}"]


def test_a_seat_leaves_no_core_file(one: SeatRoom) -> None:
    assert is_private(one.running["seat-ambon"].pid)


def test_a_second_seat_of_one_silo_does_not_start(one: SeatRoom) -> None:
    one._spawn("second", command_line("flower", "seat", str(one.folder / "ambon.toml")))
    assert one.running.pop("second").wait(SOON) == 1
    assert "state" in one.output("second") and one.socket("ambon").is_socket()


@pytest.mark.slow
def test_a_seat_that_is_stopped_leaves_nothing_behind_and_goes_on(room: SeatRoom) -> None:
    process = room.running["seat-ambon"]
    process.terminate()
    assert process.wait(SOON) == 0
    assert not room.socket("ambon").exists() and "stopped: what it held" in room.told("ambon")
    room.seat("ambon")
    assert is_model(room.run(room.grid()).arrays, ROUNDS * mean())
