"""What a service tells the service manager that started it: sd_notify(3) of systemd, over its socket.

Nothing happens where there is no manager: NOTIFY_SOCKET is not set. The variable is taken out of the environment, so
that what a service starts does not speak for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping


class ServiceManager:
    """``watchdog_s``: every how many seconds it is to be told that the service moves; None: it does not ask."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        wanted, whose = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", str(os.getpid()))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        asked = bool(address) and wanted.isdigit() and int(wanted) > 0 and whose == str(os.getpid())
        self.watchdog_s: float | None = int(wanted) / 2e6 if asked else None  # twice as often as it has to be

    def ready(self) -> None:
        """It can be used from now on."""
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def moves(self) -> None:
        """It is not stuck."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people: what ``systemctl status`` shows."""
        self._tell("STATUS=" + text.replace("\n", " ")[:500])

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(message.encode(), self._address)


__all__ = ["ServiceManager"]
