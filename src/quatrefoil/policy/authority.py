"""``[key_authority]``: who learns the sum of the keys of a round: a keeper, or so many of a committee of silos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.configuration import FieldInvalid, Table, check_choice, check_name, check_range, shown
from quatrefoil.contracts import LARGEST_COMMITTEE, Threshold
from quatrefoil.errors import ParametersRefused, PolicyInvalid
from quatrefoil.wire import WireObject

KEY_AUTHORITIES = ("keeper", "committee")
"""The closed vocabulary of ``kind``: one party of its own, or silos of the job."""


@dataclass(frozen=True)
class KeyAuthority(WireObject):
    """Who holds what opens a round's sum. A keeper has none of the other fields.

    ``members``: the silos of a committee by name, sorted; or none, and then the first ``count`` of a job's roster are.
    ``silent`` of them may not answer and ``liars`` others may answer anything.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:policy-key-authority"

    kind: str = KEY_AUTHORITIES[0]
    members: tuple[str, ...] = ()
    count: int = 0
    silent: int = 0
    liars: int = 0

    def __post_init__(self) -> None:
        check_choice("key_authority.kind", self.kind, KEY_AUTHORITIES)
        if not self.is_committee:
            if (self.members, self.count, self.silent, self.liars) != ((), 0, 0, 0):
                raise FieldInvalid("key_authority.kind", "a keeper has no members", hint="Leave the other fields out")
            return
        for name in self.members:
            check_name("key_authority.members", name)
        if list(self.members) != sorted(set(self.members)):
            raise FieldInvalid("key_authority.members", "is not sorted, or repeats a name", hint="Name each silo once")
        if bool(self.members) == bool(self.count):
            raise FieldInvalid(
                "key_authority.members", "is empty", hint="Name the silos, or say of how many the committee is"
            )
        check_range("key_authority.members", self.size, 1, LARGEST_COMMITTEE)
        check_range("key_authority.silent", self.silent, 0, LARGEST_COMMITTEE)
        check_range("key_authority.liars", self.liars, 0, LARGEST_COMMITTEE)

    @property
    def is_committee(self) -> bool:
        return self.kind == "committee"

    @property
    def size(self) -> int:
        """Members of the committee; 0 for a keeper."""
        return len(self.members) or self.count

    def threshold(self, colluding: int) -> Threshold | None:
        """What its keys are shared with, where ``colluding`` silos may put together what they hold; None for a keeper.
        ``FieldInvalid``, with the numbers, where there is none."""
        if not self.is_committee:
            return None
        if self.liars < colluding:
            raise FieldInvalid(
                "key_authority.liars",
                f"{self.liars} is under colluding_silos = {colluding}",
                hint="Silos that collude may be members, and may then answer anything: allow for as many",
            )
        try:
            return Threshold.fitting(members=self.size, silent=self.silent, liars=self.liars, colluding=colluding)
        except (PolicyInvalid, ParametersRefused) as error:
            raise FieldInvalid("key_authority.members", error.problem, hint=error.hint) from None

    def appointed(self, roster: tuple[str, ...]) -> tuple[str, ...]:
        """The members among the silos of a job, sorted: member k of docs/committee.md is the k-th. ``PolicyInvalid``
        where they are not there."""
        if self.members:
            if missing := [name for name in self.members if name not in roster]:
                raise PolicyInvalid(
                    f"{', '.join(map(shown, missing))} of the committee are not on the roster",
                    hint="Invite them, or agree on other members in key_authority",
                )
            return self.members
        if self.count > len(roster):
            raise PolicyInvalid(
                f"a committee of {self.count} is more than the {len(roster)} silos of the job",
                hint="Invite more silos, or agree on fewer members in key_authority",
            )
        return tuple(sorted(roster))[: self.count]


KEEPER = KeyAuthority()


def read_authority(table: Table) -> KeyAuthority:
    """``[key_authority]`` of a policy file; to be called where the file's lines are placed."""
    table.expect(["kind"], ["members", "silent", "liars"])
    kind = table.text("kind")
    if kind != "committee":
        silent, liars = (table.integer(key) if key in table else 0 for key in ("silent", "liars"))
        return KeyAuthority(kind, silent=silent, liars=liars)
    table.expect(["kind", "members", "silent", "liars"])
    named = table.is_list("members")
    return KeyAuthority(
        kind,
        table.texts("members") if named else (),
        0 if named else table.integer("members"),
        table.integer("silent"),
        table.integer("liars"),
    )


__all__ = ["KEEPER", "KEY_AUTHORITIES", "KeyAuthority", "read_authority"]
