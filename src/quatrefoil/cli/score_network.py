"""The steps of ``quatrefoil score`` for a network: rows instead of columns, and evaluation keys beside them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quatrefoil import strict_json
from quatrefoil.cli import score_data
from quatrefoil.cli.score_output import progress, read, require_new, show, show_scores
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.transport import files

if TYPE_CHECKING:
    from quatrefoil.analytics import Answer, EncryptedRows, LinearModel, Network, TableKey


def read_model(file: Path) -> LinearModel | Network:
    """A model in JSON, or an ONNX file by its ending."""
    from quatrefoil.analytics import LinearModel, Network, read_onnx
    from quatrefoil.analytics.network_models import LARGEST

    data = read(file)
    if file.suffix == ".onnx":
        return read_onnx(data)
    kind = None
    try:
        found = strict_json.parse(data, "the model", limit=LARGEST)
        kind = found.get("kind") if isinstance(found, dict) else None
    except EvidenceRejected:
        pass  # said by who parses it as a linear model
    return Network.parse(data) if kind == "network" else LinearModel.parse(data)


def run_all(options: argparse.Namespace, network: Network) -> None:
    from quatrefoil.analytics import NetworkEvaluator, TableKey

    if network.features and options.columns:
        raise CallerError("the network names its columns", hint="Leave --columns out")
    columns = network.features or _columns(options)
    key, rows = _encrypted(options, columns)
    keys = key.evaluation_keys()
    answer = NetworkEvaluator(network, keys).evaluate(rows, largest_error=options.largest_error, progress=progress())
    sizes = {
        "table_bytes": len(rows.encode()),
        "evaluation_keys_bytes": len(keys.encode()),
        "answer_bytes": len(answer.encode()),
    }
    decrypt(options, TableKey.of(key, rows), answer, sizes)


def encrypt(options: argparse.Namespace) -> None:
    from quatrefoil.analytics import TableKey

    _require_keys(options)
    if options.bound is None:  # the bounds of a few rows are their values to a factor of 2
        raise CallerError("rows for a network need --bound", hint="Name what no value is beyond, whatever the rows are")
    require_new(options.key, options.table, options.evaluation_keys)
    key, rows = _encrypted(options, _columns(options))
    saved = TableKey.of(key, rows).save()
    try:
        evaluation = key.evaluation_keys().encode()
        files.write_new(options.key, saved, mode=files.PRIVATE)
    finally:
        saved[:] = bytes(len(saved))
        key.wipe()
    data = rows.encode()
    files.write_new(options.table, data)
    files.write_new(options.evaluation_keys, evaluation)
    content = {
        "parameters": rows.parameters,
        "rows": rows.rows,
        "columns": list(rows.columns),
        "bounds": list(rows.bounds),
        "table_bytes": len(data),
        "evaluation_keys_bytes": len(evaluation),
    }
    show(options, "Encrypted: the computing party reads these, and no row", content)


def compute(options: argparse.Namespace, network: Network) -> None:
    from quatrefoil.aggregation.he import EvaluationKeys
    from quatrefoil.analytics import EncryptedRows, NetworkEvaluator

    _require_keys(options)
    rows = EncryptedRows.decode(read(options.table))
    party = NetworkEvaluator(network, EvaluationKeys.decode(read(options.evaluation_keys)))
    answer = party.evaluate(rows, largest_error=options.largest_error, progress=progress())
    data = answer.encode()
    files.write_new(options.answer, data)
    content = {"parameters": answer.parameters, "rows": answer.rows, "kind": answer.kind, "answer_bytes": len(data)}
    show(options, "Computed, without reading", content)


def decrypt(options: argparse.Namespace, kept: TableKey, answer: Answer, sizes: dict[str, int]) -> None:
    from quatrefoil.analytics import open_answer

    try:
        found = open_answer(kept.key, kept.about, kept.rows, answer)
    finally:
        kept.key.wipe()
    content: dict[str, Any] = {
        "parameters": answer.parameters,
        "kind": answer.kind,
        "rows": answer.rows,
        "outputs": list(found.names),
        "error": found.error,
        "step": found.step,
        **sizes,
    }
    show_scores(options, content, found.names, found.values.tolist())


def _encrypted(options: argparse.Namespace, columns: tuple[str, ...] | None) -> tuple[Any, EncryptedRows]:
    from quatrefoil.aggregation.he import HeParameters, SecretKey
    from quatrefoil.analytics import encrypt_row
    from quatrefoil.analytics.networks import NETWORK_SET

    chosen = HeParameters.named(options.set or NETWORK_SET)
    if options.scheme == "bgv" or not chosen.rescaled_bits:
        raise CallerError("a network is evaluated in CKKS, in a set for networks", hint=f"Use --set {NETWORK_SET}")
    names, values = score_data.read(options.data, columns, integers=False)
    bounds = None if options.bound is None else [options.bound] * len(names)
    key = SecretKey.generate(chosen)
    return key, encrypt_row(key, names, values, bounds=bounds, progress=progress())


def _columns(options: argparse.Namespace) -> tuple[str, ...] | None:
    return tuple(options.columns.split(",")) if options.columns else None


def _require_keys(options: argparse.Namespace) -> None:
    if options.evaluation_keys is None:
        raise CallerError(
            "a network needs --evaluation-keys",
            hint="Name the file of the evaluation keys: new at encrypt, read at compute",
        )
