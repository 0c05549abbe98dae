"""Reads the machine code of the kernel: every conditional branch, division and gather in code that handles secrets.

The library is built as for a wheel, but with its symbols and line numbers. Each suspect is traced through the functions
that were inlined there, and counts when one of them is of a source file, or of a crate, that handles secrets. A rule of
``allowed.toml`` must say why what it looks at is public; what no rule explains is printed, and the exit code is 1.

    python tests/constant_time/machine_code.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALLOWED = Path(__file__).with_name("allowed.toml")
LIBRARY = ROOT / "rust" / "target" / "constant-time" / "release" / "libquatrefoil_core.so"

_BUILD = ("cargo", "build", "--quiet", "--release", "--lib", "--features", "pyo3/extension-module")
_SYMBOL = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*(.*)$")
_SUSPECT = re.compile(r"j(?!mp)|loop|v?p?gather|v?p?scatter|i?div$|v?(div|sqrt)[ps][sd]$|vp?(div|rcp|rsqrt)")
"""Instructions whose next address, or time, may depend on what they work on. ``cmov`` and masks do not."""


@dataclass(frozen=True)
class Frame:
    """One of the functions inlined at an address, and its line.

    The path of a file of the kernel is its name; others begin with the crate, or with the part of the standard library.
    ``own``: it is of the kernel.
    """

    function: str
    path: str
    line: int
    own: bool


@dataclass(frozen=True)
class Suspect:
    """A suspicious instruction. ``frames``: innermost first."""

    symbol: str
    address: str
    instruction: str
    frames: tuple[Frame, ...]

    @property
    def copy(self) -> str:
        """The processor that this code is for."""
        found = re.search(r"avx512|avx2|vaes", self.symbol)
        return {"vaes": "avx512"}.get(found[0], found[0]) if found else "portable"

    @property
    def where(self) -> str:
        """The file of the kernel that it comes from."""
        return next((frame.path for frame in self.frames if frame.own), self.frames[0].path)


@dataclass(frozen=True)
class Rule:
    """What a branch may look at, and why that is public.

    ``inner``: the path of the innermost function. ``line``: the text of the line of the kernel that it comes from, and
    ``file`` the path of its file.
    """

    why: str
    inner: re.Pattern[str]
    line: re.Pattern[str]
    file: re.Pattern[str] = re.compile("")

    def explains(self, suspect: Suspect) -> bool:
        own = [frame for frame in suspect.frames if frame.own]
        text = source_line(own[0]) if own else ""
        if not self.file.search(own[0].path if own else ""):
            return False
        return bool(self.inner.search(suspect.frames[0].path)) and bool(self.line.search(text))


@dataclass(frozen=True)
class Reading:
    """Which code is read, and what is allowed in it."""

    secret_crates: tuple[str, ...]
    not_read: tuple[str, ...]
    public_files: frozenset[str]
    public_callers: frozenset[str]
    rules: tuple[Rule, ...]

    @classmethod
    def from_file(cls, file: Path = ALLOWED) -> Reading:
        content = tomllib.loads(file.read_text())
        rules = [
            Rule(rule["why"], *(re.compile(rule.get(pattern, "")) for pattern in ("inner", "line", "file")))
            for rule in content["rule"]
        ]
        return cls(
            tuple(content["secret_crates"]),
            tuple(content["not_read"]),
            frozenset(content["public_files"]),
            frozenset(content["public_callers"]),
            tuple(rules),
        )

    def concerns(self, suspect: Suspect) -> bool:
        """Whether a function inlined there is of a secret file or crate, and none of a file that is left out."""
        own = [frame.path for frame in suspect.frames if frame.own]
        if any(path in self.public_callers or path.startswith(self.not_read) for path in own):
            return False
        return any(
            frame.path not in self.public_files if frame.own else frame.path.startswith(self.secret_crates)
            for frame in suspect.frames
        )

    def reason(self, suspect: Suspect) -> str | None:
        return next((rule.why for rule in self.rules if rule.explains(suspect)), None)


def build() -> Path:
    """The library with symbols and line numbers: neither changes what is generated."""
    flags = {
        "CARGO_PROFILE_RELEASE_STRIP": "none",
        "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
        "RUSTFLAGS": f"{os.environ.get('RUSTFLAGS', '')} -C symbol-mangling-version=v0".strip(),
        "PYO3_PYTHON": sys.executable,
    }
    folders = ("--manifest-path", str(ROOT / "rust" / "Cargo.toml"), "--target-dir", str(LIBRARY.parents[1]))
    subprocess.run([*_BUILD, *folders], check=True, env=os.environ | flags)
    return LIBRARY


def suspects(library: Path) -> list[Suspect]:
    """Every suspicious instruction of a library, with the functions it was inlined from."""
    shown = subprocess.run(
        ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = list(_suspicious(shown.splitlines()))
    frames = _frames(library, [address for _, address, _ in found])
    return [Suspect(*one, chain) for one, chain in zip(found, frames, strict=True)]


def source_line(frame: Frame) -> str:
    """The text of a line of the kernel; empty for code that the compiler gives no line."""
    lines = (ROOT / "rust" / "src" / frame.path).read_text().splitlines()
    return lines[frame.line - 1].strip() if frame.line else ""


def _suspicious(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    symbol = ""
    for line in lines:
        if start := _SYMBOL.match(line):
            symbol = start[1]
        elif (found := _INSTRUCTION.match(line)) and _SUSPECT.match(found[2]):
            yield symbol, found[1], f"{found[2]} {found[3]}".strip()


def _frames(library: Path, addresses: list[str]) -> list[tuple[Frame, ...]]:
    answer = subprocess.run(
        ["addr2line", "-e", str(library), "--addresses", "--inlines", "--functions", "--demangle"],
        input="\n".join(f"0x{address}" for address in addresses),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    chains = re.split(r"^0x[0-9a-f]+\n", answer, flags=re.M)[1:]
    return [tuple(_frame(*pair) for pair in _pairs(chain.splitlines())) for chain in chains]


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    return zip(lines[::2], lines[1::2], strict=True)


def _frame(function: str, place: str) -> Frame:
    path, _, line = place.partition(" (discriminator")[0].rpartition(":")
    own = "/rust/src/" in path
    shortened = re.sub(r"^.*/rust/src/|^.*/library/(?=core|alloc|std)|^.*/registry/src/[^/]+/|^.*/vendor/", "", path)
    return Frame(function, shortened, int(line) if line.isdigit() else 0, own)


def _short(symbol: str) -> str:
    """A symbol without its generic arguments, but for the loop that a copy was made of."""
    loop = re.search(r"at_its_best::.*::(\w+)(?:<[^<>]*>)?>$", symbol)
    if loop:
        return f"{loop[1]}"
    while (shorter := re.sub(r"<[^<>]*>", "", symbol)) != symbol:
        symbol = shorter
    return symbol.strip(":")[-60:]


def main() -> int:
    reading = Reading.from_file()
    found = [one for one in suspects(build()) if reading.concerns(one)]
    explained, unexplained = Counter[tuple[str, str]](), []
    for one in found:
        reason = reading.reason(one)
        if reason is None:
            unexplained.append(one)
        else:
            explained[one.copy, reason] += 1
    print(f"{len(found)} conditional branches, divisions and gathers in code that handles secrets:")
    for (copy, reason), count in sorted(explained.items()):
        print(f"  {copy:<9}{count:>5}  {reason}")
    for one in unexplained:
        print(f"UNEXPLAINED {one.copy}: {one.instruction} at {one.address} in {_short(one.symbol)}")
        for frame in one.frames[:6]:
            print(f"    {frame.path}:{frame.line} {_short(frame.function)}")
    used = {reason for _, reason in explained}
    for rule in reading.rules:
        if rule.why not in used:
            print(f"UNUSED: the rule for {rule.why!r} explains nothing: remove it.")
    print(f"{len(unexplained)} are not explained by tests/constant_time/allowed.toml.")
    return 1 if unexplained or not found else 0


if __name__ == "__main__":
    raise SystemExit(main())
