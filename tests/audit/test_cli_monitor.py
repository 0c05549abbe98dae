"""``quatrefoil audit monitor``: a log that grows, one that does not, and evidence that an outsider verifies alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil import cli
from quatrefoil.audit import TileLog
from quatrefoil.audit.log import KEY_FOLDER, LOG_FOLDER, OWNER, PAYLOADS, TRUST_FOLDER
from quatrefoil.audit.watching import Watcher
from quatrefoil.audit.witnesses import introduced, said, witness_name
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import FolderSource, Signer
from quatrefoil.tlog.evidence import Evidence
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import statement, system_clock
from support import Consortium


class Hub:
    """An aggregator's log, and others under its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.consortium = Consortium(folder / "ca")
        self.identity = self.consortium.identity("hub", "aggregator")
        self.root = self.consortium.directory / "root.pem"
        self.log("honest", 3)

    def log(self, name: str, size: int, kind: str = "x-round") -> Path:
        """A log of so many entries, in a state folder."""
        state = self.folder / name
        if name != "honest" and not state.exists():
            shutil.copytree(self.folder / "honest" / KEY_FOLDER, state / KEY_FOLDER)
        with TileLog(state, self.identity, self.consortium.trust) as log:
            while (reader := log.reader()).size < size:
                log.append(kind, {"number": reader.size})
            log.keep_trust({file.name: file.read_bytes() for file in self.consortium.directory.glob("*.pem")})
        return state

    def copy(self, of: str, name: str) -> Path:
        """A folder as it is now: what a mirror that lags goes on showing, or an operator branches off from."""
        return Path(shutil.copytree(self.folder / of, self.folder / name))

    def cosigned(self, name: str, silo: str) -> None:
        """A silo's witness signs the newest checkpoint of a log, whatever it has signed before."""
        identity = self.consortium.identity(silo, "silo")
        key = MLDSA44PrivateKey.from_seed_bytes(silo.encode().ljust(32))
        signer = Signer(witness_name(self.consortium.trust.fingerprints[0], silo), key)
        signed = statement.sign(said(signer.verifier, system_clock()), identity)
        with TileLog(self.folder / name, self.identity, self.consortium.trust) as log:
            log.append("witness", introduced(silo, signer.verifier), {"statement": signed})
            log.cosigned([signer.sign(log.reader().checkpoint, system_clock())], [signer.verifier])


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def run(capsys: pytest.CaptureFixture[str], hub: Hub, *arguments: object) -> tuple[int, dict, str]:
    """Exit code, what ``--json`` says, and the error line."""
    file = hub.folder / "out.json"
    file.unlink(missing_ok=True)
    code = cli.main(["audit", "monitor", *map(str, arguments), "--json", str(file)])
    shown = capsys.readouterr()
    return code, json.loads(file.read_text()) if file.exists() else {}, shown.err


def monitor(capsys: pytest.CaptureFixture[str], hub: Hub, *sources: object) -> tuple[int, dict, str]:
    return run(capsys, hub, *sources, "--state", hub.folder / "watch", "--trust", hub.root)


def verify(capsys: pytest.CaptureFixture[str], hub: Hub, file: str, root: Path | None = None) -> tuple[int, dict, str]:
    return run(capsys, hub, "--evidence", file, "--trust", root or hub.root)


def test_a_log_that_grows(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    code, first, _ = monitor(capsys, hub, hub.folder / "honest")
    assert (code, first["schema"], first["owner"]) == (0, "quatrefoil.audit-monitor/1", "hub")
    assert (first["size"], first["new"], first["findings"]) == (3, 3, [])
    hub.log("honest", 10)
    code, second, _ = monitor(capsys, hub, hub.folder / "honest" / LOG_FOLDER)
    assert (code, second["size"], second["new"]) == (0, 10, 7)
    assert monitor(capsys, hub, hub.folder / "honest")[1]["new"] == 0


def test_the_roots_beside_the_log_are_the_default(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(capsys, hub, hub.folder / "honest", "--state", hub.folder / "watch")
    assert code == 0
    shutil.rmtree(hub.folder / "honest" / LOG_FOLDER / TRUST_FOLDER)
    code, _, error = run(capsys, hub, hub.folder / "honest", "--state", hub.folder / "watch")
    assert code == 1 and "whom to trust is not said" in error


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("fork", lambda hub: hub.log("other", 3, "x-other")),
        ("rewrite", lambda hub: hub.log("other", 9, "x-other")),
    ],
)
def test_what_contradicts_is_reported_with_a_file_that_stands_alone(
    hub: Hub, capsys: pytest.CaptureFixture[str], kind: str, build
) -> None:
    monitor(capsys, hub, hub.folder / "honest")
    code, said, error = monitor(capsys, hub, build(hub))
    (finding,) = said["findings"]
    assert code == 1 and kind in error and finding["file"] in error
    assert (finding["why"], finding["proven"], finding["owner"]) == (kind, True, "hub")
    moved = hub.folder / "moved.json"
    Path(finding["file"]).rename(moved)
    shutil.rmtree(hub.folder / "watch")
    code, verdict, _ = verify(capsys, hub, str(moved))
    assert code == 0
    assert {key: verdict[key] for key in ("why", "proven", "problem")} == {
        key: finding[key] for key in ("why", "proven", "problem")
    }


def test_a_stale_copy_is_named_and_proves_nothing(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    old = hub.copy("honest", "old")
    monitor(capsys, hub, hub.log("honest", 8))
    code, said, error = monitor(capsys, hub, old)
    assert code == 1 and "stale" in error
    assert [(one["why"], one["proven"]) for one in said["findings"]] == [("stale", False)]
    code, verdict, _ = verify(capsys, hub, said["findings"][0]["file"])
    assert (code, verdict["proven"]) == (0, False)


def test_a_checkpoint_of_another_party_shows_a_fork(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    other = hub.log("other", 3, "x-other") / LOG_FOLDER / CHECKPOINT
    code, _, error = monitor(capsys, hub, other)
    assert code == 1 and "whose checkpoint it is cannot be told" in error
    code, said, _ = monitor(capsys, hub, other, hub.folder / "honest")
    assert code == 1 and [one["why"] for one in said["findings"]] == ["fork"]
    code, said, _ = monitor(capsys, hub, hub.folder / "honest")
    assert code == 1 and [one["why"] for one in said["findings"]] == ["fork"], "it stays so"


def test_the_witnesses_of_both_sides_are_named(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.log("other", 3, "x-other")
    for name in ("honest", "other"):
        hub.cosigned(name, "ambon")
    monitor(capsys, hub, hub.folder / "honest")
    code, said, _ = monitor(capsys, hub, hub.folder / "other")
    assert code == 1 and said["findings"][0]["witnesses_of_both"] == ["ambon"]
    assert verify(capsys, hub, said["findings"][0]["file"])[1]["witnesses_of_both"] == ["ambon"]


@pytest.mark.parametrize("missing", ["tile/0/000.p/9", "tile/entries/000.p/9", CHECKPOINT, OWNER])
def test_a_missing_file_is_named(hub: Hub, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    state = hub.log("honest", 9)
    (state / LOG_FOLDER / missing).unlink()
    code, _, error = monitor(capsys, hub, state / LOG_FOLDER)
    assert code == 1
    assert {CHECKPOINT: "has no checkpoint", OWNER: "does not say whose"}.get(missing, missing) in error


def test_a_swapped_leaf_is_named(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    file = hub.log("honest", 9) / LOG_FOLDER / "tile/entries/000.p/9"
    file.write_bytes(file.read_bytes().replace(b'"number":7', b'"number":6'))
    code, _, error = monitor(capsys, hub, hub.folder / "honest")
    assert code == 1 and "leaf 7 is not the one that was logged" in error


def test_another_partys_log_is_refused_in_one_folder(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    monitor(capsys, hub, hub.folder / "honest")
    keeper = hub.consortium.identity("keeper", "keeper")
    with TileLog(hub.folder / "keeper", keeper, hub.consortium.trust) as log:
        log.append("x-a", {})
    code, _, error = monitor(capsys, hub, hub.folder / "keeper")
    assert code == 1 and "another log" in error
    with TileLog(hub.folder / "anew", hub.identity, hub.consortium.trust):
        pass
    code, _, error = monitor(capsys, hub, hub.folder / "anew")
    assert code == 1 and "under other keys" in error


def test_a_statement_that_does_not_hold_or_is_missing_ties_no_signature_to_anybody(hub: Hub) -> None:
    hub.cosigned("honest", "ambon")
    hub.cosigned("honest", "bari")
    payloads = hub.folder / "honest" / LOG_FOLDER / PAYLOADS
    witnessed = [file for file in payloads.iterdir() if b"witness-statement" in file.read_bytes()]
    witnessed[0].unlink()
    witnessed[1].write_bytes(b"altered")
    with Watcher(hub.folder / "watch", hub.consortium.trust, clock=system_clock) as watcher:
        assert watcher.look(FolderSource(hub.folder / "honest" / LOG_FOLDER)).new == 5
    assert not (hub.folder / "watch" / "witnesses").exists()


# -------------------------------------------------------------------------------------------------- evidence, usage


def test_evidence_of_strangers_is_refused(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor(capsys, hub, hub.folder / "honest")
    _, said, _ = monitor(capsys, hub, hub.log("other", 3, "x-other"))
    file = Path(said["findings"][0]["file"])
    stranger = Consortium(tmp_path / "stranger", "stranger")
    code, _, error = verify(capsys, hub, str(file), stranger.directory / "root.pem")
    assert code == 1 and "whose log it is cannot be told" in error
    evidence = Evidence.decode(file.read_bytes())
    for changed in (
        Evidence("fork", evidence.first, evidence.first, owner=evidence.owner),
        Evidence("rewrite", evidence.first, evidence.second, owner=evidence.owner),
        Evidence("fork", evidence.first, evidence.second),
        Evidence("fork", evidence.first, evidence.second, owner=evidence.owner, witnesses=(b"nobody",)),
    ):
        file.write_bytes(changed.encode())
        assert verify(capsys, hub, str(file))[0] == 1
    file.write_bytes(b"{}")
    code, _, error = verify(capsys, hub, str(file))
    assert code == 1 and "file of evidence" in error


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "what is to be followed"),
        (("{log}",), "where to remember it"),
        (("--state", "{log}"), "what is to be followed"),
        (("--evidence", "{log}"), "under --trust, and with nothing else"),
        (("{log}", "--evidence", "{log}", "--trust", "{root}"), "under --trust, and with nothing else"),
        (("--evidence", "{log}/nothing", "--trust", "{root}"), "cannot be read"),
        (("{log}/nothing", "--state", "{state}", "--trust", "{root}"), "cannot be read"),
        (("{log}", "--state", "{root}", "--trust", "{root}"), "Name a folder"),
    ],
)
def test_usage(hub: Hub, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str) -> None:
    places = {"log": hub.folder / "honest", "root": hub.root, "state": hub.folder / "watch"}
    code, _, error = run(capsys, hub, *(each.format(**places) for each in arguments))
    assert code == 1 and problem in error and error.count("\n") == 1


def test_it_looks_again_until_it_is_interrupted(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong in one look is reported, and the next one made."""
    other = hub.log("other", 9, "x-other")
    slept: list[float] = []

    def sleep(interval: float) -> None:
        slept.append(interval)
        if len(slept) == 1:
            shutil.copytree(other / LOG_FOLDER, hub.folder / "honest" / LOG_FOLDER, dirs_exist_ok=True)
        if len(slept) == 2:
            (hub.folder / "honest" / LOG_FOLDER / CHECKPOINT).unlink()
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("quatrefoil.cli.audit_monitor.time.sleep", sleep)
    code, said, error = monitor(capsys, hub, hub.folder / "honest" / LOG_FOLDER, "--every", "5")
    assert (code, slept) == (1, [5.0] * 3)
    assert said["findings"][0]["why"] == "rewrite"
    assert "rewrite of" in error and "has no checkpoint" in error and "interrupted" in error


def test_a_watcher_goes_by_the_keys_that_it_met_first(hub: Hub) -> None:
    with Watcher(hub.folder / "watch", hub.consortium.trust, clock=system_clock) as watcher:
        watcher.look(FolderSource(hub.folder / "honest" / LOG_FOLDER))
        with TileLog(hub.folder / "anew", hub.identity, hub.consortium.trust):
            pass
        with pytest.raises(EvidenceRejected, match="other keys") as raised:
            watcher.look(FolderSource(hub.folder / "anew" / LOG_FOLDER))
        assert raised.value.party == "hub"
