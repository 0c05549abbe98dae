"""Serving policy files: TOML read strictly, with the line of every fault. The appraisal policy is a file beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from quatrefoil import appraisal, configuration
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.configuration import FieldInvalid, Table, check_positive
from quatrefoil.exchange.policy import (
    Attestation,
    Isolation,
    Keys,
    Limits,
    Model,
    Padding,
    Proofs,
    ServingPolicy,
    Stream,
)

PAGE = "docs/serving.md"
_DIGEST = re.compile("[0-9a-f]{64}")


def load(file: Path | str) -> ServingPolicy:
    """The policy in ``file``, with the appraisal policy that it names by a path relative to its folder; or
    ``PolicyInvalid`` naming file, line and field."""
    file = Path(file)
    return parse(
        configuration.read_text(file),
        source=str(file),
        appraisal_policy=lambda name: appraisal.load(file.parent / name),
    )


def parse(text: str, *, source: str, appraisal_policy: Callable[[str], AppraisalPolicy]) -> ServingPolicy:
    """The policy in TOML ``text``; ``source`` names it in messages, ``appraisal_policy`` gives what it names."""
    root = configuration.parse(text, source, page=PAGE)
    root.expect(
        ["name", "model", "attestation", "keys", "limits", "padding", "stream", "isolation"], ["plan", "proofs"]
    )
    with root.placing():
        return ServingPolicy(
            name=root.text("name"),
            model=_model(root.table("model")),
            attestation=_attestation(root.table("attestation"), appraisal_policy),
            keys=Keys(*_integers(root, "keys", ("rotate_s", "overlap_s"))),
            limits=Limits(*_integers(root, "limits", tuple(field.name for field in fields(Limits)))),
            padding=Padding(*_texts(root, "padding", ("requests", "answers"))),
            stream=Stream(*_integers(root, "stream", ("window_ms", "event_bytes"))),
            isolation=Isolation(*_texts(root, "isolation", ("caches",))),
            plan=_digest("plan", root.text("plan"), "as `plan` prints it") if "plan" in root else b"",
            proofs=_proofs(root.table("proofs")) if "proofs" in root else Proofs(0.0),
        )


def _model(table: Table) -> Model:
    table.expect(["name", "root"])
    return Model(table.text("name"), _digest("model.root", table.text("root"), "as `model inspect` prints it"))


def _attestation(table: Table, appraisal_policy: Callable[[str], AppraisalPolicy]) -> Attestation:
    table.expect(["appraisal", "life_s"])
    held_to = appraisal.named(table.text("appraisal"), "attestation.appraisal", appraisal_policy)
    return Attestation(held_to, _natural("attestation.life_s", table.integer("life_s")))


def _proofs(table: Table) -> Proofs:
    table.expect(["share"])
    share = table.number("share")
    check_positive("proofs.share", share)
    return Proofs(share)


def _integers(root: Table, name: str, keys: tuple[str, ...]) -> list[int]:
    table = root.table(name)
    table.expect(keys)
    return [_natural(f"{name}.{key}", table.integer(key)) for key in keys]


def _texts(root: Table, name: str, keys: tuple[str, ...]) -> list[str]:
    table = root.table(name)
    table.expect(keys)
    return [table.text(key) for key in keys]


def _natural(field: str, value: int) -> int:
    if not 0 <= value < 1 << 63:
        raise FieldInvalid(field, "is below 0, or beyond 63 bits", hint="Correct the number")
    return value


def _digest(field: str, text: str, where: str) -> bytes:
    if not _DIGEST.fullmatch(text):
        raise FieldInvalid(field, "is not 64 hexadecimal digits in small letters", hint=f"Give it {where}")
    return bytes.fromhex(text)


__all__ = ["PAGE", "load", "parse"]
