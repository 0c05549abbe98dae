"""Parts of a stream gathered before they are sent, so that their number, sizes and times say less.

A token that is sent when it is made shows its length and how long it took, and from those much of the text can be
guessed through any encryption. A ``Batcher`` holds tokens until a tick of a fixed clock, or until there are enough. It
does no I/O and has no clock: the caller passes seconds of one that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.errors import CallerError

LARGEST_WINDOW = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Batching:
    """When a batch goes out. ``window``: seconds between ticks, counted from the beginning of the stream; 0 is at once.

    ``most``: how many parts a batch holds; 0 is no limit. With a limit a full batch goes out between ticks, and that
    shows.
    """

    window: float = 0.0
    most: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.window <= LARGEST_WINDOW or self.most < 0:
            raise CallerError(
                f"a window of {self.window} s and {self.most} parts is no batching",
                hint=f"Use a window of 0 to {LARGEST_WINDOW:.0f} s, and 0 parts or more",
            )


class Batcher:
    """Gathers the parts of one stream."""

    def __init__(self, batching: Batching, *, now: float) -> None:
        """``now``: when the stream begins."""
        self._batching = batching
        self._began = now
        self._tick = 1
        self._parts: list[bytes] = []

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` has to be asked next; ``None`` without a window."""
        window = self._batching.window
        return self._began + self._tick * window if window else None

    def add(self, part: bytes) -> bytes | None:
        """What goes out now that ``part`` is there, or ``None``: it is held until :meth:`due`."""
        self._parts.append(part)
        full = len(self._parts) == self._batching.most
        return self.flush() if full or not self._batching.window else None

    def due(self, now: float) -> bytes | None:
        """What goes out at a tick, or ``None`` before it. Empty if nothing has come: whether to send a cover in its
        place (``padding.pad_events``) is the caller's choice, and without one it shows that nothing came."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return None
        self._tick = max(self._tick, int((now - self._began) / self._batching.window)) + 1
        return self.flush()

    def flush(self) -> bytes:
        """Everything that is held: for the end of the stream."""
        held, self._parts = b"".join(self._parts), []
        return held
