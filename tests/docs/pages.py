"""The repository's pages, taken apart: fenced blocks, table rows, links."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: the page it stands on, its place there, its language and its text."""

    page: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}#{self.number}"


def pages() -> list[Path]:
    """Every page that is in the repository or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        return sorted(file for name in listed if name and (file := ROOT / name).exists())
    except (OSError, subprocess.CalledProcessError):  # a copy without its history
        return sorted(
            file for file in ROOT.rglob("*.md") if not re.search(r"/[.]|/target/", f"/{file.relative_to(ROOT)}")
        )


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in one of ``languages``."""
    found = [Block(page, number, *match.groups()) for number, match in enumerate(_FENCE.finditer(page.read_text()))]
    return [block for block in found if block.language in languages]


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of every row of the tables below ``heading``, without headers and rules."""
    _, found, body = page.read_text().partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    body = re.split(r"^#+ ", body, maxsplit=1, flags=re.M)[0]
    lines = body.splitlines()
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in lines
        if line.startswith("| ") and not _is_header(lines, line)
    ]


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links."""
    text = _FENCE.sub("", page.read_text())
    yield from re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(block: Block) -> str:
    """A console block as a shell script: what follows ``$ `` and, continued, ``> ``; the rest is output."""
    lines = [line[2:] for line in block.text.splitlines() if line.startswith(("$ ", "> "))]
    assert lines, f"{block} holds no command"
    return "\n".join(lines) + "\n"


def _is_header(lines: list[str], line: str) -> bool:
    following = lines[lines.index(line) + 1] if line != lines[-1] else ""
    return following.startswith("|---")
