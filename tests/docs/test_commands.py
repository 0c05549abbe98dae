"""Every command: its help, what it refuses and how, and the form of its JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import commands, options
from pages import ROOT

from quatrefoil import cli
from quatrefoil.audit import TileLog
from quatrefoil.transport import CertificateAuthority, system_clock
from support import Consortium

POLICY = ROOT / "examples" / "policies" / "hospitals.toml"
STRICT = ROOT / "examples" / "policies" / "strict.toml"
WORKLOAD = ROOT / "examples" / "own_model" / "workload.toml"
APPRAISAL = ROOT / "examples" / "appraisal" / "sev-snp.toml"
RELEASE = ROOT / "examples" / "release" / "hospital-model.toml"
SERVING = ROOT / "examples" / "serving" / "policy.toml"
RECEIPTS = ROOT / "tests" / "vectors" / "receipts"
SAMPLES = ROOT / "src" / "quatrefoil" / "bench" / "samples"
ROOTS = ROOT / "src" / "quatrefoil" / "enclave" / "snp" / "roots"
MODEL = "quatrefoil.demo.job:initial"
TRAIN = "quatrefoil.demo.job:train"

each_command = pytest.mark.parametrize("name", list(commands()), ids=lambda name: " ".join(name) or "quatrefoil")


@pytest.fixture
def identities(consortium: Consortium) -> dict[str, str]:
    """``{silo}``, ``{keeper}``, ``{aggregator}`` and ``{root}``, as paths for a command line."""
    made = {role: f"one-{role}" for role in ("silo", "keeper", "aggregator")}
    for role, name in made.items():
        consortium.identity(name, role)
    return {role: str(consortium.folder(name, role)) for role, name in made.items()} | {
        "root": str(consortium.directory / "root.pem")
    }


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and error output. Parties run in a process of their own: they hold files until they end."""
    arguments = line.split()
    if arguments[0] in ("keeper", "aggregator", "silo"):
        ran = subprocess.run([sys.executable, "-m", "quatrefoil.cli", *arguments], capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr
    code = cli.main(arguments)
    return code, *capsys.readouterr()


# ----------------------------------------------------------------------------------------------------------- help


@each_command
def test_help_works_and_names_every_option(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*name, "--help"])
    shown = capsys.readouterr()
    assert ended.value.code == 0 and shown.err == ""
    assert all(option in shown.out for option in options(commands()[name]))


@each_command
def test_every_argument_has_a_help_text(name: tuple[str, ...]) -> None:
    command = commands()[name]
    groups = [a for a in command._actions if isinstance(a, argparse._SubParsersAction)]
    silent = [a.dest for a in command._actions if a not in groups and not (a.help and a.help is not argparse.SUPPRESS)]
    silent += [c.dest for group in groups for c in group._choices_actions if not c.help]
    assert silent == []


def test_help_texts_are_written_alike() -> None:
    texts = {a.help for command in commands().values() for a in command._actions if a.option_strings} - {None}
    texts |= {command.description for name, command in commands().items() if len(name) == 1}
    assert [text for text in texts if text and (text[0].isupper() or text.endswith("."))] == []


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert f'version = "{capsys.readouterr().out.split()[1]}"' in (ROOT / "pyproject.toml").read_text()


# ---------------------------------------------------------------------------------------------------------- usage

WRONG_USAGE = [
    [],
    ["train"],
    ["demo", "--attack", "everything"],
    ["demo", "--splits", "many"],
    ["demo", "--splits", "0"],
    ["plan"],
    ["plan", str(WORKLOAD)],
    ["calibrate", "--seconds", "long"],
    ["simulate", "--silos", "10"],
    ["simulate", "--silos", "ten", "--parameters", "10"],
    ["simulate", "--silos", "10", "--parameters", "10", "--executor", "fibres"],
    ["bench"],
    ["bench", "everything"],
    ["bench", "all"],
    ["doctor", "--fix"],
    ["security-level", "--honest"],
    ["ca"],
    ["ca", "issue", "somewhere", "north", "--role", "king"],
    ["keeper", "--listen", "127.0.0.1:1"],
    ["aggregator"],
    ["silo", "--aggregator", "nowhere"],
    ["relay"],
    ["relay", "http://plain", "--listen", "127.0.0.1:1", "--identity", "one", "--root", "two"],
    ["audit"],
    ["audit", "show"],
    ["audit", "verify"],
    ["audit", "verify", "somewhere", "--at", "noon"],
    ["audit", "bundle", "somewhere"],
    ["audit", "report", "somewhere"],
    ["audit", "prove", "one", "two", "three"],
    ["seal-key"],
    ["seal", "content", "--to", "key"],
    ["open", "content"],
    ["rewrap", "content", "--key", "one", "--from-cms", "two"],
    ["proof"],
    ["audit", "receipt"],
    ["proof", "verify", "--proof", "one"],
    ["attest"],
    ["attest", "verify", "evidence"],
    ["attest", "policy"],
    ["flower"],
    ["flower", "new"],
    ["flower", "seat"],
    ["bench", "flower", "--silos", "0"],
    ["score", "--scheme", "paillier"],
    ["table-key"],
    ["table-key", "new", "--name", "one"],
    ["score", "--expect", "zz"],
    ["predict"],
    ["predict", "https://model.example", "--input", "x.npz"],
    ["broker"],
    ["broker", "run"],
    ["broker", "revoke", "everything", "00"],
    ["broker", "hold", "file", "--stage", "serve"],
    ["broker", "root"],
    ["broker", "root", "show", "--root-identity", "00"],
    ["broker", "root", "show", "--root-key", "one", "--token", "two"],
    ["serve"],
    ["serve", "one", "--policy", "two", "--collect", "tpm"],
    ["proxy"],
    ["proxy", "https://127.0.0.1:1", "--listen", "8000"],
    ["attest", "collateral"],
    ["attest", "collateral", "fetch", "evidence"],
    ["model"],
    ["model", "verify", "one.npz", "--trust", "root.pem"],
    ["model", "verify", "one.npz", "--provenance", "one", "--trust", "root.pem", "--signatures", "0"],
    ["model", "seal", "one"],
    ["model", "open", "one", "--key", "two", "--root", "three", "--owner", "north", "--name", "m", "--out", "four"],
    ["data"],
    ["data", "inspect", "one"],
    ["model", "data", "one", "--provenance", "one", "--silo", "north", "--salt", "zz"],
]


@pytest.mark.parametrize(
    "arguments", WRONG_USAGE, ids=lambda arguments: " ".join(map(str, arguments))[:40] or "nothing"
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    shown = capsys.readouterr()
    assert ended.value.code == 2 and shown.out == ""
    assert shown.err.startswith("usage: quatrefoil") and ": error: " in shown.err.splitlines()[-1]


# -------------------------------------------------------------------------------------------------------- refusals

PARTY = "--root {root} --policy {policy} --state {tmp}/state"
HUB = (
    f"aggregator {PARTY} --identity {{aggregator}} --listen 127.0.0.1:0 --keeper 127.0.0.1:1 --silos a,b,c,d"
    f" --workload {ROOT}/src/quatrefoil/demo/workload.toml --job one --give-up 0.1"
)
SILO = f"silo {PARTY} --identity {{silo}} --aggregator 127.0.0.1:1 --give-up 0.1"

ASKING = "--policy {policy} --identity {silo} --root {root} --collateral {tmp}"

REFUSED = {
    "demo of a policy that is not there": ("demo --policy {tmp}/none.toml", "none.toml: cannot be read"),
    "demo of an attack under another policy": ("demo --attack poison --policy {policy}", "the demo's own policy"),
    "demo with nowhere to write": ("demo --json {tmp}/no/where.json", "where.json cannot be written"),
    "plan of a workload that is not there": ("plan {tmp}/none.toml --policy {policy}", "none.toml: cannot be read"),
    "plan of a policy that is none": (f"plan {WORKLOAD} --policy {WORKLOAD}", "workload.toml:4: phases"),
    "calibration in no threads": ("calibrate --threads 0 --out {tmp}/c.json", "0 threads are none"),
    "calibration with nowhere to keep it": ("calibrate --out {tmp}/no/c.json", "c.json cannot be written"),
    "costs that are none": (f"plan {WORKLOAD} --policy {POLICY} --costs {WORKLOAD}", "workload.toml:1: is not JSON"),
    "bench of nothing": ("bench aggregation --parameters 0", "0 parameters are not at least 1"),
    "bench of nothing at all": ("bench transport --repeats 0", "0 repetitions measure nothing"),
    "bench of all with nowhere to write": (
        "bench all --report {tmp}/report --json {tmp}/no/where.json",
        "where.json cannot be written",
    ),
    "bench of all into a file": ("bench all --report {policy}", "hospitals.toml cannot be used"),
    "bench of two silos in Flower": ("bench flower --silos 2", "measured with at least 3 silos"),
    "bench of all with no Python": ("bench all --report {tmp}/report --flower {tmp}/python", "does not run"),
    "app for Flower under no name": ("flower new {tmp}/1st", "cannot be the name of an app"),
    "seat of a silo without a file": ("flower seat {tmp}/none.toml", "none.toml: cannot be read"),
    "bench of one silo": ("bench aggregation --silos 1", "1 silos are in no parameter set"),
    "score of rows that are not there": (f"score --model {WORKLOAD} --data {{tmp}}/none.csv", "is not strict JSON"),
    "table key of nobody": ("table-key show {policy} --root {root}", "is not a"),
    "score of a step without its files": ("score --step decrypt", "this step needs --key"),
    "doctor with nowhere to write": ("doctor --json {tmp}/no/where.json", "where.json cannot be written"),
    "security-level with nowhere to write": (
        "security-level --json {tmp}/no/where.json",
        "where.json cannot be written",
    ),
    "ca without its root": ("ca issue {tmp} north --role silo", "root.key cannot be read"),
    "ca showing something else": (f"ca show {WORKLOAD}", "is not a PEM certificate"),
    "keeper with a silo's identity": (
        f"keeper {PARTY} --identity {{silo}} --listen 127.0.0.1:0",
        "the role needed is keeper",
    ),
    "keeper without an identity": (f"keeper {PARTY} --identity {{tmp}} --listen 127.0.0.1:0", "cannot be read"),
    "aggregator without a model": (f"{HUB} --initial {{tmp}}/none.npz", "none.npz"),
    "aggregator with a silo's identity": (
        f"{HUB} --initial {MODEL}".replace("{aggregator}", "{silo}"),
        "the role needed is aggregator",
    ),
    "silo without data": (f"{SILO} --train {TRAIN} --data {{tmp}}/none.npz", "there is no data file"),
    "silo with a keeper's identity": (
        f"{SILO} --train {TRAIN} --data x.npz".replace("{silo}", "{keeper}"),
        "the role needed is silo",
    ),
    "seal-key in the place of a file": (
        "seal-key new {policy} --identity {silo} --root {root}",
        "hospitals.toml exists already",
    ),
    "seal for nobody who is certified": (
        "seal {policy} --to {policy} --identity {silo} --root {root} --out {tmp}/x",
        "is no sealing certificate",
    ),
    "open without a key": ("open {policy} --key {tmp} --root {root} --out {tmp}/x", "sealing.key cannot be read"),
    "rewrap of an archive without its certificate": (
        "rewrap {policy} --from-cms {policy} --to {tmp} --identity {silo} --root {root} --out {tmp}/x",
        "goes with --cms-certificate",
    ),
    "proof of values too wide for one": ("proof parameters --bits 32", "12 and 16 bits a value, not for 32"),
    "proof of too many values": ("proof parameters --parameters 20000000", "are 2442 blocks, not 1 to 2048"),
    "proof of a width without a set": ("proof parameters --bits 8", "no parameter set has 8 bits"),
    "proof about a ciphertext that is not there": (
        "proof verify --ciphertext {tmp}/none --proof {tmp}/none --bound 1 --context 00 --binding 00",
        "none cannot be read",
    ),
    "proof for a context that is no digest": (
        f"proof verify --ciphertext {WORKLOAD} --proof {WORKLOAD} --bound 1 --context 00 --binding 00",
        "--context is not 32 bytes",
    ),
    "attest of a policy that is none": ("attest policy check {policy}", "hospitals.toml:"),
    "attest of evidence that is none": (f"attest verify {WORKLOAD} --policy {APPRAISAL}", "Evidence is not"),
    "broker of an identity that is none": (
        "broker new --identity {silo} --root {root} --state {tmp}/s --root-key {tmp}/none",
        "and not a broker",
    ),
    "broker that is not there": (
        "broker leases --identity {silo} --root {root} --broker 127.0.0.1:1",
        "cannot be reached",
    ),
    "broker claim that is none": (
        "broker revoke measurement pcr7 --reason x --identity {silo} --root {root} --broker 127.0.0.1:1",
        "is no claim",
    ),
    "broker root key that is not there": ("broker root show --root-key {tmp}/none", "cannot be read"),
    "serve of neither a model nor an upstream": (
        f"serve {ASKING} --listen 127.0.0.1:0 --state {{tmp}}/s --collect tpm",
        "either a model is served or an upstream",
    ),
    "serve in audit mode for nobody": (
        f"serve {ASKING} --listen 127.0.0.1:0 --state {{tmp}}/s --collect tpm --audit {{tmp}}/a",
        "audit mode has a folder and a reader",
    ),
    "serve in audit mode what an upstream computes": (
        f"serve {ASKING} --listen 127.0.0.1:0 --state {{tmp}}/s --collect tpm --upstream http://127.0.0.1:1"
        " --audit {tmp}/a --audit-to {tmp}/c",
        "cannot be proven",
    ),
    "serve what an upstream computes with committed weights": (
        f"serve {ASKING} --listen 127.0.0.1:0 --state {{tmp}}/s --collect tpm --upstream http://127.0.0.1:1"
        " --committed {tmp}/c",
        "cannot be proven",
    ),
    "serve under a policy that is none": (
        f"serve {ASKING} --listen 127.0.0.1:0 --state {{tmp}}/s --collect tpm --upstream http://127.0.0.1:1",
        "hospitals.toml:",
    ),
    "proxy for other machines": (
        f"proxy https://127.0.0.1:1 {ASKING} --listen 10.0.0.1:0",
        "no loopback address",
    ),
    "proxy under a policy that is none": (
        f"proxy https://127.0.0.1:1 {ASKING} --listen 127.0.0.1:0",
        "hospitals.toml:",
    ),
    "attest of no collateral": ("attest collateral show {tmp}", "holds no collateral"),
    "attest of collateral for nothing": ("attest collateral fetch --out {tmp}/out", "no EVIDENCE"),
    "attest of collateral without https": (
        "attest collateral fetch --kind tdx --fmspc 00906ED50000 --pccs http://localhost --out {tmp}/out",
        "not of the form https",
    ),
    "predict without a policy": (
        "predict https://127.0.0.1:1 --input {tmp}/x.npz --policy {tmp}/none --identity {silo} --root {root}",
        "none: cannot be read",
    ),
    "predict in the clear": (
        f"predict http://127.0.0.1:1 --input {{model}} --policy {SERVING} --identity {{silo}} --root {{root}}",
        "not of the form https://",
    ),
    "predict where nobody is": (
        f"predict https://127.0.0.1:1 --input {{model}} --policy {SERVING} --identity {{silo}} --root {{root}}",
        "127.0.0.1:1",
    ),
    "model that is not there": ("model root {tmp}/none.npz", "there is no model at"),
    "model that is none": (f"model root {WORKLOAD}", "is no whole model"),
    "model without its statement": (
        "model data {policy} --provenance {tmp}/none --silo north --salt 00",
        "none cannot be read",
    ),
    "model with something else for a statement": (
        "model data {policy} --provenance {policy} --silo north --salt 00",
        "envelope is not strict JSON",
    ),
    "model beside no folder": (
        "model verify {model} --provenance {policy} --trust {root} --ancestry {tmp}/none",
        "there is no folder",
    ),
    "model under a release policy that is none": ("model policy {policy}", "hospitals.toml:"),
    "data that is sealed under no policy": (
        "data seal {policy} --name a --serial 1 --policy {tmp}/none --to {tmp} --identity {silo} --root {root}"
        " --signing-key {tmp}/none --out {tmp}/x",
        "sealing.key cannot be read",
    ),
    "data in what is no container": ("data inspect {policy} --root {root}", "this is no sealed model"),
    "bench of a sealed model of nothing": ("bench attest --repeats 1 --model-mib 0", "measure nothing"),
    "doctor with nowhere to write the inventory": ("doctor --inventory {tmp}/no/where.json", "cannot be written"),
    "relay as somebody whom no client asks": (
        "relay https://127.0.0.1:1 --listen 127.0.0.1:0 --identity {silo} --root {root}",
        "and clients ask a workload",
    ),
    "audit of a log that is not there": ("audit show {tmp}/none", "there is no log at"),
    "audit of a receipt that is not there": ("audit receipt {tmp}/none --trust {root}", "none cannot be read"),
    "audit of what is no receipt": (f"audit receipt {WORKLOAD} --trust {{root}}", "Receipt is not"),
    "audit of what is no log": (f"audit show {WORKLOAD}", "does not end as a zip file"),
    "audit of what is no log either": ("audit verify {tmp}", "there is no log at"),
    "audit with nowhere to write": (f"audit verify {WORKLOAD} --json {{tmp}}/no/where.json", "cannot be written"),
    "audit of a proof without its entry": (f"audit prove --check {WORKLOAD}", "checked with its entry and a root"),
    "audit of a proof that is none": (
        f"audit prove --check {WORKLOAD} --leaf {WORKLOAD} --trust {{root}}",
        "does not begin with c2sp.org/tlog-proof@v1",
    ),
    "audit of a sample without a witness": (
        f"audit sample {{tmp}} --witness {WORKLOAD} --count 1 --out {{tmp}}/x",
        "there is no log at",
    ),
    "bundle of nothing": ("audit bundle {tmp} --out {tmp}/x.zip", "there is no log at"),
    "report with nowhere to write": (f"audit report {WORKLOAD} --out {WORKLOAD}", "exists already"),
    "simulation of nobody": ("simulate --silos 0 --parameters 10", "0 silos cannot be simulated"),
    "simulation without a quorum": ("simulate --silos 10 --parameters 9 --dropout 0.9", "6 must confirm"),
    "bench of a log that is too short": ("bench audit --leaves 10", "a log of 10 entries is not measured"),
}
WARNING = "INSECURE stand-in accepted by the policy: software-keeper"


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_one_readable_line_and_exit_code_1(
    case: str, identities: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, problem = REFUSED[case]
    code, out, err = run(line.format(**identities, tmp=tmp_path, policy=POLICY, model=a_model(tmp_path)), capsys)
    said = [text for text in err.splitlines() if text != WARNING]  # a start under this policy always says it
    assert len(said) == 1 and said[0].startswith("quatrefoil: ") and problem in said[0]
    assert (code, out) == (1, "")
    # What is wrong, and then what to do about it.
    assert ". " in said[0]


def test_every_command_has_a_refusal_and_a_wrong_use() -> None:
    assert {line.split()[0] for line, _ in REFUSED.values()} == set(cli.COMMANDS)
    assert {arguments[0] for arguments in WRONG_USAGE if arguments} >= set(cli.COMMANDS)


def test_a_refused_plan_ends_with_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", str(WORKLOAD), "--policy", str(STRICT)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [text.partition(":")[0] for text in said[-1:]] == ["quatrefoil"]
    assert all("measuring" in text for text in said[:-1])


def test_another_job_on_the_same_state_is_refused(
    identities: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"{HUB} --initial {MODEL}".format(**identities, tmp=tmp_path, policy=POLICY)
    first, second = run(line, capsys), run(line.replace("--job one", "--job two"), capsys)
    assert first[0] == second[0] == 1
    assert "the keeper does not answer" in first[2]
    assert "holds job one, not two" in second[2]


# ------------------------------------------------------------------------------------------------------------ json

JSON = {
    "plan": f"plan {WORKLOAD} --policy {POLICY}",
    "doctor": "doctor",
    "security-level": "security-level",
    "demo-attack": "demo --attack transport",
    "bench-aggregation": "bench aggregation --parameters 1000 --silos 2",
    "bench-transport": "bench transport --repeats 1",
    "bench-proof": "bench proof --parameters 1000",
    "bench-proof-levels": "bench proof --parameters 1000 --levels",
    "bench-byzantine": "bench byzantine --rounds 1 --seeds 1",
    "proof-parameters": "proof parameters --parameters 1000",
    "audit-show": "audit show {log}",
    "attest-policy-check": f"attest policy check {APPRAISAL}",
    "bench-attest": "bench attest --repeats 1 --model-mib 2",
    "model-policy": f"model policy {RELEASE}",
    "model-key": "model key {model}.key",
    "attest-collateral-fetch": f"attest collateral fetch {SAMPLES}/tpm.evidence --out {{log}}/collateral",
    "attest-collateral-show": f"attest collateral show {ROOTS}",
    "audit-verify": "audit verify {log}",
    "audit-prove": "audit prove {log} 0 --out {log}/proof",
    "audit-bundle": "audit bundle {log} --out {log}/bundle.zip",
    "audit-report": "audit report {log} --out {log}/report.html",
    "bench-audit": "bench audit --leaves 10000",
    "audit-receipt": f"audit receipt {RECEIPTS}/single-0.receipt --trust {RECEIPTS}/root.pem",
    "model-root": "model root {model}",
}


def a_model(folder: Path) -> str:
    np.savez(folder / "model.npz", np.zeros(3))
    return str(folder / "model.npz")


def a_log(folder: Path) -> str:
    """A log that a party has begun, with its roots beside it."""
    authority = CertificateAuthority.create(folder / "ca", "docs-root", clock=system_clock)
    identity = authority.issue("north", "silo", directory=folder / "north")
    with TileLog(folder / "state", identity, authority.trust) as log:
        log.keep_trust(
            {file.name: file.read_bytes() for file in ((folder / "ca" / "root.pem"), (folder / "ca" / "crl.pem"))}
        )
    return str(folder / "state")


@pytest.mark.parametrize("schema", JSON)
def test_json_says_its_schema_and_machine_and_nothing_else_is_printed(
    schema: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        JSON[schema].format(log=a_log(tmp_path) if "{log}" in JSON[schema] else "", model=a_model(tmp_path)).split()
    )
    assert cli.main([*arguments, "--json", "-"]) == 0
    content = json.loads(capfd.readouterr().out)
    assert content["schema"] == f"quatrefoil.{schema}/1"
    assert set(content["machine"]) == {"processor", "cores", "memory_gib", "system", "python"}


@pytest.mark.slow
def test_the_demo_in_full(tmp_path: Path) -> None:
    assert cli.main(["demo", "--splits", "1", "--json", str(tmp_path / "demo.json")]) == 0
    content = json.loads((tmp_path / "demo.json").read_text())
    assert content["schema"] == "quatrefoil.demo/1" and "machine" in content
    wanted = {"accuracy", "auc", "differing_predictions", "attack", "channels", "rounds", "insecure"}
    assert wanted <= content.keys()
    assert content["accuracy"].keys() == content["auc"].keys() >= {"alone", "pooled", "federated", "encrypted"}
