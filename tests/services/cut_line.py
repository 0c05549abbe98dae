"""A line to a PostgreSQL server that is cut where a test says: with a question lost, or its answer."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postgres_server import PostgresServer

SOCKET = ".s.PGSQL.5432"


class CutLine:
    """Passes connections on. ``lose_question`` and ``lose_answer``: which of those that come from now on (0: the next)
    is not passed on; the connection ends there. ``forget``: the client's end is closed, and the server sees nothing of
    it. ``away``: no connection is made at all."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._server = str(server.folder / SOCKET)
        self.folder = folder
        self.lose_question: int | None = None
        self.lose_answer: int | None = None
        self.away = False
        self.cuts = 0
        self._kept: list[socket.socket] = []
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, server: PostgresServer) -> str:
        return server.url(host=str(self.folder))

    def forget(self) -> None:
        """Every connection is lost, and the server does not know yet."""
        for client, server in self._open:
            self._kept.append(server)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.forget()
        for one in self._kept:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.away:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._server)
                except OSError:
                    client.close()
                    continue
                self._open.append((client, server))
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while self._passed_one(client, server):
                pass
        except (OSError, ValueError):  # closed meanwhile by the test
            pass
        finally:
            client.close()
            if server not in self._kept:
                server.close()

    def _passed_one(self, client: socket.socket, server: socket.socket) -> bool:
        for end in select.select([client, server], [], [])[0]:
            asked = end is client
            if not (content := end.recv(1 << 20)):
                return False
            if self._is_lost(asked):
                self.cuts += 1
                return False
            (server if asked else client).sendall(content)
        return True

    def _is_lost(self, asked: bool) -> bool:
        name = "lose_question" if asked else "lose_answer"
        left: int | None = getattr(self, name)
        if left is None:
            return False
        setattr(self, name, left - 1 if left else None)
        return left == 0


@contextmanager
def cut_line(server: PostgresServer, folder: Path) -> Iterator[CutLine]:
    line = CutLine(server, folder)
    try:
        yield line
    finally:
        line.close()
