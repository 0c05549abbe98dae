"""The commands with real processes and a TPM in software: two hospitals, a computing party, a key that is in no file.

The registry seals a key to a broker that it attested; hospitals encrypt under its public half; measured code opens the
answers under a lease, and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from broker_room import SOON, Room, said
from quatrefoil import cli, secrecy
from quatrefoil.aggregation.he import HeParameters, PublicKey, SecretKey
from software_tpm import needs_tpm, software_tpm
from support import Consortium

pytestmark = needs_tpm

RELEASE = """\
name = "trial"
entry = ["decrypt"]
[stages.decrypt]
appraisal = "machine.toml"
longest_lease_s = 600
renewal = "allowed"
outputs = {}
[stages.other]
appraisal = "machine.toml"
longest_lease_s = 600
renewal = "allowed"
outputs = {}
""".replace("outputs = {}\n[stages.other]", 'outputs = { dataset = ["other"] }\n[stages.other]')
MODEL = {"kind": "linear", "features": ["age", "bmi"], "weights": [0.04, -0.1], "intercept": 0.5}
ROWS: dict[str, list[list[float]]] = {"hospital": [[61, 25.5], [47, 31], [38, -2]], "clinic": [[80, 22], [19, 18.5]]}
OWNED = "--identity registry --root root.pem --signing-key owner.pem"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.chdir(tmp_path)
    # It would be told of this process, not of a command's.
    monkeypatch.setattr(secrecy, "no_core_file", (tmp_path / "no-core-file").touch)
    with software_tpm() as machine:
        people = Consortium(tmp_path / "ca")
        people.identity("registry", "silo")
        (tmp_path / "registry").symlink_to(people.folder("registry", "silo"))
        made = Room(tmp_path, machine, people)
        assert run("broker new --identity vault --root root.pem --state vault-state --root-key vault.key") == 0
        made.start()
        (tmp_path / "release.toml").write_text(RELEASE)
        (tmp_path / "model.json").write_text(json.dumps(MODEL))
        for who, rows in ROWS.items():
            lines = "".join(f"{age},{bmi}\n" for age, bmi in rows)
            (tmp_path / f"{who}.csv").write_text(f"age,bmi\n{lines}")
        try:
            yield made
        finally:
            made.kill()


def run(line: str) -> int:
    return cli.main(line.split())


def fails(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(line) == 1
    return capsys.readouterr().err.splitlines()[-1]


def made(name: str, serial: int = 1) -> dict[str, str]:
    """A key of the registry: what its command says of the public half."""
    assert run(
        f"table-key new --name {name} --serial {serial} --policy release.toml --to vault.cert {OWNED} "
        f"--public {name}.public --out {name}.sealed --json {name}.json"
    ) == 0  # fmt: skip
    return dict(json.loads(Path(f"{name}.json").read_text())["public"])


def encrypted(who: str, key: str = "trial", more: str = "--name trial --least-serial 1") -> None:
    assert run(encrypting(who, key, more)) == 0


def encrypting(who: str, key: str = "trial", more: str = "--name trial --least-serial 1") -> str:
    return (
        f"score --step encrypt --data {who}.csv --bound 128 --public {key}.public --holder registry {more} "
        f"--identity {who} --root root.pem --table {who}.table --sent {who}.sent"
    )


def again(key: str = "trial", more: str = "--name trial --least-serial 1") -> str:
    """Encryption to files that are not there yet."""
    return encrypting("hospital", key, more).replace("hospital.table", "new.table").replace("hospital.sent", "new.sent")


def computed(who: str) -> None:
    assert run(f"score --step compute --model model.json --table {who}.table --answer {who}.answer") == 0


def decrypting(room: Room, who: str, *, stage: str = "decrypt", key: str = "trial", **changed: str) -> str:
    named = {"sent": f"{who}.sent", "answer": f"{who}.answer", "sender": who, "public": f"{key}.public"} | changed
    return (
        f"score --step decrypt --sealed-key {key}.sealed --public {named['public']} --sent {named['sent']} "
        f"--sender {named['sender']} --answer {named['answer']} --scores {who}.scores --identity worker "
        f"--root root.pem --broker 127.0.0.1:{room.port} --broker-name vault --stage {stage} {room.collecting}"
    )


def refused(room: Room, line: str) -> str:
    process = room.process(line)
    assert process.wait(SOON) == 1
    assert not list(room.folder.glob("*.scores")), "scores were written"
    return said(process).splitlines()[-1]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every secret key that is drawn here, to look for it where it must not be."""
    found: list[bytes] = []
    pair = SecretKey.pair

    def watched(parameters: HeParameters) -> tuple[SecretKey, PublicKey]:
        secret, public = pair(parameters)
        found.append(bytes(secret.save()))
        return secret, public

    monkeypatch.setattr(SecretKey, "pair", watched)
    return found


def test_hospitals_encrypt_and_only_measured_code_decrypts(
    room: Room, drawn: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    room.asks("key --out vault.cert --appraisal machine.toml --collateral collateral", "registry")
    assert run("model key owner.pem") == 0
    Path("no-core-file").unlink(missing_ok=True)
    public = made("trial")
    assert Path("no-core-file").exists()
    assert run("table-key inspect trial.sealed --root root.pem") == 0
    assert "table key" in capsys.readouterr().out
    assert run("table-key show trial.public --root root.pem --json shown.json") == 0
    shown = json.loads(Path("shown.json").read_text())
    assert (shown["schema"], shown["digest"]) == ("quatrefoil.table-key-show/1", public["digest"])
    assert json.loads(Path("trial.json").read_text())["schema"] == "quatrefoil.table-key-new/1"
    encrypted("hospital", more=f"--expect {public['digest']}")
    encrypted("clinic")
    for who in ROWS:
        computed(who)

    # Before its owner registers it, the broker has no such key; then measured code opens both hospitals' answers.
    assert "is not registered here" in refused(room, decrypting(room, "hospital"))
    room.asks("register trial.sealed", "registry")
    for who, rows in ROWS.items():
        process = room.process(decrypting(room, who))
        assert process.wait(SOON) == 0, said(process)
        assert "lease" in said(process) and "isolation none" in said(process)
        scores = np.array([float(line) for line in Path(f"{who}.scores").read_text().splitlines()[1:]])
        exact = np.array(rows) @ MODEL["weights"] + MODEL["intercept"]
        assert np.abs(scores - exact).max() < 0.01 and len(scores) == len(rows)
        Path(f"{who}.scores").unlink()

    # The secret half is in no file of anybody, and no process of a hospital has ever had it.
    (secret,) = drawn
    for file in room.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(secret[at : at + 64] in content for at in range(88, len(secret) - 64, 4096)), file

    # Another machine gets nothing; nor does any once the owner has revoked the key.
    room.machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    assert "accepted-pcr7" in refused(room, decrypting(room, "clinic"))
    room.asks(f"revoke resource {public['resource']} --reason over", "registry")
    assert "revoked" in refused(room, decrypting(room, "hospital"))


def test_a_key_put_in_its_place_and_what_else_is_refused(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    room.asks("key --out vault.cert --unattested", "registry")
    assert run("model key owner.pem") == 0
    public = made("trial")
    made("later", 7)
    mallory = f"table-key new --name trial --serial 9 --policy release.toml --to vault.cert {OWNED}".replace(
        "registry", "clinic"
    )
    assert run(f"{mallory} --public mallory.public --out mallory.sealed") == 0
    altered = bytearray(Path("trial.public").read_bytes())
    altered[30_000] ^= 1
    Path("altered.public").write_bytes(altered)
    expect = f"--expect {public['digest']}"
    for who in ("hospital", "clinic"):
        encrypted(who)
        computed(who)
    Path("garbage").write_bytes(b"\x83" * 5000)
    before = sorted(room.folder.iterdir())
    for line, problem in (
        (decrypting(room, "hospital", stage="other"), "is not released to the stage 'other'"),
        (decrypting(room, "hospital", stage="train"), "is not released to the stage 'train'"),
        (decrypting(room, "hospital", answer="clinic.answer"), "an answer about another table"),
        (decrypting(room, "hospital", sent="clinic.sent"), "'clinic' sent the table"),
        (decrypting(room, "hospital", public="later.public"), "is of another sealed key"),
        (decrypting(room, "hospital", public="mallory.public"), "'registry' sealed the key, and 'clinic' signed"),
        (decrypting(room, "hospital", key="later"), "is under the public key"),
        (decrypting(room, "hospital", answer="garbage"), "quatrefoil: "),
        (decrypting(room, "hospital", sent="garbage"), "quatrefoil: "),
        (decrypting(room, "hospital", public="garbage"), "quatrefoil: "),
        (decrypting(room, "hospital", public="hospital.sent"), "expected urn:quatrefoil:encrypted-table-public-key"),
        (decrypting(room, "hospital", sent="trial.public"), "expected urn:quatrefoil:encrypted-table-sent"),
        (decrypting(room, "hospital").replace("trial.sealed", "garbage"), "no sealed model"),
        (again("mallory"), "is of 'clinic', not of 'registry'"),
        (again("later", expect), "has the digest"),
        (again("trial", "--name trial --least-serial 2"), "an older was put back"),
        (again("later", "--name trial --least-serial 1"), "is called 'later', not 'trial'"),
        (again("trial", "--least-serial 1"), "any public key of the holder would do"),
        (again("trial", ""), "any public key of the holder would do"),
        (again("altered"), "does not fit its statement"),
        (again("vault", expect).replace("vault.public", "vault.cert"), "urn:quatrefoil"),
        (again("trial", expect).replace("hospital.csv", "none.csv"), "none.csv cannot be read"),
        (again("trial", expect).replace("--bound 128", "--bound 10"), "beyond its column's bound"),
        (again("trial", expect).replace("--bound 128", "--set x"), "takes no --set"),
        (again("trial", expect) + " --key k", "takes no --key"),
        (again("trial", expect).replace("--holder registry", ""), "needs --holder"),
        (again("trial", expect).replace("new.table", "model.json"), "model.json exists already"),
        (f"{mallory} --public trial.public --out new.sealed", "trial.public exists already"),
        (f"{mallory} --public new.public --out mallory.sealed", "mallory.sealed exists already"),
        (f"{mallory} --set ckks --public new.public --out new.sealed", "no parameter set 'ckks'"),
        ("table-key show trial.sealed --root root.pem", "quatrefoil: "),
        ("table-key inspect trial.public --root root.pem", "no sealed model"),
        ("model inspect trial.sealed --root root.pem", "holds a table key"),
        (decrypting(room, "hospital").replace(f"{room.collecting}", ""), "needs --collect"),
        ("score --step decrypt --key k --answer a --collect tpm", "takes no --collect"),
        ("score --step decrypt --key k --answer a --stage x", "takes no --stage"),
    ):
        said_ = fails(line, capsys)
        assert said_.startswith("quatrefoil: ") and problem in said_, (line, said_)
    assert sorted(room.folder.iterdir()) == before, "a refusal leaves no file"
