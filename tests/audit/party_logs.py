"""Logs for audit tests: those of a real job in one process, and logs in which a party lies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from identities import START, TRUSTED, consortium, identity
from quatrefoil.audit import Event, TileLog, log_policy
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.audit.verdict import Check, Verdict
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.policy import Policy
from world import NAMES, World

ROLES = {"hub": "aggregator", "keeper": "keeper"}
AT = START + timedelta(hours=1)
ROOT = consortium(TRUSTED).directory / "root.pem"
LISTS = ROOT.with_name("crl.pem")


def tile_log(folder: Path, name: str, clock=lambda: START) -> TileLog:
    """The log of a party of the test's consortium, with its roots beside it."""
    log = TileLog(folder, identity(name, ROLES.get(name, "silo")), consortium(TRUSTED).trust, clock=clock)
    log.keep_trust({"root.pem": ROOT.read_bytes(), "crl.pem": LISTS.read_bytes()})
    return log


def run_job(folder: Path) -> Policy:
    """Three rounds, with an attempt voided and a silo that was away, and the statement about the model, signed by all:
    every party's log in ``folder`` by its name."""
    world = World(backend="plain", rounds=3)
    for name in (*NAMES, "keeper", "hub"):
        world.logs[name] = tile_log(folder / name, name, world.clock)
        log_policy(world.policy, world.logs[name])
    world.silos = {name: world.make_silo(name) for name in NAMES}
    world.enrolments, world.keeper = world.make_enrolments(), world.make_keeper()
    world.provenance = world.make_provenance()
    world.begin()
    for _ in range(2):
        world.clock.pass_time(minutes=3)
        world.run_round()
    world.open()
    world.void("the network was down")
    world.clock.pass_time(minutes=3)
    world.run_round(NAMES[:3])
    world.signed()
    for log in world.logs.values():
        log.close()
    return world.policy


def lying(folder: Path, events: Sequence[Event], name: str = "hub") -> Path:
    """A party's log that holds these events after its opening."""
    with tile_log(folder, name) as log:
        log.append_all(events)
    return folder


def judged(path: Path, trust: Path | None = ROOT, **given) -> Verdict:
    return examined(path, trust, **given).verdict


def examined(path: Path, trust: Path | None = ROOT, **given) -> Examined:
    return examine(path, **({"trust": trust, "policy": None, "relied": None, "at": AT} | given))


def failed(path: Path, **given) -> dict[str, str]:
    """Which checks did not pass, and why."""
    return {check.name: check.detail for check in judged(path, **given).failed}


def named(verdict: Verdict, name: str) -> Check:
    (found,) = verdict.by_name()[name]
    return found


def file(state: Path, name: str) -> Path:
    return state / LOG_FOLDER / name


def altered(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
