"""Sealed models and data sets: containers that carry their policy, readable at random and verified. Unaudited."""

from quatrefoil.resources.container import seen
from quatrefoil.resources.container.content import FILE, FORMS, TENSORS, Content, FileHeader, reading, root_of
from quatrefoil.resources.container.extracting import extract
from quatrefoil.resources.container.front import Expected, Front, claimed_time, read_front
from quatrefoil.resources.container.reader import SealedModel, opened_front
from quatrefoil.resources.container.sealing import About, Owner, seal

__all__ = [
    "FILE",
    "FORMS",
    "TENSORS",
    "About",
    "Content",
    "Expected",
    "FileHeader",
    "Front",
    "Owner",
    "SealedModel",
    "claimed_time",
    "extract",
    "opened_front",
    "read_front",
    "reading",
    "root_of",
    "seal",
    "seen",
]
