"""Servers that speak as Intel's PCS and PCCS, and AMD's KDS, over TLS on this machine, from vectors of our own making.

Paths, parameters, headers and encodings are those that the vendors document (Intel PCS API version 4; AMD publication
57230, chapter 4); nothing here shares code with the client.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import attesting
import gpu_reports
from dcap_quotes import Platform


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    length: int | None = None
    """Content-Length where it lies."""
    drip: float = 0.0
    """Seconds between bytes."""
    chunked: bool = False

    def with_(self, **changes: Any) -> Reply:
        return replace(self, **changes)


Route = Reply | list[Reply] | Callable[[], Reply]
"""A list is answered one by one; its last again and again."""


class Server:
    """HTTPS on 127.0.0.1. ``routes``: path with parameters -> reply; ``asked`` is what was asked for, in order."""

    def __init__(self, folder: Path, *, names: tuple[str, ...] = ("localhost",)) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[str] = []
        self.authorities = folder / "server.pem"
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append(self.path)
                with suppress(OSError):  # the client may have had enough
                    _send(self, server._reply(self.path))
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certified(self.authorities, names))
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._http.server_port
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _reply(self, path: str) -> Reply:
        found = self.routes.get(path, Reply(b"not found", status=404))
        if callable(found):
            return found()
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
    handler.send_header("Connection", "close")
    handler.end_headers()
    if reply.chunked:
        handler.wfile.write(b"%x\r\n" % (len(reply.body) + 10) + reply.body)  # and no end
    elif reply.drip:
        for byte in reply.body:
            handler.wfile.write(bytes([byte]))
            time.sleep(reply.drip)
    else:
        handler.wfile.write(reply.body)


def _certified(file: Path, names: tuple[str, ...]) -> Path:
    """A certificate that signed itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of the tests")])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ip_address("127.0.0.2")))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return file


# -------------------------------------------------------------------------------------------------------- what they say


def pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def intel(document: bytes, tee: str, fmspc: str, ca: str = "platform", *, cache: bool = False) -> dict[str, Route]:
    """Replies for one family of platforms. ``cache``: as a PCCS has them; else the root's list stands at /root.der."""
    found = json.loads(document)
    statement = '{"%s":%s,"signature":"%s"}'
    info = statement % ("tcbInfo", found["tcb_info"], found["tcb_info_signature"])
    identity = statement % ("enclaveIdentity", found["qe_identity"], found["qe_identity_signature"])
    chains = {name: urllib.parse.quote(found[name]) for name in found if name.endswith("_chain")}
    root_list = bytes.fromhex(found["root_ca_crl"])
    base = f"/{tee}/certification/v4"
    return {
        f"{base}/tcb?fmspc={fmspc}": Reply(info.encode(), {"TCB-Info-Issuer-Chain": chains["tcb_info_issuer_chain"]}),
        f"{base}/qe/identity": Reply(
            identity.encode(), {"SGX-Enclave-Identity-Issuer-Chain": chains["qe_identity_issuer_chain"]}
        ),
        f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der": Reply(
            bytes.fromhex(found["pck_crl"]), {"SGX-PCK-CRL-Issuer-Chain": chains["pck_crl_issuer_chain"]}
        ),
        **(
            {"/sgx/certification/v4/rootcacrl": Reply(root_list.hex().encode())}
            if cache
            else {"/root.der": Reply(root_list)}
        ),
    }


def platform(kind: str = "tdx", *, cache: bool = False, **changes: Any) -> dict[str, Route]:
    made = Platform(kind=kind, **changes)
    return intel(made.document(), kind, made.fmspc, cache=cache)


def amd(
    product: str = "Milan", key: str = "vcek", *, crl: bytes | None = None, vcek: bytes | None = None
) -> dict[str, Route]:
    """Replies for the tests' one chip of ``product`` at its TCB version."""
    base = f"/{key}/v1/{product}"
    chain = pem("CERTIFICATE", attesting.ask(product, key)) + pem("CERTIFICATE", attesting.ark(product))
    routes: dict[str, Route] = {
        f"{base}/cert_chain": Reply(chain, {"Content-Type": "application/x-pem-file"}),
        f"{base}/crl": Reply(crl or attesting.crl(product)),
    }
    return routes | ({vcek_path(product): Reply(vcek or attesting.leaf(product))} if key == "vcek" else {})


def nvidia(driver: bytes | None = None, vbios: bytes | None = None) -> dict[str, Route]:
    """Replies for the tests' one GPU."""
    return {
        DRIVER_PATH: Reply(driver or gpu_reports.DRIVER_MANIFEST.document()),
        VBIOS_PATH: Reply(vbios or gpu_reports.VBIOS_MANIFEST.document()),
    }


BOARD = "1010_0200_882"
DRIVER_PATH = f"/v1/rim/NV_GPU_DRIVER_GH100_{gpu_reports.DRIVER}"
VBIOS_PATH = f"/v1/rim/NV_GPU_VBIOS_{BOARD}_{gpu_reports.VBIOS.replace('.', '')}"


def vcek_path(product: str = "Milan") -> str:
    tcb, chip = attesting.TCB[product], attesting.CHIP_ID[product]
    if product == "Turin":
        query = f"fmcSPL={tcb[0]:02}&blSPL={tcb[1]:02}&teeSPL={tcb[2]:02}&snpSPL={tcb[3]:02}&ucodeSPL={tcb[7]:02}"
        return f"/vcek/v1/Turin/{chip[:8].hex()}?{query}"
    query = f"blSPL={tcb[0]:02}&teeSPL={tcb[1]:02}&snpSPL={tcb[6]:02}&ucodeSPL={tcb[7]:02}"
    return f"/vcek/v1/{product}/{chip.hex()}?{query}"
