//! The shape of a proof: how many rows, columns, fractions, masks and openings there are. It follows from the parameter
//! set and the number of values alone (docs/proofs.md, "Shape").

use std::ops::Range;

use super::codes::{self, Code};
use crate::layout::Layout;
use crate::ring::N;
use crate::sampling::ETA;
use crate::sharing::Threshold;

/// Blocks that one proof may cover.
pub const LARGEST_BLOCKS: usize = 2048;

/// Fractions that share an inverse column.
const CHUNK: usize = 7;

/// Entries of the table of errors: -eta, .., eta.
pub const ERRORS: usize = 2 * ETA as usize + 1;

/// Bits of the slack between the squared norm and its bound.
pub const SLACK_BITS: usize = 62;

/// pi and the slack bits: a run of this length that starts at `Shape::pad_row`.
pub const SMALL_RUN: usize = 2 + SLACK_BITS;

/// Words that a leaf may have, so that it is one chunk of BLAKE3 with its salt.
const LARGEST_LEAF: usize = 124;

/// One summand of the lookup argument: a column whose entries are in a table, or the table's own uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fraction {
    /// An error column: 1 / (alpha - (e + 2 X)).
    Error(usize),
    /// A limb column: 1 / (alpha - (u + X)).
    Limb(usize),
    /// Auxiliary column number a, with the tables: -sel y / (alpha - tab).
    Table(usize),
}

#[derive(Clone, Debug)]
pub struct Shape {
    pub layout: Layout,
    /// D
    pub values: usize,
    /// J
    pub blocks: usize,
    /// b, lambda
    pub limb_bits: u32,
    pub limbs: usize,
    /// S
    pub column_blocks: usize,
    /// ell
    pub log_rows: usize,
    /// G
    pub groups: usize,
    /// T_E, T_P, T_S: where parts of the long auxiliary vector start.
    pub errors_row: usize,
    pub pad_row: usize,
    pub secret_row: usize,
    /// A, A_T
    pub auxiliary: usize,
    pub tables: usize,
    pub fractions: Vec<Fraction>,
    /// Whose shares of the key are proven, where a committee has it.
    pub sharing: Option<Threshold>,
    /// The code of the columns, and that of the opened row.
    pub code: Code,
    pub row_code: Code,
}

impl Shape {
    /// The shape where a keeper has the key, or why there is none.
    pub fn new(layout: Layout, values: usize) -> Result<Self, String> {
        Self::of(layout, values, None)
    }

    /// The same with the key in shares.
    pub fn shared(&self, threshold: Threshold) -> Result<Self, String> {
        Self::of(self.layout, self.values, Some(threshold))
    }

    fn of(layout: Layout, values: usize, sharing: Option<Threshold>) -> Result<Self, String> {
        let bits = layout.value_bits;
        if bits != 12 && bits != 16 {
            let wrapping = if bits > 16 {
                format!(
                    ": {} squares of {bits}-bit values reach 2^{}, which must stay below p with 2^62 to spare",
                    LARGEST_BLOCKS * layout.block_values(),
                    (LARGEST_BLOCKS * layout.block_values()).ilog2() + 2 * (bits - 1)
                )
            } else {
                String::new()
            };
            return Err(format!("proofs exist for 12 and 16 bits a value, not for {bits}{wrapping}"));
        }
        if 1u64 << layout.delta <= u64::from(ETA) {
            return Err(format!("a message shifted by {} bits is not above errors up to {ETA}", layout.delta));
        }
        let blocks = layout.blocks(values);
        if !(1..=LARGEST_BLOCKS).contains(&blocks) {
            return Err(format!("{values} values are {blocks} blocks, not 1 to {LARGEST_BLOCKS}"));
        }
        let small = bits == 16 && blocks <= 8;
        let limb_bits = if small { 8 } else { bits };
        let limbs = (bits / limb_bits) as usize;
        let (least, groups) = match (bits, small) {
            (16, true) => (0, 2),
            (16, false) => (2, 4),
            _ => (0, 4),
        };
        let column_blocks = blocks.div_ceil(groups).next_power_of_two().max(1 << least);
        let rows = column_blocks * N;
        let groups = blocks.div_ceil(column_blocks);
        let errors_row = (1usize << limb_bits).max(128);
        let pad_row = errors_row + 128;
        let secret_row = (pad_row + SMALL_RUN).next_multiple_of(N);
        let tables = pad_row.div_ceil(rows);
        let log_rows = rows.ilog2() as usize;
        let [code, row_code] = codes::of_rows(log_rows);
        let mut shape = Self {
            layout,
            values,
            blocks,
            limb_bits,
            limbs,
            column_blocks,
            log_rows,
            groups,
            errors_row,
            pad_row,
            secret_row,
            auxiliary: 0,
            tables,
            fractions: Vec::new(),
            sharing,
            code,
            row_code,
        };
        let end = sharing.map_or(secret_row + N, |_| shape.mask_share_row() + shape.mask_share_rows());
        shape.auxiliary = end.div_ceil(rows);
        shape.fractions = shape.all_fractions();
        let words = shape.base_columns() * shape.runs() + 6;
        if words > LARGEST_LEAF {
            let shares = sharing.map_or(String::new(), |sharing| format!(" and shares of {} words", sharing.words()));
            return Err(format!("{} slots{shares} make leaves of {words} words, over {LARGEST_LEAF}", layout.slots));
        }
        Ok(shape)
    }

    /// Where values of the key's polynomials at base point i are: the first l blocks are the key.
    pub fn share_row(&self, point: usize) -> usize {
        self.secret_row + point * self.sharing.map_or(N, |sharing| sharing.words())
    }

    /// Where the mask's values at the base points are, and the rows kept for them.
    pub fn mask_share_row(&self) -> usize {
        self.share_row(self.key_values())
    }

    pub fn mask_share_rows(&self) -> usize {
        (2 * self.key_values()).next_power_of_two()
    }

    /// Elements that a proof says of the key: v, or V at the base points.
    pub fn key_values(&self) -> usize {
        self.sharing.map_or(1, |sharing| sharing.recovery())
    }

    fn all_fractions(&self) -> Vec<Fraction> {
        let errors = (0..self.groups).map(|group| Fraction::Error(self.error_column(group)));
        let limbs = (0..self.groups).flat_map(move |group| {
            (0..self.layout.slots).flat_map(move |slot| {
                (0..self.limbs).map(move |limb| Fraction::Limb(self.limb_column(group, slot, limb)))
            })
        });
        errors.chain(limbs).chain((0..self.tables).map(Fraction::Table)).collect()
    }

    /// L
    pub fn rows(&self) -> usize {
        1 << self.log_rows
    }

    fn group_columns(&self) -> usize {
        1 + self.layout.slots * self.limbs
    }

    pub fn error_column(&self, group: usize) -> usize {
        group * self.group_columns()
    }

    pub fn limb_column(&self, group: usize, slot: usize, limb: usize) -> usize {
        group * self.group_columns() + 1 + slot * self.limbs + limb
    }

    /// The column of an auxiliary vector's part.
    pub fn auxiliary_column(&self, index: usize) -> usize {
        self.groups * self.group_columns() + index
    }

    /// off = 2^(w-1), what is added to a value before it is cut into limbs.
    pub fn offset(&self) -> u64 {
        1 << (self.layout.value_bits - 1)
    }

    /// c
    pub fn base_columns(&self) -> usize {
        self.auxiliary_column(self.auxiliary)
    }

    /// Columns of which every entry is looked up.
    pub fn lookups(&self) -> usize {
        self.fractions.len() - self.tables
    }

    /// The fractions of each inverse column.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[Fraction]> {
        self.fractions.chunks(CHUNK)
    }

    /// m_q
    pub fn inverse_columns(&self) -> usize {
        self.fractions.len().div_ceil(CHUNK)
    }

    /// f_max
    pub fn largest_chunk(&self) -> usize {
        self.fractions.len().min(CHUNK)
    }

    /// m
    pub fn committed(&self) -> usize {
        self.base_columns() + 2 * self.inverse_columns()
    }

    /// d_i: the degree of a round of the sum-check.
    pub fn degree(&self, round: usize) -> usize {
        if round + 1 < self.log_rows { self.largest_chunk() + 2 } else { 2 * self.largest_chunk() + 3 }
    }

    /// sum_i d_i
    pub fn round_masks(&self) -> usize {
        (0..self.log_rows).map(|round| self.degree(round)).sum()
    }

    /// M
    pub fn mask_row(&self) -> usize {
        self.round_masks() + self.committed()
    }

    /// Where the masks of a round are in the mask row.
    pub fn round_mask_range(&self, round: usize) -> Range<usize> {
        let start = round * self.degree(0);
        start..start + self.degree(round)
    }

    /// R: runs of a column, each a row of the code.
    pub fn runs(&self) -> usize {
        1 << (self.log_rows - self.code.log_message)
    }

    /// K: coefficients of a row with those appended.
    pub fn row_coefficients(&self) -> usize {
        self.code.message() + self.code.queries
    }

    /// ceil(log2 G), ceil(log2 m)
    pub fn group_variables(&self) -> usize {
        log2_ceil(self.groups)
    }

    pub fn column_variables(&self) -> usize {
        log2_ceil(self.committed())
    }

    /// Powers of gamma that are used, without those of further claims and of shares.
    pub fn weights(&self) -> usize {
        self.inverse_columns() + 4 + SLACK_BITS + self.layout.slots
    }

    /// Words of a leaf of each tree.
    pub fn leaf_words(&self) -> [usize; 3] {
        let runs_of_row = 1 << (self.code.log_message - self.row_code.log_message);
        [self.base_columns() * self.runs() + 6, 2 * self.inverse_columns() * self.runs(), 2 * runs_of_row]
    }

    /// cut_t: the coefficient of the last block from which on slot t has no value.
    pub fn cut(&self, slot: usize) -> usize {
        let before = (self.blocks - 1) * self.layout.block_values() + slot * N;
        self.values.saturating_sub(before).min(N)
    }

    /// The first row of a block in its column, and the group of the block.
    pub fn place(&self, block: usize) -> (usize, usize) {
        (block / self.column_blocks, block % self.column_blocks * N)
    }
}

pub fn log2_ceil(count: usize) -> usize {
    count.next_power_of_two().ilog2() as usize
}
