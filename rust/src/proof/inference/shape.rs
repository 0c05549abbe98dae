//! The shape of a proof of answers: it follows from the program, the batch, whether inputs are hidden, and the openings that
//! the commitment allows (docs/inference-proofs.md, "Shape").

use std::ops::Range;

use super::cells::{Cell, Cells};
use super::layer_shape::{Layer, layers};
use super::mask_row::{LayerMasks, MaskRow};
use super::program::{Program, Value};
use super::tables::Table;
use super::weights_shape::WeightsShape;
use crate::field_hash;
use crate::proof::codes::{self, Code};
use crate::proof::shape::log2_ceil;

/// Samples that one proof may cover.
pub const LARGEST_BATCH: usize = 1 << 14;

/// Fractions that share an inverse column.
const CHUNK: usize = 7;

/// Words that a leaf may have.
const LARGEST_LEAF: usize = 124;

/// Rows of columns, as powers of two.
const LOG_ROWS: Range<usize> = 12..22;

/// The vectors that are cut into columns, in order. Y has the features of Q; R those of the cells with shift > 0; I those
/// of hidden inputs.
pub const Q: usize = 0;
pub const R: usize = 1;
pub const Y: usize = 2;
pub const I: usize = 3;
pub const VECTORS: usize = 4;

/// One summand of the lookup argument; columns are counted among all base columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fraction {
    /// 1 / (alpha - value - beta beside - beta^2 k): a column of Q with that of Y beside it, one of R or one of I alone. `tag`
    /// says which column of `Shape::tags` k is.
    Lookup { value: usize, beside: Option<usize>, tag: (usize, usize) },
    /// Table column number a: -sel uses / (alpha - tab).
    Table { column: usize, index: usize },
}

/// The features from `first` on are looked up in a table, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tag {
    pub first: usize,
    pub table: usize,
}

/// The hash of hidden inputs: rows of its matrix, and entries of its randomness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hashing {
    pub rows: usize,
    pub blinds: usize,
}

#[derive(Clone, Debug)]
pub struct Shape {
    pub program: Program,
    pub cells: Cells,
    pub weights: WeightsShape,
    /// B
    pub batch: usize,
    /// beta: B' = 2^beta samples have room.
    pub log_batch: usize,
    /// With hidden inputs.
    pub hashing: Option<Hashing>,
    /// The Dense and Conv steps, in order.
    pub layers: Vec<Layer>,
    /// Features of Q, R, Y and I.
    pub features: [usize; VECTORS],
    pub tables: Vec<Table>,
    /// Of the features of Q, R and I (that of Y is empty: its columns stand beside those of Q).
    pub tags: [Vec<Tag>; VECTORS],
    /// ell
    pub log_rows: usize,
    /// Base columns of Q, R, Y and I, and those of uses.
    pub columns: [Range<usize>; VECTORS],
    pub table_columns: Range<usize>,
    pub fractions: Vec<Fraction>,
    pub code: Code,
    /// Of the runs of both opened rows.
    pub row_code: Code,
    pub masks: MaskRow,
}

impl Shape {
    /// The shape, or why there is none, with the numbers.
    pub fn new(program: &Program, batch: usize, hidden: bool, openings: usize) -> Result<Self, String> {
        if !(1..=LARGEST_BATCH).contains(&batch) {
            return Err(format!("a batch of {batch}, not 1 to {LARGEST_BATCH}"));
        }
        let cells = Cells::new(program)?;
        let weights = WeightsShape::new(program, openings)?;
        let hashing = if hidden { Some(Hashing::of(program)?) } else { None };
        let inputs = hashing.map_or(0, |hashing| program.input.features() + hashing.blinds);
        let features = [cells.features, cells.rounded, cells.features, inputs];
        let (tables, tags) = tables(program, &cells, inputs);
        let layers = layers(program, &cells, hidden);
        let mut shape = Self {
            program: program.clone(),
            cells,
            weights,
            batch,
            log_batch: log2_ceil(batch),
            hashing,
            layers,
            features,
            tables,
            tags,
            log_rows: 0,
            columns: [0..0, 0..0, 0..0, 0..0],
            table_columns: 0..0,
            fractions: Vec::new(),
            code: codes::of_rows(LOG_ROWS.start)[0],
            row_code: codes::of_rows(LOG_ROWS.start)[1],
            masks: MaskRow::default(),
        };
        // Of those that fit, the one with which trees 1 and 2 have the fewest words; of those the least.
        let mut chosen: Option<(usize, usize)> = None;
        for log_rows in LOG_ROWS.start.max(shape.log_batch)..LOG_ROWS.end {
            shape.lay_out(log_rows);
            if shape.fits() && chosen.is_none_or(|(least, _)| shape.tree_words() < least) {
                chosen = Some((shape.tree_words(), log_rows));
            }
        }
        if let Some((_, log_rows)) = chosen {
            shape.lay_out(log_rows);
            shape.find_fractions();
            return Ok(shape);
        }
        let [first, second] = shape.leaf_words();
        Err(format!(
            "{} values between the layers, {batch} times, do not fit: with columns of 2^{} rows leaves have {first} and {second} \
             words ({LARGEST_LEAF} are the most), and a mask row {} elements ({} are the most); prove fewer at once",
            features[Q] + features[R] + features[Y] + features[I],
            shape.log_rows,
            shape.masks.length,
            shape.code.message(),
        ))
    }

    /// Columns, codes and masks for columns of 2^`log_rows` rows.
    fn lay_out(&mut self, log_rows: usize) {
        self.log_rows = log_rows;
        [self.code, _] = codes::of_rows(log_rows);
        self.row_code = codes::of_opened_row(self.code.log_message.max(self.weights.code.log_message));
        let mut end = 0;
        let mut take = |count: usize| {
            end += count;
            end - count..end
        };
        self.columns = self.features.map(|features| take((features << self.log_batch).div_ceil(1 << log_rows)));
        self.table_columns = take(self.entries().div_ceil(1 << log_rows));
        self.masks = self.mask_row();
    }

    fn fits(&self) -> bool {
        let [first, second] = self.leaf_words();
        first <= LARGEST_LEAF && second <= LARGEST_LEAF && self.masks.length <= self.code.message()
    }

    /// Words of trees 1 and 2.
    fn tree_words(&self) -> usize {
        self.leaf_words().iter().sum::<usize>() * self.code.length()
    }

    fn mask_row(&self) -> MaskRow {
        let mut end = 0;
        let mut take = |count: usize| {
            end += count;
            end - count..end
        };
        let rounds = take((0..self.log_rows).map(|round| self.degree(round)).sum());
        let columns = take(self.committed());
        let layers = self.layers.iter().map(|layer| {
            let rounds = take((0..layer.log_inputs).map(|round| layer.degree(round)).sum());
            let ends = take(4).start;
            LayerMasks { rounds, a: ends, b: ends + 1, x: ends + 2, m: ends + 3 }
        });
        let layers = layers.collect();
        let weights_rounds = take(self.weights.round_masks());
        let weights_columns = take(self.weights.columns);
        MaskRow { rounds, columns, layers, weights_rounds, weights_columns, length: end }
    }

    fn find_fractions(&mut self) {
        let (columns, tables) = (&self.columns, self.table_columns.clone());
        let lookups = [Q, R, I].into_iter().flat_map(|vector| {
            columns[vector].clone().enumerate().map(move |(index, value)| {
                let beside = (vector == Q).then(|| columns[Y].start + index);
                Fraction::Lookup { value, beside, tag: (vector, index) }
            })
        });
        let tables = tables.enumerate().map(|(index, column)| Fraction::Table { column, index });
        self.fractions = lookups.chain(tables).collect();
    }

    /// L
    pub fn rows(&self) -> usize {
        1 << self.log_rows
    }

    /// B'
    pub fn samples(&self) -> usize {
        1 << self.log_batch
    }

    /// Features that a column has room for.
    pub fn features_a_column(&self) -> usize {
        1 << (self.log_rows - self.log_batch)
    }

    /// T_all
    pub fn entries(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// c
    pub fn base_columns(&self) -> usize {
        self.table_columns.end
    }

    /// Columns of which every entry is looked up.
    pub fn lookups(&self) -> usize {
        self.columns[Q].len() + self.columns[R].len() + self.columns[I].len()
    }

    /// The fractions of each inverse column.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[Fraction]> {
        self.fractions.chunks(CHUNK)
    }

    fn count_fractions(&self) -> usize {
        self.lookups() + self.table_columns.len()
    }

    /// m_q
    pub fn inverse_columns(&self) -> usize {
        self.count_fractions().div_ceil(CHUNK)
    }

    /// f_max, 0 where there is no fraction.
    pub fn largest_chunk(&self) -> usize {
        self.count_fractions().min(CHUNK)
    }

    /// m
    pub fn committed(&self) -> usize {
        self.base_columns() + 2 * self.inverse_columns()
    }

    /// ceil(log2 m), 0 without columns
    pub fn column_variables(&self) -> usize {
        log2_ceil(self.committed())
    }

    /// d_i: the degree of a round of the sum-check over L rows.
    pub fn degree(&self, round: usize) -> usize {
        if round + 1 < self.log_rows { self.largest_chunk() + 2 } else { 2 * self.largest_chunk() + 3 }
    }

    /// R_c: runs of a column, each a row of the code.
    pub fn runs(&self) -> usize {
        1 << (self.log_rows - self.code.log_message)
    }

    /// K: coefficients of a row with those appended.
    pub fn row_coefficients(&self) -> usize {
        self.code.message() + self.code.queries
    }

    /// Words of a leaf of tree 1 and tree 2.
    pub fn leaf_words(&self) -> [usize; 2] {
        [self.base_columns() * self.runs() + 6, 2 * self.inverse_columns() * self.runs()]
    }

    /// Words of a leaf of tree M and tree W.
    pub fn weights_leaf_words(&self) -> [usize; 2] {
        [2, self.weights.columns * self.weights.runs()]
    }

    /// The cells of Sums and pools, which are held to their sums by a claim each, in order.
    pub fn mapped(&self) -> impl Iterator<Item = &Cell> {
        self.cells.mapped(&self.program)
    }

    /// Linear claims, those that are not there included.
    pub fn linear_claims(&self) -> usize {
        let end = match self.program.compares() {
            Some(compares) => 1 + usize::from(!compares.of_sums),
            None => usize::from(!self.program.ends_in_sums()),
        };
        2 * self.layers.len() + self.mapped().count() + usize::from(self.hashing.is_some()) + end
    }

    /// Variables of r_out: none where sums come out, or the place of the largest.
    pub fn output_variables(&self) -> usize {
        match self.program.ends_in_sums() || self.program.compares().is_some() {
            true => 0,
            false => log2_ceil(self.program.output().features()),
        }
    }

    /// Variables of the point at which an ArgMax of a value is held to it.
    pub fn compared_variables(&self) -> usize {
        let of_a_value = self.program.compares().filter(|compares| !compares.of_sums);
        of_a_value.map_or(0, |compares| log2_ceil(compares.features))
    }
}

impl Hashing {
    /// Of a program's inputs, whose range is within 17 bits.
    fn of(program: &Program) -> Result<Self, String> {
        let Value { low, high, .. } = program.input;
        let size = program.input.features();
        match field_hash::dimensions(size, low as i32, high as i32) {
            Ok([rows, blinds]) => Ok(Self { rows, blinds }),
            Err(_) => Err(format!(
                "inputs of {size} features from {low} to {high} have no field hash, and cannot be hidden: up to {} \
                 features of 16 to 2^16 integers from -2^15 to 2^16 - 1 have one",
                field_hash::LARGEST_SIZE
            )),
        }
    }
}

/// The tables in the order of first use, and which features are looked up in which.
fn tables(program: &Program, cells: &Cells, inputs: usize) -> (Vec<Table>, [Vec<Tag>; VECTORS]) {
    let mut tables: Vec<Table> = Vec::new();
    let mut tags: [Vec<Tag>; VECTORS] = Default::default();
    let mut tag = |vector: usize, first: usize, table: Table| {
        let number = tables.iter().position(|&known| known == table).unwrap_or_else(|| {
            tables.push(table);
            tables.len() - 1
        });
        if tags[vector].last().is_none_or(|last: &Tag| last.table != number) {
            tags[vector].push(Tag { first, table: number });
        }
    };
    let laid_out = || cells.laid_out.iter().map(|&cell| &cells.all[cell]);
    for cell in laid_out() {
        tag(Q, cell.offset, cell.table());
    }
    for cell in laid_out().filter(|cell| cell.shift > 0) {
        tag(R, cell.offset, Table::Range { shift: cell.shift });
    }
    if inputs > 0 {
        tag(I, 0, Table::Interval { low: program.input.low, high: program.input.high });
    }
    (tables, tags)
}
