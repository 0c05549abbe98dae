//! The bytes of a proof: how many there can be, and a reader that takes them in order and trusts none of them.

use super::codes::Code;
use super::ext::{E, ELEMENT_BYTES};
use super::rejected::Rejected;
use super::shape::Shape;
use super::transcript::Digest;
use crate::field::P;
use crate::layout::read_word;

pub const MAGIC: &[u8; 8] = b"QFPROOFB";
pub const VERSION: u16 = 1;
pub const DIGEST_BYTES: usize = 32;
pub const SALT_BYTES: usize = 32;
pub const SALT_WORDS: usize = SALT_BYTES / 8;

/// Magic, version, reserved, statement digest, root 1, v: what a keeper looks at.
pub const HEAD_BYTES: usize = 8 + 2 + 2 + 2 * DIGEST_BYTES + ELEMENT_BYTES;

/// Bytes of everything but the openings.
pub fn fixed_bytes(shape: &Shape) -> usize {
    let elements = shape.round_masks()
        + shape.committed()
        + shape.key_values()
        + shape.mask_row()
        + 2 * shape.code.queries
        + 2 * shape.code.log_message
        + shape.row_code.message();
    HEAD_BYTES + 2 * DIGEST_BYTES + ELEMENT_BYTES * elements
}

/// No proof of this shape is longer: every position is another one, and no two share an ancestor.
pub fn largest_bytes(shape: &Shape) -> usize {
    let [first, second, third] = shape.leaf_words();
    fixed_bytes(shape)
        + largest_opening(shape.code, first, true)
        + largest_opening(shape.code, second, true)
        + largest_opening(shape.row_code, third, false)
}

/// Bytes that open a tree of leaves with so many words, at the most.
pub fn largest_opening(code: Code, words: usize, salted: bool) -> usize {
    let siblings: usize = (0..code.log_length).map(|level| code.queries.min(1 << level)).sum();
    let salt = if salted { SALT_BYTES } else { 0 };
    code.queries * (salt + 8 * words) + DIGEST_BYTES * siblings
}

/// What proofs of a kind begin with, and how long those of a shape are.
pub struct Format {
    pub magic: &'static [u8; 8],
    pub least: usize,
    pub most: usize,
}

impl Format {
    pub fn bounded_update(shape: &Shape) -> Self {
        Self { magic: MAGIC, least: fixed_bytes(shape), most: largest_bytes(shape) }
    }
}

/// Takes a proof apart. What it gives are parts of the slice, or as many elements as the caller, who knows the shape,
/// asks for.
pub struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    /// The bytes behind the head, after a look at the length alone and then at the head.
    pub fn new(all: &'a [u8], format: &Format, statement: &Digest) -> Result<Self, Rejected> {
        let (bytes, &Format { magic, least, most }) = (all.len(), format);
        if bytes < least {
            return Err(Rejected::Short { bytes, least });
        }
        if bytes > most {
            return Err(Rejected::Long { bytes, most });
        }
        let mut reader = Self { all, at: 0 };
        if reader.take(magic.len())? != magic {
            return Err(Rejected::Magic);
        }
        match reader.number()? {
            VERSION => (),
            other => return Err(Rejected::Version(other)),
        }
        match reader.number()? {
            0 => (),
            other => return Err(Rejected::Reserved(other)),
        }
        if reader.digest()? != *statement {
            return Err(Rejected::Statement);
        }
        Ok(reader)
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// What was read since `start`.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.all[start..self.at]
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Rejected> {
        let end = self.at + length;
        let taken = self.all.get(self.at..end).ok_or(Rejected::Short { bytes: self.all.len(), least: end })?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Rejected> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes")))
    }

    pub fn digest(&mut self) -> Result<Digest, Rejected> {
        Ok(self.take(DIGEST_BYTES)?.try_into().expect("as many bytes"))
    }

    /// `count` words below p. They are there before room is made for them.
    pub fn words(&mut self, count: usize) -> Result<Vec<u64>, Rejected> {
        let start = self.at;
        let words: Vec<u64> = self.take(8 * count)?.chunks_exact(8).map(read_word).collect();
        match words.iter().position(|&word| word >= P) {
            Some(index) => Err(Rejected::NotReduced { offset: start + 8 * index }),
            None => Ok(words),
        }
    }

    /// Any words: those of a salt.
    pub fn salt(&mut self, words: usize) -> Result<impl Iterator<Item = u64> + use<'a>, Rejected> {
        Ok(self.take(8 * words)?.chunks_exact(8).map(read_word))
    }

    pub fn elements(&mut self, count: usize) -> Result<Vec<E>, Rejected> {
        Ok(self.words(2 * count)?.chunks_exact(2).map(|pair| E::new(pair[0], pair[1])).collect())
    }

    pub fn element(&mut self) -> Result<E, Rejected> {
        Ok(self.elements(1)?[0])
    }

    pub fn finish(self) -> Result<(), Rejected> {
        match self.all.len() - self.at {
            0 => Ok(()),
            bytes => Err(Rejected::Trailing { bytes }),
        }
    }
}
