"""``quatrefoil audit verify``, ``show``, ``bundle`` and ``report`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from party_logs import AT, ROOT, altered, file

from quatrefoil import cli
from quatrefoil.audit.verdict import OF_A_LOG

NOW = ("--at", AT.isoformat())
PINNED = ("--trust", str(ROOT), *NOW)


def audit(*arguments: object) -> int:
    return cli.main(["audit", *map(str, arguments)])


def test_a_verdict_as_json(job: Path) -> None:
    assert audit("verify", job / "hub", *PINNED, "--json", job / "v.json") == 0
    content = json.loads((job / "v.json").read_text())
    assert {
        "valid",
        "size",
        "root",
        "checks",
        "logs",
        "not_made",
        "samples",
        "proofs",
        "pinned",
        "roots",
        "schema",
        "machine",
    } == content.keys()
    assert content["valid"] is True and content["pinned"] is True and len(bytes.fromhex(content["root"])) == 32
    assert content["logs"][0]["party"] == "hub" and content["size"] == content["logs"][0]["size"]
    assert {check["name"] for check in content["checks"]} >= set(OF_A_LOG)
    assert all(check.keys() == {"name", "passed", "detail", "log"} for check in content["checks"])
    assert [one["name"] for one in content["not_made"]] == ["measurements"], "said by name, and not passed over"


def test_what_does_not_hold_is_exit_code_1_one_line_and_all_the_json(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(next(file(job / "hub", "payload").iterdir()), 0)
    assert audit("verify", job / "hub", *PINNED, "--json", job / "v.json") == 1
    shown = capsys.readouterr()
    assert "NOT VALID" in shown.out and "NO" in shown.out
    assert len(shown.err.splitlines()) == 1 and "check payloads did not pass" in shown.err
    content = json.loads((job / "v.json").read_text())
    assert content["valid"] is False
    assert not {check["name"]: check["passed"] for check in content["checks"]}["payloads"]


def test_a_root_that_came_along_is_warned_of_and_one_that_was_given_is_not(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for what in ("verify", "show"):
        assert audit(what, job / "bundle.zip", *NOW) == 0
        assert "came along with the evidence" in capsys.readouterr().err
        assert audit(what, job / "bundle.zip", *PINNED) == 0
        assert capsys.readouterr().err == ""


def test_a_file_that_is_no_bundle_has_a_verdict_in_json_too(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "bundle.zip").write_bytes(b"nothing")
    assert audit("verify", job / "bundle.zip", "--json", "-") == 1
    content = json.loads(capsys.readouterr().out)
    assert content["valid"] is False and content["logs"] == [] and content["root"] == ""


def test_show_reads_one_partys_log_out_of_a_bundle(job: Path) -> None:
    assert audit("show", job / "bundle.zip", *PINNED, "--party", "keeper-keeper", "--json", job / "s.json") == 0
    content = json.loads((job / "s.json").read_text())
    assert content["origin"].endswith("/keeper") and content["size"] == len(content["entries"])
    assert audit("show", job / "bundle.zip", *PINNED, "--json", job / "s.json") == 0
    assert len(json.loads((job / "s.json").read_text())["logs"]) == 6


def test_a_report_is_written_for_evidence_that_does_not_hold_too(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered(next(file(job / "hub", "payload").iterdir()), 0)
    assert audit("report", job / "hub", *PINNED, "--out", job / "r.html", "--json", job / "r.json") == 1
    assert "did not pass" in (job / "r.html").read_text()
    assert json.loads((job / "r.json").read_text())["valid"] is False
    assert "NOT all checks passed" in capsys.readouterr().out
    assert audit("report", job / "hub", *PINNED, "--out", job / "r.html") == 1
    assert "exists already" in capsys.readouterr().err


def test_a_bundle_made_on_the_command_line_passes(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("bundle", job / "hub", job / "keeper", "--out", job / "two.zip", "--json", job / "b.json") == 0
    content = json.loads((job / "b.json").read_text())
    assert content["logs"].keys() == {"aggregator-hub", "keeper-keeper"}
    assert content["bytes"] == (job / "two.zip").stat().st_size
    assert "no keys" in capsys.readouterr().out
    assert audit("verify", job / "two.zip", *PINNED) == 0


def test_a_root_of_the_auditor_that_is_none_is_the_auditors_own_mistake(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "root.pem").write_text("no certificate")
    assert audit("verify", job / "hub", "--trust", job / "root.pem") == 1
    shown = capsys.readouterr()
    assert shown.out == "" and "is not a PEM certificate" in shown.err and len(shown.err.splitlines()) == 1
