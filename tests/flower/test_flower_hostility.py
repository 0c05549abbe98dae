"""Who stands between ServerApp and nodes meddles, silos fail, files are wrong: who is at fault is named, no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flower_room import ROUNDS, SILOS, FlowerRoom, Trained, is_model, mean
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from memory_grid import Node

from quatrefoil.errors import CallerError, MessageRefused, PolicyError, PolicyInvalid
from quatrefoil.flower.contents import ForSilo, FromSilo, decode_values, encode_values
from quatrefoil.flower.records import Carried
from quatrefoil.flower.settings import SIMULATED, aggregator_settings, silo_file, silo_settings


def altered(message: Message) -> Message:
    carried = Carried.read(message.content)
    payload = carried.payload[:-1] + bytes([carried.payload[-1] ^ 1])
    message.content = Carried(payload, carried.hello, carried.session, carried.number).record()
    return message


def test_what_a_superlink_alters_or_repeats_is_refused_in_nobody_s_name_and_asked_for_again(
    room: FlowerRoom, capfd: Any
) -> None:
    grid, done, kept = room.grid(), [], {}

    def to_server(node: int, message: Message) -> Message:
        if node == 101 and len(done) < 2 and message.has_content() and not Carried.read(message.content).hello:
            done.append("altered")
            return altered(message)
        if node == 102 and message.has_content() and not Carried.read(message.content).hello:
            before = kept.setdefault("content", message.content)
            if before is not message.content and "repeated" not in done:
                done.append("repeated")
                message.content = before
        return message

    def to_node(node: int, message: Message) -> Message:
        if node == 103 and not Carried.read(message.content).hello and "to silo" not in done:
            done.append("to silo")
            return altered(message)
        return message

    grid.to_server, grid.to_node = to_server, to_node
    result = room.run(grid)
    assert is_model(result.arrays, ROUNDS * mean())
    assert {"altered", "repeated", "to silo"} == set(done)
    told = capfd.readouterr().err
    assert "ambon: message 1 (train) was altered on its way, or is another one; trying again" in told
    assert "bari: the SuperLink delivered the reply to another message; trying again" in told
    assert "cusco: node 103 did not reply" in told
    assert not [name for name in SILOS if "refusal" in room.kinds(name)] and "refusal" not in room.kinds("aggregator")


def test_a_silo_whose_training_fails_is_named_and_its_data_is_not_quoted(room: FlowerRoom, capfd: Any) -> None:
    def fail() -> None:
        raise ValueError("could not convert 'John Smith' to float")

    (room.folder / "aggregator.toml").write_text(
        (room.folder / "aggregator.toml").read_text().replace("deadline = 60.0", "deadline = 3.0")
    )
    grid = room.grid({"bari": Trained("bari", fail)})
    result = room.run(grid)
    assert is_model(result.arrays, ROUNDS * mean("ambon", "cusco"))
    told = capfd.readouterr().err
    assert "bari stopped: CallerError: the app's train function raised ValueError" in told
    assert not [crossed for crossed in grid.crossed if b"John Smith" in crossed or b"ValueError" in crossed]


def test_a_run_whose_silos_all_stop_ends_and_names_them_with_their_reasons(room: FlowerRoom) -> None:
    """At once, however long a round may wait: here for longer than this test may run."""
    patient(room)
    for name, (_, samples) in SILOS.items():
        room.write_silo(name, samples=samples + 1)
    with pytest.raises(PolicyError) as ended:
        room.run(room.grid())
    assert ended.value.problem.startswith("0 of at least 2 silos contributed in time; missing ambon, bari, cusco")
    for name, (_, samples) in SILOS.items():
        why = f"UpdateRefused: the app trained on {samples} samples, this silo has enrolled with {samples + 1}"
        assert f"; {name} stopped: {why}" in ended.value.problem
    assert [kind for kind in room.kinds("aggregator") if kind == "round-finished"] == []


def test_a_run_goes_on_without_a_silo_that_stopped_and_waits_for_nobody_who_said_so(room: FlowerRoom) -> None:
    patient(room)
    room.write_silo("bari", samples=SILOS["bari"][1] + 1)
    assert is_model(room.run(room.grid()).arrays, ROUNDS * mean("ambon", "cusco"))


@pytest.mark.slow
def test_what_keeps_a_silo_from_joining_is_in_the_error_that_ends_the_run(room: FlowerRoom) -> None:
    text = (room.folder / "aggregator.toml").read_text()
    (room.folder / "aggregator.toml").write_text(text.replace("give-up = 60.0", "give-up = 20.0"))
    room.write_silo("bari", samples=2000)  # over the policy's largest
    with pytest.raises(PolicyError, match=r"not agreed in time.*bari.*; bari stopped: .*2000.*1000"):
        room.run(room.grid())


def patient(room: FlowerRoom) -> None:
    """A run that waits for a silo for hours."""
    text = (room.folder / "aggregator.toml").read_text()
    text = text.replace("deadline = 60.0", "deadline = 36000").replace("give-up = 60.0", "give-up = 36000")
    (room.folder / "aggregator.toml").write_text(text)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda given, metrics: [], "replied with 0 ArrayRecords"),
        (lambda given, metrics: [given, given], "replied with 2 ArrayRecords"),
        (
            lambda given, metrics: [ArrayRecord(dict(reversed(given.items())))],
            "replied with arrays layer.bias, layer.w",
        ),
        (lambda given, metrics: [ArrayRecord({n: Array(np.zeros(3)) for n in given})], "do not have the agreed layout"),
        (lambda given, metrics: metrics.update({"num-examples": 11}) or [given], "trained on 11 samples"),
    ],
    ids=["no arrays", "two records", "another order", "other shapes", "another count"],
)
def test_an_app_that_replies_with_anything_but_the_model_is_refused_at_its_node(
    room: FlowerRoom, capfd: Any, reply: Any, said: str
) -> None:
    class Other(Trained):
        def train(self, message: Message, context: Any) -> Message:
            metrics = MetricRecord()
            records = {str(at): one for at, one in enumerate(reply(message.content["arrays"], metrics))}
            return Message(RecordDict({**records, "metrics": metrics}), reply_to=message)

    (room.folder / "aggregator.toml").write_text(
        (room.folder / "aggregator.toml").read_text().replace("deadline = 60.0", "deadline = 3.0")
    )
    result = room.run(room.grid({"bari": Other("bari")}))
    assert is_model(result.arrays, ROUNDS * mean("ambon", "cusco"))
    assert said in capfd.readouterr().err


def test_whoever_is_no_silo_of_the_job_is_not_attended(room: FlowerRoom, capfd: Any) -> None:
    from quatrefoil.transport import CertificateAuthority, system_clock

    authority = CertificateAuthority.load(room.folder / "ca", clock=system_clock)
    authority.issue("dakar", "silo", directory=room.folder / "identities" / "dakar")
    room.write_silo("dakar", samples=5)
    grid = room.grid()
    grid.nodes[104] = Node(Trained("bari").app, {"quatrefoil": str(room.folder / "dakar.toml")})
    grid.nodes[105] = Node(Trained("bari").app, {})
    room.write_silo("elba", identity="keeper", samples=5)
    grid.nodes[106] = Node(Trained("bari").app, {"quatrefoil": str(room.folder / "elba.toml")})
    assert is_model(room.run(grid).arrays, ROUNDS * mean())
    told = capfd.readouterr().err
    assert "dakar, at node 104, is not invited to this job" in told
    assert "node 105 does not answer a hello" in told and "does not say which silo it is" in told
    assert "node 106 does not answer a hello" in told and "the role needed is silo" in told


# ---------------------------------------------------------------------------------------------------------------- files


def write(folder: Path, text: str) -> Path:
    file = folder / "silo.toml"
    file.write_text(text)
    return file


SILO = 'identity = "i"\nroot = "r.pem"\npolicy = "/p.toml"\nstate = "s"\naggregator = "hub"\nsamples = 5\n'


def test_a_silo_s_file_is_read_as_the_options_of_the_command(tmp_path: Path) -> None:
    options = silo_settings(write(tmp_path, SILO + 'metrics = ["loss", "f1"]\nthreads = 2\n'))
    assert (options.identity, options.policy) == (tmp_path / "i", Path("/p.toml"))
    assert (options.metrics, options.threads, options.samples) == (["loss", "f1"], 2, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SILO.replace("samples = 5\n", ""), "--samples"),
        (SILO.replace("samples = 5", "samples = 0"), "--samples"),
        (SILO.replace("samples = 5", "samples = true"), "samples is neither text nor a number"),
        (SILO + "train = 'x'\n", "train is not a known key"),
        (SILO + "metrics = [['a']]\n", "metrics is neither text nor a number"),
        (SILO.replace('"hub"', '"../hub"'), "cannot be a party's name"),
    ],
)
def test_a_silo_s_file_that_is_wrong_is_refused_by_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CallerError, match=said) as refused:
        silo_settings(write(tmp_path, text))
    assert "party's name" in said or str(tmp_path / "silo.toml") in str(refused.value)


def test_a_file_that_is_no_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"silo\.toml:1"):
        silo_settings(write(tmp_path, "identity ="))
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        aggregator_settings(tmp_path / "absent.toml")


def test_a_node_s_file_is_named_where_the_node_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert silo_file({"quatrefoil": "/etc/silo.toml"}) == Path("/etc/silo.toml")
    with pytest.raises(CallerError, match="does not say which silo it is"):
        silo_file({"partition-id": 1})
    monkeypatch.setenv(SIMULATED, str(tmp_path))
    assert silo_file({"partition-id": 1}) == tmp_path / "silo-1.toml"
    with pytest.raises(CallerError, match="does not say which silo it is"):
        silo_file({"quatrefoil": 5})


# -------------------------------------------------------------------------------------------------------------- records


def test_contents_travel_as_they_are() -> None:
    sent = ForSilo([], ["a", "ü"], {"rate": 0.5, "n": 3, "on": True, "l": [1, 2], "b": b"\0", "s": "x"}, 7)
    assert ForSilo.decode(sent.encode()) == sent
    said = FromSilo(b"question", [0, 3], {"loss": 1.5}, "why")
    assert FromSilo.decode(said.encode()) == said


@pytest.mark.parametrize("values", [{"a": None}, {"a": {"b": 1}}, {"a": [1, "x"]}, {"a": [[1]]}])
def test_a_value_that_no_record_holds_is_refused_on_either_side(values: dict[str, Any]) -> None:
    import cbor2

    with pytest.raises(CallerError, match="no record of Flower"):
        encode_values(values)
    with pytest.raises(MessageRefused, match="no record of Flower"):
        decode_values(cbor2.dumps(values, canonical=True))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80", b"\xa1\x01\x01", b"\xa0\xa0"])
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        decode_values(data)


@pytest.mark.parametrize("done", [b"\xa0", b"\x81\x20", b"\x81\xf5", b"\x81a0"])
def test_positions_that_are_none_are_refused(done: bytes) -> None:
    from quatrefoil.federation import parts

    with pytest.raises(MessageRefused):
        FromSilo.decode(parts.join([b"", done, b"\xa0", b"", b""]))


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"arrays": ArrayRecord({"a": Array(np.zeros(2))})}),
        RecordDict({"quatrefoil": ConfigRecord({"sealed": 1}), "quatrefoil-as": ConfigRecord()}),
    ],
)
def test_a_message_that_is_none_of_ours_is_refused(content: RecordDict) -> None:
    with pytest.raises(MessageRefused, match="none of ours"):
        Carried.read(content)


@pytest.mark.parametrize(
    "said", [{"number": -1}, {"number": "1"}, {"session": "x"}, {"hello": 1}, {"number": 1 << 62, "session": 5}]
)
def test_a_message_in_another_form_is_refused(said: dict[str, Any]) -> None:
    content = Carried(b"x").record()
    content["quatrefoil-as"] = ConfigRecord({"hello": False, "session": b"", "number": 0} | said)
    with pytest.raises(MessageRefused, match="not in the form"):
        Carried.read(content)


def test_an_array_of_another_kind_is_refused() -> None:
    content = Carried(b"x").record()
    content["quatrefoil"] = ArrayRecord({"sealed": Array(np.zeros(2))})
    with pytest.raises(MessageRefused, match="not in the form"):
        Carried.read(content)
