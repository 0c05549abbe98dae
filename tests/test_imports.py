"""Imports point one way: the ranks of ARCHITECTURE.md, and no layer imports another."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from source_code import parsed

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "quatrefoil"
LAYERS = {"transport", "enclave", "aggregation", "proofs", "insecure"}


def ranks() -> dict[str, int]:
    """Room -> rank, read from the table in ARCHITECTURE.md so that the drawing cannot drift from the code."""
    found: dict[str, int] = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        if row := re.match(r"\| (\d+) \| (.+?) \|", line):
            found |= {room: int(row[1]) for room in re.findall(r"`(\w+)`", row[2])}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "quatrefoil"


def imports_of(file: Path) -> set[str]:
    """Rooms that a file imports, at whatever depth the import statement stands."""
    found: set[str] = set()
    for node in ast.walk(parsed(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {room(alias.name) for alias in node.names if alias.name.startswith("quatrefoil")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "quatrefoil":
                found |= {alias.name for alias in node.names}
            elif node.module and node.module.startswith("quatrefoil."):
                found.add(room(node.module))
    return found


def violations(importer: str, imported: set[str], order: dict[str, int]) -> list[str]:
    wrong = []
    for other in imported - {importer}:
        if importer in LAYERS and other in LAYERS:
            wrong.append(f"layer {importer} imports layer {other}")
        elif order[other] >= max(order[importer], 1):  # the shared ground may use itself
            wrong.append(f"{importer} (rank {order[importer]}) imports {other} (rank {order[other]})")
    return wrong


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    relative = file.relative_to(PACKAGE)
    importer = relative.parts[0].removesuffix(".py")
    if importer == "__init__":
        return  # the public face: may name anything
    order = ranks()
    assert importer in order, f"{importer} is not a room of ARCHITECTURE.md"
    assert violations(importer, imports_of(file), order) == []


def test_every_room_drawn_exists() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(ranks()) - rooms - {"_core"} == set()


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("transport", "aggregation"),
        ("policy", "federation"),
        ("aggregation", "insecure"),
        *(("services", "parties"), ("parties", "flower"), ("parties", "cli"), ("flower", "cli")),
    ],
)
def test_the_rule_would_notice(importer: str, imported: str) -> None:
    assert violations(importer, {imported}, ranks())


def test_every_test_file_has_a_name_of_its_own() -> None:
    """Two of a name are collected as one module: the second is an error, and only where both are collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
