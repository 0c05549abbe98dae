//! Shapes of proofs: numbers that follow from the program and the batch, and what is refused.

use super::models::{Builder, Random, clip, of_every_kind, others, window};
use crate::field;
use crate::proof::column::{Column, dot};
use crate::proof::ext::E;
use crate::proof::inference::lookups::{Lookups, constraint};
use crate::proof::inference::shape::{Fraction, I, Q, R, Shape, Y};
use crate::proof::inference::soundness;
use crate::proof::inference::tables::Table;
use crate::proof::multilinear::eq_table;

fn element(integer: i64) -> E {
    E::base(field::add_signed(0, integer))
}

/// 784-128-10, 8 bits.
pub fn perceptron() -> Builder {
    Builder::new(&[784], 0, 255, 127).dense(0, 128, clip(12, 0, 255, 12)).dense(1, 10, None)
}

/// Two layers of 2048 by 2048.
pub fn wide() -> Builder {
    Builder::new(&[2048], 0, 255, 127).dense(0, 2048, clip(13, 0, 255, 13)).dense(1, 2048, None)
}

/// LeNet-5.
pub fn lenet() -> Builder {
    let five = |pads| window([5, 5], [1, 1], pads);
    let two = window([2, 2], [2, 2], [0; 4]);
    Builder::new(&[1, 28, 28], 0, 255, 127)
        .conv(0, 6, five([2; 4]), clip(9, 0, 255, 10))
        .largest(1, two)
        .conv(2, 16, five([0; 4]), clip(10, 0, 255, 10))
        .largest(3, two)
        .flatten(4)
        .dense(5, 120, clip(10, 0, 255, 10))
        .dense(6, 84, clip(9, 0, 255, 10))
        .dense(7, 10, None)
}

#[test]
fn a_shape_has_the_numbers_of_its_program() {
    let shape = Shape::new(&perceptron().program(), 1024, false, 16).unwrap();
    assert_eq!((shape.features, shape.log_batch), ([128, 128, 128, 0], 10));
    assert_eq!(shape.tables, [Table::Clip { q_bits: 12, low: 0, high: 255 }, Table::Range { shift: 12 }]);
    assert_eq!(shape.entries(), (1 << 13) + (1 << 12));
    assert_eq!(shape.masks.length, shape.masks.weights_columns.end);
    assert!(shape.base_columns() * shape.runs() + 6 <= 124 && shape.masks.length <= shape.code.message());
    let smaller = 1 << (shape.log_rows - 1);
    let columns = 3 * (128usize << 10).div_ceil(smaller) + shape.entries().div_ceil(smaller);
    assert!(columns * 4 + 6 > 124 || shape.masks.length > smaller / 4, "a smaller ell would have done");
    let weights = &shape.weights;
    assert_eq!(weights.places[0].stride, 1024);
    assert_eq!((weights.places[0].start, weights.places[1].start), (0, 128 * 1024));
    assert_eq!(weights.places[1].bias, 128);
    assert!(weights.columns * weights.runs() <= 120 && weights.code.message() >= 512 * 16);
}

#[test]
fn shapes_of_the_models_that_are_measured_exist() {
    for (builder, batch) in [(perceptron(), 1024), (perceptron(), 1), (wide(), 1024), (lenet(), 256), (lenet(), 1)] {
        let shape = Shape::new(&builder.program(), batch, false, 64).unwrap();
        let bits = soundness::bits(&shape);
        assert!((98.0..101.0).contains(&bits), "{bits}");
        assert_eq!(shape.fractions.len(), shape.lookups() + shape.table_columns.len());
        assert!(soundness::terms(&shape).iter().all(|term| term.log2_error < -98.0));
    }
}

#[test]
fn cells_that_are_shifted_lie_before_the_others() {
    let model = of_every_kind();
    let shape = Shape::new(&model.program, 3, false, 1).unwrap();
    let of = |cell: &crate::proof::inference::cells::Cell| (cell.step, cell.place, cell.offset, cell.shift);
    let cells: Vec<_> = shape.cells.all.iter().map(of).collect();
    // Conv 72, pool of 6 places 36, Conv 36, Sum 36, average 18, Dense 5.
    assert_eq!(
        cells,
        [
            (0, 0, 0, 3),
            (1, 1, 162, 0),
            (1, 2, 198, 0),
            (1, 3, 234, 0),
            (1, 4, 270, 0),
            (1, 5, 306, 0),
            (2, 0, 72, 2),
            (3, 0, 108, 1),
            (4, 0, 144, 4),
            (6, 0, 342, 0)
        ]
    );
    assert_eq!(shape.features, [347, 162, 347, 0]);
    assert_eq!(shape.mapped().count(), 7);
    let pool = Table::Clip { q_bits: 4, low: 0, high: 15 };
    assert_eq!(shape.tables[4], pool);
    assert_eq!(shape.tags[Q][4].first, 162);
    assert_eq!((shape.tags[R][0].table, shape.tables[6]), (6, Table::Range { shift: 3 }));
    assert!(shape.tags[I].is_empty() && shape.tags[Y].is_empty());
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let refused = |builder: Builder, batch, openings, reason: &str| {
        let found = Shape::new(&builder.program(), batch, false, openings).unwrap_err();
        assert!(found.contains(reason), "{found:?} is not {reason:?}");
    };
    refused(perceptron(), 0, 1, "a batch of 0, not 1 to 16384");
    refused(perceptron(), 16385, 1, "a batch of 16385, not 1 to 16384");
    refused(perceptron(), 1, 0, "may be opened 0 times, not 1 to 64");
    refused(perceptron(), 1, 65, "may be opened 65 times, not 1 to 64");
    refused(wide(), 16384, 1, "6144 values between the layers, 16384 times, do not fit");
    let heavy = Builder::new(&[1 << 14], 0, 1, 1).dense(0, 1 << 13, None);
    refused(heavy, 1, 1, "134217728 weights (rows of a Dense filled up to a power of two) and 8192 biases");
    let filled = Builder::new(&[(1 << 12) + 1], 0, 1, 1).dense(0, 1 << 13, None);
    refused(filled, 1, 1, "67108864 weights");
    let compared = Builder::new(&[1, 4096, 4096], 0, 1, 1).largest(0, window([2, 2], [1, 1], [0, 0, 1, 1])).conv(
        1,
        1,
        window([4096, 4096], [1, 1], [0; 4]),
        None,
    );
    refused(compared, 1, 1, "50331648 values are rounded or compared");
    let kernels = Builder::new(&[1, 2, 2], 0, 0, 1).conv(0, 1 << 24, window([2, 2], [1, 1], [0; 4]), None);
    refused(kernels, 1, 1, "67108864 weights");
}

#[test]
fn public_columns_at_a_point_are_what_is_laid_out() {
    let mut models: Vec<_> = others();
    models.push(("every kind", of_every_kind()));
    let mut random = Random::new(5);
    for (name, model) in models {
        let shape = Shape::new(&model.program, 3, false, 2).unwrap();
        let mut draw = || E::new(random.word() % field::P, random.word() % field::P);
        let lookups = Lookups { alpha: draw(), beta: draw() };
        let z: Vec<E> = (0..shape.log_rows).map(|_| draw()).collect();
        let public = lookups.at(&shape, &z);
        let eq = eq_table(&z);
        let square = lookups.beta * lookups.beta;
        let mut entries: Vec<E> = Vec::new();
        for (number, table) in shape.tables.iter().enumerate() {
            for index in 0..table.len() {
                let (v0, v1) = table.entry(index);
                entries.push(element(v0) + lookups.beta * element(v1) + square * element(number as i64));
            }
        }
        assert_eq!(public.tables.len(), entries.len().div_ceil(shape.rows()), "{name}");
        for (index, [tab, sel]) in public.tables.iter().enumerate() {
            let part = &entries[index * shape.rows()..entries.len().min((index + 1) * shape.rows())];
            let filled = |with: &dyn Fn(usize) -> E| {
                Column::of((0..shape.rows()).map(|row| if row < part.len() { with(row) } else { E::ZERO }))
            };
            assert_eq!(*tab, dot(&filled(&|row| part[row]), &eq), "{name}");
            assert_eq!(*sel, dot(&filled(&|_| E::ONE), &eq), "{name}");
        }
        let mut tags = public.tags.iter();
        for fraction in &shape.fractions {
            let Fraction::Lookup { tag: (vector, index), .. } = *fraction else { continue };
            let table_of = |row: usize| {
                let feature = index * shape.features_a_column() + (row >> shape.log_batch);
                shape.tags[vector].iter().rfind(|tag| tag.first <= feature).unwrap().table
            };
            let laid_out = Column::of((0..shape.rows()).map(|row| square * element(table_of(row) as i64)));
            assert_eq!(*tags.next().unwrap(), dot(&laid_out, &eq), "{name}");
        }
        assert!(tags.next().is_none());
    }
}

#[test]
fn the_constraint_holds_of_sums_of_fractions_alone() {
    let shape = Shape::new(&of_every_kind().program, 3, false, 2).unwrap();
    let mut random = Random::new(8);
    let mut draw = || E::new(random.word() % field::P, random.word() % field::P);
    let lookups = Lookups { alpha: draw(), beta: draw() };
    let z: Vec<E> = (0..shape.log_rows).map(|_| draw()).collect();
    let public = lookups.at(&shape, &z);
    let values: Vec<E> = (0..shape.base_columns()).map(|_| draw()).collect();
    let powers: Vec<E> = (0..shape.inverse_columns()).map(|_| draw()).collect();
    let mut tags = public.tags.iter();
    let fraction = |fraction: &Fraction| match *fraction {
        Fraction::Lookup { value, beside, .. } => {
            let beside = beside.map_or(E::ZERO, |beside| lookups.beta * values[beside]);
            (lookups.alpha - values[value] - beside - *tags.next().unwrap()).invert()
        }
        Fraction::Table { column, index } => {
            let [tab, sel] = public.tables[index];
            -(sel * values[column] * (lookups.alpha - tab).invert())
        }
    };
    let fractions: Vec<E> = shape.fractions.iter().map(fraction).collect();
    let inverses: Vec<E> = fractions.chunks(7).map(|chunk| chunk.iter().copied().sum()).collect();
    let at = |inverses: &[E]| constraint(&shape, &lookups, &public, &values, inverses, &powers);
    assert_eq!(at(&inverses), E::ZERO);
    for index in 0..inverses.len() {
        let mut changed = inverses.clone();
        changed[index] += E::ONE;
        assert_ne!(at(&changed), E::ZERO);
    }
}
