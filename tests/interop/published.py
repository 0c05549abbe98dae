"""Test vectors out of packages: read where cargo has unpacked them, never copied into this tree.

A file that has become empty, or lost a kind of case, must not pass for one that holds: whoever runs a file names how
many cases of each result it has, and ``cases`` insists. docs/interop.md states the same numbers.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from peer_program import package

WYCHEPROOF = {
    "mldsa_65_verify_test.json": {"valid": 79, "invalid": 131},
    "mldsa_87_verify_test.json": {"valid": 71, "invalid": 170},
    "mldsa_65_sign_seed_test.json": {"valid": 101, "invalid": 4},
    "mldsa_87_sign_seed_test.json": {"valid": 92, "invalid": 4},
    "mldsa_65_sign_noseed_test.json": {"valid": 73, "invalid": 5},
    "mldsa_87_sign_noseed_test.json": {"valid": 64, "invalid": 5},
    "mlkem_768_test.json": {"valid": 161, "invalid": 40},
    "mlkem_1024_test.json": {"valid": 162, "invalid": 40},
    "mlkem_768_keygen_seed_test.json": {"valid": 100},
    "mlkem_1024_keygen_seed_test.json": {"valid": 100},
    "mlkem_768_encaps_test.json": {"valid": 133, "invalid": 132},
    "mlkem_1024_encaps_test.json": {"valid": 133, "invalid": 136},
    "mlkem_768_semi_expanded_decaps_test.json": {"valid": 3, "invalid": 6},
    "mlkem_1024_semi_expanded_decaps_test.json": {"valid": 3, "invalid": 6},
    "x25519_test.json": {"valid": 264, "acceptable": 254},
    "ecdh_secp384r1_ecpoint_test.json": {"valid": 771, "acceptable": 1, "invalid": 18},
    "aes_gcm_test.json": {"valid": 229, "invalid": 87},
    "hkdf_sha384_test.json": {"valid": 80, "invalid": 3},
}
"""How many cases of each result a file of Wycheproof holds."""


@dataclass(frozen=True)
class Case:
    """One case. ``fields``: its own and those of its group, hexadecimal text read as bytes where it is that."""

    number: int
    result: str
    flags: tuple[str, ...]
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: bytes = b"") -> Any:
        return self.fields.get(name, default)


def wycheproof(file: str) -> list[Case]:
    """Every case of a file, after its number of cases has been checked."""
    content = json.loads((package("wycheproof") / "src" / "data" / file).read_text())
    found = [
        Case(one["tcId"], one["result"], tuple(one.get("flags", ())), read(group) | read(one))
        for group in content["testGroups"]
        for one in group["tests"]
    ]
    assert Counter(case.result for case in found) == WYCHEPROOF[file]
    return found


def acvp(crate: str, folder: str, parameters: str) -> list[dict[str, Any]]:
    """NIST's cases for one parameter set, in the form that carries the answers."""
    content = json.loads(gzip.decompress((package(crate) / "tests" / "nist_vectors" / folder).read_bytes()))
    (group,) = (one for one in content["testGroups"] if one["parameterSet"] == parameters)
    return [read(one) for one in group["tests"]]


def read(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value_of(value) for name, value in fields.items()}


def value_of(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value


@contextmanager
def naming(case: Case) -> Iterator[None]:
    """A failure inside says which case it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"case {case.number}, {case.result}, {', '.join(case.flags) or 'no flags'}")
        raise
