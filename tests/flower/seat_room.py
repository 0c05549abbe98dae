"""A consortium for jobs in Flower whose keys a committee of its silos holds: no keeper, and a seat beside each node."""

from __future__ import annotations

from pathlib import Path

from flower_room import POLICY, SILOS, SOON, FlowerRoom

from process_memory import ordinary
from quatrefoil.demo.processes import command_line

COMMITTEE = (
    POLICY.replace('["software"]', '["committee"]').replace('["software-keeper"]', "[]")
    + '[key_authority]\nkind = "committee"\nmembers = 3\nsilent = 1\nliars = 0\n'
)
"""The smallest that has a silent member: two of three have to answer."""


class SeatRoom(FlowerRoom):
    """``with``: the seats are there."""

    def __init__(self, folder: Path, costs: Path, policy: str = COMMITTEE, *, seats: bool = True) -> None:
        super().__init__(folder, costs, policy)
        self.edit("aggregator", f'keeper = "127.0.0.1:{self.keeper_port}"\n', "")
        self._seats = seats

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a party's file."""
        file = self.folder / f"{name}.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def seat(self, *names: str) -> None:
        """Start the seats of silos, and wait until they listen."""
        for name in names:
            (self.folder / f"seat-{name}.out").unlink(missing_ok=True)
            self._spawn(f"seat-{name}", ordinary(command_line("flower", "seat", str(self.folder / f"{name}.toml"))))
        for name in names:
            self.wait_for(f"seat-{name}", "listens at", SOON)

    def socket(self, name: str) -> Path:
        return self.folder / "state" / name / "seat.sock"

    def told(self, name: str) -> str:
        """What a seat printed since it was started."""
        return (self.folder / f"seat-{name}.out").read_text()

    def __enter__(self) -> SeatRoom:
        if self._seats:
            self.seat(*SILOS)
        return self
