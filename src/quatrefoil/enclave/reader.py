"""Bytes from outside, read field by field: every length is checked, and nothing may be left over.

What is too short, too long or out of range is ``EvidenceRejected`` with check "format", and the name of the field.
"""

from __future__ import annotations

from typing import Literal

from quatrefoil.errors import EvidenceRejected


class Reader:
    """A position in ``data``. ``what`` names the structure in refusals, ``order`` is that of its numbers."""

    def __init__(self, data: bytes, what: str, order: Literal["big", "little"]) -> None:
        self._data = bytes(data)
        self._what = what
        self._order: Literal["big", "little"] = order
        self.at = 0

    def take(self, size: int, field: str) -> bytes:
        """The next ``size`` bytes."""
        if size > len(self._data) - self.at:
            raise self.refusal(f"ends inside {field}")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, size: int, field: str) -> int:
        """The next ``size`` bytes as an unsigned number."""
        return int.from_bytes(self.take(size, field), self._order)

    def sized(self, width: int, most: int, field: str, *, least: int = 0) -> bytes:
        """A length of ``width`` bytes, ``least`` to ``most``, and as many bytes."""
        size = self.number(width, field)
        if not least <= size <= most:
            raise self.refusal(f"gives {field} {size} bytes, not {least} to {most}")
        return self.take(size, field)

    def rest(self) -> bytes:
        """Everything that is left, which ends here."""
        return self.take(len(self._data) - self.at, "rest")

    def end(self) -> None:
        """Refuses what is left over."""
        if left := len(self._data) - self.at:
            raise self.refusal(f"has {left} bytes after its end")

    def refusal(self, problem: str) -> EvidenceRejected:
        """The refusal of this structure, to be raised."""
        return EvidenceRejected(
            f"the {self._what} {problem}",
            hint="Ask the sender to collect evidence again, and to send it as the hardware wrote it",
            check="format",
        )


__all__ = ["Reader"]
