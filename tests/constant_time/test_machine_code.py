"""The reading of machine code finds a branch on a secret, and finds none in the kernel that is not explained."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.constant_time import machine_code
from tests.constant_time.machine_code import Frame, Reading, Rule, Suspect

TOOLS = ("cargo", "rustc", "objdump", "addr2line")
needs_tools = pytest.mark.skipif(
    platform.machine() != "x86_64" or any(shutil.which(tool) is None for tool in TOOLS),
    reason="needs an x86-64 processor, cargo and binutils",
)

LEAKY = """
use std::hint::black_box;
#[unsafe(no_mangle)]
pub extern "C" fn tells(secret: u64) {
    if secret > 41 { black_box(secret); black_box(1); }
}
#[unsafe(no_mangle)]
pub extern "C" fn divides(secret: u64) -> u64 { 1_000_000 / (secret | 1) }
#[unsafe(no_mangle)]
pub extern "C" fn is_silent(secret: u64) -> u64 { (secret & 41).wrapping_mul(3) }
"""


def suspect(*frames: Frame) -> Suspect:
    return Suspect("symbol", "1000", "jne 2000", frames)


def reading(*rules: Rule) -> Reading:
    return Reading(("aes-",), ("proof/",), frozenset({"lib.rs"}), frozenset({"sum.rs"}), rules)


OWN = Frame("count_bits", "sampling.rs", 0, True)
DOOR = Frame("encrypt", "lib.rs", 0, True)


@pytest.mark.parametrize(
    ("frames", "concerned"),
    [
        ((OWN,), True),
        ((DOOR,), False),
        ((Frame("next", "core/src/iter/range.rs", 9, False), OWN, DOOR), True),
        ((Frame("next", "core/src/iter/range.rs", 9, False), DOOR), False),
        ((Frame("key_schedule", "aes-0.9.2/src/lib.rs", 9, False), DOOR), True),
        ((OWN, Frame("check", "sum.rs", 0, True)), False),
        ((Frame("round", "proof/sumcheck.rs", 0, True), DOOR), False),
        ((OWN, Frame("fill", "proof/witness.rs", 0, True)), False),
    ],
    ids=[
        "secret",
        "door",
        "inlined in secret",
        "inlined in door",
        "crate",
        "called from a public one",
        "not read yet",
        "secret, inlined in what is not read yet",
    ],
)
def test_what_is_read(frames: tuple[Frame, ...], concerned: bool) -> None:
    assert reading().concerns(suspect(*frames)) is concerned


def test_a_rule_explains_only_what_both_its_patterns_find() -> None:
    rule = Rule("lengths", re.compile("^core/src/iter"), re.compile(""))
    iterator = suspect(Frame("next", "core/src/iter/range.rs", 9, False), OWN)
    assert reading(rule).reason(iterator) == "lengths"
    assert reading(rule).reason(suspect(OWN)) is None
    other_line = Rule("lengths", re.compile("^core/src/iter"), re.compile("^for word in"))
    assert reading(other_line).reason(iterator) is None
    other_file = Rule("lengths", re.compile("^core/src/iter"), re.compile(""), re.compile("^proof/"))
    assert reading(other_file).reason(iterator) is None


def test_nothing_of_the_kernel_is_left_unread() -> None:
    assert Reading.from_file().not_read == ()


def test_every_rule_says_why() -> None:
    rules = Reading.from_file().rules
    assert rules and all(rule.why and (rule.inner.pattern or rule.line.pattern) for rule in rules)


@needs_tools
@pytest.mark.parametrize("name", ["sampling.rs", "proof/multiplicity.rs", "proof/sumcheck.rs", "proof/wide/round.rs"])
def test_a_branch_and_a_division_on_a_secret_are_found(tmp_path: Path, name: str) -> None:
    """Compiled from a file with the name of a secret one: nothing in the list of what is allowed explains it."""
    source = tmp_path / "rust" / "src" / name
    source.parent.mkdir(parents=True)
    source.write_text(LEAKY)
    library = tmp_path / "leaky.so"
    flags = ["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=3", "-C", "debuginfo=line-tables-only"]
    subprocess.run(["rustc", *flags, "-o", str(library), str(source)], check=True)
    found = Reading.from_file()
    seen = [one for one in machine_code.suspects(library) if found.concerns(one)]
    assert {one.symbol for one in seen} == {"tells", "divides"}
    assert all(found.reason(one) is None for one in seen)


@needs_tools
@pytest.mark.slow
def test_every_branch_of_the_kernel_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert machine_code.main() == 0, capsys.readouterr().out
