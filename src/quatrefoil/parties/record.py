"""What an aggregator received and gave, kept as it crossed the wire: for whoever looks at what it learns."""

from __future__ import annotations

from pathlib import Path

from quatrefoil.errors import HostError
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator


class Record:
    """``folder``: None where nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def contribution(self, number: int, silo: str, message: bytes) -> None:
        """What a silo sent in a round."""
        self._write(number, f"{silo}.bin", message)

    def means(self, aggregator: Aggregator, rounds: int) -> None:
        """What each finished round led to."""
        if self._folder is None:
            return
        for number in range(1, rounds + 1):
            if (finished := aggregator.finished(number)) is not None:
                self._write(number, "mean.bin", parts.split(finished.result, 2)[1])

    def _write(self, number: int, name: str, content: bytes) -> None:
        if self._folder is None:
            return
        folder = self._folder / f"round-{number}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        except OSError as error:
            raise HostError(
                f"{folder / name} cannot be written ({error.strerror})", hint="Give --record a folder with space"
            ) from None


__all__ = ["Record"]
