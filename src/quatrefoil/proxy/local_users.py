"""Whose program is at the other end of a loopback connection, as Linux says in ``/proc/net/tcp``."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

from quatrefoil.errors import HostError

_Address = tuple[str, int]

_FOLDER = Path("/proc/net")
_ESTABLISHED = "01"
"""The one state in which the user of a socket is always right: a socket that was closed may be shown as root's."""

_TRIES = 3
"""The table is read in parts, and a row can move between two of them."""


def available() -> bool:
    """Whether this machine has the table."""
    return (_FOLDER / "tcp").exists()


def user_of(client: _Address, server: _Address, *, folder: Path = _FOLDER) -> int | None:
    """The numeric user of the open socket at ``client`` that is connected to ``server``; None where there is none.

    ``HostError`` where the table cannot be read.
    """
    wanted = (_plain(client), _plain(server))
    for _ in range(_TRIES):
        for name in ("tcp", "tcp6"):
            if (found := _find(folder / name, wanted)) is not None:
                return found
    return None


def _find(table: Path, wanted: tuple[_Address, _Address]) -> int | None:
    try:
        rows = table.read_text().splitlines()[1:]
    except FileNotFoundError:
        return None  # a machine without IPv6
    except OSError as error:
        raise HostError(f"{table} cannot be read ({error.strerror})", hint="Use --token instead") from None
    port = f":{wanted[0][1]:04X}"
    for row in rows:
        columns = row.split()
        if columns[3] != _ESTABLISHED or not columns[1].endswith(port):
            continue
        if (_parsed(columns[1]), _parsed(columns[2])) == wanted:
            return int(columns[7])
    return None


def _parsed(text: str) -> _Address:
    """``0100007F:1F90``: words of 32 bits in the machine's byte order, and the port."""
    address, _, port = text.partition(":")
    words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
    return _plain((str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words))), int(port, 16)))


def _plain(address: _Address) -> _Address:
    """IPv4 within IPv6 as IPv4, and every address in one spelling."""
    host = ipaddress.ip_address(address[0])
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return str(host), address[1]


__all__ = ["available", "user_of"]
