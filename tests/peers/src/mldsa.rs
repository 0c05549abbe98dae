//! ML-DSA (FIPS 204) of RustCrypto: signatures with a context string, made without hedging.

use ml_dsa::{
    EncodedSignature, EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, SigningKey, VerifyingKey,
};

use crate::Answer;

pub fn answer(command: &str, set: &str, arguments: &[&[u8]]) -> Answer {
    match set {
        "44" => with::<MlDsa44>(command, arguments),
        "65" => with::<MlDsa65>(command, arguments),
        "87" => with::<MlDsa87>(command, arguments),
        _ => Err(format!("no parameter set {set}")),
    }
}

fn with<P: MlDsaParams>(command: &str, arguments: &[&[u8]]) -> Answer {
    match (command, arguments) {
        ("public", [seed]) => Ok(key::<P>(seed)?.expanded_key().verifying_key().encode().to_vec()),
        ("sign", [seed, message, context]) => {
            let signature = key::<P>(seed)?.expanded_key().sign_deterministic(message, context);
            Ok(signature.map_err(|error| error.to_string())?.encode().to_vec())
        }
        ("verify", [public, message, context, signature]) => {
            let public = EncodedVerifyingKey::<P>::try_from(*public).map_err(|error| error.to_string())?;
            let signature = EncodedSignature::<P>::try_from(*signature).map_err(|error| error.to_string())?;
            let signature = Signature::<P>::decode(&signature).ok_or("not a signature")?;
            match VerifyingKey::<P>::decode(&public).verify_with_context(message, context, &signature) {
                true => Ok(Vec::new()),
                false => Err("does not verify".into()),
            }
        }
        _ => Err(format!("no command mldsa-{command} with {} arguments", arguments.len())),
    }
}

fn key<P: MlDsaParams>(seed: &[u8]) -> Result<SigningKey<P>, String> {
    let seed = seed.try_into().map_err(|_| "a seed has 32 bytes")?;
    Ok(SigningKey::from_seed(&seed))
}
