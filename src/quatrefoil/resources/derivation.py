"""What comes out of a stage: a resource of a kind, and for stages, that the policy of its parent names."""

from __future__ import annotations

from quatrefoil.errors import MessageRefused
from quatrefoil.resources.resource import OwnedResource, Resource

_HINT = "Derive only what the parent's release policy lists as this stage's outputs"


def check_derived(parent: OwnedResource, stage: str, child: Resource) -> None:
    """``MessageRefused`` unless code that holds ``parent``'s key at ``stage`` may put out ``child``.

    That the code does hold it, by a lease that has not ended, is for the caller to know.
    """
    if child.parent != parent.digest:
        raise _refused(child, "names another parent than the one of this lease")
    if child.policy != parent.resource.policy:
        raise _refused(child, "has another policy than its parent: a policy travels unchanged")
    at = parent.policy.stage(stage)
    if at is None:
        raise _refused(child, f"comes from the stage {stage[:40]!r}, which the policy does not have")
    output = at.output(child.kind)
    if output is None:
        raise _refused(child, f"is a {child.kind}, which the stage {stage!r} may not put out")
    if strays := sorted(set(child.stages) - set(output.stages)):
        raise _refused(child, f"is for the stage {strays[0]!r}, to which a {child.kind} of {stage!r} may not go")


def _refused(child: Resource, problem: str) -> MessageRefused:
    return MessageRefused(f"the derived resource {child.name!r} {problem}", hint=_HINT)


__all__ = ["check_derived"]
