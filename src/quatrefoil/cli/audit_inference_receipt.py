"""``quatrefoil audit receipt`` of an inference receipt: by whose keys, in which log, and about which exchange."""

from __future__ import annotations

import argparse
import string
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quatrefoil.appraisal import measurement_of
from quatrefoil.attested import Attestation, Presented, judge
from quatrefoil.audit import inference_receipts, serving_log
from quatrefoil.audit.inference_histories import require_one_history
from quatrefoil.audit.inference_receipts import SALT_BYTES, InferenceReceipt, commit_answer, commit_request
from quatrefoil.audit.logged_receipts import LoggedKeyset, look_up
from quatrefoil.cli.auditing import open_logs
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.output import console, only_json, table, write_json
from quatrefoil.parties.relying import read_relied
from quatrefoil.transport import files
from quatrefoil.wire import type_of

NOT_APPRAISED = "not appraised here: give --appraisal and --collateral"


def is_one(encoded: bytes) -> bool:
    """Whether these bytes begin as an inference receipt does: with the tag of a COSE_Sign1."""
    return encoded[:1] == b"\xd2"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keyset",
        type=Path,
        metavar="FILE",
        help="of an inference receipt: the keyset or attestation that was accepted (default: that of the log, or the "
        "one that a client has put beside the receipt)",
    )
    parser.add_argument("--log", type=Path, metavar="DIR|BUNDLE", help="the server's log, in which it has to be")
    parser.add_argument("--appraisal", type=Path, metavar="FILE", help="verify the keyset's evidence under this policy")
    parser.add_argument("--collateral", type=Path, metavar="DIR", help="collateral of the time of the receipt")
    parser.add_argument("--request", type=Path, metavar="FILE", help="the content that was sent, to be compared")
    parser.add_argument("--method", default="POST", metavar="M", help="of that request (default: POST)")
    parser.add_argument("--path", metavar="PATH", help="of that request, with its query")
    parser.add_argument("--answer", type=Path, metavar="FILE", help="the content that was answered, to be compared")
    parser.add_argument(
        "--salt", type=Path, metavar="FILE", help="what opens the commitments (default: NAME.salt beside the receipt)"
    )


@dataclass(frozen=True)
class _Origin:
    """Where the keyset of a receipt is from. ``evidence``: of it, to be judged as of ``at``; None: there is none."""

    keyset: Keyset
    evidence: Presented | None
    at: datetime
    said: str


def run(options: argparse.Namespace, given: list[tuple[Path, bytes]]) -> None:
    """Every receipt by itself, then all beside each other."""
    relied = read_relied(options.appraisal, options.collateral)
    if len(given) > 1 and (options.request or options.answer):
        raise CallerError("several receipts are not of one exchange", hint="Compare a request with one receipt")
    found, shown = [], []
    for file, encoded in given:
        logged, where = _in_log(options, encoded)
        origin = _origin(options, file, encoded, logged)
        receipt = inference_receipts.verify(encoded, origin.keyset)
        said = _said(receipt) | {"keyset from": origin.said, "evidence": NOT_APPRAISED}
        if relied is not None:
            if origin.evidence is None:
                raise CallerError(
                    "there is no evidence beside the keyset", hint="Give the attestation, or the log, that has it"
                )
            verdict = judge(origin.evidence, relied.policy, relied.collateral, origin.at)
            if measurement_of(verdict, relied.policy) != receipt.measurement:
                raise inference_receipts.rejected("names other code than its keyset's evidence", "measurement")
            said["evidence"] = f"accepted under {relied.policy.name}, {relied.policy.digest().hex()}"
        if logged is not None:
            said["log"] = f"entry {logged.require_logged(receipt)} of {where}"
        said |= _compared(options, file, receipt)
        found.append(receipt)
        shown.append(said)
    require_one_history(found)
    if not only_json(options):
        for said in shown:
            _print(said)
    plain = [{name.replace(" ", "_"): value for name, value in said.items()} for said in shown]
    content: dict[str, Any] = {"receipt": plain[0]} if len(plain) == 1 else {"receipts": plain}
    write_json(options.json, "quatrefoil.audit-receipt/1", content)


# ---------------------------------------------------------------------------------------------------------- whose keys


def _in_log(options: argparse.Namespace, encoded: bytes) -> tuple[LoggedKeyset | None, str]:
    """What the log of the receipt's issuer has of its keyset, and whose log that is."""
    if options.log is None:
        return None, ""
    receipt = inference_receipts.read(encoded)
    with open_logs(argparse.Namespace(log=options.log, trust=options.trust, at=None, party=None)) as logs:
        theirs = [log for log in logs.values() if log.owner.role == "workload" and log.owner.name == receipt.issuer]
        if not theirs:
            raise EvidenceRejected(
                f"no log here is of workload {receipt.issuer}, who issued the receipt",
                hint="Give the log of the server that the receipt names",
                check="log",
            )
        if (found := look_up(theirs[0], receipt)) is None:
            raise EvidenceRejected(
                f"the log of {receipt.issuer} knows nothing of the receipt's keyset {receipt.keyset.hex()[:16]}",
                hint="Keep both: if the keyset was attested, its receipts have to be in the log",
                check="log",
                party=receipt.issuer,
            )
        return found, theirs[0].owner.origin


def _origin(options: argparse.Namespace, file: Path, encoded: bytes, logged: LoggedKeyset | None) -> _Origin:
    receipt = inference_receipts.read(encoded)
    if logged is not None and options.keyset is None:
        served = logged.served
        evidence = Presented(served.keyset, logged.evidence, served.nonce, served.purpose, b"", b"")
        return _Origin(served.keyset, evidence, datetime.fromisoformat(logged.time), "the log")
    beside = [file.parent / f"{receipt.keyset.hex()[:32]}.{ending}" for ending in ("attestation", "keyset")]
    place = options.keyset or next((one for one in beside if one.exists()), None)
    if place is None:
        raise CallerError(
            f"the keyset {receipt.keyset.hex()[:16]} that signed it is not there",
            hint="Give --keyset, with what was accepted when the answer was asked for, or the server's --log",
        )
    content = files.read(place, "keyset")
    if type_of(content) != Attestation.TYPE:
        return _Origin(Keyset.decode(content), None, receipt.moment, place.name)
    said = Attestation.decode(content)
    latest = datetime.fromtimestamp(said.keyset.expires - 1, UTC)
    evidence = Presented(said.keyset, said.evidence, said.nonce, serving_log.PURPOSE, b"", b"")
    return _Origin(said.keyset, evidence, min(receipt.moment, latest), place.name)


# ------------------------------------------------------------------------------------------------- about which exchange


def _compared(options: argparse.Namespace, file: Path, receipt: InferenceReceipt) -> dict[str, str]:
    if options.request is None and options.answer is None:
        return {}
    salt = _salt(options.salt or file.with_suffix(".salt"))
    said = {}
    if options.request is not None:
        if options.path is None:
            raise CallerError("a request has a path", hint="Give --path, as it was sent, and --method if not POST")
        content = files.read(options.request, "request")
        made = commit_request(salt, options.method.encode(), options.path.encode(), content)
        if made != receipt.request:
            raise inference_receipts.rejected("is about another request, or the salt is another", "request")
        said["request is"] = options.request.name
    if options.answer is not None:
        if commit_answer(salt, receipt.status, files.read(options.answer, "answer")) != receipt.answer:
            raise inference_receipts.rejected("is about another answer, or the salt is another", "answer")
        said["answer is"] = options.answer.name + ("" if receipt.complete else ", which broke off there")
    return said


def _salt(file: Path) -> bytes:
    content = files.read(file, "salt")
    text = content.strip().decode("ascii", "replace")
    if len(text) == 2 * SALT_BYTES and set(text) <= set(string.hexdigits):
        return bytes.fromhex(text)
    if len(content) == SALT_BYTES:
        return content
    raise CallerError(
        f"{file.name} is no salt", hint="Give 32 bytes, or 64 hexadecimal digits, as the client kept them"
    )


# --------------------------------------------------------------------------------------------------------------- shown


def _said(receipt: InferenceReceipt) -> dict[str, Any]:
    payload = {field.name: getattr(receipt, field.name) for field in fields(InferenceReceipt)}
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in payload.items()}
    time = f"{receipt.moment:%Y-%m-%dT%H:%M:%S}.{receipt.time % 1000:03}Z"
    return {**shown, "time": time, "digest": receipt.digest().hex(), "algorithms": "ML-DSA-44"}


def _print(said: dict[str, Any]) -> None:
    whole = "a whole answer" if said["complete"] else "an answer that broke off"
    title = f"attested code of {said['issuer']} signed this receipt of {whole}, number {said['sequence']} of its keyset"
    rows = [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in said.items()]
    drawn = table(title, ("", "says"), rows)
    drawn.columns[1].justify = "left"
    drawn.columns[1].overflow = "fold"
    console().print(drawn)
