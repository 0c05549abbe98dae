"""Records of answers: written before an answer goes out, read by whoever they are for, and held to their receipts."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audited_room import FILE, KEY, OTHER, SAMPLES, Audited, audited
from quatrefoil.audit.inference_receipts import sign
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused, QuatrefoilError, StateCorrupt
from quatrefoil.serving import record_writer
from quatrefoil.serving.audited import AuditedModel
from quatrefoil.serving.record_reader import read_records
from quatrefoil.serving.record_writer import MAGIC, Recorder
from quatrefoil.tlog import disk, records
from quatrefoil.transport import system_clock
from serving_parts import ISSUER
from support import Consortium


@pytest.fixture
def room(consortium: Consortium, tmp_path: Path) -> Iterator[Audited]:
    with audited(consortium, tmp_path) as made:
        yield made


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
    honest = record_writer.Record

    def lying(*fields: Any) -> record_writer.Record:
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

    monkeypatch.setattr(record_writer, "Record", lying)
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
            patched.setattr(record_writer.disk, "write", full)
            with pytest.raises(QuatrefoilError):
                client.infer({"x": SAMPLES})
        client.infer({"x": SAMPLES})
    room.server.stop()
    assert [one.sequence for one in room.read()] == [0, 1], "what was not kept left no receipt, and no trace"
    assert any("a receipt could not be kept" in line for line in room.server.said)


# ------------------------------------------------------------------------------------------------------------- refused


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
            read_records(
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
            read_records(
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
