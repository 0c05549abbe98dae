"""A tree of toy jobs as real processes: groups of silos, each with its keeper and its aggregator, and over them an
upper aggregator with another keeper. One folder a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logs import entries_of
from quatrefoil.audit.log import TRUST_FOLDER
from quatrefoil.demo.processes import HOST, Commands, command_line, free_port
from quatrefoil.transport import CertificateAuthority, system_clock

HERE = Path(__file__).parent
CLIP = 32767 / 32768
GRAIN = Fraction(1, 1 << 15)
HEAVIEST = 64
"""The largest count that the policy takes: steps are multiples of this many grains, so no weight rounds one."""

VALUES = 10
ROUNDS = 2
GROUPS: dict[str, dict[str, tuple[int, int]]] = {
    "north": {"ambon": (12, 64), "bari": (-40, 32), "cusco": (7, 8)},
    "south": {"dakar": (33, 16), "elba": (-5, 64), "faro": (90, 2)},
    "west": {"graz": (-61, 4), "huesca": (18, 32), "izmir": (2, 1)},
    "east": {"jaffa": (44, 16), "kyoto": (-9, 64), "lagos": (25, 32)},
}
"""Group -> silo -> its step, in multiples of HEAVIEST grains, and its samples."""

POLICY = f"""
name = "group"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"]
on_excess = "refuse"
[limits]
minimum_silos = 3
colluding_silos = 1
largest_sample_count = {HEAVIEST}
clip = {CLIP!r}
value_bits = 16
minimum_roster_group = 1
rounds = 20
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = ["software-keeper"]
[tree]
place = "group"
"""
UPPER_POLICY = (
    POLICY.replace('name = "group"', 'name = "upper"')
    .replace(f"largest_sample_count = {HEAVIEST}", "largest_sample_count = 1")
    .replace(f"clip = {CLIP!r}", "clip = 2147483647.0")
    .replace("value_bits = 16", "value_bits = 32")
    .replace('[tree]\nplace = "group"\n', "")
)


def workload(parameters: int, silos: int, rounds: int) -> str:
    phases = "".join(
        f'[[phases]]\nname = "{kind}"\nkind = "{kind}"\ndata = "{"key" if kind == "keys" else "update"}"\n'
        + (f"parameters = {parameters}\n" if kind != "keys" else "")
        + f"silos = {silos}\nrounds = {rounds}\nlatency_ms = 10000\n"
        for kind in ("collect", "aggregate", "keys")
    )
    return f'name = "toy"\n{phases}'


class TreeJob(Commands):
    """``groups``: which of :data:`GROUPS` take part. A group's parties are NAME, NAME-keeper and its silos, and NAME-up
    above. ``apart``: whether the upper job is another consortium's, with a root of its own."""

    def __init__(
        self, folder: Path, costs: Path, groups: Sequence[str], rounds: int = ROUNDS, *, apart: bool = False
    ) -> None:
        super().__init__(folder, cwd=folder)
        shutil.copy(HERE / "tree_toy.py", folder)
        self.groups = {name: GROUPS[name] for name in groups}
        self.rounds = rounds
        self.apart = apart
        self._costs = costs
        self.ports = {name: free_port() for group in ("upper", *groups) for name in (group, f"{group}-keeper")}
        self.metrics = {name: free_port() for name in groups}
        (folder / "group.toml").write_text(POLICY)
        (folder / "upper.toml").write_text(UPPER_POLICY)
        (folder / "group-workload.toml").write_text(workload(VALUES, 3, rounds))
        (folder / "upper-workload.toml").write_text(workload(VALUES + 3, len(groups), rounds))
        authorities: dict[Path, Any] = {self.root(name): None for name in ("north", "upper")}
        for root in authorities:
            root.parent.mkdir(exist_ok=True)
            authorities[root] = found = CertificateAuthority.create(
                root.parent / "ca", f"{root.parent.name}-consortium", clock=system_clock
            )
            for file, content in found.public_files().items():
                (root.parent / file).write_bytes(content)
        roles = {"upper": "aggregator", "upper-keeper": "keeper"}
        for group, silos in self.groups.items():
            roles |= {group: "aggregator", f"{group}-keeper": "keeper", f"{group}-up": "silo"}
            roles |= dict.fromkeys(silos, "silo")
            for name, (step, samples) in silos.items():
                steps = np.full(samples, step * HEAVIEST * float(GRAIN))
                np.savez(folder / f"data-{name}.npz", steps=steps, group=np.full(samples, group))
        for name, role in roles.items():
            authorities[self.root(name)].issue(name, role, directory=folder / "identities" / name)

    def root(self, name: str) -> Path:
        """Of the consortium that certified a party."""
        above = name in ("upper", "upper-keeper") or name.endswith("-up")
        return (self.folder / "apart" if self.apart and above else self.folder) / "root.pem"

    # ------------------------------------------------------------------------------------------------------- parties

    def start_all(self) -> None:
        self.start_upper()
        for group in self.groups:
            self.start_group(group)

    def start_upper(self, *arguments: str) -> None:
        self.start_keeper("upper")
        self.start_upper_aggregator(*arguments)

    def start_upper_aggregator(self, *arguments: str) -> None:
        names = ",".join(f"{group}-up" for group in self.groups)
        self._aggregator("upper", names, "--groups-of", "tree_toy:initial", *arguments)

    def start_keeper(self, group: str, *arguments: str) -> None:
        name = f"{group}-keeper"
        self._start(name, self._policy(group), "keeper", "--listen", self._address(name), *arguments)

    def start_group(self, group: str, *arguments: str) -> None:
        self.start_keeper(group)
        self.start_aggregator(group, *arguments)
        for silo in self.groups[group]:
            self.start_silo(group, silo)

    def start_aggregator(self, group: str, *arguments: str) -> None:
        up = ("--upper", self._address("upper"), "--upper-policy", str(self.folder / "upper.toml"))
        up += ("--upper-identity", str(self.folder / "identities" / f"{group}-up"))
        up += ("--upper-root", str(self.root("upper"))) if self.apart else ()
        up += ("--initial", "tree_toy:initial", "--out", str(self.folder / f"{group}.npz"))
        up += ("--metrics", f"{HOST}:{self.metrics[group]}")
        self._aggregator(group, ",".join(self.groups[group]), *up, *arguments)

    def start_silo(self, group: str, silo: str) -> None:
        files = ("--data", str(self.folder / f"data-{silo}.npz"), "--out", str(self.folder / f"{silo}.npz"))
        files += ("--json", str(self.folder / f"{silo}.json"))
        self._start(
            silo, self._policy(group), "silo", "--aggregator", self._address(group), "--train", "tree_toy:train", *files
        )

    def finish(self, groups: Sequence[str] | None = None, *, seconds: float, upper: bool = True) -> None:
        for group in self.groups if groups is None else groups:
            for name in (group, *self.groups[group]):
                self.wait(name, seconds)
        if upper:
            self.wait("upper", seconds)

    def _aggregator(self, name: str, silos: str, *arguments: str) -> None:
        level = "upper" if name == "upper" else "group"
        given = ("--listen", self._address(name), "--keeper", self._address(f"{name}-keeper"), "--silos", silos)
        given += ("--workload", str(self.folder / f"{level}-workload.toml"), "--costs", str(self._costs))
        given += ("--job", f"toy-{name}", "--json", str(self.folder / f"{name}.json"))
        self._start(name, self._policy(name), "aggregator", *given, *arguments)

    def _start(self, name: str, policy: Path, *arguments: str) -> None:
        own = ("--identity", str(self.folder / "identities" / name), "--root", str(self.root(name)))
        own += ("--policy", str(policy), "--state", str(self.folder / "state" / name))
        self._spawn(name, self.command_line(name, *arguments, *own))

    def command_line(self, name: str, *arguments: str) -> list[str]:
        return command_line(*arguments)

    def _policy(self, group: str) -> Path:
        return self.folder / ("upper.toml" if group == "upper" else "group.toml")

    def _address(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"

    # ----------------------------------------------------------------------------------------------------- what holds

    def hold(self, group: str = "") -> None:
        """Keep trainings waiting, of all groups or of one, and so their rounds open."""
        (self.folder / f"hold{group and '-'}{group}").touch()

    def go_on(self, group: str = "") -> None:
        (self.folder / f"hold{group and '-'}{group}").unlink()

    def model(self, name: str) -> np.ndarray:
        with np.load(self.folder / f"{name}.npz") as arrays:
            return np.concatenate([arrays[key].ravel() for key in arrays.files])

    def result(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return content

    def stored(self, name: str, *, upper: bool = False) -> list[str]:
        """Kinds of the log entries of a party, in order; ``upper``: of the silo that a group is in the upper job."""
        return [entry.kind for entry in entries_of(self._log(name, upper))]

    def has_log(self, name: str, *, upper: bool = False) -> bool:
        return (self._log(name, upper) / TRUST_FOLDER / "root.pem").exists()

    def _log(self, name: str, upper: bool) -> Path:
        folder = self.folder / "state" / name
        return (folder / "upper" if upper else folder) / "log"


def clear_mean(silos: Mapping[str, tuple[int, int]]) -> float:
    """Of one round over these silos: in integers, and rounded once."""
    grains = sum(Fraction(step * HEAVIEST * samples, HEAVIEST) for step, samples in silos.values())
    assert grains.denominator == 1
    weight = sum(samples for _, samples in silos.values()) / HEAVIEST
    return int(grains) * float(GRAIN) / weight


def everybody(groups: Sequence[str]) -> dict[str, tuple[int, int]]:
    return {name: silo for group in groups for name, silo in GROUPS[group].items()}


@pytest.fixture
def tree(tmp_path: Path, costs_file: Path) -> Iterator[TreeJob]:
    with TreeJob(tmp_path, costs_file, ("north", "south", "west")) as job:
        yield job
