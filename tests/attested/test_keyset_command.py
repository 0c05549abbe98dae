"""``quatrefoil attest keyset``, and the way from keys to a verdict with commands alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attested_parties import leaf_digest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quatrefoil import cli
from quatrefoil.attested import recipient
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.tpm import structures
from quatrefoil.enclave.tpm.signer import public_key
from quatrefoil.transport import HYBRID_768
from software_tpm import AK, needs_tpm, software_tpm
from support import Consortium
from tpm_quotes import policy_text

RECEIPT = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NONCE = bytes(range(32)).hex()


@pytest.fixture
def keys(consortium: Consortium, tmp_path: Path) -> dict[str, str]:
    """Files for each option."""
    consortium.identity("hub", "aggregator")
    folder = consortium.folder("hub", "aggregator")
    root = str(consortium.directory / "root.pem")
    if not (tmp_path / "sealing").exists():
        made = ["seal-key", "new", str(tmp_path / "sealing"), "--identity", str(folder), "--root", root]
        assert cli.main(made) == 0
    public = RECEIPT.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "receipt.pem").write_bytes(public)
    (certificate,) = [file for file in (tmp_path / "sealing").iterdir() if "certificate" in file.name]
    return {
        "--tls": str(folder / "certificate.pem"),
        "--sealing": str(certificate),
        "--root": root,
        "--receipt": str(tmp_path / "receipt.pem"),
    }


def new(out: Path, *arguments: str) -> int:
    return cli.main(["attest", "keyset", "new", "--out", str(out), *arguments])


def given(keys: dict[str, str], *names: str) -> list[str]:
    return [part for name in names for part in (name, keys[name])]


def test_a_keyset_holds_what_was_given(consortium: Consortium, keys: dict[str, str], tmp_path: Path) -> None:
    out, said = tmp_path / "keyset", tmp_path / "said.json"
    assert new(out, *given(keys, *keys), "--days", "3", "--json", str(said)) == 0
    keyset = Keyset.decode(out.read_bytes())
    assert keyset.tls == leaf_digest(consortium.identity("hub", "aggregator"))
    assert keyset.receipt == RECEIPT.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert len(recipient(keyset, HYBRID_768)) == 1216
    assert keyset.expires - keyset.not_before == 3 * 86400 + 300
    content = json.loads(said.read_text())
    assert content["keyset_sha256"] == keyset.digest().hex() and content["sealing_suite"] == "hybrid-768"


@pytest.mark.parametrize("names", [("--tls",), ("--receipt",), ("--sealing", "--root")])
def test_one_key_is_enough_and_can_be_shown(
    keys: dict[str, str], tmp_path: Path, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert new(tmp_path / "keyset", *given(keys, *names)) == 0
    capsys.readouterr()
    assert cli.main(["attest", "keyset", "show", str(tmp_path / "keyset")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("none") == 2 and "until" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "a keyset holds at least one key"),
        (("--sealing", "{--sealing}"), "--sealing and --root go together"),
        (("--root", "{--root}", "--tls", "{--tls}"), "--sealing and --root go together"),
        (("--tls", "{--tls}", "--days", "0"), "--days 0 is not 1 to 3660"),
        (("--tls", "{tmp}/none"), "none"),
        (("--tls", "{tmp}/private.pem"), "private.pem is no certificate or public key in PEM"),
        (("--receipt", "{--sealing}"), "is no certificate or public key in PEM"),
        (("--sealing", "{--tls}", "--root", "{--root}"), "certificate.pem"),
    ],
)
def test_bad_input_is_one_readable_line(
    keys: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    private = RECEIPT.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(private)
    capsys.readouterr()
    filled = [keys.get(one[1:-1], one.replace("{tmp}", str(tmp_path))) for one in arguments]
    assert new(tmp_path / "keyset", *filled) == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and says in said.err
    assert not (tmp_path / "keyset").exists()


def test_nothing_is_overwritten_and_other_files_are_no_keysets(
    keys: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keyset").write_text("kept")
    assert new(tmp_path / "keyset", *given(keys, "--tls")) == 1
    assert cli.main(["attest", "keyset", "show", str(tmp_path / "keyset")]) == 1
    assert "exists already" in (said := capsys.readouterr().err) and "Keyset is not" in said
    assert (tmp_path / "keyset").read_text() == "kept"


@needs_tpm
def test_from_keys_to_a_verdict_with_commands_alone(keys: dict[str, str], tmp_path: Path) -> None:
    """A machine with a TPM in software: keyset, evidence, verdict; and the same evidence for anything else."""
    assert new(tmp_path / "keyset", *given(keys, "--tls")) == 0
    assert new(tmp_path / "other", *given(keys, "--receipt")) == 0
    evidence, verdict = tmp_path / "evidence", tmp_path / "verdict.json"
    with software_tpm() as machine:
        bound = ["--nonce", NONCE, "--purpose", "trying"]
        collect = ["attest", "collect", "tpm", "--key", AK, "--tcti", machine.tcti, "--out", str(evidence)]
        assert cli.main([*collect, *bound, "--keyset", str(tmp_path / "keyset")]) == 0
        known = machine.collector().collect(b"looked at")
    _, area, _ = structures.parse_companions(known.signature)
    (tmp_path / "collateral").mkdir()
    pin = public_key(area).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "collateral" / "tpm-key.pem").write_bytes(pin)
    _, _, values = structures.parse_companions(known.signature)
    registers = {f"pcr{number}": value for number, value in enumerate(values)}
    (tmp_path / "policy.toml").write_text(policy_text(registers))

    def verify(keyset: str, nonce: str, purpose: str) -> tuple[int, list[str]]:
        line = ["attest", "verify", str(evidence), "--policy", str(tmp_path / "policy.toml")]
        line += ["--collateral", str(tmp_path / "collateral"), "--json", str(verdict)]
        code = cli.main([*line, "--keyset", str(tmp_path / keyset), "--nonce", nonce, "--purpose", purpose])
        said: dict[str, Any] = json.loads(verdict.read_text())
        return code, [check["name"] for check in said["checks"] if not check["passed"]]

    assert verify("keyset", NONCE, "trying") == (0, [])
    assert verify("keyset", bytes(32).hex(), "trying") == (1, ["report-data"])
    assert verify("keyset", NONCE, "other") == (1, ["report-data"])
    assert verify("other", NONCE, "trying") == (1, ["report-data"])
