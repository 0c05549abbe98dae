"""What a log says, for people: the newest rounds, refusals and terms, in bounded memory. It judges nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from quatrefoil.audit.entries import Entry
from quatrefoil.audit.kinds import KINDS, OWN_PREFIX

MOST_ROUNDS = 1000
MOST_LINES = 200
"""Of refusals, voids and participants; what is beyond is counted."""

_LONGEST = 400
_SERVING = ("serving-keys", "inference", "serving-ended")


@dataclass(frozen=True)
class Round:
    """A round that was finished or accepted."""

    round: int
    attempt: int | None
    time: str
    contributors: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    model: str


@dataclass(frozen=True)
class Refusal:
    """``what``: the round and attempt, or what was asked. ``party``: whom it names."""

    index: int
    time: str
    what: str
    party: str
    reason: str


@dataclass(frozen=True)
class Lease:
    """A key that was released. ``expires``: seconds since 1970, as of the last renewal; ``renewals``: how many."""

    id: str
    time: str
    resource: str
    stage: str
    holder: str
    evidence: str
    isolation: str
    appraisal: str
    policy: str
    renewals: int
    expires: int


@dataclass
class Served:
    """Answers under one keyset. ``times``: of the first and the last receipt, milliseconds since 1970."""

    keyset: str
    time: str
    model: str
    measurement: str
    policy: str
    receipts: int = 0
    incomplete: int = 0
    times: tuple[int, int] = (0, 0)
    ended: str = ""


@dataclass
class Facts:
    """``left_out``: how many rounds and lines are not here, by list."""

    label: str
    kinds: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""
    jobs: list[str] = field(default_factory=list)
    policies: dict[str, str] = field(default_factory=dict)
    """By digest, the name where it is said."""
    plans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By digest, the stand-ins that it accepts."""
    silos: dict[str, str] = field(default_factory=dict)
    isolation: set[str] = field(default_factory=set)
    """Where keys were held: by a keeper's own word."""
    appraised: set[str] = field(default_factory=set)
    """Where keys were held, as a silo found that the evidence shows."""
    rounds: list[Round] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    voids: list[Refusal] = field(default_factory=list)
    leases: dict[str, Lease] = field(default_factory=dict)
    """Keys that a broker released, by the id of the lease."""
    resources: dict[str, str] = field(default_factory=dict)
    """By digest, the name of what a broker has the key of."""
    served: dict[str, Served] = field(default_factory=dict)
    """Keysets under which a model answered, by digest."""
    revocations: list[Refusal] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def follow(self, entry: Entry) -> None:
        """Take in an entry. Fields of another type than their kind has are shown as nothing."""
        self.first = self.first or entry.time
        self.last = entry.time
        self.kinds[entry.kind if entry.kind in KINDS else f"{OWN_PREFIX}..."] += 1
        body = entry.body
        if entry.kind == "policy":
            self._keep(self.policies, _text(body.get("digest")), _text(body.get("name")))
        elif entry.kind == "plan":
            self._keep(self.plans, _text(body.get("digest")), _names(body.get("insecure")))
            self._keep(self.policies, _text(body.get("policy")), "")
        elif entry.kind == "resource":
            self._keep(self.resources, _text(body.get("resource")), _text(body.get("name")))
        elif entry.kind == "enrolment" and "silo" in body:
            self._keep(self.silos, _text(body["silo"]), _text(body.get("samples")))
        elif entry.kind in ("job", "enrolment"):
            self._name(_text(body.get("name", body.get("job"))))
        elif entry.kind == "refusal":
            whom = next((body[name] for name in ("silo", "party", "address") if name in body), "")
            self._line(self.refusals, "refusals", entry, _text(whom))
        elif entry.kind == "lease":
            self._lease(entry)
        elif entry.kind in _SERVING:
            self._serving(entry)
        elif entry.kind == "revocation":
            self._line(self.revocations, "revocations", entry, _text(body.get("by")))
        elif entry.kind == "round-void":
            self._line(self.voids, "voids", entry, "")
        elif entry.kind in ("round-finished", "round-accepted"):
            self._round(entry)
        elif entry.kind in ("key-release", "measurement"):
            into = self.appraised if "appraisal" in body else self.isolation
            if len(into) < MOST_LINES:
                into.add(f"{_text(body.get('enclave'))} (isolation: {_text(body.get('isolation'))})")

    def _lease(self, entry: Entry) -> None:
        body = entry.body
        key = _text(body["lease"])
        if key not in self.leases and len(self.leases) == MOST_LINES:
            self.left_out["leases"] += body.get("number") == 0
            return
        begun = self.leases.get(key)
        said = {name: _text(body[name]) for name in ("resource", "stage", "holder", "evidence", "isolation")}
        self.leases[key] = Lease(
            id=key,
            time=begun.time if begun else entry.time,
            appraisal=_text(body["appraisal"]),
            policy=_text(body["policy"]),
            renewals=body["number"] if type(body["number"]) is int else 0,
            expires=body["expires"] if type(body["expires"]) is int else 0,
            **said,
        )

    def _serving(self, entry: Entry) -> None:
        body = entry.body
        key = _text(body["keyset"])
        one = self.served.get(key)
        if one is None and entry.kind == "serving-keys":
            if len(self.served) == MOST_LINES:
                self.left_out["keysets"] += 1
                return
            model, measurement, policy = (_text(body[name]) for name in ("model", "measurement", "policy"))
            self.served[key] = Served(key, entry.time, model, measurement, policy)
        elif one is None:
            self.left_out["answers"] += entry.kind == "inference"
        elif entry.kind == "inference":
            time = body["time"] if type(body["time"]) is int else 0
            one.times = (one.times[0] if one.receipts else time, time)
            one.receipts += 1
            one.incomplete += body["complete"] is not True
        elif entry.kind == "serving-ended":
            one.ended = "ended" if body["signature"] else "process killed"

    def _keep(self, into: dict[str, Any], key: str, value: Any) -> None:
        if key and (key in into or len(into) < MOST_LINES):
            into[key] = value or into.get(key, value)

    def _name(self, job: str) -> None:
        if job and job not in self.jobs and len(self.jobs) < MOST_LINES:
            self.jobs.append(job)

    def _line(self, into: list[Refusal], name: str, entry: Entry, party: str) -> None:
        if len(into) == MOST_LINES:
            self.left_out[name] += 1
            return
        body = entry.body
        what = _text(body.get("asked"))
        if "round" in body:
            what = f"round {body['round']}, attempt {body.get('attempt')}"
        elif entry.kind == "revocation":
            what = f"{_text(body['what'])} {_text(body.get('of'))} {_text(body['value'])[:16]}"
        into.append(Refusal(entry.index, entry.time, what[:_LONGEST], party, _text(body.get("reason"))))

    def _round(self, entry: Entry) -> None:
        body = entry.body
        number = body["round"] if type(body["round"]) is int else -1
        attempt = body.get("attempt")
        if self.rounds and self.rounds[-1].round == number:
            return  # said again after a restart
        if len(self.rounds) == MOST_ROUNDS:
            self.left_out["rounds"] += 1
            return
        refused = body.get("refused")
        pairs = tuple(refused.items())[:MOST_LINES] if type(refused) is dict else ()
        self.rounds.append(
            Round(
                number,
                attempt if type(attempt) is int else None,
                entry.time,
                _names(body["contributors"]),
                tuple((_text(name), _text(reason)) for name, reason in pairs),
                _text(body["model"]),
            )
        )


def _text(value: Any) -> str:
    """What is cut off is shown to be."""
    whole = "" if value is None else str(value)
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in value) if type(value) is list else ()
