"""The inventory against the code, in both directions, and against the schema of CycloneDX."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from quatrefoil import cli, inventory
from quatrefoil.inventory.cbom import CIPHER_SUITES, GROUPS, SIGNATURES, location
from quatrefoil.transport import sealed, suites
from quatrefoil.transport.policies import CIPHER_SUITES as OFFERED_SUITES
from quatrefoil.transport.policies import GROUPS as OFFERED_GROUPS
from quatrefoil.transport.policies import SIGNATURE_ALGORITHMS
from source_code import parsed

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "quatrefoil"
LEFT_OUT = {"bench", "demo", "inventory"}  # weaker peers on purpose; and the inventory itself
ASKED_FOR_ONLY = {"cli/doctor.py"}  # asks OpenSSL which groups it has, whatever they are

NAMES = {
    r"MLKEM(768|1024)(P(rivate|ublic)Key)?": "ml-kem-{0}",
    r"(?:class )?(MLKEM768_?X25519)(P(rivate|ublic)Key)?": "hpke-mlkem768-x25519 ml-kem-768 x25519 sha3-256",
    r"(MLKEM1024_?P384)(P(rivate|ublic)Key)?": "hpke-mlkem1024-p384 ml-kem-1024 ecdh-p384 sha3-256",
    r"ML_KEM_1024": "hpke-mlkem1024 ml-kem-1024",
    r"X25519(P(rivate|ublic)Key)": "x25519",
    r"SECP384R1": "ecdh-p384",
    r"MLDSA(44|65|87)P(rivate|ublic)Key": "ml-dsa-{0}",
    r"Ed25519P(rivate|ublic)Key": "ed25519",
    r"AES_256_GCM|AESGCM": "aes-256-gcm",
    r"HKDF_SHA(256|384)": "hkdf-sha{0}",
    r"HKDF": "hkdf-sha384",
    r"sha(256|384)|SHA(256|384)": "sha-{0}",
    r"SHA(1|224|512)": "sha-{0}",
    r"SHA3_256": "sha3-256",
    r"urandom|token_bytes|token_hex": "system-random",
    r"PKCS1v15": "rsa-pkcs1",
    r"OAEP": "rsa-oaep",
    r"PSS": "rsa-pss",
    r"ECDSA": "ecdsa-p384",
    r"ECDH|X963KDF": "ecdh-cms",
    r"aes_key_unwrap": "aes-wrap",
    r"CBC|AES": "aes-cbc",
    r"GCM": "aes-gcm-cms",
    r"TripleDES": "3des-cbc",
    r"class SignedCheckpoint": "checkpoint-signatures",
    r"class ReceiptBatch": "receipt-signatures",
    r"class Trailer": "sealed-model-signatures",
    r"class (File|Token)RootKey": "xaes-256-gcm",
    r"Shamir": "shamir",
    r"class AdditiveAggregation": "additive-rlwe",
    r"class Ckks(Track|Aggregation)": "ckks",
    r"shake_128": "shake128",
    r"class BgvTrack": "bgv",
    r"class BoundedUpdateProofs": "bounded-update",
    r"class FieldHash": "field-hash",
}
"""Identifier in the code -> what it is. Whatever looks like cryptography and is not here fails the tests below."""

IN_ENCLAVE = {"SECP256R1": "ecdsa-p256", "SECP384R1": "ecdsa-p384", "PKCS1v15": "rsassa-pkcs1"} | {
    "AES": "aes-cfb-tpm",
    "CFB": "aes-cfb-tpm",
    "OAEP": "rsa-oaep-tpm",
    "ECDH": "ecdh-tpm",
}
"""The same for what evidence of hardware is verified with: there, curves and padding are of signatures; and for what a
TPM is challenged with."""

IN_BROKER = {"AES": "aes-256-cmac-kdf", "AES256": "aes-256-cmac-kdf"}
"""And for a root key, which encrypts single blocks only."""

IN_OHTTP = {"HKDF": "hkdf-sha256", "HKDFExpand": "hkdf-sha256"}
"""The same for the HPKE contexts, whose KDF is HKDF-SHA256."""

IN_AUDIT = {"HKDFExpand": "hkdf-sha256"}
"""And for the keys that receipts are opened with."""

IN_RUST = {
    "Mask": "additive-rlwe",
    "Aes256": "aes-256-ctr",
    "Ctr128BE": "aes-256-ctr",
    "Hkdf": "hkdf-sha256",
    "Sha256": "sha-256",
    "blake3": "blake3",
    "Transcript": "bounded-update",
    "FieldHash": "field-hash",
    "Polynomials": "packed-shamir",
}

SUSPECT = re.compile(
    r"(?i)(ml_?kem|ml_?dsa|slh_?dsa|x25519|x448|ed25519|ed448|secp|ecdsa|\bec?dh\b|rsa|aes|gcm|ctr|cbc|chacha|poly1305"
    r"|\bhmac|hkdf|pbkdf|scrypt|argon|sha[0-9_]|(?<![a-z])shake|blake|md5|(?<![a-z])des\b|x963|key_unwrap|urandom|token_(bytes|hex)|hpke)"
)
HARMLESS = frozenset(
    re.findall(
        r"\w+",
        "mlkem mldsa x25519 hpke _HPKE _hpke hkdf hmac rsa ml_kem ml_kem_bytes RSAPrivateKey MLKEMPrivateKey _oaep"
        " RSAPublicKey RSA_CERTIFICATE"
        " ed25519 ED25519 _ED25519 ML_DSA_44 ML_DSA_65 ML_DSA_87 _ML_DSA_44 ml_dsa_44 RFC9162_SHA256 SHA_256"
        " signed_by_ed25519 _verify_ed25519"
        " _ed25519 _ml_dsa_44 _check_ed25519 _check_ml_dsa_44 ED25519_COSIGNATURE _check_ed25519_cosignature"
        " spki_sha256 ECDSA_P256 RSA RSA_BITS RSASSA RSAPSS RSAPublicNumbers _rsa _verify_rsa"
        " HpkeContext hpke_context"
        " root_xaes GCMParams policy_sha256"
        " x963kdf _RSA_PKCS1 _RSA_OAEP _TRIPLE_DES _AES _CBC _GCM _cbc _gcm HYBRID_768 HYBRID_1024",
    )
)
"""Modules, aliases and names of our own."""

TEXTS = {
    **dict(zip(OFFERED_GROUPS, GROUPS, strict=True)),
    "mldsa65": "ml-dsa-65",
    "mldsa87": "ml-dsa-87",
    "TLS_AES_256_GCM_SHA384": "aes-256-gcm sha-384 hkdf-sha384",
    "TLS_CHACHA20_POLY1305_SHA256": "chacha20-poly1305 sha-256 hkdf-sha256",
}
"""What is named to OpenSSL by text."""

HALVES = {"x25519mlkem768": "ml-kem-768 x25519", "secp384r1mlkem1024": "ml-kem-1024 ecdh-p384"} | {
    "secp256r1mlkem768": "ml-kem-768 ecdh-p256"
}


def room_of(file: Path) -> str:
    first, *rest = file.relative_to(PACKAGE).with_suffix("").parts
    return f"transport.{rest[0]}" if first == "transport" and rest[0] in ("sealed", "cms") else first


def identifiers(file: Path) -> set[str]:
    """Names used in a Python file, without texts and comments."""
    found: set[str] = set()
    for node in ast.walk(parsed(file.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ClassDef):
            found.add(f"class {node.name}")
        elif isinstance(node, ast.alias):
            found.add(node.name.split(".")[-1])
        elif isinstance(node, ast.Constant) and node.value in TEXTS:
            found.add(str(node.value))
    return found


def meaning(name: str, room: str = "") -> set[str]:
    """What an identifier stands for: nothing, or algorithms of the inventory."""
    if room == "enclave" and name in IN_ENCLAVE:
        return {IN_ENCLAVE[name]}
    if room == "ohttp" and name in IN_OHTTP:
        return {IN_OHTTP[name]}
    if room == "audit" and name in IN_AUDIT:
        return {IN_AUDIT[name]}
    if room == "broker" and name in IN_BROKER:
        return {IN_BROKER[name]}
    if name in TEXTS:
        found = set(TEXTS[name].split())
        return found.union(*(HALVES.get(one, "").split() for one in found))
    for pattern, refs in NAMES.items():
        if match := re.fullmatch(pattern, name):
            groups = [group for group in match.groups() if group]
            return {ref.format(*groups) for ref in refs.split()}
    return set()


def used() -> dict[str, set[str]]:
    """Algorithm -> rooms that use it, as the code has it."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        room = room_of(file)
        if room.split(".")[0] in LEFT_OUT or file.relative_to(PACKAGE).as_posix() in ASKED_FOR_ONLY:
            continue
        for name in identifiers(file):
            for ref in meaning(name, room):
                found.setdefault(ref, set()).add(room)
    for file in (ROOT / "rust" / "src").rglob("*.rs"):
        for name in re.findall(r"\w+", re.sub(r"//.*", "", file.read_text())):
            if ref := IN_RUST.get(name):
                found.setdefault(ref, set()).add("rust")
    return found


def test_the_inventory_is_what_the_code_uses_and_where() -> None:
    assert {one.ref: sorted(one.rooms) for one in inventory.ALGORITHMS} == {
        ref: sorted(rooms) for ref, rooms in used().items()
    }


def test_nothing_that_looks_like_cryptography_is_unknown() -> None:
    unknown = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in PACKAGE.rglob("*.py")
        if room_of(file).split(".")[0]
        in ("transport", "aggregation", "proofs", "enclave", "wire", "audit", "federation", "tlog", "ohttp")
        in (
            "transport",
            "aggregation",
            "proofs",
            "enclave",
            "wire",
            "audit",
            "federation",
            "resources",
            "tlog",
            "broker",
        )
        for name in identifiers(file)
        if SUSPECT.search(name) and not meaning(name, room_of(file)) and name.removeprefix("class ") not in HARMLESS
    }
    assert unknown == set()


def test_a_new_algorithm_would_be_noticed() -> None:
    for name in ("Ed448PrivateKey", "SHA3_512", "scrypt", "ChaCha20Poly1305", "MLKEM512PrivateKey", "md5"):
        assert SUSPECT.search(name) and not meaning(name) and name not in HARMLESS


def test_every_crate_of_the_kernel_that_does_cryptography_is_known() -> None:
    manifest = (ROOT / "rust" / "Cargo.toml").read_text().partition("[dependencies]")[2].partition("[profile")[0]
    crates = set(re.findall(r"^([\w-]+) =", manifest, re.M))
    known = {"aes", "blake3", "ctr", "hkdf", "sha2"}
    assert crates & known == known
    assert crates - known == {"libc", "numpy", "pyo3", "zeroize"}


def test_what_channels_offer_is_in_the_protocol() -> None:
    assert [name for name, _, _ in CIPHER_SUITES] == list(OFFERED_SUITES)
    assert [group.replace("-", "") for group in GROUPS] == [group.lower() for group in OFFERED_GROUPS]
    assert [one.replace("-", "") for one in SIGNATURES] == list(SIGNATURE_ALGORITHMS)


def test_the_suites_of_envelopes_and_sealed_files_are_in_it() -> None:
    hpke = {one.parameters.replace(" ", ""): one.level for one in inventory.ALGORITHMS if one.ref.startswith("hpke")}
    assert hpke == {suite.identifiers.hex(): suite.category for suite in suites.ENVELOPES}
    assert set(sealed.SUITES) < set(suites.ENVELOPES)


def test_references_lead_somewhere_and_names_are_unique() -> None:
    document = inventory.cbom()
    refs = [one["bom-ref"] for one in document["components"]]
    assert len(set(refs)) == len(refs)
    text = json.dumps(document)
    assert set(re.findall(r'"(crypto/[\w.-]+)"', text)) <= set(refs)
    assert all(
        (ROOT / location(room)).exists() or (ROOT / f"{location(room)}.py").exists()
        for one in inventory.ALGORITHMS
        for room in one.rooms
    )


def test_no_hybrid_is_rated_above_its_ml_kem_half_and_nothing_classical_above_nothing() -> None:
    levels = {one.ref: one.level for one in inventory.ALGORITHMS}
    for one in inventory.ALGORITHMS:
        if one.primitive == "combiner":
            assert one.level == max(levels[part] or 0 for part in one.made_of if part.startswith("ml-"))
        if one.primitive in ("key-agree", "pke"):
            assert one.level == 0
    halves = {part for one in inventory.ALGORITHMS if one.primitive == "combiner" for part in one.made_of}
    broken = {one.ref for one in inventory.ALGORITHMS if one.level == 0 and set(one.rooms) - {"transport.cms"}}
    verified = [one for one in inventory.ALGORITHMS if one.functions == ("verify",) and one.rooms == ("enclave",)]
    challenged = {"rsa-oaep-tpm", "ecdh-tpm"}
    # What Shor's algorithm breaks stands only beside what it does not; but for what makers of hardware sign with, and
    # what a TPM is challenged with: a secret that is worth something for one exchange.
    assert broken <= halves | {one.ref for one in verified} | challenged


def test_it_is_valid_cyclonedx() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(inventory.cbom())) is None


@pytest.mark.parametrize("break_it", ["primitive", "assetType", "nistQuantumSecurityLevel"])
def test_the_validator_would_notice(break_it: str) -> None:
    document = inventory.cbom()
    crypto = document["components"][0]["cryptoProperties"]
    if break_it == "assetType":
        crypto["assetType"] = "spell"
    else:
        crypto["algorithmProperties"][break_it] = 7 if break_it.startswith("nist") else "spell"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is not None


def test_the_command_writes_it_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--inventory", str(tmp_path / "cbom.json")]) == 0
    assert json.loads((tmp_path / "cbom.json").read_text()) == inventory.cbom()
    shown = capsys.readouterr().out
    assert all(one.name.split(",")[0] in " ".join(shown.split()) for one in inventory.ALGORITHMS if len(one.name) < 20)
    assert cli.main(["doctor", "--inventory", str(tmp_path / "no" / "where.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_json_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--inventory", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["specVersion"] == "1.6"
