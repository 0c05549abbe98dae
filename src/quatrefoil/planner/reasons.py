"""Why: why nothing is planned, why a backend is not used, why a threat is left open, and what else could be chosen."""

from __future__ import annotations

from collections.abc import Iterator

from quatrefoil.planner import encrypted, fitting, threats
from quatrefoil.planner.options import SHARED, STAND_IN_OF, Choice, Options
from quatrefoil.planner.plans import PlannedPhase, Refusal, Tradeoff, Unprotected
from quatrefoil.policy import BACKENDS
from quatrefoil.workload import FEDERATED, Phase


def fault(options: Options, phase: Phase, shared: str) -> str:
    """Why no combination is acceptable, the first reason that applies."""
    routes = threats.routes(phase)
    for layers in [(layer,) for layer in threats.NEEDED[phase.kind]] + ([routes] if routes else []):
        if not any(options.usable(phase, layer, shared) for layer in layers):
            return _wanting_layer(options, phase, layers, shared)
    choices = list(options.candidates(phase, shared))
    if phase.answers == "proven" and not any("proofs" in choice.backends for choice in choices):
        proving = [
            ("proofs", backend) for backend in BACKENDS["proofs"] if threats.answers("proofs", backend, phase.kind)
        ]
        return (
            f'asks for answers = "proven", which nothing available shows: {_wanting(options, phase, proving, shared)}'
        )
    answerable = {threat for choice in choices for threat in threats.answered(phase.kind, choice.backends)}
    open_threats = [threat for threat in options.named(phase) if threat not in answerable]
    if open_threats:
        return ", and ".join(
            f"is exposed to {threat}, which nothing available answers: {_why_open(options, phase, threat, shared)}"
            for threat in open_threats
        )
    if len(routes) > 1:
        return "; ".join(
            _of_route(options, phase, choices, route) for route in (routes[:1], routes[1:], routes)
        ).lstrip()
    fastest = min(choices, key=lambda choice: (len(options.unanswered(phase, choice)), choice.cost.ms))
    return " and ".join(options.shortfall(phase, fastest))


def wanting_layers(options: Options, phase: Phase, layers: tuple[str, ...], shared: str) -> str:
    """Which of ``layers`` have no backend for ``phase``, and why."""
    missing = [layer for layer in layers if not options.usable(phase, layer, shared)]
    said = "; ".join(_wanting_layer(options, phase, (layer,), shared) for layer in missing)
    return said or f"has no combination of {', '.join(layers)}"


def _of_route(options: Options, phase: Phase, choices: list[Choice], route: tuple[str, ...]) -> str:
    """The least that keeps the combinations of one route from being acceptable."""
    names = " and ".join(route)
    taken = [c for c in choices if {layer for layer in threats.ROUTES if layer in c.backends} == set(route)]
    if not taken:
        return f"by {names} it cannot run"
    best = min(taken, key=lambda choice: options.distance(phase, choice))
    return f"by {names} it {' and '.join(options.shortfall(phase, best))}"


def _wanting_layer(options: Options, phase: Phase, layers: tuple[str, ...], shared: str) -> str:
    others = threats.ROUTES if layers == threats.routes(phase) else ()  # a way that this phase does not have, and why
    rows = [
        (layer, b)
        for layer in dict.fromkeys((*layers, *others))
        for b in BACKENDS[layer]
        if _is_worth_naming(options, phase, layer, b)
    ]
    named = options.named(phase)
    also = f" (and is exposed to {', '.join(named)})" if named else ""
    return f"needs a backend of {' or '.join(layers)}, and has none{also}: {_wanting(options, phase, rows, shared)}"


def _is_worth_naming(options: Options, phase: Phase, layer: str, backend: str) -> bool:
    """Whether a refusal for want of ``layer`` says why not this one: whoever allows a stand-in wants to know."""
    if layer == SHARED and backend not in threats.COMPUTING.get(phase.kind, (backend,)):
        return False
    if layer == "proofs" and not threats.answers(layer, backend, phase.kind):
        return False
    return (layer, backend) not in STAND_IN_OF or backend in options.policy.allow.of(layer)


def _why_open(options: Options, phase: Phase, threat: str, shared: str) -> str:
    """What would answer ``threat`` in ``phase``, and why it is not there."""
    found = (row for row in threats.ANSWERS if (row.kind, row.threat) == (phase.kind, threat))
    rows = list(dict.fromkeys((row.layer, row.backend) for row in found))
    if not rows:
        return threats.NOTHING_YET.get((phase.kind, threat), "no layer answers it")
    return _wanting(options, phase, rows, shared)


def _wanting(options: Options, phase: Phase, rows: list[tuple[str, str]], shared: str) -> str:
    """ "proofs/bounded-update (does not exist yet)", backends with one reason together."""
    by_reason: dict[str, list[str]] = {}
    for layer, backend in rows:
        reason = options.hindrance(phase, layer, backend, shared) or "not chosen"
        by_reason.setdefault(reason, []).append(f"{layer}/{backend}")
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def refusals(options: Options, phase: Phase, choice: Choice, shared: str) -> Iterator[Refusal]:
    """Every backend that ``choice`` does not use, with the reason; and of the one that it computes in encrypted every
    parameter set."""
    for layer, backends in BACKENDS.items():
        for backend in backends:
            if choice.backends.get(layer) != backend:
                yield Refusal(layer, backend, "", _why_refused(options, phase, choice, (layer, backend), shared))
    computing = choice.backends.get(SHARED, "")
    for name in encrypted.PARAMETER_SETS.get((phase.kind, computing), ()):
        if name != choice.parameter_set:
            yield Refusal(SHARED, computing, name, _why_other_set(options, phase, choice, name))


def _why_other_set(options: Options, phase: Phase, choice: Choice, parameter_set: str) -> str:
    if misfit := fitting.misfit(phase, parameter_set):
        return misfit
    (rival,) = (one for one in options.choices(phase, choice.backends) if one.parameter_set == parameter_set)
    return _why_worse(options, phase, choice, rival, choice.parameter_set)


def _why_refused(options: Options, phase: Phase, choice: Choice, refused: tuple[str, str], shared: str) -> str:
    layer, backend = refused
    if hindrance := options.hindrance(phase, layer, backend, shared):
        return hindrance
    exposed = threats.exposed(phase.kind, phase.data, phase.site)
    routes = threats.routes(phase)
    if layer not in choice.backends:
        answers = [row.threat for row in threats.answers(layer, backend, phase.kind) if row.threat in exposed]
        if layer in routes:
            return _why_other_route(options, phase, choice, refused)
        if not answers:
            return "answers no threat that this phase is exposed to"
        return f"not needed: it answers {', '.join(answers)}, which the policy does not name or another layer answers"
    rival = options.nearest(phase, {**choice.backends, layer: backend})
    return _why_worse(options, phase, choice, rival, choice.backends[layer])


def _why_other_route(options: Options, phase: Phase, choice: Choice, refused: tuple[str, str]) -> str:
    """Instead of the layer that ``choice`` computes by."""
    layer, backend = refused
    kept = {name: b for name, b in choice.backends.items() if name not in threats.ROUTES}
    rival = options.nearest(phase, {**kept, layer: backend})
    used = next(choice.backends[name] for name in threats.ROUTES if name in choice.backends)
    return _why_worse(options, phase, choice, rival, used)


def _why_worse(options: Options, phase: Phase, choice: Choice, rival: Choice, used: str) -> str:
    """``used``: what ``choice`` has in the place of what is refused."""
    if short := options.shortfall(phase, rival):
        return "; ".join(short)
    if rival.rank[0] > choice.rank[0]:
        return f"a stand-in, and {used} is there"
    if rival.rank[1] > choice.rank[1]:
        return f"isolates nothing, and {used} does"
    if phase.kind in FEDERATED and used == choice.backends.get(SHARED):
        return f"{used} serves the whole workload better"
    return f"{used} costs no more: {choice.cost.whole_ms:.3g} ms against {rival.cost.whole_ms:.3g} ms"


def tradeoffs(options: Options, phase: Phase, choice: Choice, shared: str) -> Iterator[Tradeoff]:
    """The next cheaper combination, and what it would leave open; the next safer one, and what it would cost.

    Among what is allowed, available and fit, no stand-in that ``choice`` does without, and nothing that breaks a
    requirement. Cheaper: of those that leave something open the one that costs the most.
    Safer: of those that answer all that ``choice`` does and more the best.
    """
    now = _answered(phase, choice)
    others = [
        one
        for one in options.candidates(phase, shared)
        if one.rank[0] <= choice.rank[0] and not options.broken(phase, one) and one.backends != choice.backends
    ]
    others = [one for one in others if one == options.nearest(phase, one.backends)]  # in the set that would be taken
    cheaper = [one for one in others if one.cost.whole_ms < choice.cost.whole_ms and now - _answered(phase, one)]
    safer = [one for one in others if _answered(phase, one) > now]
    if cheaper:
        yield _tradeoff("cheaper", phase, choice, max(cheaper, key=lambda one: (one.cost.whole_ms, one.rank)))
    if safer:
        yield _tradeoff("safer", phase, choice, min(safer, key=lambda one: one.rank))


def _tradeoff(direction: str, phase: Phase, choice: Choice, other: Choice) -> Tradeoff:
    now, then = _answered(phase, choice), _answered(phase, other)
    exposed = threats.exposed(phase.kind, phase.data, phase.site)
    return Tradeoff(
        direction=direction,
        layers=tuple(other.backends),
        backends=tuple(other.backends.values()),
        parameter_set=other.parameter_set,
        opens=tuple(threat for threat in exposed if threat in now - then),
        closes=tuple(threat for threat in exposed if threat in then - now),
        predicted_ms=other.cost.ms,
        predicted_bytes=other.cost.bytes,
        proving_ms=other.cost.proven.ms if other.cost.proven else 0.0,
    )


def _answered(phase: Phase, choice: Choice) -> set[str]:
    exposed = threats.exposed(phase.kind, phase.data, phase.site)
    return set(exposed) & threats.answered(phase.kind, choice.backends).keys()


def unprotected(options: Options, phase: Phase, planned: PlannedPhase) -> Iterator[Unprotected]:
    """What ``phase`` is exposed to and its layers do not answer."""
    answered = {answer.threat for answer in planned.threats}
    used = dict(zip(planned.layers, planned.backends, strict=True))
    shared = used.get(SHARED, "") if phase.kind in FEDERATED else ""
    for threat in threats.exposed(phase.kind, phase.data, phase.site):
        if threat in answered:
            continue
        named = "the policy names it" if threat in options.policy.threats else "the policy does not name it"
        why = f"{named}; {_why_open(options, phase, threat, shared)}"
        if planned.isolation == "none" and threat in threats.needing_isolation(phase.kind):
            why = f"{used['enclave']} isolates nothing from its host; {why}"
        yield Unprotected(threat, phase.name, why)


__all__ = ["fault", "refusals", "tradeoffs", "unprotected"]
