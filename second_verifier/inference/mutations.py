"""Changes of an accepted proof and of its statement, each of which must be seen.

A mutation is a dictionary that can be written as JSON: `name`, `fault`, and any of

    "proof", "program", "inputs", "outputs"
                        a list of {"at": offset, "was": hexadecimal, "now": hexadecimal}
    "cut"               the number of bytes to take from the end of the proof
    "append"            bytes to add to it, hexadecimal
    "statement"         fields of the statement that have another value
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bounded_update.field import P
from bounded_update.mutations import Mutation, _named, _patch, _patched, _plus_one

from .proof_bytes import Proof, regions
from .statement_file import FILES


@dataclass(frozen=True)
class Changed:
    statement: dict[str, Any]
    files: dict[str, bytes]  # program, inputs and outputs
    proof: bytes


def apply(mutation: Mutation, statement: dict[str, Any], files: dict[str, bytes], proof: bytes) -> Changed:
    proof = _patched(proof, mutation.get("proof", []))
    proof = proof[: len(proof) - mutation.get("cut", 0)] + bytes.fromhex(mutation.get("append", ""))
    changed = {name: _patched(files[name], mutation.get(name, [])) for name in FILES}
    return Changed(statement | mutation.get("statement", {}), changed, proof)


def mutations(proof: Proof, statement: dict[str, Any], files: dict[str, bytes]) -> Iterator[Mutation]:
    data = proof.to_bytes()
    spans = {name: (at, size) for name, at, size in regions(proof) if size}
    yield from _parts(data, spans)
    yield from _lengths(data)
    yield from _orders(data, spans)
    yield from _encodings(data, spans)
    yield from _statements(statement, files)


_BYTES = ("magic", "version", "reserved", "statement", "root", "salt", "path")
_SALTED = ("tree 1", "tree 2", "tree M", "tree W")


def _parts(data: bytes, spans: dict[str, tuple[int, int]]) -> Iterator[Mutation]:
    """The first and the last word or byte of every kind of part: of those that are numbered, of number 0."""
    kept = [name for name in spans if not any(word.isdigit() and int(word) > 0 for word in name.split()[1:2])]
    kept = [name for name in kept if not name.startswith(("layer", "path", "words", "salt", "root"))]
    kept += ["layer 0 round 0", "layer 1 round 3", "X 1", "root 1", "root M", "root 2", "root 3"]
    kept += [f"salt 0 of {tree}" for tree in _SALTED]
    kept += [f"{part} of {tree}" for tree in (*_SALTED, "tree 3") for part in ("words 0", "path")]
    for name in kept:
        at, size = spans[name]
        width = 1 if name.startswith(_BYTES) else 8
        for which, offset in (("first", at), ("last", at + size - width)):
            now = bytes([data[offset] ^ 1]) if width == 1 else _plus_one(data, offset)
            fault = f"the {which} {'byte' if width == 1 else 'word'} of {name} is another"
            yield _named(f"{which}-of-{name.replace(' ', '-')}", fault, proof=[_patch(data, offset, now)])


def _lengths(data: bytes) -> Iterator[Mutation]:
    yield _named("empty", "there are no bytes", cut=len(data))
    yield _named("cut-by-one", "the last byte is missing", cut=1)
    yield _named("cut-by-a-digest", "the last digest is missing", cut=32)
    yield _named("longer-by-one", "there is a byte too many", append="00")
    yield _named("longer-by-a-digest", "there is a digest too many", append="00" * 32)


def _orders(data: bytes, spans: dict[str, tuple[int, int]]) -> Iterator[Mutation]:
    pairs = [("root 1", "root 2"), ("root M", "root 3"), ("round 0", "round 1"), ("sigma", "sigma_W")]
    pairs += [("fold 0", "fold 1"), ("v_B 0", "v_B 1"), ("weights round 0", "weights round 1")]
    for one, other in pairs:
        (at, size), (there, same) = spans[one], spans[other]
        assert size == same
        patches = [_patch(data, at, data[there : there + size]), _patch(data, there, data[at : at + size])]
        name = f"{one}-for-{other}".replace(" ", "-")
        yield _named(name, f"{one} and {other} have changed places", proof=patches)


def _encodings(data: bytes, spans: dict[str, tuple[int, int]]) -> Iterator[Mutation]:
    names = ["v_A 0", "v_B 1", "layer 0 round 0", "X 1", "m 0", "round 0", "y", "weights round 0", "y_w", "sigma_W"]
    names += ["u_m", "end of u", "end of u_W", "words 0 of tree 1", "words 0 of tree W", "fold 0", "u_2"]
    for name in names:
        patch = _patch(data, spans[name][0], P.to_bytes(8, "little"))
        yield _named(f"not-reduced-{name.replace(' ', '-')}", f"the first word of {name} is p", proof=[patch])


def _statements(statement: dict[str, Any], files: dict[str, bytes]) -> Iterator[Mutation]:
    others: dict[str, tuple[str, object]] = {
        "other-receipts": ("binding", statement["binding"][:-2] + "00"),
        "other-root": ("root", "ff" + statement["root"][2:]),
        "more-openings": ("openings", statement["openings"] + 1),
        "smaller-batch": ("batch", statement["batch"] - 1),
        "larger-batch": ("batch", statement["batch"] + 1),
    }
    for name, (field, value) in others.items():
        yield _named(name, f"the statement has another {field}", statement={field: value})
    for name in ("inputs", "outputs"):
        data = files[name]
        now = bytes([data[0] ^ 1])
        yield _named(f"other-{name}", f"the first of the {name} is another", **{name: [_patch(data, 0, now)]})
        half = len(data) // statement["batch"]
        swapped = [_patch(data, 0, data[half : 2 * half]), _patch(data, half, data[:half])]
        fault = f"the {name} of the first two samples have changed places"
        yield _named(f"swapped-{name}", fault, **{name: swapped})
    program = files["program"]
    at = len(b"QFPROG01") + 4 * (1 + int.from_bytes(program[8:12], "little"))
    high = (int.from_bytes(program[at + 4 : at + 8], "little") - 1).to_bytes(4, "little")
    yield _named("input-out-of-range", "the program takes less", program=[_patch(program, at + 4, high)])
    w_max = (int.from_bytes(program[at + 8 : at + 12], "little") - 1).to_bytes(4, "little")
    yield _named("smaller-weights", "the program has smaller weights", program=[_patch(program, at + 8, w_max)])
