//! Models that end in ArgMax.

use super::models::{Builder, Model, clip, window};

/// Of sums and of a value, the first and the last place, with ties, one place, and the input.
pub fn comparing() -> Vec<(&'static str, Model)> {
    let model = |builder: Builder, seed| Model::random(builder.program(), seed);
    let two = |shape: &[usize]| Builder::new(shape, 0, 15, 3).dense(0, 9, clip(2, 0, 15, 8));
    vec![
        ("the first of sums", model(two(&[6]).dense(1, 5, None).argmax(2, false, 6, 5), 11)),
        ("the last of sums, without remainders", model(two(&[6]).dense(1, 5, None).argmax(2, true, 0, 11), 12)),
        ("ties of a value", model(two(&[6]).argmax(1, false, 0, 4), 13)),
        ("ties of a value, the last, with remainders", model(two(&[6]).argmax(1, true, 2, 2), 14)),
        ("one place", model(two(&[6]).dense(1, 1, None).argmax(2, false, 4, 7), 15)),
        ("one layer", model(Builder::new(&[4], -3, 12, 2).dense(0, 3, None).argmax(1, false, 4, 4), 16)),
        (
            "places of an image",
            model(
                Builder::new(&[1, 4, 4], -8, 7, 3)
                    .conv(0, 2, window([2, 2], [1, 1], [0; 4]), clip(1, -9, 9, 8))
                    .largest(1, window([2, 2], [1, 1], [1; 4]))
                    .sum([2, 2], [1, 0], clip(2, -16, 15, 7))
                    .flatten(3)
                    .argmax(4, false, 1, 6),
                17,
            ),
        ),
        ("of the input", model(two(&[6]).argmax(0, true, 0, 4), 18)),
    ]
}
