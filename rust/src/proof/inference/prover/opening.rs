//! The opening of the columns and of the weights.

use super::Prover;
use crate::proof::blinding::Use;
use crate::proof::codes::Code;
use crate::proof::column::Column;
use crate::proof::ext::E;
use crate::proof::inference::mask_weights::MaskWeights;
use crate::proof::inference::masks::{FIRST, SECOND};
use crate::proof::inference::opened::{self, Secrets};
use crate::proof::opened::{split, weights_of_rows};
use crate::proof::tree::Tree;

impl Prover<'_> {
    pub(super) fn open(&mut self, weights: &MaskWeights, [z, w]: [&[E]; 2], inverses: &[Column], trees: [&Tree; 3]) {
        let shape = self.shape;
        let claim = |code: Code, appended, columns: &[E], point, masks: &[E]| {
            let (high, low) = split(point, code);
            let rows = weights_of_rows(columns, high);
            opened::Claim { code, appended, rows, low, masks: masks.to_vec() }
        };
        let of_columns = claim(shape.code, shape.code.queries, &weights.columns, z, &weights.row);
        let (code, appended) = (shape.weights.code, shape.weights.appended());
        let of_weights = claim(code, appended, &weights.weights_columns, w, &weights.weights_row);

        let first = self.base_rows();
        let second = self.inverse_rows(inverses);
        let behind = |tree, count| (0..count).map(move |row| (tree, row));
        let appended: Vec<_> = behind(FIRST, first.len())
            .chain(behind(SECOND, second.len()))
            .map(|(tree, row)| self.blinding.words(Use::Row { tree, row }, shape.code.queries))
            .collect();
        let secrets = Secrets {
            mask_row: &self.masks.row,
            nu: &self.masks.nu,
            mu: [&self.masks.mu, &self.masks.mu_w],
            rows: &[first, second].concat(),
            appended: &appended.iter().map(|words| words.as_slice()).collect::<Vec<_>>(),
            weights: self.commitment,
            trees: std::array::from_fn(|tree| (trees[tree], self.blinding.salts(tree as u64 + FIRST))),
        };
        opened::prove(&mut self.messages, [&of_columns, &of_weights], shape.row_code, secrets, self.threads);
    }
}
