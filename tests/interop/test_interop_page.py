"""docs/interop.md states what the tests do: cases, packages, versions that are still allowed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from peer_program import CRATE
from published import WYCHEPROOF
from tests.docs.pages import ROOT, rows

PAGE = ROOT / "docs" / "interop.md"


def stated() -> dict[str, str]:
    return {found[1]: row[1] for row in rows(PAGE, "## Vectors") if (found := re.search(r"`(\w+\.json)`", row[0]))}


def test_the_cases_of_each_file_are_those_that_run() -> None:
    assert stated() == {
        file: ", ".join(f"{count} {result}" for result, count in counts.items()) for file, counts in WYCHEPROOF.items()
    }


def test_each_file_is_run_by_a_test() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_wycheproof_*.py"))
    patterns = [re.sub(r"\{[^}]*\}", r"\\d+", name) for name in re.findall(r"wycheproof\(f?\"([^\"]+)\"\)", tests)]
    assert [file for file in WYCHEPROOF if not any(re.fullmatch(pattern, file) for pattern in patterns)] == []


def test_the_crates_are_those_that_are_locked() -> None:
    locked = {(one["name"], one["version"]) for one in tomllib.loads((CRATE / "Cargo.lock").read_text())["package"]}
    text = PAGE.read_text()
    for name, version in [
        ("hpke", "0.15.1"),
        ("ml-dsa", "0.1.2"),
        ("signed_note", "0.2.0"),
        ("tlog_tiles", "0.2.0"),
        ("x-wing", "0.1.1"),
        ("fips203", "0.5.0"),
        ("fips204", "0.5.0"),
        ("coset", "0.4.2"),
        ("ohttp", "0.8.0"),
        ("bhttp", "0.8.0"),
        ("ed25519-dalek", "3.0.0"),
    ]:
        assert (name, version) in locked and f"`{name}`" in text and version in text


def test_every_file_of_tests_has_a_place_on_the_page() -> None:
    text = PAGE.read_text()
    files = {file.name for file in Path(__file__).parent.glob("test_*.py")}
    of_vectors = {"test_published_vectors.py", Path(__file__).name}
    unnamed = {name for name in files - of_vectors if name not in text and "wycheproof" not in name}
    assert unnamed == set()
