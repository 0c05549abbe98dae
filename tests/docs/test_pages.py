"""What every page has to keep to: links that lead somewhere, options that exist, tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from command_line import commands, options, uses
from pages import ROOT, anchors, links, pages, rows

from source_code import parsed

SECURITY = ROOT / "SECURITY.md"
NEEDED = ("README", "ARCHITECTURE", "SECURITY", "CONTRIBUTING", "CHANGELOG")
MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|mnt|opt|Users)/\w")
"""A path that exists on somebody's machine only."""
OF_OTHER_TOOLS = {"--strict", "--check", "--fixes"}
OF_OTHER_TOOLS |= {"--node-config", "--run-config", "--isolation", "--trusted-entities"}  # Flower's

each_page = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def test_the_pages_are_there() -> None:
    assert {f"{name}.md" for name in NEEDED} <= {page.name for page in pages() if page.parent == ROOT}


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@each_page
def test_every_page_says_that_nothing_is_audited(page: Path) -> None:
    assert re.search(
        r"unaudited|nothing (here )?is audited|not audited|no audit", " ".join(page.read_text().split()), re.I
    )


@each_page
def test_no_page_speaks_of_where_it_was_written(page: Path) -> None:
    assert MACHINE.findall(page.read_text()) == []


@each_page
def test_every_command_and_option_in_a_page_exists(page: Path) -> None:
    text = page.read_text()
    known = commands()
    unknown = [
        f"quatrefoil {' '.join(name)} {option}"
        for name, given in uses(text)
        for option in given or [""]
        if name not in known or (option and option not in options(known[name]))
    ]
    everything = set().union(*map(options, known.values())) | OF_OTHER_TOOLS
    unknown += sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) - everything)
    assert unknown == []


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    assert list(uses("`quatrefoil plan W --polcy P`")) == [(("plan",), ["--polcy"])]
    assert list(uses("quatrefoil ca init D \\\n  --nme N")) == [(("ca", "init"), ["--nme"])]
    assert list(uses("quatrefoil train X")) == [(("?", "train"), [])]


def test_the_list_of_pages_is_complete() -> None:
    folder = ROOT / "docs"
    listed = {target for target in links(folder / "README.md") if "/" not in target}
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}


def collusions() -> list[list[str]]:
    first = re.search(r"^## .*$", SECURITY.read_text(), re.M)
    assert first is not None
    return rows(SECURITY, first[0])


def test_security_opens_with_the_table_of_who_colludes_with_whom() -> None:
    assert SECURITY.read_text().index("\n| ") < 700
    assert len(collusions()) >= 12
    assert all(len(row) == 3 and all(row) for row in collusions())


@pytest.mark.parametrize("row", collusions(), ids=lambda row: re.sub(r"\W+", "-", row[0])[:60])
def test_every_row_names_a_test_that_exists(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[2])
    assert named, f"no test shows {row[0]!r}"
    for file, test in named:
        tree = parsed((ROOT / file).read_text())
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"


def test_every_test_named_anywhere_in_a_page_exists() -> None:
    missing = [
        f"{page.name}: {file}::{test}"
        for page in pages()
        for file, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text())
        if not re.search(rf"def {test}\(", (ROOT / file).read_text())
    ]
    assert missing == []


def test_every_make_target_in_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {
        target for page in pages() for target in re.findall(r"(?:`|\$ )make ([a-z-]+)(?:`|$)", page.read_text(), re.M)
    }
    assert used and used <= targets
