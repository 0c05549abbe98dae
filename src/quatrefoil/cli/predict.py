"""``quatrefoil predict``: one request to a served model, from a file, with the receipt of its answer."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from quatrefoil import exchange
from quatrefoil.cli import archives, predict_input
from quatrefoil.cli.hexadecimal import digest
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError, RequestRefused
from quatrefoil.inference.datatypes import Array, datatype_of, to_binary, to_json
from quatrefoil.output import add_json_option, console, only_json, report, require_writable, table, write_json
from quatrefoil.parties.arguments import seconds
from quatrefoil.quantised import Rule
from quatrefoil.transport import TrustAnchor, files

if TYPE_CHECKING:
    from quatrefoil.client import Client, Inferred, Pinned, Receipt

NAME = "predict"
HELP = "ask a served model, and take no answer that attested code has not signed"
SCHEMA = "quatrefoil.predict/1"
SHOWN = 8
"""Values of an output in the table."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="https://HOST[:PORT] of `quatrefoil serve`")
    parser.add_argument(
        "--input",
        required=True,
        type=Path,
        metavar="FILE",
        help="the model's inputs: a request of the Open Inference Protocol as .json, .npz, .npy or .csv",
    )
    parser.add_argument("--policy", required=True, type=Path, metavar="FILE", help="the serving policy")
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="the party that asks")
    archives.add_root(parser)
    parser.add_argument("--collateral", type=Path, metavar="DIR", help="what to verify the server's evidence with")
    parser.add_argument("--relay", metavar="URL", help="send everything to this relay in place of the server")
    parser.add_argument("--server", metavar="NAME", help="refuse receipts that name another server than this")
    parser.add_argument(
        "--computes", type=Path, metavar="FILE", help="the model's --rule: refuse receipts that commit to anything else"
    )
    parser.add_argument(
        "--committed",
        type=digest,
        metavar="ROOT",
        help="refuse receipts that name other committed weights than this root",
    )
    parser.add_argument("--output", action="append", metavar="NAME", help="ask for this output only; repeat for more")
    parser.add_argument("--receipts", type=Path, metavar="DIR", help="keep receipts here, with what verifies them")
    parser.add_argument("--timeout", type=seconds, metavar="S", help="seconds for each answer (default: the policy's)")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    from quatrefoil.client import Client, ReceiptFolder

    if options.timeout == 0:
        raise CallerError("an answer takes some time", hint="Give --timeout seconds above 0, or leave it out")
    policy = exchange.load(options.policy)
    trust = TrustAnchor.load(options.root)
    identity = archives.signer(options.identity, trust)
    collateral = Collateral.load(options.collateral) if options.collateral else Collateral()
    client = Client(
        options.url,
        policy=policy,
        collateral=collateral,
        identity=identity,
        trust=trust,
        relay=options.relay,
        server=options.server,
        timeout=options.timeout,
        computes=_rule(options.computes) if options.computes else None,
        committed=options.committed,
        on_receipt=ReceiptFolder(options.receipts) if options.receipts else None,
    )
    with client:
        found, pinned = _asked(client, options)
    write_json(options.json, SCHEMA, _as_json(found, pinned))
    if not only_json(options):
        _show(found, policy.model.name)


def _rule(file: Path) -> Rule:
    return Rule.decode(files.read(file, "rule"))


def _asked(client: Client, options: argparse.Namespace) -> tuple[Inferred, Pinned]:
    # What the file holds is looked at before anybody is asked, but where only the model knows its inputs' names.
    given = predict_input.read(options.input, client.metadata)
    pinned = client.attest()
    report(f"attested: {pinned.measurement}, until {pinned.expires:%Y-%m-%d %H:%M} UTC")
    found = client.infer(given.inputs, options.output or given.outputs or None)
    if options.receipts:
        report(f"receipts are in {options.receipts}")
    return found, pinned


def _show(found: Inferred, model: str) -> None:
    rows = [
        (escape(name), datatype_of(array), "x".join(map(str, array.shape)) or "scalar", escape(_values(array)))
        for name, array in found.outputs.items()
    ]
    console().print(table(f"{model} answers", ("output", "type", "shape", "values"), rows))
    console().print(f"receipt: {found.receipt.line()}", markup=False)


def _values(array: Array) -> str:
    flat = array.ravel()
    return ", ".join(map(_value, flat[:SHOWN])) + (", ..." if flat.size > SHOWN else "")


def _value(one: Any) -> str:
    if isinstance(one, bytes):
        return "".join(c if c.isprintable() else "?" for c in one.decode("utf-8", "replace"))[:60]
    return f"{one:.6g}" if one.dtype.kind == "f" else str(one)


def _as_json(found: Inferred, pinned: Pinned) -> dict[str, Any]:
    return {
        "outputs": [_output(name, array) for name, array in found.outputs.items()],
        "receipt": _receipt(found.receipt),
        "attested": {
            "measurement": pinned.measurement,
            "kind": pinned.accepted.verdict.claims.kind,
            "isolation": pinned.accepted.verdict.claims.isolation,
            "appraisal": pinned.accepted.verdict.policy_sha256.hex(),
            "until": f"{pinned.expires:%Y-%m-%dT%H:%M:%SZ}",
        },
    }


def _output(name: str, array: Array) -> dict[str, Any]:
    """With ``base64`` of the binary form in place of ``data`` for what has no JSON form: NaN, FP16."""
    content: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
    try:
        return content | {"data": to_json(array, f"output {name!r}")}
    except RequestRefused:
        return content | {"base64": base64.b64encode(to_binary(array)).decode()}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    fields = receipt.fields
    return {
        "issuer": fields.issuer,
        "sequence": fields.sequence,
        "time": f"{fields.moment:%Y-%m-%dT%H:%M:%S}.{fields.time % 1000:03d}Z",
        "model": fields.model.hex(),
        "commitment": fields.commitment.hex(),
        "measurement": fields.measurement,
        "policy": fields.policy.hex(),
        "plan": fields.plan.hex(),
        "keyset": fields.keyset.hex(),
        "request": fields.request.hex(),
        "answer": fields.answer.hex(),
        "signed": base64.b64encode(receipt.encoded).decode(),
    }
