"""What is sealed is read back, whole or at random, under the root that names it everywhere."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sealing_models import ABOUT, BROKER, EXPECTED, open_bytes, opened, owner, seal_bytes, seal_file

from quatrefoil.audit.model_file import measure_file
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, HostError, MessageRefused, PolicyInvalid
from quatrefoil.resources.container import FILE, TENSORS, Content, extract, layout, opened_front, reading, root_of, seal
from quatrefoil.resources.container.content import FileHeader
from quatrefoil.resources.container.layout import CHUNK, MAGIC, TAG, Geometry
from quatrefoil.resources.container.parallel import in_order
from quatrefoil.transport import PostQuantumTransport, TrustAnchor
from quatrefoil.transport.sealed import SUITES, RecipientKey

CONTENT = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range((3 * CHUNK + 5) // 32 + 1))
ROOM = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory, north: PostQuantumTransport) -> Path:
    folder = tmp_path_factory.mktemp("container")
    file = folder / "model.sealed"
    file.write_bytes(seal_bytes(CONTENT, owner(north), folder))
    return file


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_content_comes_back(
    tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor, size: int, threads: int
) -> None:
    file = seal_bytes(CONTENT[:size], owner(north), tmp_path, threads=threads)
    assert len(file) > size
    assert open_bytes(file, tmp_path, trust, threads=threads) == CONTENT[:size]


@ROOM
@given(offset=st.integers(0, len(CONTENT) + 5), length=st.integers(0, 2 * CHUNK))
def test_any_range_can_be_read(container: Path, trust: TrustAnchor, offset: int, length: int) -> None:
    with opened(container, trust) as model:
        assert model.read(offset, length) == CONTENT[offset : offset + length]


def test_chunks_come_in_order(container: Path, trust: TrustAnchor) -> None:
    with opened(container, trust) as model:
        assert model.length == len(CONTENT)
        assert b"".join(model.chunks(threads=3)) == CONTENT
        assert bytes(model.chunk(2)) == CONTENT[2 * CHUNK : 3 * CHUNK]


def test_one_container_is_read_by_threads_at_once(container: Path, trust: TrustAnchor) -> None:
    with opened(container, trust) as model:
        ranges = [(i * 70_001 % len(CONTENT), 5_000) for i in range(64)]
        found = list(in_order(lambda one: model.read(*one), ranges, 4))
    assert found == [CONTENT[offset : offset + length] for offset, length in ranges]


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "weights": random.normal(size=(300, 500)).astype(np.float32),
        "bias": random.normal(size=700).astype(np.float64),
        "steps": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "turned": np.asfortranarray(random.normal(size=(200, 300))),
    }


def test_a_model_keeps_its_root_and_its_tensors(
    tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor, tensors: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "model.npz", **tensors)
    (tmp_path / "c").write_bytes(seal_file(tmp_path / "model.npz", owner(north), form=TENSORS))
    with opened(tmp_path / "c", trust) as model:
        assert model.front.root == measure_file(tmp_path / "model.npz").root
        assert [one.name for one in model.tensors] == list(tensors)
        for name, values in tensors.items():
            assert np.array_equal(model.tensor(name, threads=2), values)
            assert model.tensor(name).shape == values.shape
        extract(model, tmp_path / "back.npz", threads=2, progress=lambda done: None)
        with pytest.raises(CallerError, match="no tensor 'other'"):
            model.tensor("other")
    back = np.load(tmp_path / "back.npz")
    assert all(np.array_equal(back[name], values) for name, values in tensors.items())
    assert measure_file(tmp_path / "back.npz").root == measure_file(tmp_path / "model.npz").root


def test_one_content_gives_one_archive(
    tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor, tensors: dict[str, np.ndarray]
) -> None:
    np.savez_compressed(tmp_path / "model.npz", **tensors)
    found = [
        open_bytes(seal_file(tmp_path / "model.npz", owner(north), form=TENSORS), tmp_path, trust) for _ in range(2)
    ]
    assert found[0] == found[1]


def test_a_file_has_no_tensors(container: Path, trust: TrustAnchor) -> None:
    with opened(container, trust) as model:
        assert model.tensors == ()
        with pytest.raises(CallerError, match="the content is a file"):
            model.tensor("weights")


def test_the_root_of_a_file_is_its_own_and_that_of_a_data_set_is_blinded(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"yes")

    def root(salt: bytes | None) -> bytes:
        with reading(tmp_path / "data", FILE, salt=salt) as content:
            return root_of(content)

    assert root(None) == root(None)
    assert len({root(None), root(bytes(32)), root(b"\x01" * 32)}) == 3
    leaf = hashlib.sha256(b'\x00quatrefoil file v1\n{"length":3,"salt":"none"}').digest()
    assert root(None) == hashlib.sha256(b"\x01" + leaf + hashlib.sha256(b"\x00yes").digest()).digest()


def test_nothing_of_the_content_or_its_header_stands_in_the_container(
    tmp_path: Path, north: PostQuantumTransport, tensors: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "model.npz", **tensors)
    file = seal_file(tmp_path / "model.npz", owner(north), form=TENSORS)
    values = tensors["bias"].tobytes()
    for secret in (b"weights", b"float32", values[:16], hashlib.sha256(b"\x00" + values).digest()):
        assert secret not in file


@given(length=st.integers(0, 1 << 48))
def test_the_parts_of_a_container_tile_it(length: int) -> None:
    """Chunks and pages lie end to end, whatever the length: looked at around the ends of a few pages."""
    place = Geometry(length)
    assert place.pages * layout.PAGE >= place.chunks + 1 > (place.pages - 1) * layout.PAGE
    for page in {0, 1, place.pages // 2, place.pages - 2, place.pages - 1} & set(range(place.pages)):
        first = max(page * layout.PAGE - 1, 0)
        last = min((page + 1) * layout.PAGE - 2, place.chunks - 1)
        after = len(MAGIC) if page == 0 else place.page_at(page - 1) + layout.PAGE * 32 + TAG
        if place.chunks > first:
            assert place.chunk_at(first) == after
            after = place.chunk_at(last) + place.chunk_bytes(last) + TAG
        assert place.page_at(page) == after
    assert place.head_at == place.page_at(place.pages - 1) + place.page_leaves(place.pages - 1) * 32 + TAG


def test_many_pages(
    tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pages of two leaves: a gibibyte a page takes too long here."""
    monkeypatch.setattr(layout, "PAGE", 2)
    for size in (0, 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(CONTENT)):
        file = seal_bytes(CONTENT[:size], owner(north), tmp_path)
        assert open_bytes(file, tmp_path, trust, threads=2) == CONTENT[:size]
        with reading(tmp_path / "content", FILE, salt=None) as content, opened(tmp_path / "container", trust) as model:
            assert root_of(content) == model.front.root


def test_several_brokers_open_it(tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor) -> None:
    keys = [RecipientKey.generate(suite) for suite in SUITES]
    file = seal_bytes(b"content", owner(north), tmp_path, brokers=tuple(key.recipient.public for key in keys))
    for key in keys:
        assert open_bytes(file, tmp_path, trust, key=key) == b"content"


# ------------------------------------------------------------------------------------------------------- rejecting


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_a_range_before_the_beginning_is_the_callers_fault(
    container: Path, trust: TrustAnchor, offset: int, length: int
) -> None:
    with opened(container, trust) as model, pytest.raises(CallerError, match="from 0 on"):
        model.read(offset, length)


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (len(CONTENT), 1), (0, len(CONTENT) + 1)])
def test_a_buffer_is_filled_or_refused(container: Path, trust: TrustAnchor, offset: int, size: int) -> None:
    with opened(container, trust) as model:
        with pytest.raises(CallerError, match="Ask for what there is"):
            model.read_into(offset, memoryview(bytearray(size)))
        filled = bytearray(len(CONTENT) - 7)
        model.read_into(7, memoryview(filled), threads=3)
        assert filled == CONTENT[7:]
        model.read_into(len(CONTENT), memoryview(bytearray()))


def test_a_closed_container_is_not_read(container: Path, trust: TrustAnchor) -> None:
    with opened(container, trust) as model:
        pass
    model.close()
    with pytest.raises(CallerError, match="has been closed"):
        model.read(0, 1)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HostError, match="no regular file"), reading(tmp_path / "pipe", FILE, salt=None):
        pass
    with pytest.raises(HostError, match="no regular file"), opened_front(tmp_path / "pipe", lambda _: unused):
        pass


def unused(_: bytes) -> VerifiedStatement:
    raise AssertionError("nothing was read that could be verified")


@pytest.mark.parametrize("number", [-1, 4])
def test_a_chunk_that_is_not_there_is_the_callers_fault(container: Path, trust: TrustAnchor, number: int) -> None:
    with opened(container, trust) as model, pytest.raises(CallerError, match=f"chunk {number} of 4"):
        model.chunk(number)


@pytest.mark.parametrize("count", [0, 257])
def test_too_few_or_too_many_threads_are_refused(count: int) -> None:
    with pytest.raises(CallerError, match="Use 1 to 256"):
        list(in_order(str, [1], count))


def test_an_error_in_a_thread_is_the_first_one_seen() -> None:
    def one(number: int) -> int:
        if number in (3, 5):
            raise MessageRefused(f"chunk {number}", hint="-")
        return number

    found = []
    with pytest.raises(MessageRefused, match="chunk 3"):
        for made in in_order(one, range(1000), 2):
            found.append(made)
    assert found == [0, 1, 2]


def test_no_broker_or_one_twice_is_refused(tmp_path: Path, north: PostQuantumTransport) -> None:
    public = RecipientKey.generate(SUITES[0]).recipient.public
    for brokers in ((), (public, public)):
        with pytest.raises(CallerError, match="different ones"):
            seal_bytes(b"", owner(north), tmp_path, brokers=brokers)


def seal_unread(by: PostQuantumTransport, **more: Any) -> None:
    """Seal a content that fails the test when it is read."""

    def unread() -> Iterator[bytes]:
        pytest.fail("the work has begun")
        yield b""

    content = Content(FILE, FileHeader(7, None), unread())
    options = {"about": ABOUT, "brokers": (BROKER.recipient.public,)} | more
    seal(content, io.BytesIO(), owner=owner(by), threads=1, progress=lambda done: None, **options)


def test_what_cannot_be_sealed_is_refused_before_the_work(north: PostQuantumTransport) -> None:
    for changes, error, said in (
        ({"stages": ("serve",)}, PolicyInvalid, "not open"),
        ({"kind": "round-key"}, PolicyInvalid, "content"),
        ({"name": "A B"}, PolicyInvalid, "not a name"),
        ({"kind": "dataset"}, CallerError, "has no salt"),
        ({"media": "two words"}, CallerError, "in a word"),
    ):
        with pytest.raises(error, match=said):
            seal_unread(north, about=replace(ABOUT, **changes))
    for public in (b"", b"\x00" * 32, b"\xff" * SUITES[0].public_bytes):
        with pytest.raises((CallerError, MessageRefused)):
            seal_unread(north, brokers=(public,))


def test_a_salt_for_tensors_and_an_unknown_form_are_refused(tmp_path: Path, north: PostQuantumTransport) -> None:
    with pytest.raises(CallerError, match="not blinded"):
        seal_bytes(b"", owner(north), tmp_path, form=TENSORS, salt=bytes(32))
    with pytest.raises(CallerError, match="no form of content"):
        seal_bytes(b"", owner(north), tmp_path, form="pickle")


def test_a_file_that_is_no_model_is_not_sealed_as_tensors(tmp_path: Path, north: PostQuantumTransport) -> None:
    with pytest.raises(CallerError, match="no whole model"):
        seal_bytes(b"PK", owner(north), tmp_path, form=TENSORS)


def test_a_file_that_shrinks_while_it_is_sealed_is_refused(tmp_path: Path, north: PostQuantumTransport) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    with (
        pytest.raises(HostError, match="changed while it was read"),
        reading(tmp_path / "content", FILE, salt=None) as content,
    ):
        (tmp_path / "content").write_bytes(b"")
        root_of(content)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor, name: str) -> None:
    with pytest.raises(HostError), reading(tmp_path / name, FILE, salt=None):
        pass
    with pytest.raises(HostError):
        opened(tmp_path / name, trust)


def test_the_reader_does_not_print_its_key(container: Path, trust: TrustAnchor) -> None:
    with opened(container, trust) as model:
        assert "key=<secret>" in repr(model)
        assert EXPECTED.name in repr(model)
