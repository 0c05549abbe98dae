"""``quatrefoil security-level``: what breaking encryption or field hash costs by estimate, and published tables."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from math import ceil, log2
from typing import Any

from quatrefoil.aggregation.security import SIEVES, TABLES, Collision, Level, collision, field_hash_sets, levels
from quatrefoil.output import add_json_option, console, only_json, table, write_json

NAME = "security-level"
HELP = "estimate what lattice attacks on the encryption and the field hash cost, with the published tables beside it"
SCHEMA = "quatrefoil.security-level/1"


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    estimated = levels()
    collisions = [collision(one) for one in field_hash_sets()]
    content = {"levels": [_content(one) for one in estimated], "tables": _tables()}
    write_json(options.json, SCHEMA, content | {"field_hash": [_collision_content(one) for one in collisions]})
    if only_json(options):
        return
    for one in estimated:
        _show(one)
    _show_tables(estimated)
    columns = ("rows", "columns", "B", "norm", "block", "dimension", *SIEVES, "with lists")
    console().print(table("Collisions of the field hash; bits", columns, collision_cells(collisions)))
    console().print("Core-SVP, an estimate of known attacks and no proof. Nothing here is audited.")


def estimate_cells(level: Level) -> list[list[str]]:
    """The rows of the estimate as they are printed, and as docs/security-level.md holds them."""
    return [
        [
            row.known,
            f"{row.variance:.2f}",
            f"{row.primal.block_size}",
            f"{row.primal.dimension}",
            *(f"{row.primal.bits(sieve)}" for sieve in SIEVES),
            f"{row.dual['classical'].bits}",
        ]
        for row in level.rows
    ]


def guess_cells(level: Level) -> list[list[str]]:
    """What is left to guess of a key whose sum with others is known, likewise."""
    return [
        [f"{one.honest}", f"{one.variance:.2f}", f"{one.entropy:.2f}", f"{one.guess:.2f}", f"{one.guess * level.n:.0f}"]
        for one in level.known_sums
    ]


def table_cells() -> list[list[str]]:
    """The published tables, likewise."""
    return [[one.table, one.secret, one.against, *(f"{bits}" for bits in one.largest)] for one in TABLES]


def collision_cells(collisions: list[Collision]) -> list[list[str]]:
    """The estimate for the field hash, likewise, as docs/field-hash.md holds it."""
    found = []
    for one in collisions:
        shape = [f"{one.sis.rows}", f"{one.sis.columns}", f"{one.sis.bound}"]
        bits = [f"{one.bits(sieve)}" for sieve in SIEVES]
        found.append([*shape, "largest entry", f"{one.block_size}", f"{one.dimension}", *bits, f"{one.lists}"])
        bits = [f"{one.euclidean_bits(sieve)}" for sieve in SIEVES]
        found.append([*shape, "Euclidean", f"{one.euclidean}", "", *bits, ""])
    return found


def _show(level: Level) -> None:
    out = console()
    title = f"{', '.join(level.parameter_sets)}: N = {level.n}, log2 q = {log2(level.q):.0f}, eta = {level.eta}; bits"
    columns = ("an attacker knows", "variance", "block", "dimension", *SIEVES, "dual")
    out.print(table(title, columns, estimate_cells(level)))
    out.print(
        f"Dense sublattice of all {level.n} rotations (overstretched NTRU's attack): block size {level.rotations}.\n"
        f"The theorem on hints asks for a deviation of {level.smoothing_deviation:.2f} after its own loss: Gaussians "
        f"of this size have it from {level.theorem_from} honest silos on.",
        markup=False,
    )
    columns = ("honest silos in a known sum", "variance", "entropy", "best guess", "best guess of the key")
    out.print(table("One coefficient of a key, given the sum; bits", columns, guess_cells(level)))


def _show_tables(estimated: tuple[Level, ...]) -> None:
    width = ", ".join(f"{ceil(log2(one.q))}" for one in estimated)
    columns = ("table", "secret", "against", "128 bits", "192 bits", "256 bits")
    drawn = table(f"Largest log2 q at N = 4096 by published tables; here {width}", columns, table_cells())
    for column in drawn.columns[1:3]:
        column.justify = "left"
    console().print(drawn)


def _content(level: Level) -> dict[str, Any]:
    content = asdict(level) | {"q": str(level.q)}  # above what JSON readers keep exact
    for written, row in zip(content["rows"], level.rows, strict=True):
        written["primal"]["bits"] = {sieve: row.primal.bits(sieve) for sieve in SIEVES}
    return content


def _collision_content(one: Collision) -> dict[str, Any]:
    content = asdict(one)
    content["sis"]["q"] = str(one.sis.q)
    return content | {
        "bits": {sieve: one.bits(sieve) for sieve in SIEVES},
        "euclidean_bits": {sieve: one.euclidean_bits(sieve) for sieve in SIEVES},
    }


def _tables() -> list[dict[str, Any]]:
    return [asdict(one) for one in TABLES]
