//! Shapes of all sizes, and what has none.

use crate::layout::Layout;
use crate::proof::shape::{LARGEST_BLOCKS, SMALL_RUN, Shape};
use crate::ring::N;

fn layout(bits: u32, slots: usize) -> Layout {
    let (width, delta) = if bits == 16 { (24, 15) } else { (17, 12) };
    Layout::new(bits, slots, width, delta).unwrap()
}

fn shape(bits: u32, slots: usize, blocks: usize) -> Shape {
    Shape::new(layout(bits, slots), blocks * N * slots).unwrap()
}

#[test]
fn small_and_large_shapes_are_those_of_the_page() {
    let one = shape(16, 2, 1);
    assert_eq!((one.limb_bits, one.column_blocks, one.groups, one.auxiliary), (8, 1, 1, 2));
    assert_eq!((one.errors_row, one.pad_row, one.secret_row, one.tables), (256, 384, 4096, 1));
    assert_eq!((one.base_columns(), one.fractions.len(), one.committed(), one.largest_chunk()), (7, 6, 9, 6));
    assert_eq!(one.mask_row(), 11 * 8 + 15 + 9);
    let three = shape(16, 2, 3);
    assert_eq!((three.column_blocks, three.groups, three.rows()), (2, 2, 8192));
    let nine = shape(16, 2, 9);
    assert_eq!((nine.limb_bits, nine.column_blocks, nine.groups, nine.auxiliary, nine.tables), (16, 4, 3, 5, 5));
    assert_eq!((nine.base_columns(), nine.inverse_columns()), (14, 2));
    let million = shape(16, 2, 128);
    assert_eq!((million.log_rows, million.groups, million.auxiliary, million.runs()), (17, 4, 1, 4));
    let short = shape(12, 3, 1);
    assert_eq!((short.limb_bits, short.auxiliary, short.tables, short.base_columns()), (12, 3, 2, 7));
    assert_eq!(shape(12, 3, 2048).log_rows, 21);
}

#[test]
fn every_shape_keeps_what_the_argument_relies_on() {
    for (bits, slots) in [(16, 1), (16, 2), (12, 1), (12, 2), (12, 3)] {
        for blocks in 1..=LARGEST_BLOCKS {
            let shape = shape(bits, slots, blocks);
            let (rows, code) = (shape.rows(), shape.code);
            assert!(shape.groups * shape.column_blocks >= blocks);
            assert!(shape.secret_row + N <= shape.auxiliary * rows, "the auxiliary vector fits its columns");
            // A run of weights lies in one column, at a multiple of its length.
            assert!(shape.pad_row.is_multiple_of(SMALL_RUN) && shape.secret_row.is_multiple_of(N));
            assert!(shape.mask_row() <= code.message() && shape.row_coefficients() < code.length());
            assert!(shape.row_code.message() <= code.message());
            // Squares do not wrap around p: empty blocks count, too.
            let squares = (shape.groups * rows * slots) as u128 * (1 << (2 * (bits - 1)));
            assert!(squares + (1 << 62) < u128::from(crate::field::P));
        }
    }
}

#[test]
fn cuts_are_where_the_values_end() {
    let shape = Shape::new(layout(16, 2), 2 * N + 5000).unwrap();
    assert_eq!((shape.blocks, shape.cut(0), shape.cut(1)), (2, N, 5000 - N));
    let shape = Shape::new(layout(16, 2), 5).unwrap();
    assert_eq!((shape.cut(0), shape.cut(1)), (5, 0));
}

#[test]
fn what_has_no_proof_is_refused_with_its_numbers() {
    let wide = Layout::new(32, 1, 43, 20).unwrap();
    let refused = Shape::new(wide, 10).unwrap_err();
    assert!(refused.contains("not for 32") && refused.contains("2^85"), "{refused}");
    for values in [0, LARGEST_BLOCKS * 2 * N + 1] {
        assert!(Shape::new(layout(16, 2), values).unwrap_err().contains("not 1 to 2048"));
    }
    assert!(Shape::new(Layout::new(8, 1, 16, 12).unwrap(), 10).unwrap_err().contains("not for 8"));
    assert!(Shape::new(Layout::new(16, 1, 24, 5).unwrap(), 10).unwrap_err().contains("shifted by 5"));
}
