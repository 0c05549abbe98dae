"""What the proxy needs of a client, and of the place where receipts are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Headers(Protocol):
    raw: tuple[tuple[bytes, bytes], ...]


class Receipt(Protocol):
    encoded: bytes


class Answer(Protocol):
    status: int
    headers: Headers
    content: bytes
    receipt: Receipt


class StreamedAnswer(Protocol):
    status: int
    headers: Headers
    receipt: Receipt

    def iter_bytes(self) -> AsyncIterator[bytes]: ...


class Asker(Protocol):
    async def request(self, method: str, path: str, *, headers: Any, content: bytes) -> Answer: ...

    def stream(
        self, method: str, path: str, *, headers: Any, content: bytes
    ) -> AbstractAsyncContextManager[StreamedAnswer]: ...


class Keeper(Protocol):
    def new_name(self) -> str: ...

    def keep(self, name: str, receipt: Receipt) -> None: ...
