"""A TLS server with an ordinary certificate and one group: the control for peers that have no ML-DSA.

It is the OpenSSL that channels use, so that a handshake here shows that the peer's share for the group is one that we
can use, and that what we refuse the peer for is its signatures alone.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from tests.transport import forgery


@contextmanager
def classical_server(group: str, protocol: bytes) -> Iterator[tuple[int, bytes, queue.Queue[str]]]:
    """Port, certificate in PEM, and what it saw of one client: the group and its first words, or why there was none."""
    key, certificate = forgery.classical()
    seen: queue.Queue[str] = queue.Queue()
    context = SSL.Context(SSL.TLS_METHOD)
    assert SSL._lib.SSL_CTX_set1_curves_list(context._context, group.encode()) == 1
    context.use_privatekey(key)
    context.use_certificate(certificate)
    context.set_alpn_select_callback(lambda connection, offered: protocol)

    def answer() -> None:
        stream, _ = listener.accept()
        with stream:
            stream.settimeout(None)
            connection = SSL.Connection(context, stream)
            connection.set_accept_state()
            try:
                connection.do_handshake()
                seen.put(f"{connection.get_group_name()} {connection.recv(24)!r}")
            except SSL.Error as error:
                seen.put(str(error))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        worker = threading.Thread(target=answer)
        worker.start()
        yield listener.getsockname()[1], certificate.public_bytes(Encoding.PEM), seen
        worker.join(10)
        assert not worker.is_alive()
