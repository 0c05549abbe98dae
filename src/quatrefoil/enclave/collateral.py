"""What the relying party brings to a verification itself (RFC 9334 section 2: endorsements and their revocation).

Collateral is a folder of files that were fetched beforehand; verification never touches the network. Nothing in it is
believed for being there: certificates must chain to a root pinned in the package, revocation lists must be signed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

from quatrefoil.enclave import certificates
from quatrefoil.errors import EvidenceRejected, HostError

MOST_FILES = 64
LARGEST_FILE = 1 << 20
"""Files of a folder, and bytes in each: revocation lists of vendors have some 100 KiB."""

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_LABELS = {"CERTIFICATE": "certificates", "X509 CRL": "revocation_lists", "PUBLIC KEY": "keys"}
_READERS: Mapping[str, Callable[[bytes], object]] = {
    "certificates": certificates.parse,
    "revocation_lists": certificates.parse_crl,
    "keys": certificates.parse_key,
}
_ENDINGS = {".der": "certificates", ".cer": "certificates", ".crl": "revocation_lists"}
ENDINGS = frozenset({".pem", ".json", *_ENDINGS})
"""Endings of the files that are read."""


@dataclass(frozen=True)
class Collateral:
    """Certificates, revocation lists and public keys in DER, and vendors' documents by name; unverified."""

    certificates: tuple[bytes, ...] = ()
    revocation_lists: tuple[bytes, ...] = ()
    keys: tuple[bytes, ...] = ()
    """SubjectPublicKeyInfo, of keys that the relying party got over another way and trusts: a TPM's own key."""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    """``NAME.json`` by its NAME."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "documents", MappingProxyType(dict(self.documents)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Every ``.pem``, ``.der``, ``.cer``, ``.crl`` and ``.json`` of ``folder``, or ``HostError`` naming the file.

        PEM files may hold several objects of kinds CERTIFICATE, X509 CRL and PUBLIC KEY. Other files are left alone.
        """
        return cls.of_files({file: read_file(file) for file in files_of(folder)})

    @classmethod
    def of_files(cls, files: Mapping[Path, bytes]) -> Self:
        """The same of files that have been read: path -> content."""
        found: dict[str, list[bytes]] = {"certificates": [], "revocation_lists": [], "keys": []}
        documents: dict[str, bytes] = {}
        for file, data in files.items():
            if file.suffix == ".json":
                documents[file.stem] = data
            elif file.suffix == ".pem":
                for label, der in _pem_objects(file, data):
                    found[_LABELS[label]].append(_readable(file, _LABELS[label], der))
            elif data.startswith(b"-----BEGIN"):
                raise HostError(f"{file} is PEM, and its name says DER", hint="Rename it to end in .pem")
            else:
                found[_ENDINGS[file.suffix]].append(_readable(file, _ENDINGS[file.suffix], data))
        return cls(**{name: tuple(items) for name, items in found.items()}, documents=documents)


def files_of(folder: Path) -> list[Path]:
    """The files in ``folder`` that are read, in the order of their names, or ``HostError``: none, or too many."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in ENDINGS and file.is_file())
    except OSError as error:
        raise HostError(f"{folder} cannot be read ({error.strerror})", hint="Name a folder of collateral") from None
    known = ", ".join(sorted(ENDINGS))
    if not files:
        raise HostError(f"{folder} holds no collateral", hint=f"Put files in it that end in {known}")
    if len(files) > MOST_FILES:
        raise HostError(f"{folder} holds {len(files)} files, over {MOST_FILES}", hint="Leave in it what is needed")
    return files


def read_file(file: Path) -> bytes:
    """What is in ``file``, or ``HostError``: it cannot be read, or is empty or too large."""
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Make it readable, or remove it") from None
    if not data or len(data) > LARGEST_FILE:
        raise HostError(f"{file} is empty or over {LARGEST_FILE} bytes", hint="Fetch it again, or remove it")
    return data


def _readable(file: Path, what: str, der: bytes) -> bytes:
    """``der``, once it has been seen to be what its place says: later, a fault would look like the sender's."""
    try:
        _READERS[what](der)
    except EvidenceRejected as refused:
        raise HostError(f"{file}: {refused.problem}", hint=refused.hint) from None
    return der


def _pem_objects(file: Path, data: bytes) -> list[tuple[str, bytes]]:
    objects = []
    for label, text in _PEM.findall(data):
        if label.decode() not in _LABELS:
            raise HostError(f"{file} holds a {label.decode()}", hint=f"Leave in it only {', '.join(_LABELS)}")
        try:
            objects.append((label.decode(), base64.b64decode(b"".join(text.split()), validate=True)))
        except binascii.Error:
            raise HostError(f"{file} holds PEM that is not base64", hint="Fetch it again") from None
    if not objects or len(objects) != data.count(b"-----BEGIN "):
        raise HostError(f"{file} is not whole PEM", hint="Fetch it again, or give DER files an ending .der")
    return objects


__all__ = ["ENDINGS", "LARGEST_FILE", "MOST_FILES", "Collateral", "files_of", "read_file"]
