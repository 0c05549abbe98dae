"""A serving policy that promises proofs: no server without audit mode, no answer of which nothing could be proven."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.planner.test_proven_plans import INTEGRITY, asking, planned

from audited_room import FILE, POLICY, SAMPLES, audited
from quatrefoil import cli
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.checks.promises import PROMISED
from quatrefoil.client import Client
from quatrefoil.errors import CallerError, EvidenceRejected, PolicyInvalid
from quatrefoil.exchange import Proofs
from quatrefoil.planner.plan_file import PlanFile
from quatrefoil.serving.model import engine_of
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.promised import log_promise, require_planned, require_recorded
from quatrefoil.serving.upstream import UpstreamHandler
from running_server import running
from serving_policies import serving_policy
from support import Consortium

PROMISING = replace(POLICY, proofs=Proofs(0.02))
PLAN = planned(asking(INTEGRITY, "tpm"), "tpm")
PLANNED = PlanFile(PLAN.digest(), 0.02)


def test_nothing_answers_under_it_without_audit_mode() -> None:
    with pytest.raises(
        CallerError, match="promises that 2 % of the answers are proven, and without audit mode"
    ) as told:
        OipHandler(engine_of(FILE, PROMISING, threads=1), PROMISING)
    assert "quatrefoil model quantise" in told.value.hint and "--audit-to" in told.value.hint
    with pytest.raises(CallerError, match="without audit mode none can be"):
        UpstreamHandler("http://127.0.0.1:9", PROMISING)
    require_recorded(PROMISING, recorded=True)
    require_recorded(POLICY, recorded=False)


def test_in_audit_mode_clients_take_its_answers(consortium: Consortium, tmp_path: Path) -> None:
    with audited(consortium, tmp_path, policy=PROMISING) as room:
        (answer,) = room.answers(SAMPLES)
        with room.client() as client:
            assert client.metadata().inputs, "nothing is computed for a question about the model"
    assert answer.receipt is not None and answer.receipt.fields.inputs and answer.receipt.fields.commitment


def test_a_server_that_answers_without_is_found_out_by_every_client(consortium: Consortium, tmp_path: Path) -> None:
    """Its own checks are off, as a host that isolates nothing can have them."""
    handler = OipHandler(engine_of(FILE, POLICY, threads=1), POLICY)
    with running(consortium, tmp_path, policy=PROMISING, handler=handler) as server:
        asking_it = Client(
            server.url,
            policy=PROMISING,
            collateral=server.collateral,
            identity=consortium.identity("hospital", "silo"),
            trust=consortium.trust,
        )
        with asking_it as client, pytest.raises(EvidenceRejected, match="does not commit to what was computed") as told:
            client.infer({"x": SAMPLES})
    assert told.value.check == "inputs"


def test_the_promise_is_in_the_log_once_for_each_policy() -> None:
    log = MemoryLog()
    for policy in (PROMISING, PROMISING, POLICY, replace(PROMISING, proofs=Proofs(0.5), plan=bytes(32))):
        log_promise(log, policy)
    first, second = (entry for entry in log.entries() if entry.kind == PROMISED)
    assert first.body == {"policy": PROMISING.digest().hex(), "plan": "", "share": "0.02"}
    assert second.body["share"] == "0.5" and second.body["plan"] == "00" * 32


# ------------------------------------------------------------------------------------------------------------- plans


def test_a_serving_policy_keeps_to_its_plan() -> None:
    require_planned(replace(PROMISING, plan=PLANNED.digest), PLANNED)
    require_planned(replace(PROMISING, plan=PLANNED.digest, proofs=Proofs(1.0)), PLANNED)
    require_planned(replace(POLICY, plan=PLANNED.digest), PlanFile(PLANNED.digest, 0.0))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(POLICY, plan=PLANNED.digest), "the plan says that 2 % of the answers are proven"),
        (replace(PROMISING, plan=PLANNED.digest, proofs=Proofs(0.019)), "promises 1.9 %"),
        (PROMISING, "is of plan none, and given is"),
        (replace(PROMISING, plan=bytes(32)), "is of plan 0000000000000000, and given is"),
    ],
)
def test_a_serving_policy_that_promises_less_or_is_of_another_plan_is_refused(policy: object, said: str) -> None:
    with pytest.raises(PolicyInvalid, match=said):
        require_planned(policy, PLANNED)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- the command


BROKER = "graph.sealed --broker 127.0.0.1:9 --broker-name vault --stage serve"


def serve(folder: Path, policy: str, *more: str, what: str = BROKER) -> int:
    (folder / "serving.toml").write_text(policy)
    command = f"serve {what} --listen 127.0.0.1:0 --identity worker --root root.pem --state state"
    command += " --collect tpm --collateral collateral"
    return cli.main([*command.split(), "--policy", str(folder / "serving.toml"), *more])


@pytest.fixture
def appraised(tmp_path: Path) -> Path:
    example = Path(__file__).parents[2] / "examples" / "appraisal" / "tpm.toml"
    text = example.read_text()
    (tmp_path / "machine.toml").write_text(text.replace('report_data = "any"', 'report_data = "required"'))
    return tmp_path


def test_a_server_does_not_start_without_audit_mode(appraised: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = serving_policy("graph", "00" * 32) + "[proofs]\nshare = 0.02\n"
    assert serve(appraised, text) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "promises that 2 % of the answers are proven, and without audit mode none can be" in told
    assert serve(appraised, text, what="--upstream http://127.0.0.1:9") == 1
    assert "without audit mode none can be" in " ".join(capsys.readouterr().err.split())


def test_a_server_does_not_start_under_less_than_its_plan(appraised: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (appraised / "plan.json").write_text(json.dumps(PLAN.to_json()))
    text = f'plan = "{PLAN.digest().hex()}"\n' + serving_policy("graph", "00" * 32)
    assert serve(appraised, text, "--plan", str(appraised / "plan.json")) == 1
    assert "the plan says that 2 % of the answers are proven, and serving policy ward promises 0 %" in " ".join(
        capsys.readouterr().err.split()
    )
    altered = PLAN.to_json()
    altered["phases"][0]["proven"] = None
    (appraised / "plan.json").write_text(json.dumps(altered))
    assert serve(appraised, text, "--plan", str(appraised / "plan.json")) == 1
    assert "and says that it is" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("proofs", "said"),
    [
        ("share = 0", "proofs.share: is 0.0, not a finite number above 0"),
        ("share = 1.5", "proofs.share: is 1.5"),
        ("share = nan", "proofs.share: is nan"),
        ('share = "all"', "proofs.share: is a string, not a number"),
        ("", "proofs.share: is missing"),
        ("shares = 0.1", "Did you mean 'share'?"),
    ],
)
def test_a_share_that_is_none_is_refused_by_its_field(
    proofs: str, said: str, appraised: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve(appraised, serving_policy("graph", "00" * 32) + f"[proofs]\n{proofs}\n") == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_share_is_in_the_digest_that_receipts_name() -> None:
    digests = {policy.digest() for policy in (POLICY, PROMISING, replace(PROMISING, proofs=Proofs(0.03)))}
    assert len(digests) == 3 and type(POLICY).decode(PROMISING.encode()) == PROMISING
