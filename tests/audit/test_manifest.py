"""What names a model: its root over header and chunks, from arrays and from files alike."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quatrefoil.audit.manifest import CHUNK, Header, Manifest, Tensor, header_of, measure
from quatrefoil.audit.model_file import measure_arrays, measure_file
from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.tlog.merkle import inclusion_proof, leaf_hash, verify_inclusion

MODEL = [np.arange(6, dtype="<f4").reshape(2, 3), np.float64(0.5) * np.ones(4), np.zeros((), "<f4")]


def by_the_book(arrays: list[np.ndarray]) -> tuple[bytes, bytes]:
    """Root and SHA-256 as docs/provenance.md words them, with nothing of the product."""
    names = {"f4": "float32", "f8": "float64"}
    tensors = [
        {"dtype": names[a.dtype.str[1:]], "name": f"arr_{i}", "shape": list(a.shape)} for i, a in enumerate(arrays)
    ]
    content = b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes(order="C") for a in arrays)
    header = json.dumps({"length": len(content), "tensors": tensors}, sort_keys=True, separators=(",", ":"))
    leaves = [b"quatrefoil model v1\n" + header.encode()]
    leaves += [content[i : i + 1048576] for i in range(0, len(content), 1048576)]

    def root(part: list[bytes]) -> bytes:  # RFC 6962 section 2.1
        if len(part) == 1:
            return hashlib.sha256(b"\0" + part[0]).digest()
        middle = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(part[:middle]) + root(part[middle:])).digest()

    return root(leaves), hashlib.sha256(content).digest()


def saved(folder: Path, arrays: list[np.ndarray], name: str = "model.npz") -> Path:
    np.savez(folder / name, *arrays)
    return folder / name


def test_the_root_is_the_one_that_the_page_describes(tmp_path: Path) -> None:
    found = measure_arrays(MODEL)
    assert (found.root, found.sha256) == by_the_book(MODEL)
    assert measure_file(saved(tmp_path, MODEL)) == found


@pytest.mark.parametrize("values", [0, 1, CHUNK // 8 - 1, CHUNK // 8, CHUNK // 8 + 1, CHUNK // 2, 3 * CHUNK // 8 + 5])
def test_every_number_of_chunks(tmp_path: Path, values: int) -> None:
    arrays = [np.arange(values, dtype="<f8"), np.ones(3, "<f4")]
    found = measure_file(saved(tmp_path, arrays))
    assert (found.root, found.sha256) == by_the_book(arrays)
    assert found.header.leaves == 1 + -(-(8 * values + 12) // CHUNK)


@given(
    st.lists(
        hnp.arrays(st.sampled_from(["<f4", "<f8", ">f4", ">f8"]), hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_files_and_arrays_of_any_order_have_one_name(arrays: list[np.ndarray], column_major: bool) -> None:
    given_arrays = [np.asfortranarray(a) if column_major and a.ndim else a for a in arrays]
    file = io.BytesIO()
    np.savez(file, *given_arrays)
    found = measure_file(file)  # type: ignore[arg-type]
    assert (found.root, found.sha256) == by_the_book(arrays)


@given(st.lists(st.integers(1, 3 * CHUNK // 2), max_size=4), st.data())
def test_pieces_of_any_size_give_one_name(sizes: list[int], data: st.DataObject) -> None:
    content = b"".join(bytes([at % 251]) * size for at, size in enumerate(sizes))
    header = header_of([Tensor("bytes", "uint8", (len(content),))])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert measure(header, pieces) == measure(header, [content])


def test_a_chunk_is_shown_to_be_in_a_model() -> None:
    content = b"".join(bytes([at]) * (CHUNK // 2) for at in range(5))
    header = header_of([Tensor("w", "uint8", (len(content),))])
    root = measure(header, [content]).root
    leaves = [leaf_hash(header.leaf())] + [leaf_hash(content[i : i + CHUNK]) for i in range(0, len(content), CHUNK)]
    assert len(leaves) == header.leaves == 4

    def read(height: int, index: int) -> bytes:
        assert height <= 1
        if height == 0:
            return leaves[index]
        return hashlib.sha256(b"\1" + leaves[2 * index] + leaves[2 * index + 1]).digest()

    proof = inclusion_proof(2, 4, read)
    verify_inclusion(leaves[2], 2, header.leaves, proof, root)
    with pytest.raises(EvidenceRejected):
        verify_inclusion(leaves[1], 2, header.leaves, proof, root)


def other(**changes: object) -> Manifest:
    arrays = [array.copy() for array in MODEL]
    names = [str(name) for name in changes.get("names", ["arr_0", "arr_1", "arr_2"])]  # type: ignore[attr-defined]
    if "shape" in changes:
        arrays[0] = arrays[0].reshape(changes["shape"])  # type: ignore[call-overload]
    if "byte" in changes:
        arrays[0].view(np.uint8).reshape(-1)[int(str(changes["byte"]))] ^= 1
    if "order" in changes:
        arrays[0], arrays[2] = arrays[2], arrays[0]
    if "dtype" in changes:
        arrays[2] = arrays[2].astype("<f8")
    return measure_arrays(arrays, names=names)


@pytest.mark.parametrize(
    "changes",
    [{"byte": 0}, {"byte": 23}, {"shape": (3, 2)}, {"order": True}, {"dtype": "<f8"}, {"names": ["a", "b", "c"]}],
    ids=str,
)
def test_whatever_differs_has_another_root(changes: dict[str, object]) -> None:
    assert other().root == measure_arrays(MODEL).root
    assert other(**changes).root != measure_arrays(MODEL).root


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, large = saved(tmp_path, [np.zeros(1 << 18)], "s.npz"), saved(tmp_path, [np.zeros(1 << 22)], "l.npz")

    def most(path: Path) -> int:
        tracemalloc.start()
        measure_file(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most(small)
    assert most(large) < most(small) + CHUNK, "16 times the file, and not a chunk more of memory"


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ([], "a model of 0 tensors"),
        ([Tensor("a", "float32", (1,)), Tensor("a", "float32", (2,))], "two tensors of one name"),
        ([Tensor("", "float32", (1,))], "a tensor named ''"),
        ([Tensor("a b", "float32", (1,))], "a tensor named 'a b'"),
        ([Tensor("ä", "float32", (1,))], "a tensor named"),
        ([Tensor("a" * 257, "float32", (1,))], "a tensor named"),
        ([Tensor("a", "complex64", (1,))], "a tensor of 'complex64'"),
        ([Tensor("a", "float32", (-1,))], "a tensor of sides"),
        ([Tensor("a", "float32", (1,) * 33)], "a tensor of sides"),
        ([Tensor("a", "float64", (1 << 46,))], "a model of"),
    ],
)
def test_what_cannot_be_named(tensors: list[Tensor], match: str) -> None:
    with pytest.raises(EvidenceRejected, match=match):
        header_of(tensors)


def test_a_header_that_counts_wrongly_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="a model of 5 bytes"):
        Header(5, (Tensor("a", "float32", (1,)),))


@pytest.mark.parametrize("content", [[], [b"abc"], [b"abcde"], [b"abcd", b"e"]])
def test_more_or_fewer_bytes_than_the_header_says_are_refused(content: list[bytes]) -> None:
    with pytest.raises(CallerError, match="bytes were given of a model of 4"):
        measure(header_of([Tensor("a", "float32", (1,))]), content)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    whole = saved(tmp_path, MODEL).read_bytes()
    cases = {
        "empty": b"",
        "text": b"no model at all",
        "cut": whole[: len(whole) // 2],
        "altered": whole.replace(b"\x00\x00\x80?", b"\x00\x00\x80@", 1),  # a value: the archive's checksum notices
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CallerError, match="is no whole model"):
            measure_file(tmp_path / name)
    with pytest.raises(HostError, match="there is no model"):
        measure_file(tmp_path / "absent")


def test_an_archive_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, MODEL)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("note.txt", "hello")
    with pytest.raises(CallerError, match=r"'note.txt' is no array"):
        measure_file(file)


@pytest.mark.parametrize("array", [np.array(["a"]), np.ones(2, complex), np.array([{}], dtype=object)], ids=str)
def test_arrays_that_are_no_tensors_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "model.npz", array)
    with pytest.raises(CallerError, match="is no tensor"):
        measure_file(tmp_path / "model.npz")


def test_bytes_after_an_arrays_values_are_refused(tmp_path: Path) -> None:
    one = io.BytesIO()
    np.save(one, np.ones(3))
    with zipfile.ZipFile(tmp_path / "model.npz", "w") as archive:
        archive.writestr("arr_0.npy", one.getvalue() + b"hidden")
    with pytest.raises(CallerError, match="has bytes after its values"):
        measure_file(tmp_path / "model.npz")
