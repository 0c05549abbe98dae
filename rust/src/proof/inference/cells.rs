//! What a program's steps make: cells, which are rounded and clipped, and values as linear forms of what is committed
//! (docs/inference-proofs.md, "Cells").

use std::ops::Range;

use super::program::{Kind, Program, Rounding, Step, Value};
use super::tables::Table;
use super::window::Window;
use crate::field;
use crate::proof::column::Column;
use crate::proof::ext::E;

/// A tensor with sum + half = 2^shift q + r and y = min(max(q, low), high); of an ArgMax half is 0, q >= 0 and y = 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The step that makes it, from 0.
    pub step: usize,
    /// Of a MaxPool, the place of the window that is compared, from 1; of an ArgMax 1 for the distances and 2 for the largest;
    /// else 0.
    pub place: usize,
    pub features: usize,
    pub shift: u32,
    pub low: i64,
    pub high: i64,
    pub q_bits: u32,
    /// Of an ArgMax: q and r are digits of a sum.
    pub digits: bool,
    /// o_t: its first feature in Q and Y, and where shift > 0 in R.
    pub offset: usize,
}

impl Cell {
    /// What is added to a sum before it is shifted.
    pub fn half(&self) -> u64 {
        if self.digits { 0 } else { (1 << self.shift) >> 1 }
    }

    /// What q and y are looked up in.
    pub fn table(&self) -> Table {
        match *self {
            Self { digits: true, q_bits, .. } => Table::Interval { low: 0, high: (1 << q_bits) - 1 },
            Self { q_bits, low, high, .. } => Table::Clip { q_bits, low, high },
        }
    }

    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.features
    }
}

#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// In the order of steps.
    pub all: Vec<Cell>,
    /// Those of each step.
    pub of_step: Vec<Range<usize>>,
    /// As they are laid out: those with shift > 0 first.
    pub laid_out: Vec<usize>,
    /// Features of Q and of Y.
    pub features: usize,
    /// Features of R: those of cells with shift > 0.
    pub rounded: usize,
}

impl Cells {
    /// The cells of a program, unless they have more features than columns can hold.
    pub fn new(program: &Program) -> Result<Self, String> {
        let mut cells = Self::default();
        let count = |step: &Step| match step.kind {
            Kind::MaxPool { window } => window.places() - 1,
            Kind::ArgMax { .. } => 2,
            _ => usize::from(step.rounding().is_some()),
        };
        let features_of = |step: &Step| match step.kind {
            Kind::ArgMax { .. } => program.value(step.sources[0]).features() as u128 + 1,
            _ => count(step) as u128 * step.value.features() as u128,
        };
        let features: u128 = program.steps.iter().map(features_of).sum();
        if features > LARGEST_FEATURES {
            return Err(format!("{features} values are rounded or compared, columns hold {LARGEST_FEATURES} at most"));
        }
        for (number, step) in program.steps.iter().enumerate() {
            let first = cells.all.len();
            let source = program.value(step.sources[0]);
            cells.all.extend((1..=count(step)).map(|place| cell(number, place, step, source)));
            cells.of_step.push(first..cells.all.len());
        }
        let (shifted, others): (Vec<usize>, Vec<usize>) =
            (0..cells.all.len()).partition(|&cell| cells.all[cell].shift > 0);
        cells.laid_out = [shifted, others].concat();
        for &cell in &cells.laid_out {
            let cell = &mut cells.all[cell];
            cell.offset = cells.features;
            cells.features += cell.features;
            cells.rounded += if cell.shift > 0 { cell.features } else { 0 };
        }
        Ok(cells)
    }

    /// The cell of a rounded step.
    pub fn of_rounded(&self, step: usize) -> &Cell {
        &self.all[self.of_step[step].start]
    }

    /// The cells that are held to their sums by claims of their own: those of Sums and pools, in order.
    pub fn mapped<'a>(&'a self, program: &'a Program) -> impl Iterator<Item = &'a Cell> {
        self.all.iter().filter(|cell| !cell.digits && !program.steps[cell.step].is_layer())
    }

    /// The distances and the largest of the ArgMax that a program ends in.
    pub fn compared(&self) -> [&Cell; 2] {
        let [.., distances, largest] = &self.all[..] else { unreachable!("an ArgMax makes two cells, the last ones") };
        debug_assert!(distances.digits && largest.digits);
        [distances, largest]
    }
}

/// Columns hold no more features of Q and Y, whatever the batch.
const LARGEST_FEATURES: u128 = 59 << 19;

fn cell(number: usize, place: usize, step: &Step, source: &Value) -> Cell {
    let (features, offset) = (step.value.features(), 0);
    let cell = Cell { step: number, place, features, shift: 0, low: 0, high: 0, q_bits: 0, digits: false, offset };
    match (&step.kind, step.rounding()) {
        (_, Some(&Rounding { shift, low, high, q_bits })) => Cell { place: 0, shift, low, high, q_bits, ..cell },
        (&Kind::ArgMax { shift, q_bits, .. }, _) => {
            let features = if place == 1 { source.features() } else { 1 };
            Cell { features, shift, q_bits, digits: true, ..cell }
        }
        _ => {
            let high = source.high - source.low;
            let q_bits = high.checked_ilog2().map_or(0, |bits| bits + 1);
            Cell { high, q_bits, ..cell }
        }
    }
}

/// A linear form: weights over the cells' y as they are laid out, over the input's features, and a constant.
#[derive(Clone)]
pub struct Form {
    pub y: Column,
    pub input: Column,
    pub constant: E,
}

/// Weights over the features of values, added up and then pulled back to what is committed, all at once.
pub struct Pulling<'a> {
    program: &'a Program,
    cells: &'a Cells,
    /// Of each value that has any.
    values: Vec<Column>,
    form: Form,
}

impl<'a> Pulling<'a> {
    pub fn new(program: &'a Program, cells: &'a Cells) -> Self {
        let (y, input) = (Column::extension(cells.features), Column::extension(program.input.features()));
        let values = vec![Column::default(); program.steps.len() + 1];
        Self { program, cells, values, form: Form { y, input, constant: E::ZERO } }
    }

    /// The weights over a value, to be added to.
    pub fn value(&mut self, number: usize) -> &mut Column {
        let weights = &mut self.values[number];
        if weights.len() == 0 {
            *weights = Column::extension(self.program.value(number).features());
        }
        weights
    }

    /// Add weights to a value.
    pub fn add(&mut self, number: usize, weights: impl Iterator<Item = E>) {
        add_all(self.value(number), 0, weights);
    }

    /// Add weights to the sum of a step's cells: those of the sum of each, for all cells of the step, in order.
    pub fn add_sums(&mut self, step: usize, weights: &[Column]) {
        let Step { kind, sources, .. } = &self.program.steps[step];
        match kind {
            Kind::Sum { left_shifts, .. } => {
                for (&source, shift) in sources.iter().zip(left_shifts) {
                    self.add(source, weights[0].iter().map(|weight| weight.scale(1 << shift)));
                }
            }
            Kind::AveragePool { window, multiplier, .. } => {
                let scaled = Column::of(weights[0].iter().map(|weight| weight.scale(*multiplier)));
                (0..window.places()).for_each(|place| self.add_place(step, window, place, &scaled));
            }
            Kind::MaxPool { window } => {
                // Of the sum of cell j: in_j - in_0 - y_1 - .. - y_(j-1).
                let mut later = Column::extension(self.program.steps[step].value.features());
                for (place, weights) in (1..window.places()).zip(weights).rev() {
                    let y = self.cells.all[self.cells.of_step[step].start + place - 1].offset;
                    subtract_all(&mut self.form.y, y, later.iter());
                    self.add_place(step, window, place, weights);
                    add_all(&mut later, 0, weights.iter());
                }
                let first = Column::of(later.iter().map(|weight| -weight));
                self.add_place(step, window, 0, &first);
            }
            Kind::Dense { .. } | Kind::Conv { .. } | Kind::Flatten | Kind::ArgMax { .. } => {
                unreachable!("sums of products are held to by sum-checks, and what is left adds nothing up")
            }
        }
    }

    /// Add weights over a pool's windows to what is under one of their places: outside the image, its least value.
    fn add_place(&mut self, step: usize, window: &Window, place: usize, weights: &Column) {
        let (program, Step { sources, value, .. }) = (self.program, &self.program.steps[step]);
        let source = program.value(sources[0]);
        let (image, given) = ([source.shape[1], source.shape[2]], [value.shape[1], value.shape[2]]);
        let (size, low) = (image[0] * image[1], field::add_signed(0, source.low));
        let mut outside = E::ZERO;
        let onto = self.value(sources[0]);
        for channel in 0..value.shape[0] {
            let first = channel * given[0] * given[1];
            for (index, under) in window.under(place, image, given).enumerate() {
                let weight = weights.at(first + index);
                match under {
                    Some(under) => add_at(onto, channel * size + under, weight),
                    None => outside += weight,
                }
            }
        }
        self.form.constant += outside.scale(low);
    }

    /// The form that all weights are of.
    pub fn finish(mut self) -> Form {
        for step in (0..self.program.steps.len()).rev() {
            let weights = std::mem::take(&mut self.values[step + 1]);
            if weights.len() == 0 {
                continue;
            }
            let Step { kind, sources, .. } = &self.program.steps[step];
            for cell in &self.cells.all[self.cells.of_step[step].clone()] {
                add_all(&mut self.form.y, cell.offset, weights.iter());
            }
            match kind {
                Kind::MaxPool { window } => self.add_place(step, window, 0, &weights),
                Kind::Flatten => self.add(sources[0], weights.iter()),
                _ => {}
            }
        }
        let input = std::mem::take(&mut self.values[0]);
        add_all(&mut self.form.input, 0, input.iter());
        self.form
    }
}

fn add_at(column: &mut Column, index: usize, weight: E) {
    column.set(index, column.at(index) + weight);
}

/// Add weights to the entries from `first` on.
pub fn add_all(column: &mut Column, first: usize, weights: impl Iterator<Item = E>) {
    weights.enumerate().for_each(|(index, weight)| add_at(column, first + index, weight));
}

fn subtract_all(column: &mut Column, first: usize, weights: impl Iterator<Item = E>) {
    add_all(column, first, weights.map(|weight| -weight));
}
