//! Trees over rows that a prover commits to.

use zeroize::Zeroizing;

use super::blinding::{Blinding, Use};
use super::codes::Code;
use super::tree::Tree;
use super::wide::code::Code as Transform;

/// What trees over rows of one length are made with.
pub struct Committing<'a> {
    blinding: &'a Blinding,
    code: Code,
    transform: Transform,
    threads: usize,
}

impl<'a> Committing<'a> {
    pub fn new(blinding: &'a Blinding, code: Code, threads: usize) -> Self {
        Self { blinding, code, transform: code.transform(), threads }
    }

    /// A salted tree over the code words of rows, with the blinding of this number; uniform elements are appended to the
    /// first `appended` of them.
    pub fn tree(&self, number: u64, rows: &[&[u64]], appended: usize) -> Tree {
        let behind = |row| match row < appended {
            true => self.blinding.words(Use::Row { tree: number, row }, self.code.queries),
            false => Zeroizing::default(),
        };
        let words = self.code.encode(&self.transform, rows, behind, self.threads);
        Tree::commit(words, self.code.log_length, Some(&|| self.blinding.salts(number)), self.threads)
    }
}
