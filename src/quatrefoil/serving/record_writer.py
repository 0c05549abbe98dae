"""Records of what was computed, for whoever proves it later and for nobody else: written beside receipts, encrypted.

A file a keyset, of ``tlog.records``. Its first record is a sealed file that holds a fresh key and the keyset; each
further one is an answer, encrypted with that key under its number. This process forgets the key when the keyset ends,
and can read nothing that it wrote before it started. docs/serving.md has the bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.audit.computations import OpeningKeys, opening_keys
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, HostError
from quatrefoil.serving.audited import AuditedModel, Trace
from quatrefoil.serving.receipts import Computed
from quatrefoil.tlog import disk, records
from quatrefoil.transport import Clock, Identity, files, sealed
from quatrefoil.wire import WireObject

MAGIC = b"quatrefoil recorded 1\n"
CONTEXT = b"quatrefoil recorded answers"
NAME = "{}.recorded"
"""Of a file, with the digest of its keyset."""
KEY_BYTES = 32
MOST_RECORDS = 1 << 32
_NUMBER = struct.Struct(">Q")


@dataclass(frozen=True, repr=False)
class Record(WireObject):
    """One answer. ``receipt``: as it was signed. ``inputs``, ``outputs``: 32-bit integers, little endian, row by row.
    ``inputs_key``, ``outputs_key``: of ``OpeningKeys``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:recorded-answer"

    receipt: bytes
    rows: int
    inputs: bytes
    outputs: bytes
    inputs_key: bytes
    outputs_key: bytes


@dataclass(repr=False)
class _File:
    """``number``: of the next record; each encrypts under one that no other has, also after one that was not kept."""

    path: Path
    descriptor: int
    mark: bytes
    key: bytes
    keyset: bytes
    size: int
    number: int = 1
    dirty: bool = False


class Recorder:
    """Writes what can be proven later into ``folder``. May be called from several threads."""

    def __init__(
        self,
        folder: Path,
        model: AuditedModel,
        *,
        recipients: Sequence[sealed.Recipient],
        sender: Callable[[], Identity],
        clock: Clock,
    ) -> None:
        """``recipients``: who reads it. ``sender``: the identity that signs when a keyset begins."""
        if not recipients:
            raise CallerError("records that nobody can read prove nothing", hint="Name who proves, with --audit-to")
        self.model = model
        self._folder, self._recipients, self._sender, self._clock = folder, recipients, sender, clock
        self._lock = threading.Lock()
        self._files: dict[bytes, _File] = {}
        files.make_private(folder)

    def begin(self, keyset: Keyset) -> None:
        """A file for this keyset, durably there when this returns."""
        key, name = secrets.token_bytes(KEY_BYTES), keyset.digest()
        header = io.BytesIO()
        sealed.seal(
            io.BytesIO(key + keyset.encode()),
            header,
            recipients=self._recipients,
            sender=self._sender(),
            context=CONTEXT,
            minimum=sealed.HYBRID_768,
            clock=self._clock,
        )
        mark = secrets.token_bytes(records.MARK_BYTES)
        content = MAGIC + mark + records.record(mark, header.getvalue())
        path = self._folder / NAME.format(name.hex())
        try:
            descriptor = disk.create_appending(path)
            try:
                disk.write(descriptor, content)
                disk.synchronise(descriptor)
                disk.synchronise_folder(self._folder)
            except OSError:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    disk.remove(path)
                raise
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        with self._lock:
            self._files[name] = _File(path, descriptor, mark, key, name, len(content))

    def computed(self, trace: Trace, salt: bytes, keyset: Keyset) -> Computed:
        """What the receipt of ``trace`` commits to, and what keeps the record of it before that is given out."""
        keys = opening_keys(salt)
        name = keyset.digest()
        return Computed(self.model.commit(trace, keys), lambda receipt: self._keep(name, receipt, trace, keys))

    def _keep(self, keyset: bytes, receipt: bytes, trace: Trace, keys: OpeningKeys) -> None:
        """With the kernel when it returns. ``HostError``: it is not, and there is no receipt then."""
        content = Record(
            receipt,
            len(trace.inputs),
            np.ascontiguousarray(trace.inputs, "<i4").tobytes(),
            np.ascontiguousarray(trace.outputs, "<i4").tobytes(),
            keys.inputs,
            keys.outputs,
        ).encode()
        with self._lock:
            file = self._files.get(keyset)
            if file is None or file.number >= MOST_RECORDS:
                raise HostError(
                    "no more answers are recorded under this keyset", hint="Its next one takes them: rotate keys sooner"
                )
            number, file.number = file.number, file.number + 1
            encrypted = AESGCM(file.key).encrypt(nonce(number), content, keyset)
            one = records.record(file.mark, _NUMBER.pack(number) + encrypted)
            try:
                disk.write(file.descriptor, one)
            except OSError as error:
                self._undo(file)
                raise _unwritable(self._folder, error) from None
            file.size, file.dirty = file.size + len(one), True

    def synchronise(self) -> None:
        """What was written is on the disk when this returns: before the log has the receipts of it."""
        with self._lock:
            waiting = [file for file in self._files.values() if file.dirty]
            for file in waiting:
                file.dirty = False
        for file in waiting:
            try:
                disk.synchronise(file.descriptor)
            except OSError as error:
                raise _unwritable(self._folder, error) from None

    def end(self, keyset: Keyset) -> None:
        """No answer follows under it: its key is forgotten. What was not begun is let be."""
        self.synchronise()
        with self._lock:
            if (file := self._files.pop(keyset.digest(), None)) is not None:
                os.close(file.descriptor)

    def close(self) -> None:
        """End every keyset."""
        self.synchronise()
        with self._lock:
            for file in self._files.values():
                os.close(file.descriptor)
            self._files.clear()

    def _undo(self, file: _File) -> None:
        # A part of a record must not stand before a whole one: where it cannot be taken back, the file ends in it.
        try:
            disk.truncate(file.descriptor, file.size)
        except OSError:
            file.number = MOST_RECORDS


def nonce(number: int) -> bytes:
    """Of AES-GCM for a record: its number in 12 bytes."""
    return number.to_bytes(12, "big")


def _unwritable(folder: Path, error: OSError) -> HostError:
    return HostError(
        f"records of answers in {folder} cannot be written ({error.strerror})",
        hint="Free space on its disk; until then nothing is answered, since no answer goes out that cannot be proven",
    )


__all__ = ["CONTEXT", "KEY_BYTES", "MAGIC", "MOST_RECORDS", "NAME", "Record", "Recorder", "nonce"]
