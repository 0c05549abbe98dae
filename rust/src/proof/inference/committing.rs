//! Trees over rows that a proof commits to.

use zeroize::Zeroizing;

use crate::proof::blinding::{Blinding, Use};
use crate::proof::codes::Code;
use crate::proof::tree::Tree;

/// A salted tree over the code words of rows, with the blinding of this number; uniform elements are appended to the first
/// `appended` of them.
pub fn commit(blinding: &Blinding, tree: u64, code: Code, rows: &[&[u64]], appended: usize, threads: usize) -> Tree {
    let behind = |row| match row < appended {
        true => blinding.words(Use::Row { tree, row }, code.queries),
        false => Zeroizing::default(),
    };
    let words = code.encode(&code.transform(), rows, behind, threads);
    Tree::commit(words, code.log_length, Some(&|| blinding.salts(tree)), threads)
}
