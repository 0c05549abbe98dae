"""The inventory as a cryptographic bill of materials: CycloneDX 1.6 JSON (ECMA-424), the same bytes each time."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from quatrefoil.inventory.assets import ALGORITHMS, MATERIALS
from quatrefoil.inventory.model import Algorithm, Material

SPEC_VERSION = "1.6"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"

CERTIFICATES = (
    ("certificate-root", "certificate of a consortium's root", "ml-dsa-87", "root-key"),
    ("certificate-leaf", "certificate of a party", "ml-dsa-87", "identity-key"),
    ("certificate-leaf-87", "certificate of a party, stronger key", "ml-dsa-87", "identity-key-87"),
)
"""(ref, name, algorithm that signs it, the key in it): see docs/transport.md."""

CIPHER_SUITES = (
    ("TLS_AES_256_GCM_SHA384", "0x13,0x02", ("aes-256-gcm", "sha-384")),
    ("TLS_CHACHA20_POLY1305_SHA256", "0x13,0x03", ("chacha20-poly1305", "sha-256")),
)
"""(name, IANA's number, algorithms) of everything that a channel negotiates."""

GROUPS = ("x25519mlkem768", "secp384r1mlkem1024", "secp256r1mlkem768", "ml-kem-1024")
SIGNATURES = ("ml-dsa-65", "ml-dsa-87")

LIBRARIES = (
    ("cryptography", ("transport",)),
    ("pyOpenSSL", ("transport",)),
)
"""(distribution, rooms) of the libraries that algorithms come from; the kernel's crates are in rust/Cargo.toml."""


def cbom() -> dict[str, Any]:
    """The whole document. It names no host, time or file of this machine: what is installed is all that varies."""
    refs = [f"crypto/{one.ref}" for one in ALGORITHMS]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "quatrefoil",
                "name": "quatrefoil",
                "version": _version("quatrefoil"),
                "description": "Confidential AI pipelines. Unaudited.",
            }
        },
        "components": [
            *map(_algorithm, ALGORITHMS),
            *(_certificate(*one) for one in CERTIFICATES),
            _protocol(),
            *map(_material, MATERIALS),
            *(
                {"type": "library", "bom-ref": f"library/{name}", "name": name, "version": _version(name)}
                for name, _ in LIBRARIES
            ),
        ],
        "dependencies": [
            {"ref": "quatrefoil", "dependsOn": [*refs, "crypto/tls", *(f"library/{name}" for name, _ in LIBRARIES)]},
            *(
                {"ref": f"crypto/{one.ref}", "dependsOn": [f"crypto/{part}" for part in one.made_of]}
                for one in ALGORITHMS
                if one.made_of
            ),
            {"ref": "crypto/tls", "dependsOn": [f"crypto/{part}" for part in (*GROUPS, *SIGNATURES)]},
        ],
    }


def _algorithm(one: Algorithm) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "primitive": one.primitive,
        "executionEnvironment": "software-plain-ram",
        "certificationLevel": ["none"],
        "cryptoFunctions": list(one.functions),
    }
    for key, value in (
        ("parameterSetIdentifier", one.parameters),
        ("curve", one.curve),
        ("mode", one.mode),
        ("padding", one.padding),
    ):
        if value:
            properties[key] = value
    if one.level is not None:
        properties["nistQuantumSecurityLevel"] = one.level
    crypto: dict[str, Any] = {"assetType": "algorithm", "algorithmProperties": properties}
    if one.oid:
        crypto["oid"] = one.oid
    return {
        **_asset(one.ref, one.name, one.why, crypto),
        "evidence": {"occurrences": [{"location": location(room)} for room in one.rooms]},
    }


def location(room: str) -> str:
    """Where a room lies in the tree."""
    return "rust/src" if room == "rust" else f"src/quatrefoil/{room.replace('.', '/')}"


def _certificate(ref: str, name: str, signer: str, key: str) -> dict[str, Any]:
    (algorithm,) = (one.algorithm for one in MATERIALS if one.ref == key)
    return _asset(
        ref,
        name,
        f"signed with {signer}, for a key of {algorithm}",
        {
            "assetType": "certificate",
            "certificateProperties": {
                "signatureAlgorithmRef": f"crypto/{signer}",
                "subjectPublicKeyRef": f"crypto/{key}",
                "certificateFormat": "X.509",
            },
        },
    )


def _protocol() -> dict[str, Any]:
    suites = [
        {"name": name, "identifiers": number.split(","), "algorithms": [f"crypto/{part}" for part in parts]}
        for name, number, parts in CIPHER_SUITES
    ]
    return _asset(
        "tls",
        "TLS 1.3, post-quantum groups only",
        "channels, both ends certified (RFC 8446)",
        {
            "assetType": "protocol",
            "protocolProperties": {
                "type": "tls",
                "version": "1.3",
                "cipherSuites": suites,
                "cryptoRefArray": [f"crypto/{part}" for part in (*GROUPS, *SIGNATURES)],
            },
        },
    )


def _material(one: Material) -> dict[str, Any]:
    properties: dict[str, Any] = {"type": one.kind, "algorithmRef": f"crypto/{one.algorithm}"}
    if one.bits:
        properties["size"] = one.bits
    crypto = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": properties}
    return _asset(one.ref, one.name, one.where, crypto)


def _asset(ref: str, name: str, description: str, crypto: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "cryptographic-asset",
        "bom-ref": f"crypto/{ref}",
        "name": name,
        "description": description,
        "cryptoProperties": crypto,
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
