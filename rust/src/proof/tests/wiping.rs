//! What a proof is computed from is wiped before its memory is given back.

use super::further::claims;
use super::{Instance, dealt, narrow, wide};
use crate::allocations::left_behind;

#[test]
fn no_sum_value_or_mask_is_left_in_freed_memory() {
    let plain = [(wide(), 5), (narrow(), 100)].map(|(layout, count)| Instance::new(layout, count));
    let further = [(wide(), 300), (narrow(), 500)].map(|(layout, count)| Instance::with(layout, count, claims));
    let shared = Instance::shared(wide(), 300, &dealt(8, 3, 2), claims);
    for instance in plain.into_iter().chain(further).chain([shared]) {
        // A seed of its own: every challenge, and with it every sum, is of this test alone.
        // Masks, inverse columns, their values at the point; in each round the sums of lanes, of chunks, of all rows under eq
        // and without, of runs of weights, and the polynomial before it is masked.
        let (hidden, found) = left_behind(|| assert!(instance.prove_with(&[78; 32]).holds));
        let shape = &instance.shape;
        let least = 2 * (shape.row_coefficients() + 2 * shape.mask_row() + 9 * shape.log_rows);
        assert!(hidden > least, "{hidden} {least}");
        assert_eq!(found, 0);
    }
}
