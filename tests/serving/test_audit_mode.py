"""Audit mode over a real server and client: what receipts commit to, what is recorded, and who can read it."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference import integer_graph

from float_models import classifier, numbers, perceptron
from quatrefoil.audit.computations import opening_keys, require_outputs, rho_of
from quatrefoil.audit.inference_receipts import sign
from quatrefoil.client import Answer, Client, require_computed
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import (
    CallerError,
    EvidenceRejected,
    HostError,
    MessageRefused,
    ModelRefused,
    QuatrefoilError,
    StateCorrupt,
)
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.compiler import Widths, quantise
from quatrefoil.quantised.rule import Rule
from quatrefoil.serving import recording
from quatrefoil.serving.audited import AuditedModel, Trace
from quatrefoil.serving.model import engine_of
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.recorded import Recorded, recorded
from quatrefoil.serving.recording import MAGIC, Recorder
from quatrefoil.tlog import disk, records
from quatrefoil.transport import sealed, system_clock
from serving_world import ISSUER, Running, running, serving_policy
from small_models import linear
from support import Consortium

GRAPH = quantise(perceptron(), numbers(7, 40, 6))
FILE = onnx_form.encode(GRAPH)
KEY, OTHER = (sealed.RecipientKey.generate(sealed.HYBRID_768) for _ in range(2))
SAMPLES = numbers(11, 5, 6)
POLICY = serving_policy(model__name="graph")


@dataclass
class Audited:
    """A server in audit mode, and whoever may read what it records."""

    server: Running
    folder: Path
    people: Consortium
    model: AuditedModel

    def client(self, **more: Any) -> Client:
        return Client(
            self.server.url,
            **more,
            policy=POLICY,
            collateral=self.server.collateral,
            identity=self.people.identity("hospital", "silo"),
            trust=self.people.trust,
        )

    def answers(self, *batches: Any) -> list[Answer]:
        with self.client() as client:
            return [client.infer({"x": batch}) for batch in batches]

    def read(self, **changes: Any) -> list[Recorded]:
        given: dict[str, Any] = {"key": KEY, "trust": self.people.trust, "sender": ISSUER, "clock": system_clock}
        self.told: list[str] = []
        return list(recorded(self.folder, self.model.field_hash, report=self.told.append, **(given | changes)))

    @property
    def file(self) -> Path:
        (found,) = self.folder.iterdir()
        return found


@contextmanager
def audited(people: Consortium, folder: Path, file: bytes = FILE) -> Iterator[Audited]:
    model = AuditedModel(file)
    recorder = Recorder(
        folder / "recorded",
        model,
        recipients=[KEY.recipient],
        sender=lambda: people.identity(ISSUER, "workload"),
        clock=system_clock,
    )
    handler = OipHandler(engine_of(file, POLICY, threads=1), POLICY, recorder=recorder)
    with running(people, folder / "server", policy=POLICY, handler=handler, recorder=recorder) as server:
        yield Audited(server, folder / "recorded", people, model)


@pytest.fixture
def room(consortium: Consortium, tmp_path: Path) -> Iterator[Audited]:
    with audited(consortium, tmp_path) as made:
        yield made


def test_what_was_answered_is_recorded_and_is_what_the_graph_computes(room: Audited) -> None:
    first, second = room.answers(SAMPLES[:1], SAMPLES)
    room.server.stop()
    assert room.server.failed is None
    one, two = room.read()
    assert [one.sequence, two.sequence] == [0, 1] and not room.told
    for answer, found, samples in ((first, one, SAMPLES[:1]), (second, two, SAMPLES)):
        receipt = answer.receipt
        assert receipt is not None and receipt.encoded == found.receipt
        assert found.said == receipt.fields and found.keyset == receipt.keyset
        assert (found.outputs / 2.0 ** GRAPH.exponents[-1] == answer.outputs["y"]).all()
        assert as_the_reference_has_them(samples) == (found.inputs.tolist(), found.outputs.tolist())


def as_the_reference_has_them(samples: Any) -> tuple[list[list[int]], list[list[int]]]:
    inputs = [[integer_graph.entry(GRAPH.input, x) for x in sample] for sample in samples]
    return inputs, [list(answer) for answer in integer_graph.answers(GRAPH, samples)]


@pytest.mark.parametrize("options", [{}, {"keepdims": 1, "select_last_index": 1}])
def test_of_a_model_that_ends_in_an_arg_max_receipts_hold_places(
    consortium: Consortium, tmp_path: Path, options: dict[str, int]
) -> None:
    graph = quantise(classifier(3, inputs=6, relu=True, **options), numbers(7, 40, 6))
    rule = Rule.decode(Rule.of(graph).encode())
    with audited(consortium, tmp_path, onnx_form.encode(graph)) as room:
        with room.client(computes=rule) as client:
            answer = client.infer({"x": SAMPLES})
        room.server.stop()
        (found,) = room.read()
    places = answer.outputs["y"]
    assert places.dtype == np.int64 and places.shape == ((5, 1) if options else (5,))
    assert found.outputs.tolist() == [[place] for place in places.reshape(-1)]
    assert integer_graph.answers(graph, SAMPLES) == places.tolist()
    assert answer.receipt is not None
    for wrong in ((places + 1) % 5, places[::-1].copy(), places - 5):
        if not (wrong == places).all():
            with pytest.raises(EvidenceRejected, match="other"):
                require_computed(answer.receipt, rule, {"x": SAMPLES}, {"y": wrong})


def test_a_client_opens_both_with_its_salt(room: Audited) -> None:
    (answer,) = room.answers(SAMPLES)
    assert answer.receipt is not None
    keys, said = opening_keys(answer.receipt.salt), answer.receipt.fields
    trace = room.model.of(SAMPLES, answer.outputs["y"])
    made = room.model.commit(trace, keys)
    assert (made.inputs, made.outputs) == (said.inputs, said.outputs)
    require_outputs(said, keys.outputs, trace.outputs)
    (found,) = room.read()
    assert (found.inputs_key, found.output_key) == (keys.inputs, keys.outputs)
    length = room.model.field_hash.rho_bytes
    assert found.rho == tuple(rho_of(keys.inputs, row, length) for row in range(5))


def test_a_client_that_knows_the_rule_holds_receipts_to_it(room: Audited) -> None:
    rule = Rule.decode(Rule.of(GRAPH).encode())
    assert rule == room.model.rule
    with room.client(computes=rule) as client:
        answer = client.infer({"x": SAMPLES})
        client.infer({"x": SAMPLES[:2].tolist()})
    assert answer.receipt is not None
    for inputs, outputs, check in (
        (SAMPLES[::-1], answer.outputs["y"], "inputs"),
        (SAMPLES[:4], answer.outputs["y"], "inputs"),
        (SAMPLES, answer.outputs["y"][::-1], "outputs"),
        (SAMPLES, answer.outputs["y"] + np.float32(2.0 ** -GRAPH.exponents[-1]), "outputs"),
    ):
        with pytest.raises(EvidenceRejected) as told:
            require_computed(answer.receipt, rule, {"x": inputs}, {"y": outputs})
        assert told.value.check == check
    with pytest.raises(MessageRefused, match="no integer graph"):
        require_computed(answer.receipt, rule, {"x": SAMPLES}, {"y": answer.outputs["y"] + np.float32(0.3)})
    with pytest.raises(MessageRefused, match="was asked"):
        require_computed(answer.receipt, rule, {"z": SAMPLES}, {"y": answer.outputs["y"]})


def test_a_server_that_commits_to_another_computation_is_caught(room: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, a server could prove answers that nobody got."""
    honest = room.model.commit
    for change in (
        lambda trace: Trace(trace.inputs, trace.outputs + 1),
        lambda trace: Trace(-1 - trace.inputs, trace.outputs),
    ):
        monkeypatch.setattr(room.model, "commit", lambda trace, keys, change=change: honest(change(trace), keys))
        with room.client(computes=room.model.rule) as client, pytest.raises(EvidenceRejected, match="other"):
            client.infer({"x": SAMPLES})


def test_a_client_with_a_rule_takes_no_receipt_that_says_nothing(server: Running) -> None:
    client = Client(
        server.url,
        policy=server.policy,
        collateral=server.collateral,
        identity=server.people.identity("hospital", "silo"),
        trust=server.people.trust,
        computes=Rule.of(GRAPH),
    )
    with client, pytest.raises(EvidenceRejected, match="does not commit") as told:
        client.infer({"x": np.ones((1, 3), "f4")})
    assert told.value.check == "inputs"


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("output"),
        lambda said: said.update(format="quatrefoil.integer-rule/2"),
        lambda said: said.update(more=1),
        lambda said: said["input"].__setitem__(1, [0]),
        lambda said: said["input"].__setitem__(2, 65),
        lambda said: said["input"].__setitem__(3, 1),
        lambda said: said["input"].__setitem__(4, 1 << 16),
        lambda said: said["output"].__setitem__(1, 1.5),
        lambda said: said["output"].__setitem__(0, None),
    ],
)
def test_what_is_no_rule_is_refused(change: Any) -> None:
    said = json.loads(Rule.of(GRAPH).encode())
    change(said)
    with pytest.raises(ModelRefused, match="no rule"):
        Rule.decode(json.dumps(said).encode())


def test_receipts_of_what_computes_nothing_commit_to_nothing(room: Audited) -> None:
    with room.client() as client:
        with pytest.raises(QuatrefoilError):
            client.infer({"x": np.ones((1, 7), "f4")})
        client.infer({"x": SAMPLES})
    room.server.stop()
    bodies = [entry.body for entry in room.server.log.entries() if entry.kind == "inference"]
    assert [bool(body["inputs"]) for body in bodies if body["status"] == 200][-1:] == [True]
    assert all(not body["inputs"] and not body["outputs"] for body in bodies if body["status"] != 200)
    assert len(room.read()) == 1


def test_a_server_without_it_commits_to_nothing(server: Running) -> None:
    client = Client(
        server.url,
        policy=server.policy,
        collateral=server.collateral,
        identity=server.people.identity("hospital", "silo"),
        trust=server.people.trust,
    )
    with client:
        receipt = client.infer({"x": np.ones((1, 3), "f4")}).receipt
    assert receipt is not None and (receipt.fields.inputs, receipt.fields.outputs) == (b"", b"")


def test_a_record_is_written_before_its_answer_goes_out_and_synchronised_before_the_log(
    room: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, an operator whose process was killed could not prove an answer that its log has."""
    room.answers(SAMPLES)
    assert len(room.read()) == 1, "while the server still runs"
    order: list[str] = []
    recorder = room.server.records._recorder
    assert recorder is not None
    synchronise, flush = recorder.synchronise, room.server.issuer.flush
    monkeypatch.setattr(recorder, "synchronise", lambda: (order.append("record"), synchronise())[1])
    monkeypatch.setattr(room.server.issuer, "flush", lambda: (order.append("log"), flush())[1])
    room.server.records.flush().result(10)
    assert order[:2] == ["record", "log"]


def test_each_keyset_has_a_file(room: Audited) -> None:
    room.answers(SAMPLES)
    room.server.rotate()
    room.answers(SAMPLES[:2])
    found = room.read()
    assert len({one.keyset for one in found}) == 2 == len(list(room.folder.iterdir()))
    assert [one.sequence for one in found] == [0, 0]


def test_nothing_of_it_can_be_read_in_the_file(room: Audited) -> None:
    room.answers(SAMPLES)
    (found,) = room.read()
    content = room.file.read_bytes()
    integers = (found.inputs.astype("<i4").tobytes(), found.outputs.astype("<i4").tobytes())
    for secret in (*integers, found.inputs_key, found.output_key, SAMPLES.tobytes(), found.rho[0][:32]):
        assert secret not in content


# ------------------------------------------------------------------------------------------------------------- attacks


def test_another_key_reads_nothing(room: Audited) -> None:
    room.answers(SAMPLES)
    with pytest.raises(MessageRefused):
        room.read(key=OTHER)


def test_what_another_party_wrote_is_refused(room: Audited) -> None:
    room.answers(SAMPLES)
    with pytest.raises(MessageRefused):
        room.read(sender="somebody")


def test_a_torn_record_at_the_end_is_told_and_the_others_are_there(room: Audited) -> None:
    room.answers(SAMPLES, SAMPLES[:1])
    room.server.stop()
    whole = room.file.read_bytes()
    for cut in (1, 40, 100):
        room.file.write_bytes(whole[:-cut])
        assert len(room.read()) == 1
        assert "was not written whole" in room.told[0]
    room.file.write_bytes(whole + whole[len(MAGIC) : len(MAGIC) + 16] + b"\0\0")
    assert len(room.read()) == 2 and room.told
    room.file.write_bytes(whole[: len(MAGIC) + 5])
    assert room.read() == [] and "holds nothing" in room.told[0]


def test_a_damaged_record_before_the_last_is_refused(room: Audited) -> None:
    room.answers(SAMPLES, SAMPLES)
    room.server.stop()
    content = bytearray(room.file.read_bytes())
    mark = bytes(content[len(MAGIC) : len(MAGIC) + 16])
    second = content.index(mark, content.index(mark, len(MAGIC) + 16) + 1)
    content[second + 80] ^= 1
    room.file.write_bytes(content)
    with pytest.raises(StateCorrupt, match="damaged record before its last"):
        room.read()


def rewritten(room: Audited, change: Any) -> None:
    """The file again, each record after the first through ``change(number, content)`` in a list of contents."""
    content = room.file.read_bytes()
    found = records.read(MAGIC, content)
    assert found is not None
    contents = change(list(found.whole))
    room.file.write_bytes(MAGIC + found.mark + b"".join(records.record(found.mark, one) for one in contents))


def test_swapped_repeated_and_altered_records_are_refused(room: Audited) -> None:
    room.answers(SAMPLES, SAMPLES[:2], SAMPLES[:3])
    room.server.stop()
    whole = room.file.read_bytes()
    for change, told in (
        (lambda c: [c[0], c[2], c[1], c[3]], "after record"),
        (lambda c: [c[0], c[1], c[1]], "after record"),
        (lambda c: [c[0], c[1][:-1] + bytes([c[1][-1] ^ 1])], "does not open"),
        (lambda c: [c[0], c[2][:8] + c[1][8:]], "does not open"),
        (lambda c: [c[0], b"short"], "does not open"),
    ):
        rewritten(room, change)
        with pytest.raises(StateCorrupt, match=told):
            room.read()
        room.file.write_bytes(whole)
    room.file.rename(room.folder / f"{hashlib.sha256(b'other').hexdigest()}.recorded")
    with pytest.raises(StateCorrupt, match="another keyset"):
        room.read()


@pytest.mark.parametrize("what", ["inputs", "outputs", "inputs_key", "outputs_key", "rows", "receipt"])
def test_a_record_that_does_not_fit_its_receipt_is_refused_by_its_number(
    room: Audited, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever holds the key could write what was never answered: a proof of it would be about nothing."""
    honest = recording.Record

    def lying(*fields: Any) -> recording.Record:
        record = honest(*fields)
        values = dict(vars(record))
        if what == "rows":
            values["rows"] = 4
        elif what == "receipt":
            values["receipt"] = other_receipt(room, record.receipt)
        else:
            altered = bytearray(values[what])
            altered[0] ^= 1
            values[what] = bytes(altered)
        return honest(**values)

    monkeypatch.setattr(recording, "Record", lying)
    room.answers(SAMPLES)
    with pytest.raises(EvidenceRejected) as told:
        room.read()
    if what == "receipt":
        assert told.value.check == "form", "another key signed it"
    else:
        assert told.value.check == "record" and "record of receipt 0" in told.value.problem


def other_receipt(room: Audited, encoded: bytes) -> bytes:
    import made_inferences as made
    from quatrefoil.audit.inference_receipts import read

    return sign(read(encoded), made.key())


def test_no_answer_goes_out_where_no_record_can_be_written(room: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    with room.client() as client:
        client.infer({"x": SAMPLES})
        write = disk.write

        def full(descriptor: int, content: bytes) -> None:
            if len(content) > 3000:
                write(descriptor, content[:100])
                raise OSError(28, "No space left on device")
            write(descriptor, content)

        with monkeypatch.context() as patched:
            patched.setattr(recording.disk, "write", full)
            with pytest.raises(QuatrefoilError):
                client.infer({"x": SAMPLES})
        client.infer({"x": SAMPLES})
    room.server.stop()
    assert [one.sequence for one in room.read()] == [0, 1], "what was not kept left no receipt, and no trace"
    assert any("a receipt could not be kept" in line for line in room.server.said)


# ------------------------------------------------------------------------------------------------------------- refused


def test_a_model_that_is_no_integer_graph_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelRefused, match="quatrefoil model quantise"):
        AuditedModel(linear())


def test_a_range_without_a_field_hash_is_refused() -> None:
    graph = quantise(perceptron(), numbers(7, 40, 6), Widths(8, 3))
    with pytest.raises(CallerError, match="cannot be committed to"):
        AuditedModel(onnx_form.encode(graph))


def test_records_need_a_reader_and_a_folder(tmp_path: Path, consortium: Consortium) -> None:
    model = AuditedModel(FILE)
    sender = lambda: consortium.identity(ISSUER, "workload")  # noqa: E731
    with pytest.raises(CallerError, match="nobody can read"):
        Recorder(tmp_path / "a", model, recipients=[], sender=sender, clock=system_clock)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="cannot be made"):
        Recorder(tmp_path / "file" / "b", model, recipients=[KEY.recipient], sender=sender, clock=system_clock)
    Recorder(tmp_path / "new", model, recipients=[KEY.recipient], sender=sender, clock=system_clock).close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700, "which keysets there are is for the owner alone"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CallerError, match="no records"):
        list(
            recorded(
                tmp_path / "empty",
                model.field_hash,
                key=KEY,
                trust=consortium.trust,
                sender=ISSUER,
                clock=system_clock,
                report=print,
            )
        )
    (tmp_path / "empty" / "x.recorded").write_bytes(b"something else")
    with pytest.raises(StateCorrupt, match="no records of answers of this version"):
        list(
            recorded(
                tmp_path / "empty",
                model.field_hash,
                key=KEY,
                trust=consortium.trust,
                sender=ISSUER,
                clock=system_clock,
                report=print,
            )
        )


def test_nothing_is_kept_under_a_keyset_that_was_not_begun(tmp_path: Path, consortium: Consortium) -> None:
    model = AuditedModel(FILE)
    recorder = Recorder(
        tmp_path,
        model,
        recipients=[KEY.recipient],
        sender=lambda: consortium.identity(ISSUER, "workload"),
        clock=system_clock,
    )
    trace = model.of(SAMPLES, np.zeros((5, 3), "f4"))
    kept = recorder.computed(trace, bytes(32), Keyset(b"", b"", b"k", 0, 1))
    with pytest.raises(HostError, match="no more answers"):
        kept.keep(b"receipt")


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45])
def test_the_inputs_are_what_the_file_makes_of_them(special: float) -> None:
    model = AuditedModel(FILE)
    samples = np.array(SAMPLES)
    samples[0, 0] = special
    answered = engine_of(FILE, POLICY, threads=1).infer(_asked(samples)).outputs["y"]
    trace = model.of(samples, answered)
    assert as_the_reference_has_them(samples) == (trace.inputs.tolist(), trace.outputs.tolist())


def _asked(samples: Any) -> Any:
    from quatrefoil.inference import InferRequest

    return InferRequest({"x": samples})
