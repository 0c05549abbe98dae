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

    result = quatrefoil.run(
        HERE / "workload.toml",
        HERE.parent / "policies" / "hospitals.toml",
        train=train,
        data=data,
        initial=initial(),
    )

    print(f"start:     {accuracy(initial(), held_out):.3f} of the held-out patients right")
    print(f"federated: {accuracy(result.parameters, held_out):.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python federate.py DIRECTORY")
    main(Path(sys.argv[1]))
