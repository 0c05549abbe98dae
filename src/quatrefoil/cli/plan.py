"""``quatrefoil plan``: which layer protects which phase from whom, at what cost, and what stays unprotected."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.padding import Padding

from quatrefoil import stack
from quatrefoil.cli.enclaves import add_keeper_enclave_option, add_server_enclave_option
from quatrefoil.cli.output import add_json_option, console, only_json, progress_console, table, write_json
from quatrefoil.planner import Availability, Costs, Plan, PlannedPhase, host, plan
from quatrefoil.planner.threats import exposed
from quatrefoil.policy import THREATS, Policy
from quatrefoil.workload import DATA, KINDS, Workload

NAME = "plan"
HELP = "choose the layers for a workload under a policy, or refuse it, naming what is not protected"
SCHEMA = "quatrefoil.plan/1"
SECONDS = 1.5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", type=Path, help="workload file (TOML): what is to be run")
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, required=True, help="policy file (TOML): what to protect"
    )
    parser.add_argument("--costs", metavar="FILE", type=Path, help="predict from FILE instead of measuring this host")
    parser.add_argument("--save-costs", metavar="FILE", type=Path, help="write the costs that were used to FILE")
    parser.add_argument(
        "--explain", metavar="PHASE", help="say more about one phase: every threat, every refused backend"
    )
    add_keeper_enclave_option(parser, "default: what this machine has")
    add_server_enclave_option(parser, "default: what this machine has")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    workload, policy = Workload.load(options.workload), Policy.load(options.policy)
    available = host.availability(keeper=options.keeper_enclave, server=options.server_enclave)
    costs = Costs.load(options.costs) if options.costs else measured(available)
    if options.save_costs:
        costs.save(options.save_costs)
    made = plan(workload, policy, costs, available)
    explained = made.phase(options.explain) if options.explain else None
    if not only_json(options):
        out = console()
        show(made, out)
        if explained:
            explain(explained, made, out)
    write_json(options.json, SCHEMA, made.to_json())


def measured(available: Availability) -> Costs:
    """A short calibration of this host, said on standard error."""
    progress_console().print(f"measuring this host for about {SECONDS:g} s; --save-costs FILE keeps the figures")
    return stack.measure_host(available, seconds=SECONDS)


def show(made: Plan, out: Console) -> None:
    """The whole plan, what it leaves unprotected first."""
    left = [[u.threat, u.phase, u.why] for u in made.unprotected]
    if left:
        drawn = table("Not protected", ["threat", "phase", "why"], left)
        drawn.columns[1].justify = drawn.columns[2].justify = "left"
        out.print(drawn)
    else:
        out.print("Not protected: nothing that a phase of this workload is exposed to.")
    if made.insecure:
        out.print(f"Stand-ins in use, accepted by the policy: {', '.join(made.insecure)}")
    if made.unexposed:
        out.print(f"Named by the policy, but no phase is exposed to it: {', '.join(made.unexposed)}")
    drawn = table(
        f"Plan of {made.workload} under {made.policy}",
        ["phase", "layers", "answers", "ms a pass", "bytes a pass", "passes"],
        [
            [
                phase.name,
                "\n".join(_layer(phase, *pair) for pair in zip(phase.layers, phase.backends, strict=True)) or "none",
                "\n".join(f"{answer.threat} ({answer.layer})" for answer in phase.threats) or "nothing",
                f"{phase.predicted_ms:.2f}",
                f"{phase.predicted_bytes:,}",
                f"{phase.rounds:,}",
            ]
            for phase in made.phases
        ],
    )
    drawn.show_lines = True
    drawn.columns[1].justify = drawn.columns[2].justify = "left"
    out.print(drawn)
    if conditions := _conditions(made):
        out.print("What is answered, is answered while")
        for condition in conditions:
            out.print(Padding(f"{condition};", (0, 0, 0, 2), expand=False))
    for phase in made.phases:
        if phase.excluded:
            out.print(f"Predictions of {phase.name} are what protecting it adds, without {phase.excluded}.")
    out.print(f"Plan {made.digest().hex()}.")
    out.print("Predictions are from one machine. Nothing here is audited.")


def _conditions(made: Plan) -> list[str]:
    """Every part of every condition, once: claims share most of them."""
    whole = [answer.condition for phase in made.phases for answer in phase.threats if answer.condition]
    return list(dict.fromkeys(part for condition in whole for part in condition.split("; ")))


def _layer(phase: PlannedPhase, layer: str, backend: str) -> str:
    return f"{layer}: {backend}" + (f" (isolation: {phase.isolation})" if layer == "enclave" else "")


def explain(phase: PlannedPhase, made: Plan, out: Console) -> None:
    """One phase: what it is exposed to, what answers each threat and how, and why every other backend was refused."""
    out.print(f"\n[bold]{phase.name}[/bold] ({phase.kind}): {KINDS[phase.kind].meaning}. Data: {DATA[phase.data]}.")
    answered = {answer.threat: answer for answer in phase.threats}
    left = {u.threat: u.why for u in made.unprotected if u.phase == phase.name}
    for threat in exposed(phase.kind, phase.data, phase.site):
        out.print(f"  {threat}: {THREATS[threat]}")
        if threat in answered:
            answer = answered[threat]
            out.print(f"    answered by {answer.layer}/{answer.backend}: {answer.how}.")
            if answer.condition:
                out.print(f"    holds while {answer.condition}.")
        else:
            out.print(f"    NOT PROTECTED: {left[threat]}.")
    if phase.isolation:
        who = "server" if phase.kind == "infer" else "keeper"
        out.print(f"  isolation of the {who} from its host: {phase.isolation}.")
    out.print(f"  predicted: {phase.predicted_ms:.2f} ms and {phase.predicted_bytes:,} bytes a pass.")
    if phase.excluded:
        out.print(f"    not in it: {phase.excluded}.")
    for refusal in phase.refused:
        out.print(f"  refused {refusal.layer}/{refusal.backend}: {refusal.reason}.")
