"""What a serving policy promises of proofs, and a server that keeps it: in audit mode, or it does not serve."""

from __future__ import annotations

from quatrefoil.audit.checks.promises import PROMISED
from quatrefoil.audit.log import Log
from quatrefoil.errors import CallerError, PolicyInvalid
from quatrefoil.exchange import ServingPolicy
from quatrefoil.planner.plan_file import PlanFile


def require_recorded(policy: ServingPolicy, *, recorded: bool) -> None:
    """``CallerError`` where the policy promises proofs of answers that nobody records: none could be made of them."""
    if policy.proofs.share and not recorded:
        raise CallerError(
            f"serving policy {policy.name} promises that {100 * policy.proofs.share:g} % of the answers are proven, "
            "and without audit mode none can be",
            hint="Serve an integer graph of `quatrefoil model quantise` with --audit DIR and --audit-to CERT, or agree "
            "with the clients on a policy without [proofs]",
        )


def require_planned(policy: ServingPolicy, plan: PlanFile) -> None:
    """``PolicyInvalid`` where the serving policy is that of another plan, or promises less than its plan does."""
    if policy.plan != plan.digest:
        raise PolicyInvalid(
            f"serving policy {policy.name} is of plan {policy.plan.hex()[:16] or 'none'}, and given is "
            f"{plan.digest.hex()[:16]}",
            hint="Put the digest that `quatrefoil plan` prints into `plan`, at the clients as well",
        )
    if policy.proofs.share < plan.proven_share:
        raise PolicyInvalid(
            f"the plan says that {100 * plan.proven_share:g} % of the answers are proven, and serving policy "
            f"{policy.name} promises {100 * policy.proofs.share:g} %",
            hint=f"Say share = {plan.proven_share!r} in [proofs], at the clients as well",
        )


def log_promise(log: Log, policy: ServingPolicy) -> None:
    """Write what the policy promises into the server's own log, once: who reads the log knows what has to be proven."""
    if not policy.proofs.share:
        return
    body = {"policy": policy.digest().hex(), "plan": policy.plan.hex(), "share": repr(policy.proofs.share)}
    if not any(entry.kind == PROMISED and entry.body == body for entry in log.entries()):
        log.append(PROMISED, body)


__all__ = ["log_promise", "require_planned", "require_recorded"]
