"""docs/policy.md holds every field, word and table row that the code knows, and none besides."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from quatrefoil.planner import host, threats
from quatrefoil.policy import BACKENDS, ISOLATION, LAYERS, STAND_INS, THREATS, Limits
from quatrefoil.workload import DATA, KINDS, REQUIREMENTS, SIZES

TEXT = (Path(__file__).parents[1] / "docs" / "policy.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of every table row in a section, headers and rules left out."""
    body = re.split(r"^#+ ", TEXT.split(f"# {section}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("| `")
    ]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_policy_field_is_documented_and_no_other() -> None:
    expected = {
        "name",
        "threats",
        "on_excess",
        "insecure.accept",
        "transport.policy",
        "workload.max_latency_ms",
        "audit.receipts",
        "audit.witnesses",
        "enclave.appraisal",
        "inference.largest_accuracy_drop",
        "inference.proven_share",
        "tree.place",
        *(f"key_authority.{name}" for name in ("kind", "members", "silent", "liars")),
    }
    expected |= {f"limits.{field.name}" for field in dataclasses.fields(Limits)} | {
        f"allow.{layer}" for layer in LAYERS
    }
    assert {words(row[0])[0] for row in rows("Policy")} == expected
    assert all(len(row) == 3 and all(row) for row in rows("Policy"))


def test_every_threat_is_documented_in_its_own_sentence() -> None:
    assert {words(row[0])[0]: row[1] for row in rows("Threats")} == dict(THREATS)


def test_every_backend_is_documented_with_what_it_is_and_whether_it_is_here() -> None:
    absent = {("enclave", name) for name in host.UNCOLLECTED}
    expected = []
    for layer, backends in BACKENDS.items():
        for backend, what in backends.items():
            stand_ins = [f"stand-in `{name}`" for name, key in STAND_INS.items() if key == (layer, backend)]
            here = f"here, isolation `{ISOLATION[backend]}`" if layer == "enclave" else "here"
            today = "does not exist yet" if (layer, backend) in absent else here
            expected.append([f"`{layer}`", f"`{backend}`", what, (stand_ins or [today])[0]])
    assert rows("Backends") == expected


def test_every_workload_field_kind_and_data_class_is_documented() -> None:
    tables = {words(row[0])[0]: row for row in rows("Workload")}
    fields = {"name", "phases", "phases.name", "phases.kind", "phases.data", "phases.latency_ms"}
    fields |= {f"phases.{name}" for name in (*SIZES, *REQUIREMENTS)}
    assert tables.keys() == fields | set(KINDS) | set(DATA)
    for name, meaning in REQUIREMENTS.items():
        assert tables[f"phases.{name}"][2] == meaning
    for size, (_, meaning) in SIZES.items():
        assert tables[f"phases.{size}"][2] == meaning
    for name, kind in KINDS.items():
        _, meaning, data, sizes, optional = tables[name]
        assert (meaning, tuple(words(data)), tuple(words(sizes))) == (kind.meaning, kind.data, kind.sizes)
        assert (tuple(words(optional)) or optional) == ((*kind.optional, *kind.of_integers) or "none")
    for name, meaning in DATA.items():
        assert tables[name][1] == meaning


def test_every_exposure_is_documented() -> None:
    documented = {
        (words(kind)[0], words(data)[0]): tuple(words(exposed))
        for kind, data, exposed in rows("What a phase is exposed to, and what answers it")
    }
    assert documented == dict(threats.EXPOSED)


@pytest.mark.parametrize("section", ["Policy", "Threats", "Backends", "Workload"])
def test_the_tables_are_found(section: str) -> None:
    assert rows(section)


def test_the_page_says_that_nothing_is_audited() -> None:
    assert "Nothing here is audited" in TEXT
