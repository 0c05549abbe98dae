//! COSE_Sign1 of Google's coset, with signatures of RustCrypto's ML-DSA and of dalek; proofs as RFC 9162 checks them.

use coset::cbor::Value;
use coset::iana::{Algorithm, EnumI64, HeaderParameter};
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, Label, RegisteredLabelWithPrivate};
use coset::{Header, TaggedCborSerializable};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{Answer, mldsa};

const TREE_KIND: i64 = 395;
const TREE_PROOFS: i64 = 396;

pub fn answer(command: &str, algorithm: &str, arguments: &[&[u8]]) -> Answer {
    match (command, arguments) {
        ("sign", [seed, payload, headers @ ..]) => sign(algorithm, seed, payload, headers),
        ("verify", [public, message, payload]) => verify(algorithm, public, message, payload),
        ("root", [message, leaf]) => root(message, leaf),
        _ => Err(format!("no command cose-{command} with {} arguments", arguments.len())),
    }
}

/// A tagged message over a detached payload. `headers`: typ, then certificate, then an encoded inclusion proof.
fn sign(algorithm: &str, seed: &[u8], payload: &[u8], headers: &[&[u8]]) -> Answer {
    let [typ, certificate, proof] = headers else {
        return Err("three headers are needed".into());
    };
    let typ = String::from_utf8(typ.to_vec()).map_err(|error| error.to_string())?;
    let mut protected = HeaderBuilder::new().algorithm(named(algorithm)?).value(16, Value::Text(typ));
    let mut beside = HeaderBuilder::new();
    if !certificate.is_empty() {
        let digest = Value::Bytes(Sha256::digest(certificate).to_vec());
        protected = protected.value(HeaderParameter::X5T.to_i64(), Value::Array(vec![Value::from(-16), digest]));
        beside = beside.value(HeaderParameter::X5Chain.to_i64(), Value::Bytes(certificate.to_vec()));
    }
    if !proof.is_empty() {
        protected = protected.value(TREE_KIND, Value::from(1));
        let inclusion = Value::Array(vec![Value::Bytes(proof.to_vec())]);
        beside = beside.value(TREE_PROOFS, Value::Map(vec![(Value::from(-1), inclusion)]));
    }
    let signed = CoseSign1Builder::new()
        .protected(protected.build())
        .unprotected(beside.build())
        .try_create_detached_signature(payload, b"", |message| signature(algorithm, seed, message))?;
    signed.build().to_tagged_vec().map_err(|error| error.to_string())
}

fn signature(algorithm: &str, seed: &[u8], message: &[u8]) -> Answer {
    if algorithm == "ed25519" {
        let seed = seed.try_into().map_err(|_| "a seed has 32 bytes")?;
        return Ok(SigningKey::from_bytes(seed).sign(message).to_vec());
    }
    mldsa::answer("sign", algorithm, &[seed, message, b""])
}

fn verify(algorithm: &str, public: &[u8], message: &[u8], payload: &[u8]) -> Answer {
    let found = CoseSign1::from_tagged_slice(message).map_err(|error| error.to_string())?;
    if found.protected.header.alg != Some(RegisteredLabelWithPrivate::Assigned(named(algorithm)?)) {
        return Err("another algorithm".into());
    }
    if found.payload.is_some() {
        return Err("a payload that is not detached".into());
    }
    found.verify_detached_signature(payload, b"", |signature, message| {
        if algorithm != "ed25519" {
            return mldsa::answer("verify", algorithm, &[public, message, b"", signature]).map(|_| ());
        }
        let public = public.try_into().map_err(|_| "a key has 32 bytes")?;
        let key = VerifyingKey::from_bytes(public).map_err(|error| error.to_string())?;
        let signature = Signature::from_slice(signature).map_err(|error| error.to_string())?;
        key.verify_strict(message, &signature).map_err(|_| "does not verify".into())
    })?;
    Ok(Vec::new())
}

/// The root that the proof of inclusion in a message leads to from a leaf: RFC 9162 section 2.1.3.2.
fn root(message: &[u8], leaf: &[u8]) -> Answer {
    let found = CoseSign1::from_tagged_slice(message).map_err(|error| error.to_string())?;
    let proofs = header(&found.unprotected, TREE_PROOFS).and_then(Value::as_map).ok_or("no proofs")?;
    let [(label, inclusion)] = proofs.as_slice() else {
        return Err("not one kind of proof".into());
    };
    let one = inclusion.as_array().and_then(|all| all.first()).and_then(Value::as_bytes);
    let value = Value::from_slice(one.filter(|_| *label == Value::from(-1)).ok_or("no proof of inclusion")?);
    let value = value.map_err(|error| error.to_string())?;
    let [size, index, path] = value.as_array().ok_or("no array")?.as_slice() else {
        return Err("not three parts".into());
    };
    let mut last = number(size)?.checked_sub(1).ok_or("an empty tree")?;
    let mut index = number(index)?;
    let mut hash = Sha256::new().chain_update([0]).chain_update(leaf).finalize().to_vec();
    for beside in path.as_array().ok_or("no path")? {
        let beside = beside.as_bytes().ok_or("no hash")?;
        if last == 0 {
            return Err("a path that is too long".into());
        }
        let right = index & 1 == 1 || index == last;
        let (left, other) = if right { (beside, &hash) } else { (&hash, beside) };
        let joined = Sha256::new().chain_update([1]).chain_update(left).chain_update(other).finalize().to_vec();
        hash = joined;
        if right {
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        }
        index >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(hash) } else { Err("a path that is too short".into()) }
}

fn header(header: &Header, label: i64) -> Option<&Value> {
    header.rest.iter().find(|(found, _)| *found == Label::Int(label)).map(|(_, value)| value)
}

fn number(value: &Value) -> Result<u64, String> {
    let found = value.as_integer().ok_or("no number")?;
    found.try_into().map_err(|_| "a number out of range".into())
}

fn named(algorithm: &str) -> Result<Algorithm, String> {
    match algorithm {
        "44" => Ok(Algorithm::ML_DSA_44),
        "65" => Ok(Algorithm::ML_DSA_65),
        "87" => Ok(Algorithm::ML_DSA_87),
        "ed25519" => Ok(Algorithm::Ed25519),
        _ => Err(format!("no algorithm {algorithm}")),
    }
}
