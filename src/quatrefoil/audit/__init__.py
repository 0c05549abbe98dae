"""What happened, for outsiders: a transparency log of it, and what is signed about it."""

from quatrefoil.audit.entries import Attachment, Entry
from quatrefoil.audit.log import Event, Log, MemoryLog, TileLog, carry_over, log_policy
from quatrefoil.audit.ownership import Owner
from quatrefoil.audit.party_log import PartyLog

__all__ = [
    "Attachment",
    "Entry",
    "Event",
    "Log",
    "MemoryLog",
    "Owner",
    "PartyLog",
    "TileLog",
    "carry_over",
    "log_policy",
]
