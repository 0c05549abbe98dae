"""``quatrefoil plan``: which layer protects which phase from whom, at what cost, and what stays unprotected."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.cli.kept_costs import kept_or_measured
from quatrefoil.cli.planned import explain, show, show_blankets, show_difference
from quatrefoil.errors import CallerError, PhaseUnprotected
from quatrefoil.output import add_json_option, console, only_json, progress_console, write_json
from quatrefoil.parties.options import add_keeper_enclave_option, add_server_enclave_option
from quatrefoil.planner import Availability, Costs, Plan, host, plan
from quatrefoil.planner.blanket import all_choices, price
from quatrefoil.planner.difference import compare
from quatrefoil.policy import PROVEN_ANSWERS, Policy
from quatrefoil.workload import Workload

NAME = "plan"
HELP = "choose the layers for a workload under a policy, or refuse it, naming what is not protected"
SCHEMA = "quatrefoil.plan/1"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", type=Path, help="workload file (TOML): what is to be run")
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, required=True, help="policy file (TOML): what to protect"
    )
    parser.add_argument(
        "--costs", metavar="FILE", type=Path, help="predict from FILE (default: what quatrefoil calibrate kept)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="predict for parties that compute in N threads")
    parser.add_argument("--save-costs", metavar="FILE", type=Path, help="write the costs that were used to FILE")
    parser.add_argument(
        "--explain", metavar="PHASE", help="say more about one phase: every threat, every refused backend"
    )
    parser.add_argument("--what-if", metavar="FILE", type=Path, help="say what another policy would change")
    parser.add_argument(
        "--blanket",
        metavar="LAYERS",
        action="append",
        help="price these layers, by commas, for all phases alike; repeat for several, 'all' for every choice",
    )
    add_keeper_enclave_option(parser, "default: what this machine has")
    add_server_enclave_option(parser, "default: what this machine has")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    workload, policy = Workload.load(options.workload), Policy.load(options.policy)
    available = host.availability(keeper=options.keeper_enclave, server=options.server_enclave)
    other = Policy.load(options.what_if) if options.what_if else None
    proven = any(PROVEN_ANSWERS in one.allow.proofs for one in (policy, other) if one)
    proven &= any(phase.model == "integers" for phase in workload.phases)
    kept = kept_or_measured(options.costs, available, workload.kinds, _tell, proven=proven)
    if kept.warning:  # before anything is refused because of them
        _tell(f"quatrefoil: {kept.warning}")
    costs = kept.costs.at(options.threads) if options.threads is not None else kept.costs
    if options.save_costs:
        costs.save(options.save_costs)
    choices = _choices(options.blanket or [])
    made = plan(workload, policy, costs, available)
    explained = made.phase(options.explain) if options.explain else None
    difference = compare(made, _planned_under(workload, other, costs, available)) if other else None
    blankets = [price(workload, policy, costs, available, layers) for layers in choices]
    if not only_json(options):
        out = console()
        show(made, out)
        if explained:
            explain(explained, made, out)
        if difference:
            show_difference(difference, out)
        if blankets:
            show_blankets(blankets, made, out)
    what_if = difference.to_json() if difference else None
    priced = [blanket.to_json() for blanket in blankets]
    write_json(
        options.json, SCHEMA, {**made.to_json(), "what_if": what_if, "blankets": priced, "costs": kept.to_json()}
    )


def _planned_under(workload: Workload, policy: Policy, costs: Costs, available: Availability) -> Plan:
    try:
        return plan(workload, policy, costs, available)
    except PhaseUnprotected as refusal:
        raise PhaseUnprotected(f"under {policy.name} instead: {refusal.problem}", hint=refusal.hint) from None


def _choices(given: list[str]) -> list[tuple[str, ...]]:
    if "all" in given:
        if len(given) > 1:
            raise CallerError("--blanket all is every choice already", hint="Leave the others out")
        return list(all_choices())
    return [tuple(text.split(",")) for text in given]


def _tell(text: str) -> None:
    progress_console().print(text, markup=False, soft_wrap=True)
