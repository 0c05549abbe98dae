//! The base columns of a proof: what one encryption hides, made again from its seeds.

use zeroize::{Zeroize, Zeroizing};

use super::blinding;
use super::column::Column;
use super::further::{Further, slack_row};
use super::multiplicity;
use super::published::published;
use super::shape::{ERRORS, SLACK_BITS, SMALL_RUN, Shape};
use crate::aligned::Aligned;
use crate::encryption::Encryption;
use crate::field;
use crate::key;
use crate::message::Rounder;
use crate::parallel;
use crate::ring::N;
use crate::rounding::{Rounding, Value};
use crate::sampling::{ETA, Noise, TILE};
use crate::shared::Shared;
use crate::sharing::Polynomials;
use crate::stream::{Purpose, Reader, Stream};

/// Why there is nothing to prove.
#[derive(Debug, PartialEq)]
pub enum Unprovable {
    /// The value with this index is not within the clip range.
    Value(usize),
    /// The sum of squares is over the bound.
    Norm,
    /// The commitments are not those of the shares.
    Shares,
    /// The further claim with this number is not true.
    Further(usize),
}

/// The base columns, groups first, then the auxiliary vector.
pub struct Witness {
    pub columns: Vec<Column>,
}

impl Witness {
    pub fn new<V: Value>(
        shape: &Shape,
        encryption: &Encryption,
        values: Shared<'_, V>,
        bound: u64,
        further: &Further,
        dealt: Option<&Polynomials>,
        threads: usize,
    ) -> Result<Self, Unprovable> {
        let mut columns = empty_columns(shape);
        let squares = fill_groups(shape, encryption, values, &mut columns, threads).map_err(Unprovable::Value)?;
        // Whether there is a proof at all is no secret.
        if !published(squares <= bound) {
            return Err(Unprovable::Norm);
        }
        let slack = bound.wrapping_sub(squares);
        let slacks = further.slacks(shape, &columns);
        if let Some(claim) = slacks.iter().position(|&slack| published(slack < 0)) {
            return Err(Unprovable::Further(claim));
        }
        let mut auxiliary = auxiliary(shape, &columns, threads);
        match dealt {
            Some(dealt) => set_shares(shape, &mut auxiliary, dealt),
            None => set_key(shape, &mut auxiliary, encryption),
        }
        set_slack(&mut auxiliary, shape.pad_row + SMALL_RUN - SLACK_BITS, slack);
        for (claim, &slack) in slacks.iter().enumerate() {
            set_slack(&mut auxiliary, slack_row(shape, claim), slack as u64);
        }
        columns.extend(auxiliary.chunks_exact(shape.rows()).map(|part| Column { re: part.to_vec(), im: Vec::new() }));
        Ok(Self { columns })
    }

    /// An entry of the auxiliary vector.
    pub fn auxiliary(&self, shape: &Shape, index: usize) -> u64 {
        self.columns[shape.auxiliary_column(index / shape.rows())].re[index % shape.rows()]
    }
}

fn empty_columns(shape: &Shape) -> Vec<Column> {
    let mut columns: Vec<Column> = (0..shape.auxiliary_column(0)).map(|_| Column::base(shape.rows())).collect();
    for group in 0..shape.groups {
        for slot in 0..shape.layout.slots {
            for limb in 0..shape.limbs {
                columns[shape.limb_column(group, slot, limb)].re.fill(limb_of(shape, shape.offset(), limb));
            }
        }
    }
    columns
}

#[inline(always)]
fn limb_of(shape: &Shape, raised: u64, limb: usize) -> u64 {
    raised >> (shape.limb_bits as usize * limb) & ((1 << shape.limb_bits) - 1)
}

/// The rows of one block: of its error column, and of its limb columns.
struct Rows<'a> {
    errors: &'a mut [u64],
    limbs: Vec<&'a mut [u64]>,
}

/// Fill in the blocks; the sum of all squares, or the index of the first value that is refused.
fn fill_groups<V: Value>(
    shape: &Shape,
    encryption: &Encryption,
    values: Shared<'_, V>,
    columns: &mut [Column],
    threads: usize,
) -> Result<u64, usize> {
    let mut blocks = Vec::with_capacity(shape.blocks);
    for group in columns.chunks_exact_mut(shape.auxiliary_column(0) / shape.groups) {
        let mut runs: Vec<_> = group.iter_mut().map(|column| column.re.chunks_exact_mut(N)).collect();
        for _ in 0..shape.column_blocks {
            let (errors, limbs) = runs.split_first_mut().expect("a group has an error column");
            blocks.push(Rows {
                errors: errors.next().expect("a run for every block"),
                limbs: limbs.iter_mut().map(|runs| runs.next().expect("a run for every block")).collect(),
            });
        }
    }
    blocks.truncate(shape.blocks);

    let stream = |purpose| Stream::new(encryption.noise_seed, purpose, &[encryption.parameters, encryption.context]);
    let (noise, rounding) = (stream(Purpose::Noise), stream(Purpose::Rounding));
    let share = parallel::share(shape.blocks, threads);
    let capacity = shape.layout.block_values();
    let mut squares = Zeroizing::new(vec![0; shape.blocks.div_ceil(share)]);
    let parts = blocks.chunks_mut(share).zip(values.chunks(share * capacity)).zip(squares.iter_mut()).enumerate();
    let done: Result<(), usize> = parallel::run(parts, |(part, ((blocks, values), squares))| {
        let mut worker = Worker::<V>::new(shape, encryption, noise.reader(), rounding.reader());
        for (offset, (rows, values)) in blocks.iter_mut().zip(values.chunks(capacity)).enumerate() {
            let block = part * share + offset;
            worker.fill(block as u64, values, rows).map_err(|index| block * capacity + index)?;
        }
        *squares = worker.squares;
        Ok(())
    });
    done?;
    Ok(squares.iter().sum())
}

struct Worker<'a, V: Value> {
    shape: &'a Shape,
    noise: Noise,
    rounder: Rounder<V>,
    squares: u64,
    small: Aligned<i64, N>,
}

impl<V: Value> Drop for Worker<'_, V> {
    fn drop(&mut self) {
        self.squares.zeroize();
    }
}

impl<'a, V: Value> Worker<'a, V> {
    fn new(shape: &'a Shape, encryption: &Encryption, noise: Reader, coins: Reader) -> Self {
        let largest = shape.layout.largest() as f64;
        let rounding = Rounding { clip: encryption.clip, factor: encryption.factor, largest };
        let (noise, rounder) = (Noise::new(noise), Rounder::new(rounding, coins));
        Self { shape, noise, rounder, squares: 0, small: Aligned::zero() }
    }

    /// The errors of a block and the limbs of its values, as its encryption made them.
    fn fill(&mut self, block: u64, values: Shared<'_, V>, rows: &mut Rows) -> Result<(), usize> {
        let small = &mut *self.small;
        self.noise.polynomial(block, small);
        for (row, &error) in rows.errors.iter_mut().zip(small.iter()) {
            *row = field::add_signed(0, error);
        }
        for (slot, limbs) in rows.limbs.chunks_exact_mut(self.shape.limbs).enumerate() {
            small.fill(0);
            for (tile, sum) in small.as_chunks_mut().0.iter_mut().enumerate() {
                let first = slot * N + tile * TILE;
                let Some(values) = values.part(first, TILE) else { break };
                self.rounder.add(block, first, values, 0, sum)?;
            }
            self.squares += small.iter().map(|&value| (value * value) as u64).sum::<u64>();
            let offset = self.shape.offset();
            for (limb, rows) in limbs.iter_mut().enumerate() {
                for (row, &value) in rows.iter_mut().zip(small.iter()) {
                    *row = limb_of(self.shape, offset.wrapping_add_signed(value), limb);
                }
            }
        }
        Ok(())
    }
}

fn set_slack(y: &mut [u64], row: usize, slack: u64) {
    y[row..][..SLACK_BITS].iter_mut().enumerate().for_each(|(bit, entry)| *entry = slack >> bit & 1);
}

/// pi and s, where a keeper has them.
fn set_key(shape: &Shape, y: &mut [u64], encryption: &Encryption) {
    let pad = blinding::pad(encryption.key_seed, encryption.parameters);
    (y[shape.pad_row], y[shape.pad_row + 1]) = (pad.re, pad.im);
    y[shape.secret_row..][..N].copy_from_slice(&*key::secret(encryption.key_seed, encryption.parameters));
}

/// s, what hides it in its shares, and the mask of these.
fn set_shares(shape: &Shape, y: &mut [u64], dealt: &Polynomials) {
    y[shape.secret_row..][..dealt.values.len()].copy_from_slice(&dealt.values);
    for (entry, mask) in y[shape.mask_share_row()..].chunks_exact_mut(2).zip(dealt.mask.iter()) {
        entry.copy_from_slice(&mask.parts());
    }
}

/// The long auxiliary vector: uses of the tables. What the key is, and the slacks, are still to come.
fn auxiliary(shape: &Shape, groups: &[Column], threads: usize) -> Zeroizing<Vec<u64>> {
    let mut y = Zeroizing::new(vec![0; shape.auxiliary * shape.rows()]);
    let group_columns = groups.len() / shape.groups;
    let limbs: Vec<&[u64]> = groups
        .chunks_exact(group_columns)
        .flat_map(|group| group[1..].iter().map(|column| column.re.as_slice()))
        .collect();
    let table = 1 << shape.limb_bits;
    y[..table].copy_from_slice(&multiplicity::count(&limbs, 0, table, threads));
    let errors: Vec<&[u64]> = groups.iter().step_by(group_columns).map(|column| column.re.as_slice()).collect();
    y[shape.errors_row..][..ERRORS].copy_from_slice(&multiplicity::count(&errors, u64::from(ETA), ERRORS, threads));
    y
}
