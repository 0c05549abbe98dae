"""Trains the model of train.py over three silos in one process, with updates that the aggregator never sees.

    python federate.py DIRECTORY

DIRECTORY is what make_data.py wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from make_data import SILOS
from train import accuracy, initial, train

import quatrefoil

HERE = Path(__file__).parent


def main(directory: Path) -> None:
    data = {name: dict(np.load(directory / f"{name}.npz")) for name in SILOS}
    held_out = dict(np.load(directory / "held-out.npz"))

    outcome = quatrefoil.run(
        HERE / "workload.toml",
        HERE.parent / "policies" / "hospitals.toml",
        train=train,
        data=data,
        initial=initial(),
    )

    print(f"start:     {accuracy(initial(), held_out):.3f} of the held-out patients right")
    for name in SILOS:
        print(f"{name} alone: {accuracy(alone(data[name], len(outcome.rounds)), held_out):.3f}")
    print(f"federated: {accuracy(outcome.parameters, held_out):.3f}, after {len(outcome.rounds)} encrypted rounds")
    explain(outcome)


def alone(data: dict[str, np.ndarray], rounds: int) -> list[np.ndarray]:
    """What one silo reaches with as many rounds on its own data."""
    parameters = initial()
    for _ in range(rounds):
        parameters = train(parameters, data)
    return parameters


def explain(outcome: quatrefoil.Outcome) -> None:
    """Who was kept from what, and what nobody kept."""
    print(f"each mean update is exact to {max(one.error_bound for one in outcome.rounds):.1e} a value")
    for phase in outcome.plan.phases:
        for answer in phase.threats:
            print(f"answered in {phase.name}: {answer.threat}, by {answer.layer}/{answer.backend}")
    for one in outcome.plan.unprotected:
        print(f"NOT PROTECTED in {one.phase}: {one.threat} ({one.why})")
    for stand_in in outcome.insecure:
        print(f"INSECURE stand-in used: {stand_in}")
    print("One process saw everything here: this run tries the job, it protects nobody. Unaudited.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python federate.py DIRECTORY")
    main(Path(sys.argv[1]))
