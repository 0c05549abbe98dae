"""``quatrefoil audit cosign``: witnesses of a server's log that are asked by files, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from party_logs import ROOT

import made_inferences as made
from identities import TRUSTED, consortium, identity
from quatrefoil import cli
from quatrefoil.audit import witness_folder, witnesses
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.audit.sampling import Terms, draw
from quatrefoil.audit.witness_folder import Cosigned, cosign
from quatrefoil.cli import archives, audit_cosign, audit_sample, auditing
from quatrefoil.errors import CallerError, EvidenceRejected, StateCorrupt
from quatrefoil.tlog import FolderSource
from quatrefoil.tlog.evidence import Evidence
from sampled import SIGNED, TRUST, quiet, serve, server


def asked(
    state: Path, witness: Path, name: str = "north", checkpoint: bytes | None = None, seconds: int = 0
) -> Cosigned:
    source = FolderSource(state / LOG_FOLDER)
    party = identity(name, "silo")
    clock = lambda: SIGNED + timedelta(seconds=seconds)  # noqa: E731
    return cosign(source, checkpoint, witness / name, identity=party, trust=TRUST, clock=clock)


def grow(state: Path) -> None:
    with made.server_log(state) as log:
        log.append("x-more", {})


def test_two_witnesses_one_after_the_other_and_a_sample_from_it(tmp_path: Path) -> None:
    state = serve(tmp_path)
    first = asked(state, tmp_path)
    both = asked(state, tmp_path, "south", first.note)
    assert (first.before, first.size, both.size) == (0, server(state).size, first.size)
    keys = [witnesses.verify(one.statement, TRUST, clock=lambda: SIGNED).key for one in (first, both)]
    sample = draw(server(state), both.note, Terms(tuple(keys), 5), quiet)
    assert sample.checkpoint.encode() == both.note and len(sample.witnesses) == 2


def test_it_goes_on_from_what_it_cosigned(tmp_path: Path) -> None:
    state = serve(tmp_path)
    first = asked(state, tmp_path)
    grow(state)
    second = asked(state, tmp_path, seconds=5)
    assert (second.before, second.size) == (first.size, first.size + 1) and second.statement == first.statement
    again = asked(state, tmp_path, checkpoint=second.note, seconds=6)
    assert again.note.count(b"/north/witness ") == 1 and again.note != second.note, "its own line is replaced"
    with pytest.raises(EvidenceRejected, match="north has cosigned 31 entries of it, and the checkpoint has 30"):
        asked(state, tmp_path, checkpoint=first.note)


def forked(tmp_path: Path, extra: Callable[[Path], None]) -> tuple[Path, Path]:
    """Two logs under the keys of one server, of which the first was cosigned."""
    state, other = serve(tmp_path), tmp_path / "other" / "state"
    shutil.copytree(state, other)
    grow(state)
    asked(state, tmp_path)
    extra(other)
    return state, other


def longer(other: Path) -> None:
    with made.server_log(other) as log:
        log.append("x-other", {})
        log.append("x-other", {})


def as_long(other: Path) -> None:
    with made.server_log(other) as log:
        log.append("x-other", {})


@pytest.mark.parametrize("extra", [longer, as_long])
def test_a_log_that_does_not_continue_is_not_cosigned_and_the_proof_kept(
    extra: Callable[[Path], None], tmp_path: Path
) -> None:
    _, other = forked(tmp_path, extra)
    with pytest.raises(EvidenceRejected, match="the log of ward is not cosigned") as refused:
        asked(other, tmp_path)
    (file,) = (tmp_path / "north" / "evidence").iterdir()
    assert str(file) in refused.value.hint and Evidence.decode(file.read_bytes()).owner


def test_a_party_is_no_witness_of_itself(tmp_path: Path) -> None:
    state = serve(tmp_path, (1,), left_open=0)
    own = identity("ward", "workload")
    with pytest.raises(CallerError, match="the log is of ward itself"):
        cosign(FolderSource(state / LOG_FOLDER), None, tmp_path / "w", identity=own, trust=TRUST, clock=lambda: SIGNED)


def test_the_state_of_another_witness_is_refused(tmp_path: Path) -> None:
    state = serve(tmp_path, (1,), left_open=0)
    asked(state, tmp_path)
    (tmp_path / "north").rename(tmp_path / "south")
    with pytest.raises(StateCorrupt, match="holds the key of"):
        asked(state, tmp_path, "south")
    shutil.rmtree(tmp_path / "south" / witnesses.KEY_FOLDER)
    with pytest.raises((StateCorrupt, EvidenceRejected)):
        asked(state, tmp_path, "south")


def test_a_checkpoint_of_more_than_is_there(tmp_path: Path) -> None:
    state, other = serve(tmp_path), tmp_path / "other" / "state"
    shutil.copytree(state, other)
    grow(state)
    note = asked(state, tmp_path).note
    with pytest.raises(EvidenceRejected, match="the checkpoint has 31 entries, and the log here 30"):
        asked(other, tmp_path, "south", note)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in (archives, audit_cosign):
        monkeypatch.setattr(module, "system_clock", lambda: SIGNED)
    state, own = serve(tmp_path, (3,), left_open=0), consortium(TRUSTED).folder("north", "silo")
    identity("north", "silo")
    out, said = tmp_path / "cosigned", tmp_path / "north.witness"
    line = ["audit", "cosign", state, "--identity", own, "--root", ROOT, "--state", tmp_path / "w"]
    given = [*line, "--out", out, "--statement", said, "--json", "-"]
    assert cli.main([str(one) for one in given]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["size"] == server(state).size and content["witness"].endswith("/north/witness")
    key = witnesses.verify(said.read_bytes(), TRUST, clock=lambda: SIGNED).key
    assert draw(server(state), out.read_bytes(), Terms((key,), 3), quiet).population == 3
    assert cli.main([str(one) for one in given]) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.main([str(one) for one in [*line, "--out", tmp_path / "again"]]) == 0
    assert "0 of them new" in capsys.readouterr().out
    assert witness_folder.STATE_FILE in {file.name for file in (tmp_path / "w").iterdir()}


def test_the_first_example_of_samples_works_in_the_order_of_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/audit-sampling.md: two witnesses cosign, one draws, another draws again from a bundle."""
    for module in (archives, auditing, audit_cosign, audit_sample):
        monkeypatch.setattr(module, "system_clock", lambda: SIGNED)
    serve(tmp_path)
    for name in ("root.pem", "crl.pem"):
        (tmp_path / name).write_bytes((consortium(TRUSTED).directory / name).read_bytes())
    for name in ("north", "south"):
        identity(name, "silo")
        (tmp_path / name).symlink_to(consortium(TRUSTED).folder(name, "silo"))
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "audit-sampling.md").read_text().partition("## What is agreed")[0]
    lines = [line.strip() for line in page.replace("\\\n", " ").splitlines() if line.startswith("    quatrefoil")]
    assert len(lines) == 5
    for line in lines:
        printed = line.replace("6d2f...c1", "6d" * 32).replace("--count 300", "--count 3").split()
        assert cli.main(printed[1:]) == 0
