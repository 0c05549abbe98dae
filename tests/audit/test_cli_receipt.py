"""``quatrefoil audit receipt``: what is shown of a receipt, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_receipts import ATTEMPT

from quatrefoil import cli
from quatrefoil.audit import TileLog
from quatrefoil.audit.receipts import issue
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock

VECTORS = Path(__file__).parents[1] / "vectors" / "receipts"
ROOT = VECTORS / "root.pem"
SINGLE, REFUSED, BOTH = (VECTORS / name for name in ("single-0.receipt", "batch-1.receipt", "batch-both-1.receipt"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main(["audit", "receipt", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_it_shows_what_was_signed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, REFUSED, "--trust", ROOT)
    assert code == 0 and out.startswith("hub signed this receipt of middle: refused")
    for shown in ("the proof does not hold", "2026-11-01T01:00:00Z", "ML-DSA-65", "contribution", "batch root"):
        assert shown in out


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, SINGLE, "--trust", ROOT, "--json", "-")
    content = json.loads(out)
    listed = next(
        one for one in json.loads((VECTORS / "index.json").read_text())["receipts"] if one["file"] == SINGLE.name
    )
    assert (code, content["schema"]) == (0, "quatrefoil.audit-receipt/1")
    assert content["receipt"].items() >= (listed["payload"] | {"time": "2026-11-01T01:00:00Z"}).items()
    assert content["receipt"]["digest"] == listed["sha256"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([VECTORS / "none", "--trust", ROOT], "receipt .*none cannot be read"),
        ([VECTORS / "index.json", "--trust", ROOT], "Receipt is not"),
        ([SINGLE, "--trust", VECTORS / "hub.pem"], "which is no trusted root"),
        ([SINGLE, "--trust", ROOT, "--owner", SINGLE], "expected urn:quatrefoil:signed"),
        ([BOTH, "--trust", ROOT], "has 2 signatures, and there is a key to verify 1"),
        ([SINGLE, "--trust", ROOT, "--json", VECTORS / "no" / "where"], "cannot be written"),
    ],
    ids=[
        "no file",
        "no receipt",
        "no root",
        "no owner statement",
        "no key for the second signature",
        "nowhere to write",
    ],
)
def test_a_refusal_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str | Path], problem: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert re.search(problem, err), err


def test_a_receipt_that_is_signed_twice_needs_the_logs_owner(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The Ed25519 key comes from the aggregator's log; that of any other party verifies nothing."""
    authority = CertificateAuthority.create(tmp_path / "ca", "cli-root", clock=system_clock)
    files = {}
    for name, role in (("hub", "aggregator"), ("other-hub", "aggregator")):
        identity = authority.issue(name, role, directory=tmp_path / name)
        with TileLog(tmp_path / f"{name}-state", identity, authority.trust) as log:
            security = PostQuantumTransport(identity, authority.trust, clock=system_clock)
            said = replace(ATTEMPT[0], time=int(system_clock().timestamp()), receipts=1, issuer=name)
            files[name] = tmp_path / f"{name}.receipt"
            files[name].write_bytes(issue(said, security, classical=log.keys.receipts))
    trust, owner = tmp_path / "ca" / "root.pem", tmp_path / "hub-state" / "log" / "owner"
    code, out, _ = run(capsys, files["hub"], "--trust", trust, "--owner", owner)
    assert code == 0 and "ML-DSA-65, Ed25519" in out
    code, _, err = run(capsys, files["other-hub"], "--trust", trust, "--owner", owner)
    assert code == 1 and "no signature of this Ed25519 key" in err
    with TileLog(tmp_path / "hub-state", authority.issue("hub", "keeper", directory=tmp_path / "k"), authority.trust):
        pass
    code, _, err = run(capsys, files["hub"], "--trust", trust, "--owner", owner)
    assert code == 1 and "is signed by aggregator hub, and the log is that of keeper hub" in err
