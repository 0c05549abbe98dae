//! The uniform elements that hide what a proof about committed weights sends and opens, and the trees that they are in.

use zeroize::Zeroizing;

use crate::proof::blinding::{Blinding, Use};
use crate::proof::codes::Code;
use crate::proof::column::Column;
use crate::proof::committing::Committing;
use crate::proof::ext::E;
use crate::proof::published::hide;
use crate::proof::tree::Tree;

/// Trees that a prover commits to and blinds, by their numbers in the blinding stream.
pub const FIRST: u64 = 1;
pub const SECOND: u64 = 2;
pub const MU_W: u64 = 3;

pub struct Masks {
    /// The mask row, and the elements appended to it.
    pub row: Zeroizing<Vec<E>>,
    pub nu: Zeroizing<Vec<E>>,
    pub mu: Zeroizing<Vec<E>>,
    pub mu_w: Zeroizing<Vec<E>>,
}

impl Masks {
    /// Of a mask row of this length, with what is appended to it; `mu`: coefficients of the opened rows of the fresh columns and
    /// of the weights.
    pub fn new(blinding: &Blinding, row: usize, mu: [usize; 2]) -> Self {
        let masks = Self {
            row: blinding.elements(Use::MaskRow, row),
            nu: blinding.elements(Use::Nu, row),
            mu: blinding.elements(Use::Mu, mu[0]),
            mu_w: blinding.elements(Use::MuW, mu[1]),
        };
        for mask in [&masks.row, &masks.nu, &masks.mu, &masks.mu_w] {
            hide(mask.iter().flat_map(|mask| mask.parts()));
        }
        masks
    }

    /// Tree 1: some rows, to which elements are appended, and the masks.
    pub fn first_tree(&self, committing: &Committing, rows: &[&[u64]]) -> Tree {
        let parts: Vec<Column> = [&self.row, &self.nu, &self.mu].map(|mask| Column::of(mask.iter().copied())).into();
        let of_masks = parts.iter().flat_map(|part| [part.re.as_slice(), part.im.as_slice()]);
        // The mask row has its appended elements already; mu and nu are uniform.
        committing.tree(FIRST, &rows.iter().copied().chain(of_masks).collect::<Vec<_>>(), rows.len())
    }

    /// Tree M, in the code of the weights.
    pub fn mu_tree(&self, blinding: &Blinding, code: Code, threads: usize) -> Tree {
        let mu = Column::of(self.mu_w.iter().copied());
        Committing::new(blinding, code, threads).tree(MU_W, &mu.parts(), 0)
    }
}
