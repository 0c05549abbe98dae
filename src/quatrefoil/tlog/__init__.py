"""The transparency log: a tree that only grows, in the tiles, notes and checkpoints of C2SP. Unaudited.

It knows nothing of what is logged; that is the room `audit`.
"""

from quatrefoil.tlog.checkpoints import Checkpoint, SignedCheckpoint, Signer, read_checkpoint
from quatrefoil.tlog.keys import LogKeys
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey
from quatrefoil.tlog.reader import FolderSource, LogReader, Source, fetch_checkpoint
from quatrefoil.tlog.writer import LogWriter

__all__ = [
    "Checkpoint",
    "FolderSource",
    "LogKeys",
    "LogReader",
    "LogWriter",
    "Note",
    "NoteSignature",
    "SignedCheckpoint",
    "Signer",
    "Source",
    "VerifierKey",
    "fetch_checkpoint",
    "read_checkpoint",
]
