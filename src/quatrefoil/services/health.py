"""``/metrics``, ``/healthz`` and ``/readyz`` of a service over HTTP on this machine, from a thread of its own.

A thread, because a service that is stuck in a call has to be seen to be. On loopback only: a silo has no inbound port,
and whoever collects metrics of other machines runs an agent on each.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quatrefoil.errors import CallerError, HostError
from quatrefoil.services.exposition import CONTENT_TYPE
from quatrefoil.services.vitals import Vitals

TIMEOUT_S = 10.0
"""Seconds that a connection may be silent for."""


class HealthServer:
    """Listens from when it is made. ``close`` ends it."""

    def __init__(self, address: tuple[str, int], vitals: Vitals) -> None:
        """``CallerError`` for an address that others reach, ``HostError`` for one that cannot be listened on."""
        host, port = address
        if not _is_loopback(host):
            raise CallerError(f"metrics are for this machine, and {host} is not", hint="Name 127.0.0.1:PORT or ::1")
        try:
            self._server = _Server((host, port), _handler_of(vitals))
        except OSError as error:
            raise HostError(
                f"{host}:{port} cannot be listened on ({error.strerror})", hint="Name another port with --metrics"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle of an answer is nobody's concern."""


def _handler_of(vitals: Vitals) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S
        server_version, sys_version = "quatrefoil", ""

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE, vitals.text())
            elif self.path == "/healthz":
                self._say(503 if vitals.still() else 200, {"healthy": not vitals.still()})
            elif self.path == "/readyz":
                problems = vitals.problems()
                self._say(503 if problems else 200, {"ready": not problems, "problems": problems})
            else:
                self._say(404, {"there are": ["/metrics", "/healthz", "/readyz"]})

        def log_message(self, format: str, *args: object) -> None:
            """Probes come all the time, and are not worth a line."""

        def _say(self, status: int, content: dict[str, Any]) -> None:
            self._answer(status, "application/json", json.dumps(content).encode() + b"\n")

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["HealthServer"]
