"""``quatrefoil audit sample``: a sample drawn into a file, checked from the log, and what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from party_logs import AT, ROOT

from identities import START, identity
from policy_text import TEXT
from quatrefoil import cli
from quatrefoil.audit import witnesses
from quatrefoil.audit.log import LOG_FOLDER, WITNESSED
from quatrefoil.audit.sampling import Sample
from quatrefoil.transport import statement
from sampled import NAMES, Cosigners, serve, server, witness_key

CHALLENGE = "ab" * 32


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``state``, the cosigned checkpoint in it and beside it, and of each witness its statement and its key."""
    folder = tmp_path_factory.mktemp("place")
    state = serve(folder)
    note = Cosigners().cosigned(state)
    (state / LOG_FOLDER / WITNESSED).write_bytes(note)
    (folder / "cosigned").write_bytes(note)
    for name in NAMES:
        key = witness_key(name).verifier
        said = statement.sign(witnesses.said(key, START), identity(name, "silo"))
        (folder / f"{name}.witness").write_bytes(said)
        (folder / f"{name}.vkey").write_text(key.encode() + "\n")
    return folder


def run(
    capsys: pytest.CaptureFixture[str], place: Path, *arguments: object, given: tuple[str, ...] = ("witness", "vkey")
) -> tuple[int, str, str]:
    known = [part for name, kind in zip(NAMES, given, strict=False) for part in ("--witness", place / f"{name}.{kind}")]
    trusted = ("--trust", ROOT, "--at", AT.isoformat())
    code = cli.main([str(one) for one in ("audit", "sample", place / "state", *known, *trusted, *arguments)])
    return code, *capsys.readouterr()


def test_a_sample_is_drawn_and_checked(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "one.sample"
    terms = ("--count", 6, "--challenge", CHALLENGE)
    code, said, warned = run(capsys, place, *terms, "--out", out)
    assert (code, warned) == (0, "")
    assert "6 of 19 receipts of 3 keysets; 3 in 1 keyset not ended; seed " in said and "seeds were tried" not in said
    code, said, _ = run(capsys, place, *terms, "--check", out, "--checkpoint", place / "cosigned", "--json", "-")
    content = json.loads(said)
    assert code == 0 and content["schema"] == "quatrefoil.audit-sample/1" and content["valid"] is True
    sample = Sample.decode(out.read_bytes())
    assert [one["digest"] for one in content["receipts"]] == [one.digest.hex() for one in sample.drawn]
    assert (content["drawn"], content["population"], content["challenge"]) == (6, 19, CHALLENGE)
    (tenth,) = [one for one in content["chances"] if one["share"] == 0.1]
    assert tenth["false"] == 2 and tenth["caught"] == pytest.approx(1 - (13 * 12) / (19 * 18))


def test_without_a_challenge_it_says_what_can_be_tried(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, warned = run(capsys, place, "--fraction", "0.25", "--out", tmp_path / "s")
    assert code == 0 and "5 of 19 receipts" in said and "if 1,048,576" in said
    assert "can try out samples" in " ".join(warned.split())


def test_it_is_drawn_from_a_bundle_too(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, out = tmp_path / "evidence.zip", tmp_path / "one.sample"
    assert cli.main(["audit", "bundle", str(place / "state"), "--out", str(bundle)]) == 0
    code, _, _ = run(capsys, place, "--count", 3, "--out", out)
    (tmp_path / "state").symlink_to(bundle)
    for name in NAMES:
        (tmp_path / f"{name}.witness").write_bytes((place / f"{name}.witness").read_bytes())
    again, said, _ = run(capsys, tmp_path, "--count", 3, "--check", out, given=("witness", "witness"))
    assert (code, again) == (0, 0) and "is what the rule draws" in said


def test_a_sample_without_end_is_read_no_further_than_one_goes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ((), ("--checkpoint", place / "cosigned")):
        code, _, told = run(capsys, place, "--count", 3, "--check", "/dev/zero", *more)
        assert code == 1 and "has over 33,554,432 bytes" in told


def test_a_swapped_sample_ends_with_exit_code_1(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "one.sample", tmp_path / "other.sample"
    run(capsys, place, "--count", 3, "--out", out)
    sample = Sample.decode(out.read_bytes())
    other.write_bytes(replace(sample, drawn=(sample.drawn[0], sample.drawn[0], sample.drawn[2])).encode())
    code, said, problem = run(capsys, place, "--count", 3, "--check", other)
    assert (code, said, len(problem.splitlines())) == (1, "", 1)
    assert "in place 1, and the rule draws receipt" in problem and "Draw it from the log yourself" in problem


REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "more than there are": (("--count", 20), "20 receipts cannot be drawn from 19"),
    "more than a sample has": (("--count", 1 << 17), "131072 receipts are not 1 to 65536"),
    "a challenge that is none": (("--count", 1, "--challenge", "xy"), "--challenge is not hexadecimal"),
    "a challenge that is too short": (("--count", 1, "--challenge", "abcd"), "a challenge of 2 bytes"),
    "a checkpoint of too early": (("--count", 1, "--not-before", AT.isoformat()), "before the agreed time"),
    "no checkpoint": (("--count", 1, "--checkpoint", "{place}/north.vkey"), "the signed note"),
    "nothing that ended": (("--fraction", "0.5", "--after", 30), "that share of 0 receipts is 0"),
    "a third witness, who has not signed": (("--count", 1, "--witness", "{tmp}/other"), "has no ML-DSA-44 cosignature"),
    "a witness that is none": (("--count", 1, "--witness", "{tmp}/none"), "not of the form name+id+key"),
    "a policy of more": (("--count", 1, "--policy", "{tmp}/policy.toml"), "2 witnesses are fewer than the 3"),
    "another party's log": (("--count", 1, "--party", "silo-north"), "there is no log of silo-north"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line(name: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, problem = REFUSED[name]
    (tmp_path / "other").write_text(witness_key("east").verifier.encode())
    (tmp_path / "none").write_text("nobody")
    (tmp_path / "policy.toml").write_text(TEXT + "\n[audit]\nwitnesses = 3\n")
    filled = [str(one).format(place=place, tmp=tmp_path) for one in arguments]
    code, out, err = run(capsys, place, *filled, "--out", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert problem in err and not (tmp_path / "out").exists()


def test_a_log_without_a_witnessed_checkpoint(tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve(tmp_path, (1,), left_open=0)
    for name in NAMES:
        (tmp_path / f"{name}.vkey").write_text(witness_key(name).verifier.encode())
    code, _, err = run(capsys, tmp_path, "--count", 1, "--out", tmp_path / "out", given=("vkey", "vkey"))
    assert code == 1 and "no witnessed checkpoint lies in the log of ward" in err
    assert server(tmp_path / "state").owner.name == "ward"


@pytest.mark.parametrize("given", ["0", "1.5", "-1", "1/0", "half"])
def test_a_share_that_is_none(given: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(capsys, place, "--fraction", given, "--out", "x")
    assert "argument --fraction" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------- in a bundle, and in a verdict


def bundled(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Sample]:
    out = tmp_path / "one.sample"
    assert run(capsys, place, "--count", 3, "--challenge", CHALLENGE, "--out", out)[0] == 0
    bundle = tmp_path / "evidence.zip"
    arguments = ("audit", "bundle", place / "state", "--sample", out, "--out", bundle)
    assert cli.main([str(one) for one in arguments]) == 0
    capsys.readouterr()
    return bundle, Sample.decode(out.read_bytes())


def judged(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(one) for one in ("audit", *arguments)])
    return code, *capsys.readouterr()


def test_drawn_receipts_without_a_proof_show_in_verdict_and_report(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, sample = bundled(place, tmp_path, capsys)
    (tmp_path / "p.proof").write_bytes(b"a proof of another program")
    trusted = ("--trust", ROOT, "--at", AT.isoformat())
    terms = ("--witness", place / "north.witness", "--witness", place / "south.vkey", "--challenge", CHALLENGE)
    code, out, err = judged(capsys, "verify", bundle, *trusted, *terms, "--count", 3, "--json", "-")
    content = json.loads(out)
    checks = {check["name"]: check for check in content["checks"]}
    assert (code, content["valid"], checks["samples"]["passed"], checks["proofs"]["passed"]) == (1, False, True, False)
    assert "check proofs did not pass" in err and [one["lacking"] for one in content["samples"]] == [3]
    assert [one["digest"] for one in content["samples"][0]["missing"]] == [one.digest.hex() for one in sample.drawn]
    page = tmp_path / "report.html"
    (folder := tmp_path / "batches").mkdir()
    (tmp_path / "p.proof").rename(folder / f"{'0' * 64}.result")
    (folder / ".lock").touch()
    more = ("--proof", folder, "--out", page)
    code, _, _ = judged(capsys, "report", bundle, *trusted, *terms, "--count", 3, *more)
    assert code == 1 and "does not hold: the file is no proof of answers" in page.read_text()
    code, out, _ = judged(capsys, "verify", bundle, *trusted, "--json", "-")
    assert code == 0 and {one["name"] for one in json.loads(out)["not_made"]} >= {"samples", "proofs"}


def test_proofs_of_a_folder_go_into_a_bundle(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder := tmp_path / "batches").mkdir()
    given = ("bundle", place / "state", "--proof", folder, "--out", tmp_path / "evidence.zip")
    code, _, err = judged(capsys, *given)
    assert code == 1 and "holds no proofs of answers" in err and not (tmp_path / "evidence.zip").exists()
    for number in range(2):
        (folder / f"{number:064x}.result").write_bytes(b"proof %d" % number)
    (folder / ".lock").touch()
    (tmp_path / "one.proof").write_bytes(b"another")
    assert judged(capsys, *given, "--proof", tmp_path / "one.proof")[0] == 0
    with zipfile.ZipFile(tmp_path / "evidence.zip") as bundle:
        inside = {bundle.read(name) for name in bundle.namelist() if name.startswith("proofs/")}
    assert inside == {b"proof 0", b"proof 1", b"another"}


def test_a_sample_of_a_share_is_judged_by_the_share(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 of 19 receipts are 0.15 of them, rounded up, and no other share that is tried."""
    bundle, _ = bundled(place, tmp_path, capsys)
    terms = ("--witness", place / "north.witness", "--witness", place / "south.vkey", "--challenge", CHALLENGE)
    trusted = ("--trust", ROOT, "--at", AT.isoformat())
    for given, right in (("0.15", True), ("0.2", False), ("0.1", False), ("1", False)):
        code, out, _ = judged(capsys, "verify", bundle, *trusted, *terms, "--fraction", given, "--json", "-")
        checks = {check["name"]: check for check in json.loads(out)["checks"]}
        assert code == 1 and checks["samples"]["passed"] is right, "its proofs lack"
    with pytest.raises(SystemExit):
        judged(capsys, "verify", bundle, *trusted, *terms, "--fraction", "0.15", "--count", 3)
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("--fraction", "0.1"), "samples are judged by the witnesses"),
        (("--count", 3), "samples are judged by the witnesses"),
        (("--sample", "x"), "samples are judged by the witnesses"),
        (("--witness", "{place}/north.vkey"), "by how many receipts were to be drawn"),
        (("--witness", "{place}/north.vkey", "--count", 3), "under a root of one's own"),
    ],
)
def test_terms_that_are_not_whole_are_refused(
    given: tuple[object, ...], problem: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [str(one).format(place=place) for one in given]
    code, out, err = judged(capsys, "verify", place / "state", *filled)
    assert (code, out, len(err.splitlines())) == (1, "", 1) and problem in err
