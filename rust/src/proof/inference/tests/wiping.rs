//! What a proof of answers is computed from is wiped before its memory is given back.

use super::instances::Instance;
use super::models::{of_every_kind, others};
use crate::allocations::left_behind;

#[test]
fn no_sum_value_or_mask_is_left_in_freed_memory() {
    // Not of a program without cells: where there are no columns, nothing is added to mu before it is sent.
    let models = others().into_iter().map(|(_, model)| model).skip(1).take(2).chain([of_every_kind()]);
    for (number, model) in models.enumerate() {
        let instance = Instance::new(&model, 3, 2);
        // A seed of its own: every challenge, and with it every sum, is of this test alone.
        // Masks, inverse columns, values at the point; claims and rounds of every layer; in each round over rows the sums of
        // lanes, of chunks, of linear claims, and the polynomial before it is masked; the same over the weights.
        let (hidden, found) = left_behind(|| assert!(instance.prove_on(&[91 + number as u8; 32], 1).holds));
        let shape = &instance.shape;
        let least = 2 * (shape.row_coefficients() + 2 * shape.masks.length + 3 * shape.log_rows);
        assert!(hidden > least, "{hidden} {least}");
        assert_eq!(found, 0);
    }
}
