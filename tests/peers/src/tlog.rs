//! Logs as Cloudflare's crates `tlog_tiles` and `signed_note` read and write them, and ML-DSA-44 cosignatures over
//! RustCrypto's `ml-dsa`, their message written from C2SP tlog-cosignature.
//!
//! The tiles and every proof are the crates'. Ours is what they leave to their callers: the names of C2SP for tiles whose
//! paths the crate gives with their height, and bundles of leaves.

mod pipe;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa44, Signature, SigningKey, VerifyingKey};
use pipe::{Answer, serve};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, record_hash, stored_hashes, tree_hash,
};

const HEIGHT: u8 = 8;

fn main() {
    serve(|command, _, arguments| answer(command, arguments));
}

fn answer(command: &str, arguments: &[&[u8]]) -> Answer {
    match (command, arguments) {
        ("checkpoint", [note, key]) => {
            let note = Note::from_bytes(note).map_err(words)?;
            let key = StandardVerifier::new(text(key)?).map_err(words)?;
            note.verify(&VerifierList::new(vec![Box::new(key)])).map_err(words)?;
            let found = Checkpoint::from_bytes(note.text()).map_err(words)?;
            Ok([&found.size().to_be_bytes(), &found.hash().0[..], found.origin().as_bytes()].concat())
        }
        ("prove-leaf", [folder, size, root, index]) => {
            let reader = Folder(text(folder)?.into());
            let hashes = TileHashReader::new(number(size)?, hash(root)?, &reader);
            joined(&prove_record(number(size)?, number(index)?, &hashes).map_err(words)?)
        }
        ("prove-tree", [folder, size, root, old]) => {
            let reader = Folder(text(folder)?.into());
            let hashes = TileHashReader::new(number(size)?, hash(root)?, &reader);
            joined(&prove_tree(number(size)?, number(old)?, &hashes).map_err(words)?)
        }
        ("check-leaf", [proof, size, root, index, leaf]) => {
            check_record(&split(proof)?, number(size)?, hash(root)?, number(index)?, record_hash(leaf))
                .map_err(words)?;
            Ok(Vec::new())
        }
        ("check-tree", [proof, size, root, old, old_root]) => {
            check_tree(&split(proof)?, number(size)?, hash(root)?, number(old)?, hash(old_root)?).map_err(words)?;
            Ok(Vec::new())
        }
        ("write", [folder, origin, key, sizes @ ..]) => {
            write(Path::new(text(folder)?), text(origin)?, text(key)?, sizes)
        }
        ("cosign", [seed, name, timestamp, checkpoint]) => {
            let seed = (*seed).try_into().map_err(|_| "a seed has 32 bytes")?;
            let key = SigningKey::<MlDsa44>::from_seed(&seed);
            let message = cosigned(name, timestamp, checkpoint)?;
            let signature = key.expanded_key().sign_deterministic(&message, &[]).map_err(words)?;
            Ok([*timestamp, &signature.encode()[..]].concat())
        }
        ("check-cosignature", [public, name, signature, checkpoint]) => {
            let (timestamp, signature) = signature.split_at_checked(8).ok_or("no timestamp")?;
            let public = EncodedVerifyingKey::<MlDsa44>::try_from(*public).map_err(words)?;
            let signature = EncodedSignature::<MlDsa44>::try_from(signature).map_err(words)?;
            let signature = Signature::<MlDsa44>::decode(&signature).ok_or("not a signature")?;
            let message = cosigned(name, timestamp, checkpoint)?;
            match VerifyingKey::<MlDsa44>::decode(&public).verify_with_context(&message, &[], &signature) {
                true => Ok(Vec::new()),
                false => Err("does not verify".into()),
            }
        }
        _ => Err(format!("no command {command} with {} arguments", arguments.len())),
    }
}

/// Our folder, to the crate.
struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| fs::read(self.0.join(name(tile))).map_err(|_| Error::InvalidTile);
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The crate says `tile/8/LEVEL/...`, as Go's module proxy does; C2SP has one height, and leaves it out.
fn name(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1).replace("/data/", "/entries/")
}

/// All stored hashes of a growing tree, in the crate's own order.
#[derive(Default)]
struct Stored(RefCell<Vec<Hash>>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let stored = self.0.borrow();
        indexes.iter().map(|&at| stored.get(at as usize).copied().ok_or(Error::IndexesNotInTree)).collect()
    }
}

/// A log of leaves `0`, `1`, ... published once at each of these sizes. The last root.
fn write(folder: &Path, origin: &str, key: &str, sizes: &[&[u8]]) -> Answer {
    let (stored, mut leaves, mut root) = (Stored::default(), Vec::<Vec<u8>>::new(), None);
    let signer = StandardSigner::new(key).map_err(words)?;
    for size in sizes {
        let (old, new) = (leaves.len() as u64, number(size)?);
        for at in old..new {
            let leaf = at.to_string().into_bytes();
            let hashes = stored_hashes(at, &leaf, &stored).map_err(words)?;
            stored.0.borrow_mut().extend(hashes);
            leaves.push(leaf);
        }
        for mut tile in Tile::new_tiles(HEIGHT, old, new) {
            put(folder, &name(&tile), &tile.read_data(&stored).map_err(words)?)?;
            if tile.level() == 0 {
                let begin = (tile.level_index() as usize) << HEIGHT;
                tile.set_is_data();
                let bundled = leaves[begin..begin + tile.width() as usize].iter();
                let bundled: Vec<u8> =
                    bundled.flat_map(|leaf| [&(leaf.len() as u16).to_be_bytes(), &leaf[..]].concat()).collect();
                put(folder, &name(&tile), &bundled)?;
            }
        }
        root = Some(tree_hash(new, &stored).map_err(words)?);
        let text = Checkpoint::new(origin, new, root.ok_or("no root")?, "").map_err(words)?.to_bytes();
        let mut note = Note::new(&text, &[]).map_err(words)?;
        note.add_sigs(&[&signer]).map_err(words)?;
        put(folder, "checkpoint", &note.to_bytes())?;
    }
    Ok(root.ok_or("no sizes")?.0.to_vec())
}

fn put(folder: &Path, name: &str, content: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().ok_or("no parent")?).map_err(words)?;
    fs::write(path, content).map_err(words)
}

/// `cosigned_message` of C2SP tlog-cosignature, over a whole checkpoint.
fn cosigned(name: &[u8], timestamp: &[u8], checkpoint: &[u8]) -> Answer {
    let found = Checkpoint::from_bytes(checkpoint).map_err(words)?;
    let mut message = b"subtree/v1\n\0".to_vec();
    message.push(u8::try_from(name.len()).map_err(words)?);
    message.extend(name);
    message.extend(timestamp);
    message.push(u8::try_from(found.origin().len()).map_err(words)?);
    message.extend(found.origin().as_bytes());
    message.extend(0u64.to_be_bytes());
    message.extend(found.size().to_be_bytes());
    message.extend(found.hash().0);
    Ok(message)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(words)
}

fn number(bytes: &[u8]) -> Result<u64, String> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(words)?))
}

fn hash(bytes: &[u8]) -> Result<Hash, String> {
    Ok(Hash(bytes.try_into().map_err(words)?))
}

fn split(bytes: &[u8]) -> Result<Vec<Hash>, String> {
    bytes.chunks(32).map(hash).collect()
}

fn joined(hashes: &[Hash]) -> Answer {
    Ok(hashes.iter().flat_map(|one| one.0).collect())
}
