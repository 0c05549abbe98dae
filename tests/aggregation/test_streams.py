"""A stream gives the bytes of the whole, holds neither, and refuses what is cut off, too long or wrong on the way."""

from __future__ import annotations

import io
import itertools
import mmap
import socket
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.aggregation.support import SETS, added, seeded, shape, updates

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.aggregation.streams import CHUNK_BLOCKS
from quatrefoil.errors import CiphertextRefused, ParametersRefused, UpdateRefused

CHUNK = CHUNK_BLOCKS * 8192


class Slow:
    """Takes, or gives, less than it is asked for."""

    def __init__(self, data: bytes = b"") -> None:
        self.data, self.sizes = bytearray(data), itertools.cycle((1000, 7, 300_000))

    def read(self, size: int, /) -> bytes:
        taken = bytes(self.data[: min(size, next(self.sizes))])
        del self.data[: len(taken)]
        return taken

    def write(self, data: memoryview, /) -> int:
        some = data[: next(self.sizes)]
        self.data += some
        return len(some)


def update(length: int) -> np.ndarray:
    return (updates(1, length)[0] * 0.9).astype(np.float32)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("length", [1, 5000, CHUNK, CHUNK + 1, 2 * CHUNK + 8191])
def test_an_encryption_gives_the_bytes_of_the_whole(parameters: ParameterSet, length: int) -> None:
    values, form = update(length), shape(length)
    whole = seeded(parameters, "stream").encrypt(values, weight=0.5, shape=form)
    for source in (values, values.astype(np.float64), io.BytesIO(values.tobytes()), Slow(values.tobytes())):
        sink = Slow()
        key = seeded(parameters, "stream", threads=2).encrypt_stream(source, sink, weight=0.5, shape=form)
        assert (bytes(sink.data), key) == (whole.ciphertext, whole.key)


def test_sums_and_their_values_are_those_of_the_whole() -> None:
    form, backend = shape(CHUNK + 77), seeded(SETS[0], "sums")
    contributions = [backend.encrypt(update(form.length), weight=0.3, shape=form) for _ in range(3)]
    total = added(backend, [c.ciphertext for c in contributions], form)
    sink = io.BytesIO()
    backend.add_stream([io.BytesIO(c.ciphertext) for c in contributions], sink, shape=form)
    assert sink.getvalue() == total
    key = backend.combine_keys([c.key for c in contributions])
    whole = backend.decrypt(total, key, shape=form, count=3)
    for source in (io.BytesIO(total), Slow(total)):
        pieces = list(backend.decrypt_stream(source, key, shape=form, count=3))
        assert len(pieces) == 2
        np.testing.assert_array_equal(np.concatenate(pieces), whole.values)
    assert whole.error_bound == backend.error_bound(form, 3)


def test_files_maps_and_sockets_are_sources_and_sinks(tmp_path: Path) -> None:
    values, form = update(20_000), shape(20_000)
    expected = seeded(SETS[0], "files").encrypt(values, weight=1.0, shape=form).ciphertext
    values.tofile(tmp_path / "update")
    (tmp_path / "ciphertext").write_bytes(bytes(len(expected)))
    with (tmp_path / "update").open("rb") as source, (tmp_path / "ciphertext").open("r+b") as file:
        with mmap.mmap(file.fileno(), 0) as sink:
            seeded(SETS[0], "files").encrypt_stream(source, sink, weight=1.0, shape=form)
        assert file.read() == expected
    mapped = np.memmap(tmp_path / "update", dtype=np.float32, mode="r")
    here, there = socket.socketpair()
    with here, there:
        received = bytearray()
        reader = threading.Thread(target=lambda: received.extend(there.makefile("rb").read()))
        reader.start()
        with here.makefile("wb") as sink:
            seeded(SETS[0], "files").encrypt_stream(mapped, sink, weight=1.0, shape=form)
        here.shutdown(socket.SHUT_WR)
        reader.join()
    assert received == expected


def test_neither_the_update_nor_the_ciphertext_is_held() -> None:
    class Ends:
        left = 4 * 8 * CHUNK

        def read(self, size: int, /) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

        def write(self, data: memoryview, /) -> None: ...

    tracemalloc.start()
    AdditiveAggregation(SETS[0]).encrypt_stream(Ends(), Ends(), weight=1.0, shape=shape(8 * CHUNK))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 4 * CHUNK


@pytest.mark.parametrize("index", [0, CHUNK - 1, CHUNK, CHUNK + 4])
@pytest.mark.parametrize("bad", [np.nan, 1.5, -np.inf])
def test_a_refused_value_is_named_and_the_key_wiped(index: int, bad: float) -> None:
    values = np.zeros(CHUNK + 5, dtype=np.float32)
    values[index] = bad
    drawn = []
    backend = AdditiveAggregation(SETS[0])
    backend._seed = lambda: drawn.append(bytearray(b"s" * 32)) or drawn[-1]  # type: ignore[method-assign]
    for source in (values, io.BytesIO(values.tobytes())):
        with pytest.raises(UpdateRefused, match=f"value {index} is"):
            backend.encrypt_stream(source, io.BytesIO(), weight=1.0, shape=shape(len(values)))
    assert len(drawn) == 4 and not any(map(any, drawn))


def test_a_sink_that_fails_leaves_no_key() -> None:
    class Full:
        def write(self, data: memoryview, /) -> int:
            raise OSError("disk full")

    drawn = []
    backend = AdditiveAggregation(SETS[0])
    backend._seed = lambda: drawn.append(bytearray(b"s" * 32)) or drawn[-1]  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk full"):
        backend.encrypt_stream(np.zeros(5), Full(), weight=1.0, shape=shape(5))
    assert not any(map(any, drawn))


@pytest.mark.parametrize("taken", [0, -1, 1 << 40])
def test_sinks_that_say_nonsense_are_refused(taken: int) -> None:
    class Odd:
        def write(self, data: memoryview, /) -> int:
            return taken

    with pytest.raises(ParametersRefused, match="the sink took"):
        AdditiveAggregation(SETS[0]).encrypt_stream(np.zeros(5), Odd(), weight=1.0, shape=shape(5))


@pytest.mark.parametrize(("size", "problem"), [(0, "after 0 of"), (19_999, "after 4999 of"), (20_001, "goes on after")])
def test_updates_of_another_length_are_refused(size: int, problem: str) -> None:
    with pytest.raises(UpdateRefused, match=problem):
        AdditiveAggregation(SETS[0]).encrypt_stream(io.BytesIO(bytes(size)), Slow(), weight=1.0, shape=shape(5000))


def test_arrays_of_another_shape_or_kind_are_refused() -> None:
    backend = AdditiveAggregation(SETS[0])
    for values in (np.zeros(4999), np.zeros((5000, 1)), np.zeros(5000, dtype=np.int32), np.zeros(10_000)[::2]):
        with pytest.raises(UpdateRefused):
            backend.encrypt_stream(values, Slow(), weight=1.0, shape=shape(5000))
    with pytest.raises(UpdateRefused, match="weight"):
        backend.encrypt_stream(np.zeros(5000), Slow(), weight=0.0, shape=shape(5000))


def test_ciphertexts_that_do_not_fit_are_refused_on_the_way() -> None:
    form, backend = shape(CHUNK + 9), AdditiveAggregation(SETS[0])
    one = backend.encrypt(np.zeros(form.length), weight=1.0, shape=form)
    good, key = one.ciphertext, backend.combine_keys([one.key])
    late = 96 + 8 * (CHUNK // 2 + 3)
    unreduced = good[:late] + _core.MODULUS.to_bytes(8, "little") + good[late + 8 :]
    other = backend.encrypt(np.zeros(form.length), weight=1.0, shape=shape(form.length, context=b"o" * 32)).ciphertext
    cases = (
        (b"", "has 0 bytes, fewer than a header"),
        (good[:95], "fewer than a header"),
        (good[:-1], "ends after"),
        (good + b"x", "goes on after"),
        (other, "belongs to the round context"),
        (unreduced, f"at word {CHUNK // 2 + 3}, not below"),
    )
    for bad, problem in cases:
        with pytest.raises(CiphertextRefused, match=problem):
            backend.add_stream([io.BytesIO(good), io.BytesIO(bad)], io.BytesIO(), shape=form)
        with pytest.raises(CiphertextRefused, match=problem):
            list(backend.decrypt_stream(io.BytesIO(bad), key, shape=form, count=1))
    wrong = backend.combine_keys([bytes(32)])
    with pytest.raises(CiphertextRefused, match="the key does not belong"):
        list(backend.decrypt_stream(io.BytesIO(good), wrong, shape=form, count=1))
    for roster in ([], [io.BytesIO(good)] * 257):
        with pytest.raises(ParametersRefused, match="contributions are not within"):
            backend.add_stream(roster, io.BytesIO(), shape=form)


def test_a_block_number_beyond_every_length_is_refused() -> None:
    layout, seed = SETS[0].layout, bytes(32)
    with pytest.raises(ValueError, match="is beyond"):
        _core.encrypt(
            layout, b"", np.zeros(5), clip=1.0, factor=1.0, context=seed, key_seed=seed, noise_seed=seed, threads=1,
            first_block=1 << 41,
        )  # fmt: skip
