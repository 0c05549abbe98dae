"""Keys, lists and shares, and where each of them is."""

from __future__ import annotations

from quatrefoil.inventory.model import Material

MATERIALS = (
    Material("root-key", "root key of a consortium", "private-key", "ml-dsa-87", "root.key, mode 0600, offline"),
    Material("revocation-list", "revocation list of a root", "other", "ml-dsa-87", "crl.pem, signed, public"),
    Material("identity-key", "key of a party", "private-key", "ml-dsa-65", "key.pem, mode 0600"),
    Material("log-key", "key of a log's checkpoints", "private-key", "ml-dsa-44", "ml-dsa-44.pem, mode 0600"),
    Material("log-key-note", "key of a log's notes", "private-key", "ed25519", "ed25519.pem, mode 0600"),
    Material("receipt-key", "second key of receipts", "private-key", "ed25519", "receipts-ed25519.pem, mode 0600"),
    Material("owner-key", "second key of an owner of sealed models", "private-key", "ed25519", "a file, mode 0600"),
    Material("identity-key-87", "key of a party, stronger", "private-key", "ml-dsa-87", "key.pem, mode 0600"),
    Material(
        "sealing-key",
        "key that files are sealed to",
        "private-key",
        "hpke-mlkem768-x25519",
        "sealing.key, mode 0600",
    ),
    Material(
        "sealing-key-1024",
        "key that files are sealed to, stronger suite",
        "private-key",
        "hpke-mlkem1024-p384",
        "sealing.key, mode 0600",
    ),
    Material(
        "inference-receipt-key",
        "key of inference receipts",
        "private-key",
        "ml-dsa-44",
        "memory of a server, as long as its keyset",
    ),
    Material(
        "broker-sealing-key",
        "key that owners seal resources' keys to",
        "private-key",
        "hpke-mlkem768-x25519",
        "in a broker's state, wrapped under its root key",
    ),
    Material("lease-key", "key that a released key is sealed to", "private-key", "hpke-mlkem768-x25519", "memory only"),
    Material("envelope-key", "key of a round's envelopes", "private-key", "hpke-mlkem768-x25519", "memory only"),
    Material("gateway-key", "key of oblivious requests", "private-key", "hpke-mlkem768-x25519", "memory only"),
    Material(
        "envelope-key-1024",
        "key of a round's envelopes, under hybrid-1024",
        "private-key",
        "hpke-mlkem1024-p384",
        "memory only",
    ),
    Material(
        "envelope-key-cnsa",
        "key of a round's envelopes, under cnsa-2.0",
        "private-key",
        "hpke-mlkem1024",
        "memory only",
    ),
    Material(
        "record-key",
        "key of the records of answers of one keyset",
        "secret-key",
        "aes-256-gcm",
        "memory while the keyset is in force; sealed, in the file that it encrypts",
        bits=256,
    ),
    Material(
        "file-key", "key of one sealed file", "secret-key", "aes-256-gcm", "wrapped, in the sealed file", bits=256
    ),
    Material(
        "resource-key", "key of a sealed model", "secret-key", "aes-256-gcm", "sealed to brokers, beside it", bits=256
    ),
    Material(
        "broker-root-key",
        "root key of a broker",
        "secret-key",
        "xaes-256-gcm",
        "not extractable, in a token; or root.key, mode 0600",
        bits=256,
    ),
    Material("root-share", "share of a broker's root key", "other", "shamir", "sealed to its operator"),
    Material(
        "ckks-key",
        "key of one encrypted table",
        "secret-key",
        "ckks",
        "file of its holder, mode 0600; or sealed, as a table key",
    ),
    Material(
        "key-share", "a committee member's share of a silo's key for one round", "other", "packed-shamir", "memory only"
    ),
    Material("ckks-round-key", "key of a silo for one round", "secret-key", "ckks", "memory only"),
    Material(
        "bgv-key",
        "key of one encrypted table, exact",
        "secret-key",
        "bgv",
        "file of its holder, mode 0600; or sealed, as a table key",
    ),
    Material("round-seed", "seed of a silo's key for one round", "seed", "additive-rlwe", "memory only", bits=256),
)
