"""What the relying party brings to a verification itself (RFC 9334 section 2: endorsements and their revocation).

Collateral is a folder of files that were fetched beforehand; verification never touches the network. Nothing in it is
believed for being there: certificates must chain to a root pinned in the package, revocation lists must be signed.

The exception are roots and keys of TPMs, of which the package can pin none. They count for that one purpose, and only
in files that are named for it: a certificate or key that got into the folder for another reason vouches for no TPM.
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

from cryptography import x509

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

TPM_ROOT, TPM_KEY = "tpm-root", "tpm-key"
"""What names of files begin with that hold roots of TPMs, and keys of TPMs."""


@dataclass(frozen=True)
class Collateral:
    """Certificates, revocation lists and public keys in DER, and vendors' documents by name; unverified."""

    certificates: tuple[bytes, ...] = ()
    revocation_lists: tuple[bytes, ...] = ()
    keys: tuple[bytes, ...] = ()
    """SubjectPublicKeyInfo, of keys that the relying party got over another way and trusts: a TPM's own key. From files
    :data:`TPM_KEY`."""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    """``NAME.json`` by its NAME."""
    tpm_roots: tuple[bytes, ...] = ()
    """Certificates of authorities that the relying party trusts to certify keys of TPMs, and for nothing else. From
    files :data:`TPM_ROOT`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "documents", MappingProxyType(dict(self.documents)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Every ``.pem``, ``.der``, ``.cer``, ``.crl`` and ``.json`` of ``folder``, or ``HostError`` naming the file.

        PEM files may hold several objects: CERTIFICATE and X509 CRL; ``tpm-root*`` authorities alone, ``tpm-key*.pem``
        keys alone. Other files are left alone; one whose ending is of these in capitals is refused.
        """
        return cls.of_files({file: read_file(file) for file in files_of(folder)})

    @classmethod
    def of_files(cls, files: Mapping[Path, bytes]) -> Self:
        """The same of files that have been read: path -> content."""
        found: dict[str, list[bytes]] = {"certificates": [], "revocation_lists": [], "keys": [], "tpm_roots": []}
        documents: dict[str, bytes] = {}
        for file, data in files.items():
            if file.suffix == ".json" and _purpose(file) is None:
                documents[file.stem] = data
                continue
            for what, der in _objects(file, data):
                found[_place(file, what, der)].append(der)
        return cls(**{name: tuple(items) for name, items in found.items()}, documents=documents)


def files_of(folder: Path) -> list[Path]:
    """The files in ``folder`` that are read, in the order of their names, or ``HostError``: none, or too many."""
    try:
        there = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file()]
    except OSError as error:
        raise HostError(f"{folder} cannot be read ({error.strerror})", hint="Name a folder of collateral") from None
    files = sorted(file for file in there if file.suffix in ENDINGS)
    if other := sorted(set(there) - set(files)):  # left out in silence, a revocation list would not count
        raise HostError(f"{other[0]} ends in capitals", hint=f"Rename it to end in {other[0].suffix.lower()}")
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


def _purpose(file: Path) -> str | None:
    return next((purpose for purpose in (TPM_ROOT, TPM_KEY) if file.name.startswith(purpose)), None)


def _objects(file: Path, data: bytes) -> list[tuple[str, bytes]]:
    """What is in ``file``, each once it has been seen to be what its place says: later, a fault would look like the
    sender's."""
    if file.suffix == ".json":
        raise HostError(f"{file} is no certificate or key", hint="Only roots and keys of TPMs are called so: rename it")
    if file.suffix == ".pem":
        objects = [(_LABELS[label], der) for label, der in _pem_objects(file, data)]
    elif data.startswith(b"-----BEGIN"):
        raise HostError(f"{file} is PEM, and its name says DER", hint="Rename it to end in .pem")
    else:
        objects = [(_ENDINGS[file.suffix], data)]
    for what, der in objects:
        try:
            _READERS[what](der)
        except EvidenceRejected as refused:
            raise HostError(f"{file}: {refused.problem}", hint=refused.hint) from None
    return objects


def _place(file: Path, what: str, der: bytes) -> str:
    """The field that ``der`` belongs to, or ``HostError``: what would be trusted stands in files of that name, and
    nothing else does."""
    purpose = _purpose(file)
    if purpose == TPM_ROOT:
        if what != "certificates" or not _is_authority(der):
            raise HostError(f"{file} holds something else than authorities", hint="Leave in it only roots of TPMs")
        return "tpm_roots"
    if (what == "keys") != (purpose == TPM_KEY):
        problem = "a PUBLIC KEY" if what == "keys" else "something else than public keys"
        raise HostError(f"{file} holds {problem}", hint=f"Keys of TPMs that you trust stand alone in {TPM_KEY}*.pem")
    return what


def _is_authority(der: bytes) -> bool:
    try:
        found = certificates.reading("certificate", lambda: certificates.parse(der).extensions)
        return found.get_extension_for_class(x509.BasicConstraints).value.ca
    except (EvidenceRejected, x509.ExtensionNotFound):
        return False


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


__all__ = ["ENDINGS", "LARGEST_FILE", "MOST_FILES", "TPM_KEY", "TPM_ROOT", "Collateral", "files_of", "read_file"]
