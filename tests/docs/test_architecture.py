"""ARCHITECTURE.md lists contracts, backends and parties with exactly the signatures that the code has."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from pages import ROOT, rows

from source_code import parsed

PACKAGE = ROOT / "src" / "quatrefoil"
PAGE = ROOT / "ARCHITECTURE.md"
CONTRACTS = ("TransportSecurity", "IsolationAttester", "IsolationAppraiser", "PrivateAggregation", "IntegrityProof")


@cache
def classes() -> dict[str, list[tuple[str, ast.ClassDef]]]:
    """Every class of the package by name, with the file that it stands in."""
    found: dict[str, list[tuple[str, ast.ClassDef]]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(parsed(file.read_text())):
            if isinstance(node, ast.ClassDef):
                where = file.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
                found.setdefault(node.name, []).append((where, node))
    return found


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def public(node: ast.ClassDef) -> set[str]:
    """Public methods, properties and class attributes."""
    assigned = {t.id for item in node.body if isinstance(item, ast.Assign) for t in item.targets if hasattr(t, "id")}
    return {name for name in {*methods(node), *assigned} if not name.startswith("_")}


def offered(node: ast.ClassDef) -> set[str]:
    """Public names of a class and of the classes of the package that it is made from."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return public(node).union(*(offered(known) for base in bases for _, known in classes().get(base, [])))


def signature(node: ast.ClassDef) -> str:
    arguments = methods(node)["__init__"].args
    arguments.args = arguments.args[1:]
    return ast.unparse(arguments)


def documented(text: str) -> str:
    """The arguments in ``Name(arguments)``, in the form of :func:`signature`."""
    arguments = text.partition("(")[2].removesuffix(")").replace("\\|", "|")  # escaped in a table
    function = parsed(f"def f({arguments}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return ast.unparse(function.args)


def constructors() -> list[str]:
    found = rows(PAGE, "## The four contracts and their backends") + rows(PAGE, "## The parties")
    return [cell.strip("`") for row in found if "(" in (cell := row[-1])]


@pytest.mark.parametrize("constructor", constructors(), ids=lambda text: text.partition("(")[0])
def test_constructors_are_written_as_they_are(constructor: str) -> None:
    room, name = constructor.partition("(")[0].rsplit(".", 1)
    found = [node for where, node in classes()[name] if where.startswith(room)]
    assert len(found) == 1, f"{name} is not one class of {room}"
    assert documented(constructor) == signature(found[0])


def test_the_comparison_would_notice() -> None:
    assert documented("a.B(x: int, *, y: str)") != documented("a.B(x: int, y: str)")
    assert documented("a.B(x: int = 1)") != documented("a.B(x: int = 2)")


def test_the_contracts_are_listed_with_their_methods() -> None:
    listed = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1]))
        for row in rows(PAGE, "## The four contracts and their backends")
        if "(" not in row[-1] and row[1] != "none yet"
    }
    assert listed == {name: public(classes()[name][0][1]) for name in CONTRACTS}


def test_every_class_that_fulfils_a_contract_is_listed() -> None:
    """But for private classes and what the demo's attacks put in a party's place."""
    contracts = {name: public(classes()[name][0][1]) for name in CONTRACTS}
    fulfilling = {
        (contract, name)
        for name, found in classes().items()
        for where, node in found
        for contract, wanted in contracts.items()
        if wanted <= offered(node)
        and not name.startswith("_")
        and not where.startswith("contracts.")
        and not where.startswith("demo.attacks.")
    }
    listed = {
        (row[0].strip("`"), row[2].strip("`").partition("(")[0].rpartition(".")[2])
        for row in rows(PAGE, "## The four contracts and their backends")
        if "(" in row[-1]
    }
    assert listed == fulfilling
