"""What a server reads and writes at most. Each limit is checked before what it bounds is allocated or walked."""

from __future__ import annotations

from dataclasses import dataclass

MOST_RANK = 8
"""Dimensions of a tensor; with the objects around it, JSON nested as deep as a shape stays under the reader's limit."""

LONGEST_NAME = 256
"""Characters of a tensor's name, of a request's id and of a model's name."""


@dataclass(frozen=True)
class Limits:
    """Limits of one message, a request or an answer alike. Sizes are in bytes."""

    body: int = 64 << 20
    json: int = 16 << 20
    """Of the JSON part, which is the whole body where no tensor is binary."""
    tensors: int = 64
    elements: int = 16 << 20
    """Of all tensors of a message together."""
    element: int = 1 << 20
    """One element of datatype BYTES."""

    def __post_init__(self) -> None:
        if min(self.body, self.json, self.tensors, self.elements, self.element) < 1:
            raise ValueError("every limit is at least 1")


DEFAULT = Limits()
