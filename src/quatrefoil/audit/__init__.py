"""The record of what happened: plans, enrolments, rounds, refusals, voids and key releases."""

from quatrefoil.audit.log import Entry, FileLog, Log, MemoryLog, verify_file

__all__ = ["Entry", "FileLog", "Log", "MemoryLog", "verify_file"]
