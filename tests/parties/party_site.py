"""Files of a consortium whose parties are started by commands, and what a command that is refused says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from job_policies import LIMITS as USUAL
from quatrefoil.cli import main
from support import Consortium

PHASE = """
[[phases]]
name = "{kind}"
kind = "{kind}"
data = "{data}"
{parameters}
silos = 3
rounds = 1
latency_ms = 10000
"""
WORKLOAD = 'name = "toy"' + "".join(
    PHASE.format(
        kind=kind, data="key" if kind == "keys" else "update", parameters="" if kind == "keys" else "parameters = 4"
    )
    for kind in ("collect", "aggregate", "keys")
)
LIMITS = USUAL | {"threat": "", "norm": "", "receipts": "ml-dsa+ed25519"}
ROLES = ("keeper", "aggregator", "silo")


@dataclass
class Site:
    """Files of a consortium; ``command`` makes a whole command line of a party from them."""

    folder: Path
    people: Consortium

    def command(self, role: str, state: Path, **changes: str) -> list[str]:
        options = {
            "--identity": str(self.people.folder(role, role)),
            "--root": str(self.people.directory / "root.pem"),
            "--policy": str(self.folder / "policy.toml"),
            "--state": str(state),
        }
        options |= {
            "keeper": {"--listen": "127.0.0.1:0"},
            "aggregator": {
                **{"--workload": str(self.folder / "workload.toml"), "--costs": str(self.folder / "costs.json")},
                **{"--listen": "127.0.0.1:0", "--keeper": "127.0.0.1:1", "--silos": "a,b,c", "--job": "toy"},
                **{"--initial": str(self.folder / "model.npz"), "--give-up": "0"},
            },
            "silo": {
                **{"--aggregator": "127.0.0.1:1", "--train": "site_of_tests:train", "--give-up": "0"},
                **{"--data": str(self.folder / "data.npz")},
            },
        }[role]
        options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return [role, *(part for option in options.items() for part in option)]


def refusal(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a refused command, progress and warnings aside."""
    assert main(command) == 1
    *_, last = shown = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "".join(shown)
    assert sum(line.startswith("quatrefoil: ") for line in shown) == 1 and last.startswith("quatrefoil: ")
    return last
