"""A second reader of sealed models, written from docs/sealed-models.md: whole in memory, slow, and nothing of ours.

HPKE is done by hand, in ``hpke`` beside this file; the tree is that of ``merkle``, from all leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.reference import hpke, merkle

MAGIC = b"quatrefoil sealed model 1\n"
CHUNK, TAG, PAGE, HASH = 1048576, 16, 1024, 32
DOMAINS = {"tensors": b"quatrefoil model v1\n", "file": b"quatrefoil file v1\n"}


@dataclass(frozen=True)
class Read:
    content: bytes
    header: dict[str, Any]
    owner: x509.Certificate
    resource: list[Any]
    manifest: list[Any]
    policy: list[Any]


def read(container: bytes, key_pem: bytes, root: x509.Certificate) -> Read:
    """Everything in a container, after every check that needs neither a clock nor an expectation; any exception is a
    refusal."""
    assert container.startswith(MAGIC) and container.endswith(MAGIC)
    end = len(container) - len(MAGIC) - 4
    size = int.from_bytes(container[end : end + 4], "big")
    trailer, body = container[end - size : end], container[len(MAGIC) : end - size]
    signed_resource, signed_manifest, ed25519, keys = fields(trailer, "urn:quatrefoil:sealed-model-trailer")

    resource_body, owner = verify(signed_resource, root)
    manifest_body, manifest_owner = verify(signed_manifest, root)
    assert owner == manifest_owner
    resource = fields(resource_body, "urn:quatrefoil:resource")
    manifest = fields(manifest_body, "urn:quatrefoil:sealed-model-manifest", 2)
    kind, _name, _serial, _made_at, content_root, commitment, stages, policy_bytes, _parent = resource
    cipher, form, _media, length, salt, of, public, committed, openings = manifest
    if committed or openings:
        assert len(committed) == 32 and 1 <= openings <= 64 and form == "file" and kind == "model"
    assert cipher == "AES-256-GCM STREAM 1048576" and of == sha256(signed_resource)
    Ed25519PublicKey.from_public_bytes(public).verify(ed25519, b"quatrefoil sealed model manifest 1\n" + manifest_body)
    policy = fields(policy_bytes, "urn:quatrefoil:release-policy")
    assert stages and set(stages) <= {content[0] for _, _, content in policy[2]}

    key = unwrap(keys, key_pem, of)
    assert hkdf(key, bytes(48), b"quatrefoil resource 1 commitment") == commitment
    chunk_key = AESGCM(hkdf(key, salt, b"quatrefoil sealed model 1 chunks"))
    index_key = AESGCM(hkdf(key, salt, b"quatrefoil sealed model 1 index"))

    chunks = -(-length // CHUNK)
    pages = -(-(chunks + 1) // PAGE)
    leaves, hashes, page = [b"(the header)"], b"", 0
    for number in range(chunks + 1):  # leaf by leaf; leaf 0 has no chunk
        if number:
            here = min(CHUNK, length - (number - 1) * CHUNK) + TAG
            sealed, body = body[:here], body[here:]
            leaves.append(chunk_key.decrypt(nonce(number - 1, number == chunks), sealed, None))
        if number % PAGE == PAGE - 1 or number == chunks:
            here = (number % PAGE + 1) * HASH + TAG
            sealed, body = body[:here], body[here:]
            hashes += index_key.decrypt(nonce(page, False), sealed, None)
            page += 1
    head = index_key.decrypt(nonce(pages, True), body, None)
    header, roots = fields(head, "urn:quatrefoil:sealed-model-head")
    leaves[0] = header
    assert page == pages and len(roots) == pages * HASH
    assert hashes == b"".join(hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves)
    assert roots == b"".join(merkle.mth(leaves[at : at + PAGE]) for at in range(0, len(leaves), PAGE))
    assert merkle.mth(leaves) == content_root
    content = b"".join(leaves[1:])
    assert header.startswith(DOMAINS[form])
    said = json.loads(header[len(DOMAINS[form]) :])
    assert said["length"] == length == len(content)
    return Read(content, said, owner, resource, manifest, policy)


def nonce(number: int, final: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([final])


def fields(data: bytes, kind: str, version: int = 1) -> list[Any]:
    *found, content = cbor2.loads(data)
    assert found == [kind, version] and encode(kind, content, version) == data
    return content


def encode(kind: str, content: list[Any], version: int = 1) -> bytes:
    return cbor2.dumps([kind, version, content], canonical=True)


def verify(signed: bytes, root: x509.Certificate) -> tuple[bytes, x509.Certificate]:
    body, der, signature = fields(signed, "urn:quatrefoil:signed")
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(root)
    statement = encode("urn:quatrefoil:statement", [sha256(der), body])
    key: Any = certificate.public_key()
    key.verify(signature, statement, b"quatrefoil statement v1")
    return body, certificate


def unwrap(keys: list[bytes], key_pem: bytes, resource: bytes) -> bytes:
    first, second = key_pem.split(b"-----END PRIVATE KEY-----\n")[:2]
    ml_kem = load_pem_private_key(first + b"-----END PRIVATE KEY-----\n", None)
    curve = load_pem_private_key(second + b"-----END PRIVATE KEY-----\n", None)
    point = hpke.curve_point(curve)
    recipient = sha256(ml_kem.public_key().public_bytes_raw() + point)
    given = [fields(one, "urn:quatrefoil:sealed-key") for one in keys]
    assert len({one[1] for one in given}) == len(given) and all(one[2] == resource for one in given)
    suite, _, _, sealed = next(one for one in given if one[1] == recipient)  # StopIteration: not sealed to this key
    info = encode("urn:quatrefoil:sealed-key-binding", [suite, recipient, resource])
    split = (1088 if isinstance(ml_kem, mlkem.MLKEM768PrivateKey) else 1568) + len(point)
    return hpke.schedule(suite, hpke.decapsulate(ml_kem, curve, sealed[:split]), info).open(sealed[split:])


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA384 of RFC 5869, 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha384"), info + b"\x01", "sha384")[:32]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
