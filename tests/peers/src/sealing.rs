//! HPKE (RFC 9180, mode base) of the `hpke` crate with the two suites that Quatrefoil seals with.

use hpke::aead::AesGcm256;
use hpke::kdf::{HkdfSha256, HkdfSha384, Kdf};
use hpke::kem::{MlKem1024P384, XWing};
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender};

use crate::Answer;

pub fn answer(command: &str, suite: &str, arguments: &[&[u8]]) -> Answer {
    let answer = match suite {
        "hybrid-768" => with::<XWing, HkdfSha256>(command, arguments),
        "hybrid-1024" => with::<MlKem1024P384, HkdfSha384>(command, arguments),
        _ => return Err(format!("no suite {suite}")),
    };
    answer.map_err(|error| format!("{error:?}"))
}

fn with<K: Kem, D: Kdf>(command: &str, arguments: &[&[u8]]) -> Result<Vec<u8>, HpkeError> {
    match (command, arguments) {
        // The public key of a seed of 32 bytes.
        ("public", [seed]) => Ok(K::sk_to_pk(&K::PrivateKey::from_bytes(seed)?).to_bytes().to_vec()),
        // The encapsulated key, then the ciphertext.
        ("seal", [public, info, aad, plaintext]) => {
            let public = K::PublicKey::from_bytes(public)?;
            let (encapsulated, mut context) = setup_sender::<AesGcm256, D, K>(&OpModeS::Base, &public, info)?;
            let ciphertext = context.seal(plaintext, aad)?;
            Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
        }
        ("open", [seed, sealed, info, aad]) => {
            let (encapsulated, ciphertext) = split::<K>(sealed)?;
            let seed = K::PrivateKey::from_bytes(seed)?;
            let mut context = setup_receiver::<AesGcm256, D, K>(&OpModeR::Base, &seed, &encapsulated, info)?;
            context.open(ciphertext, aad)
        }
        // 64 bytes of the exporter (RFC 9180 section 5.3): they fix the whole key schedule.
        ("export", [seed, sealed, info, label]) => {
            let (encapsulated, _) = split::<K>(sealed)?;
            let seed = K::PrivateKey::from_bytes(seed)?;
            let context = setup_receiver::<AesGcm256, D, K>(&OpModeR::Base, &seed, &encapsulated, info)?;
            let mut exported = [0; 64];
            context.export(label, &mut exported)?;
            Ok(exported.to_vec())
        }
        _ => Err(HpkeError::ValidationError),
    }
}

fn split<K: Kem>(sealed: &[u8]) -> Result<(K::EncappedKey, &[u8]), HpkeError> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(K::EncappedKey::size()).ok_or(HpkeError::OpenError)?;
    Ok((K::EncappedKey::from_bytes(encapsulated)?, ciphertext))
}
