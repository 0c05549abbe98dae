"""``quatrefoil score``: rows scored by a party that does not see them; in one call to try it out, or in three steps."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quatrefoil.cli import score_data, score_held, score_network
from quatrefoil.cli.score_output import progress, read, read_key, require_new, show, show_scores
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, table, write_json
from quatrefoil.transport import files

if TYPE_CHECKING:
    from quatrefoil.aggregation.he import HeParameters
    from quatrefoil.analytics import Answer, EncryptedTable, LinearModel, Scores, TableKey

NAME = "score"
HELP = "score rows with a linear model or a small network, encrypted: who computes does not see them"

NEEDED: dict[str | None, tuple[str, ...]] = {
    None: ("model", "data"),
    "encrypt": ("data", "key", "table"),
    "compute": ("model", "table", "answer"),
    "decrypt": ("key", "answer"),
    **score_held.NEEDED,
}
"""Options of each step; the others are refused."""
EXTRA: dict[str | None, tuple[str, ...]] = {
    None: ("scheme", "set", "bound", "columns", "largest_error", "scores"),
    "encrypt": ("scheme", "set", "bound", "columns", "evaluation_keys"),
    "compute": ("largest_error", "evaluation_keys"),
    "decrypt": ("scores",),
    **score_held.EXTRA,
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--step", choices=("encrypt", "compute", "decrypt"), help="one party's step (default: all three here)"
    )
    parser.add_argument("--scheme", choices=("ckks", "bgv"), help="ckks: numbers; bgv: integers, exact (default: ckks)")
    parser.add_argument(
        "--set", metavar="NAME", help="parameter set, as a plan names it (default: by scheme and model)"
    )
    parser.add_argument("--model", type=Path, metavar="M", help="the model, .json or .onnx")
    parser.add_argument("--data", type=Path, metavar="FILE", help="rows to score, .csv or .parquet")
    parser.add_argument("--columns", metavar="NAMES", help="encrypt these columns, by commas (default: all)")
    parser.add_argument("--bound", type=float, metavar="X", help="no value is beyond X (default: as the data is)")
    parser.add_argument(
        "--largest-error", type=float, metavar="E", help="refuse where a score before its sigmoid can be more wrong"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key holder's secret: new at encrypt")
    parser.add_argument("--table", type=Path, metavar="FILE", help="encrypted rows, to the computing party")
    parser.add_argument(
        "--evaluation-keys",
        type=Path,
        metavar="FILE",
        help="to the computing party as well, for a network: new at encrypt",
    )
    parser.add_argument("--answer", type=Path, metavar="FILE", help="encrypted scores, back to the key holder")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="write all scores here, as a new CSV")
    parser.add_argument("--sets", action="store_true", help="only print the parameter sets, with their estimates")
    add_json_option(parser)
    score_held.configure(parser)


def run(options: argparse.Namespace) -> None:
    if options.sets:
        _show_sets(options)
        return
    step = score_held.step(options)
    _require_options(options, step)
    steps: dict[str | None, Callable[[argparse.Namespace], None]] = {
        **{None: _all, "encrypt": _encrypt, "compute": _compute, "decrypt": _decrypt},
        **{score_held.ENCRYPT: _encrypt_held, score_held.DECRYPT: _decrypt_held},
    }
    steps[step](options)


SET_COLUMNS = (
    "set",
    "N",
    "log2 q",
    "at most",
    "classical",
    "quantum",
    "values",
    "bytes",
    "products",
    "error or largest",
)


def set_cells() -> list[list[str]]:
    """The rows of ``--sets``, and of docs/homomorphic.md."""
    return [[_set_cell(value) for name, value in row.items() if name != "public_error"] for row in _sets()]


def _sets() -> list[dict[str, Any]]:
    """Core-SVP with the ternary secret's deviation for the error too, which is larger: in the attacker's favour."""
    from quatrefoil.aggregation.he import SETS
    from quatrefoil.aggregation.he.bounds import CkksTrack
    from quatrefoil.aggregation.he.parameters import STANDARD_128
    from quatrefoil.aggregation.security.lattice import Lwe, primal

    found = []
    for p in SETS.values():
        estimate = primal(Lwe(p.ring_degree, p.modulus * (p.special or 1), (2 / 3) ** 0.5))
        found.append(
            {
                "set": p.name,
                "degree": p.ring_degree,
                "modulus_bits": p.total_bits,
                "standard_bits": STANDARD_128[p.ring_degree],
                "classical": estimate.bits("classical"),
                "quantum": estimate.bits("quantum"),
                "values": p.slots,
                "ciphertext_bytes": p.ciphertext_bytes,
                "products": p.products,
                "error_or_largest": CkksTrack.fresh(p).error if p.scheme == "ckks" else (p.plain - 1) // 2,
                "public_error": _public_error(p),
            }
        )
    return found


def _public_error(p: HeParameters) -> float | None:
    """0 where it is exact; none where rows are encrypted with a key of their own only."""
    from quatrefoil.aggregation.he.bounds import CkksTrack

    if p.rescaled_bits:
        return None
    return CkksTrack.fresh(p, public=True).error if p.scheme == "ckks" else 0.0


def _show_sets(options: argparse.Namespace) -> None:
    write_json(options.json, "quatrefoil.score-sets/1", {"sets": _sets()})
    if not only_json(options):
        console().print(table("Parameter sets for encrypted tables", SET_COLUMNS, set_cells()))
        console().print("Core-SVP, an estimate of known attacks and no proof. Nothing here is audited.")


def _set_cell(value: Any) -> str:
    return str(value) if not isinstance(value, float) else f"{value:.1e}" if value < 1 else f"{value:.0f}"


def _all(options: argparse.Namespace) -> None:
    from quatrefoil.analytics import LinearModel, TableKey

    model = score_network.read_model(options.model)
    if not isinstance(model, LinearModel):
        score_network.run_all(options, model)
        return
    if options.columns:
        raise CallerError("the model names its columns", hint="Leave --columns out")
    key, encrypted = _encrypted(options, model.features)
    answer = _scored(options, encrypted, model)
    scores = _opened(TableKey.of(key, encrypted), answer)
    sizes = {"table_bytes": len(encrypted.encode()), "answer_bytes": len(answer.encode())}
    _show(options, scores, answer, sizes)


def _encrypt(options: argparse.Namespace) -> None:
    from quatrefoil.aggregation.he import HeParameters
    from quatrefoil.analytics import TableKey

    if options.set and HeParameters.named(options.set).rescaled_bits:
        score_network.encrypt(options)
        return
    _require_no_keys(options)
    require_new(options.key, options.table)
    columns = tuple(options.columns.split(",")) if options.columns else None
    key, encrypted = _encrypted(options, columns)
    saved = TableKey.of(key, encrypted).save()
    try:
        files.write_new(options.key, saved, mode=files.PRIVATE)
    finally:
        saved[:] = bytes(len(saved))
        key.wipe()
    files.write_new(options.table, encrypted.encode())
    _show_table(options, encrypted)


def _encrypt_held(options: argparse.Namespace) -> None:
    _show_table(options, score_held.encrypt(options, progress()))


def _show_table(options: argparse.Namespace, encrypted: EncryptedTable) -> None:
    content = {
        "parameters": encrypted.parameters,
        "rows": encrypted.rows,
        "columns": list(encrypted.columns),
        "bounds": list(encrypted.bounds),
        "table_bytes": len(encrypted.encode()),
    }
    show(options, "Encrypted: the computing party reads these, and no row", content)


def _compute(options: argparse.Namespace) -> None:
    from quatrefoil.analytics import EncryptedTable, LinearModel

    model = score_network.read_model(options.model)
    if not isinstance(model, LinearModel):
        score_network.compute(options, model)
        return
    _require_no_keys(options)
    answer = _scored(options, EncryptedTable.decode(read(options.table)), model)
    data = answer.encode()
    files.write_new(options.answer, data)
    content = {"parameters": answer.parameters, "rows": answer.rows, "kind": model.kind, "answer_bytes": len(data)}
    show(options, "Computed, without reading", content)


def _decrypt(options: argparse.Namespace) -> None:
    from quatrefoil.analytics import Answer, TableKey

    kept = TableKey.load(read_key(options.key))
    data = read(options.answer)
    answer = Answer.decode(data)
    sizes = {"answer_bytes": len(data)}
    if kept.key.parameters.rescaled_bits:
        score_network.decrypt(options, kept, answer, sizes)
    else:
        _show(options, _opened(kept, answer), answer, sizes)


def _decrypt_held(options: argparse.Namespace) -> None:
    from quatrefoil.analytics import Answer

    data = read(options.answer)
    answer = Answer.decode(data)
    _show(options, score_held.decrypt(options, answer, _opened), answer, {"answer_bytes": len(data)})


def _encrypted(options: argparse.Namespace, columns: tuple[str, ...] | None) -> tuple[Any, EncryptedTable]:
    from quatrefoil.aggregation.he import HeParameters, SecretKey
    from quatrefoil.analytics import encrypt_numbers

    chosen = HeParameters.named(options.set or f"{options.scheme or 'ckks'}-linear-4096")
    if options.scheme not in (None, chosen.scheme):
        raise CallerError(f"{chosen.name} is no set of {options.scheme}", hint="Leave --scheme out: a set has its own")
    names, values = score_data.read(options.data, columns, integers=chosen.scheme == "bgv")
    bounds = None if options.bound is None else [options.bound] * len(names)
    key = SecretKey.generate(chosen)
    return key, encrypt_numbers(key, names, values, bounds=bounds, progress=progress())


def _scored(options: argparse.Namespace, encrypted: EncryptedTable, model: LinearModel) -> Answer:
    from quatrefoil.analytics import score

    return score(encrypted, model, largest_error=options.largest_error, progress=progress())


def _opened(kept: TableKey, answer: Answer) -> Scores:
    from quatrefoil.analytics import open_scores

    try:
        return open_scores(kept.key, kept.about, kept.rows, answer)
    finally:
        kept.key.wipe()


def _show(options: argparse.Namespace, scores: Scores, answer: Answer, sizes: dict[str, int]) -> None:
    content: dict[str, Any] = {
        "parameters": answer.parameters,
        "kind": scores.kind,
        "rows": answer.rows,
        "error": scores.error,
        "step": scores.step,
        **sizes,
    }
    show_scores(options, content, ("score",), [[value] for value in scores.values.tolist()])


def _require_no_keys(options: argparse.Namespace) -> None:
    if options.evaluation_keys is not None:
        raise CallerError("a linear model takes no --evaluation-keys", hint="Leave it out, or give a network")


def _require_options(options: argparse.Namespace, step: str | None) -> None:
    for name in NEEDED[step]:
        if getattr(options, name) is None:
            needed = ", ".join(f"--{one.replace('_', '-')}" for one in NEEDED[step])
            raise CallerError(f"this step needs --{name.replace('_', '-')}", hint=f"It needs {needed}")
    every = {name for names in (*NEEDED.values(), *EXTRA.values()) for name in names}
    for name in sorted(every):
        if getattr(options, name) is not None and name not in (*NEEDED[step], *EXTRA[step]):
            raise CallerError(
                f"this step takes no --{name.replace('_', '-')}", hint="Leave it out, or name another --step"
            )
