"""Changes of an accepted proof, of its ciphertext and of its statement, each of which must be seen.

A mutation is a dictionary that can be written as JSON: `name`, `fault`, and any of

    "proof", "blocks", "direction"
                        a list of {"at": offset, "was": hexadecimal, "now": hexadecimal}
    "cut"               the number of bytes to take from the end of the proof
    "append"            bytes to add to it, hexadecimal
    "statement"         fields of the statement that have another value
    "without"           fields of the statement that are left out
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .field import P
from .proof_bytes import Proof, regions
from .shape import Shape

Mutation = dict[str, Any]


@dataclass(frozen=True)
class Changed:
    statement: dict[str, Any]
    blocks: bytes
    proof: bytes
    direction: bytes


def apply(
    mutation: Mutation, statement: dict[str, Any], blocks: bytes, proof: bytes, direction: bytes = b""
) -> Changed:
    proof = _patched(proof, mutation.get("proof", []))
    proof = proof[: len(proof) - mutation.get("cut", 0)] + bytes.fromhex(mutation.get("append", ""))
    fields = {name: value for name, value in statement.items() if name not in mutation.get("without", [])}
    return Changed(
        fields | mutation.get("statement", {}),
        _patched(blocks, mutation.get("blocks", [])),
        proof,
        _patched(direction, mutation.get("direction", [])),
    )


def _patched(data: bytes, patches: list[dict[str, Any]]) -> bytes:
    for patch in patches:
        at, was, now = patch["at"], bytes.fromhex(patch["was"]), bytes.fromhex(patch["now"])
        if data[at : at + len(was)] != was or len(was) != len(now):
            raise ValueError("the patch is for other bytes")
        data = data[:at] + now + data[at + len(was) :]
    return data


def mutations(shape: Shape, proof: Proof, blocks: bytes, statement: dict[str, Any]) -> Iterator[Mutation]:
    data = proof.to_bytes()
    spans = {name: (at, size) for name, at, size in regions(shape, proof)}
    yield from _parts(data, spans)
    yield from _lengths(data)
    yield from _orders(data, spans)
    yield from _encodings(data, spans)
    yield from _ciphertexts(blocks)
    yield from _statements(shape, statement)


def _patch(data: bytes, at: int, now: bytes) -> dict[str, Any]:
    return {"at": at, "was": data[at : at + len(now)].hex(), "now": now.hex()}


def _plus_one(data: bytes, at: int) -> bytes:
    """The element of F_p there, plus one."""
    return ((int.from_bytes(data[at : at + 8], "little") + 1) % P).to_bytes(8, "little")


def _named(name: str, fault: str, **changes: object) -> Mutation:
    return {"name": name, "fault": fault, **changes}


_BYTES = ("magic", "version", "reserved", "statement", "root", "salt", "path")


def _parts(data: bytes, spans: dict[str, tuple[int, int]]) -> Iterator[Mutation]:
    """The first and the last word or byte of every kind of part."""
    last_round = max(int(name.split()[1]) for name in spans if name.startswith("round"))
    last_fold = max(int(name.split()[1]) for name in spans if name.startswith("fold"))
    names = ["magic", "version", "reserved", "statement", "root 1", "v", "root 2", "round 0", f"round {last_round}"]
    names += ["y", "sigma", "u_m", "end of u", "root 3", "fold 0", f"fold {last_fold}", "u_2"]
    for tree in ("tree 1", "tree 2", "tree 3"):
        salts = [] if tree == "tree 3" else [f"salt 0 of {tree}"]
        names += [*salts, f"words 0 of {tree}", f"path of {tree}"]
    for name in names:
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
    pairs = [("root 1", "root 2"), ("round 0", "round 1"), ("fold 0", "fold 1")]
    pairs += [(f"words 0 of tree {i}", f"words 1 of tree {i}") for i in (1, 2, 3)]
    pairs.append(("salt 0 of tree 1", "salt 0 of tree 2"))
    for one, other in pairs:
        (at, size), (there, same) = spans[one], spans[other]
        assert size == same
        patches = [_patch(data, at, data[there : there + size]), _patch(data, there, data[at : at + size])]
        name = f"{one}-for-{other}".replace(" ", "-")
        yield _named(name, f"{one} and {other} have changed places", proof=patches)


def _encodings(data: bytes, spans: dict[str, tuple[int, int]]) -> Iterator[Mutation]:
    names = ("v", "round 0", "y", "sigma", "u_m", "end of u", "words 0 of tree 1", "words 0 of tree 2", "fold 0", "u_2")
    for name in (*names, "words 0 of tree 3"):
        patch = _patch(data, spans[name][0], P.to_bytes(8, "little"))
        yield _named(f"not-reduced-{name.replace(' ', '-')}", f"the first word of {name} is p", proof=[patch])


def _ciphertexts(blocks: bytes) -> Iterator[Mutation]:
    yield _named("other-block", "the ciphertext is another", blocks=[_patch(blocks, 0, _plus_one(blocks, 0))])
    patch = _patch(blocks, len(blocks) - 8, P.to_bytes(8, "little"))
    yield _named("block-not-reduced", "a word of the ciphertext is p", blocks=[patch])


def _statements(shape: Shape, statement: dict[str, Any]) -> Iterator[Mutation]:
    parameters = statement["parameters"]
    others: dict[str, tuple[str, object]] = {
        "bound-above": ("bound", statement["bound"] + 1),
        "bound-below": ("bound", statement["bound"] - 1),
        "other-context": ("context", "ff" + statement["context"][2:]),
        "other-binding": ("binding", statement["binding"][:-2] + "00"),
        "more-values": ("values", shape.D + 1),
        "fewer-values": ("values", shape.D - 1),
        "other-set": ("parameters", parameters | {"name": parameters["name"] + "x"}),
        "fewer-silos": ("parameters", parameters | {"silos": parameters["silos"] // 2}),
    }
    for name, (field, value) in others.items():
        yield _named(name, f"the statement has another {field}", statement={field: value})


def share_mutations(shape: Shape, proof: Proof, statement: dict[str, Any]) -> Iterator[Mutation]:
    """Another sharing than the proof is about, or another V."""
    sharing, data = statement["sharing"], proof.to_bytes()
    first, second, *others = sharing["commitments"]
    changed: dict[str, tuple[str, dict[str, Any]]] = {
        "commitments-swapped": (
            "two members' commitments have changed places",
            {"commitments": [second, first, *others]},
        ),
        "other-commitment": (
            "the last commitment is another",
            {"commitments": [first, second, *others[:-1], "00" * 32]},
        ),
        "less-packing": ("the key is packed less, for as many answers", {"privacy": 3, "packing": 2}),
        "more-privacy": ("it takes one answer more", {"privacy": sharing["privacy"] + 1}),
    }
    for name, (fault, fields) in changed.items():
        yield _named(name, fault, statement={"sharing": sharing | fields})
    yield _named("without-sharing", "the key is not in shares", without=["sharing"])
    at = next(at for name, at, _ in regions(shape, proof) if name == "v")
    for point in range(shape.key_values):
        place = at + 16 * point
        fault = f"V at base point {point} is another"
        yield _named(f"v-at-base-point-{point}", fault, proof=[_patch(data, place, _plus_one(data, place))])


def claim_mutations(statement: dict[str, Any], direction: bytes) -> Iterator[Mutation]:
    """Other further claims than those that the proof is about, each of them a claim that could be made."""
    (first, end, bound), *others = statement["parts"]
    changed: dict[str, tuple[str, list[list[int]]]] = {
        "part-bound-above": ("the bound of a part is larger by one", [[first, end, bound + 1], *others]),
        "part-bound-below": ("the bound of a part is smaller by one", [[first, end, bound - 1], *others]),
        "part-begins-later": ("a part begins one value later", [[first + 1, end, bound], *others]),
        "part-ends-earlier": ("a part ends one value earlier", [[first, end - 1, bound], *others]),
        "parts-in-another-order": ("the parts stand in another order", [*others, [first, end, bound]]),
        "part-twice": ("a part stands there twice", [[first, end, bound], [first, end, bound], *others]),
        "part-left-out": ("a part is left out", others),
    }
    for name, (fault, parts) in changed.items():
        yield _named(name, fault, statement={"parts": parts})
    yield _named("without-parts", "no part is claimed", without=["parts"])
    yield _named("without-direction", "no direction is claimed", without=["direction"])
    yield _named("without-claims", "nothing further is claimed", without=["parts", "direction"])
    for which, at in (("first", 0), ("last", len(direction) - 2)):
        now = (int.from_bytes(direction[at : at + 2], "little") ^ 1).to_bytes(2, "little")
        fault = f"the {which} entry of the direction is another"
        yield _named(f"{which}-of-direction", fault, direction=[_patch(direction, at, now)])
