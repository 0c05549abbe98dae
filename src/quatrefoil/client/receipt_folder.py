"""Receipts kept in files, with what it takes to verify them later: `quatrefoil audit receipt`.

    NAME.receipt            the signed receipt
    NAME.salt               64 hexadecimal digits: opens its commitments, and so confirms guesses of what was asked
    KEYSET.keyset           the keyset that signed it; KEYSET is the first half of its SHA-256
    KEYSET.attestation      the evidence of that keyset as it was first accepted, with the nonce that it answers
    NAME.attestation        where that had been replaced by newer evidence of the same keyset

All of them are for their owner's eyes only (mode 0600), the folder as well.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from quatrefoil.client.receipts import Receipt
from quatrefoil.errors import CallerError, HostError
from quatrefoil.transport import Clock, files, system_clock


class ReceiptFolder:
    """Keeps receipts; pass it as ``on_receipt``. Each file is on disk when the call returns, or it raises
    ``HostError``: then the answer is not given out. May be called from several threads."""

    def __init__(self, folder: Path | str, *, clock: Clock = system_clock) -> None:
        self._folder = Path(folder)
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, bytes] = {}
        files.make_private(self._folder)

    def __call__(self, receipt: Receipt) -> None:
        self.keep(self.new_name(), receipt)

    def new_name(self) -> str:
        """A name that no receipt has: the time in UTC, and 64 random bits."""
        return f"{self._clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}"

    def keep(self, name: str, receipt: Receipt) -> None:
        """Write ``receipt`` under ``name``, from :meth:`new_name`."""
        if not name or not all(one.isalnum() or one == "-" for one in name) or not name.isascii():
            raise CallerError("this is no name of a receipt", hint="Take one from new_name()")
        if self._first_of(receipt) != receipt.attestation:
            self._write(f"{name}.attestation", receipt.attestation)
        self._write(f"{name}.salt", receipt.salt.hex().encode() + b"\n")
        self._write(f"{name}.receipt", receipt.encoded)

    def _first_of(self, receipt: Receipt) -> bytes:
        """The attestation that is kept with the receipt's keyset: this one, where none is yet."""
        named = receipt.keyset.digest().hex()[:32]
        with self._lock:  # a keyset is kept once, whoever comes first
            if named not in self._known:
                self._write_once(f"{named}.keyset", receipt.keyset.encode())
                self._write_once(f"{named}.attestation", receipt.attestation)
                self._known[named] = files.read(self._folder / f"{named}.attestation", "attestation")
            return self._known[named]

    def _write_once(self, name: str, content: bytes) -> None:
        """Write what is not there yet; another process may do so at the same moment."""
        if (self._folder / name).exists():
            return
        try:
            self._write(name, content)
        except HostError:
            if not (self._folder / name).exists():
                raise

    def _write(self, name: str, content: bytes) -> None:
        try:
            files.write_new(self._folder / name, content, mode=files.PRIVATE)
        except HostError as error:
            raise HostError(
                f"the receipt cannot be kept: {error.problem}",
                hint="The request was answered, and is in the server's log; make room, or name another folder",
            ) from None


__all__ = ["ReceiptFolder"]
