//! Which runs of weights there are: the claims about the key, the pad, the slack and the empty slots, and further ones.

use super::column::{Column, dot};
use super::ext::E;
use super::further::{self, Further};
use super::multilinear::{eq, eq_index, eq_pair_from, eq_table};
use super::run::{Run, Target};
use super::shape::{SLACK_BITS, SMALL_RUN, Shape};
use super::weights::Weights;
use super::wide::Width;
use super::wide::combine::dot_base;
use crate::ring::N;
use crate::sharing::Threshold;

/// The point that the relation is checked at, and the others that weights follow from.
pub struct Points<'a> {
    pub tau: &'a [E],
    pub zeta: &'a [E],
    /// W_s
    pub key: &'a Column,
}

impl Points<'_> {
    /// The point that gives z_j: the last entries of zeta.
    fn across(&self, sharing: Threshold) -> &[E] {
        &self.zeta[self.zeta.len() - sharing.words().ilog2() as usize..]
    }

    /// tau_lo
    fn coefficient(&self) -> &[E] {
        &self.tau[self.tau.len() - N.ilog2() as usize..]
    }
}

/// All runs of a proof, laid out.
pub fn runs(shape: &Shape, weights: &Weights, points: &Points) -> Vec<Run> {
    let binding = eq_table(points.zeta);
    let (relation_weight, binding_weight) = (weights.relation(shape), weights.binding(shape));
    let mut key = Column::of((0..N).map(|row| relation_weight * points.key.at(row) + binding_weight * binding.at(row)));
    if let Some(sharing) = shape.sharing {
        let (shares, across) = (weights.shares(shape), eq_table(points.across(sharing)));
        for row in 0..N {
            let (point, index) = (row / sharing.words(), row % sharing.words());
            key.set(row, key.at(row) + shares[point] * across.at(index));
        }
    }
    let (linear, squares) = small_weights(shape, weights);
    let mut laid_out = vec![(0, key), (0, Column::of(linear)), (0, Column::of(squares))];
    let coefficients = eq_table(points.coefficient());
    for slot in 0..shape.layout.slots {
        let (weight, cut) = (weights.cut(shape, slot), shape.cut(slot));
        let from_cut = (0..N).map(|i| if i < cut { E::ZERO } else { weight * coefficients.at(i) });
        laid_out.push((cut, Column::of(from_cut)));
    }
    for claim in 0..weights.further.count() {
        let (linear, squares) = slack_weights(shape, weights, claim);
        laid_out.extend([(0, Column::of(linear)), (0, Column::of(squares))]);
    }
    if !weights.further.norms.is_empty() {
        laid_out.extend(further::places(shape).map(|place| (0, norm_weights(shape, weights, place))));
    }
    if let Some(direction) = &weights.further.direction {
        let weight = weights.claim(shape, weights.further.norms.len());
        laid_out.extend(further::places(shape).map(|(group, slot)| {
            let entries = direction.column(shape, group, slot);
            (0, Column::of(entries.iter().map(|&entry| weight.scale(entry))))
        }));
    }
    if let Some(sharing) = shape.sharing {
        let (shares, across) = (weights.shares(shape), eq_table(points.across(sharing)));
        laid_out.extend(
            shares[sharing.packing..]
                .iter()
                .map(|&weight| (0, Column::of(across.iter().map(|across| weight * across)))),
        );
        laid_out.push((0, Column::of(mask_share_weights(shape, weights))));
    }
    let places = places(shape, weights.further).into_iter().zip(laid_out);
    places
        .map(|(place, (zeros, weights))| {
            debug_assert_eq!(place.length, weights.len());
            Run { target: place.target, first: place.first, weights, zeros }
        })
        .collect()
}

/// The weights of squares in the columns of a group and slot: those of the parts' norms.
fn norm_weights(shape: &Shape, weights: &Weights, (group, slot): (usize, usize)) -> Column {
    let mut laid_out = Column::extension(shape.rows());
    for (claim, norm) in weights.further.norms.iter().enumerate() {
        let weight = weights.claim(shape, claim);
        norm.rows(shape, group, slot).for_each(|row| laid_out.set(row, laid_out.at(row) + weight));
    }
    laid_out
}

/// The targets of the runs.
pub fn targets(shape: &Shape, further: &Further) -> Vec<Target> {
    places(shape, further).into_iter().map(|place| place.target).collect()
}

/// The runs at a point, in closed form.
pub fn runs_at(shape: &Shape, weights: &Weights, points: &Points, z: &[E]) -> Vec<E> {
    let (_, low) = z.split_at(z.len() - N.ilog2() as usize);
    let (linear, squares) = small_weights(shape, weights);
    let small = eq_table(&z[z.len() - SMALL_RUN.ilog2() as usize..]);
    let mut values = vec![
        weights.relation(shape) * dot(points.key, &eq_table(low)) + weights.binding(shape) * eq(points.zeta, low),
        dot(&Column::of(linear), &small),
        dot(&Column::of(squares), &small),
    ];
    for slot in 0..shape.layout.slots {
        values.push(weights.cut(shape, slot) * eq_pair_from(points.coefficient(), low, shape.cut(slot)));
    }
    for claim in 0..weights.further.count() {
        let (linear, squares) = slack_weights(shape, weights, claim);
        values.extend([dot(&Column::of(linear), &small), dot(&Column::of(squares), &small)]);
    }
    if !weights.further.norms.is_empty() {
        values.extend(further::places(shape).map(|(group, slot)| {
            let norms = weights.further.norms.iter().enumerate();
            norms.map(|(claim, norm)| weights.claim(shape, claim) * norm.at(shape, group, slot, z)).sum::<E>()
        }));
    }
    if let Some(direction) = &weights.further.direction {
        let (weight, rows) = (weights.claim(shape, weights.further.norms.len()), eq_table(z));
        values.extend(further::places(shape).map(|(group, slot)| {
            weight * E::from(dot_base(Width::best(), direction.column(shape, group, slot), rows.parts()))
        }));
    }
    if let Some(sharing) = shape.sharing {
        let (shares, across) = (weights.shares(shape), points.across(sharing));
        let (above, below) = low.split_at(low.len() - across.len());
        let at = eq(across, below);
        values[0] += (0..sharing.packing).map(|point| shares[point] * at * eq_index(above, point)).sum::<E>();
        values.extend(shares[sharing.packing..].iter().map(|&weight| weight * at));
        let mask = mask_share_weights(shape, weights);
        values.push(dot(&Column::of(mask), &eq_table(&z[z.len() - shape.mask_share_rows().ilog2() as usize..])));
    }
    for (value, place) in values.iter_mut().zip(places(shape, weights.further)) {
        let variables = place.length.ilog2() as usize;
        *value = *value * eq_index(&z[..z.len() - variables], place.first >> variables);
    }
    values
}

/// A run without its weights.
struct Place {
    target: Target,
    first: usize,
    length: usize,
}

/// In the order of the runs: s; pi and the bits, twice; each slot of the last block; the bits of each further claim,
/// twice; all squares, where parts have norms; all values, where there is a direction; where the key is in shares, what
/// hides it, for each base point, and the mask.
fn places(shape: &Shape, further: &Further) -> Vec<Place> {
    let column = |index: usize| (shape.auxiliary_column(index / shape.rows()), index % shape.rows());
    let ((key, first), length) = (column(shape.secret_row), N);
    let mut places = vec![Place { target: Target::Linear(key), first, length }];
    places.extend(small_places(column(shape.pad_row)));
    let (_, last) = shape.place(shape.blocks - 1);
    let group = shape.groups - 1;
    places.extend((0..shape.layout.slots).map(|slot| Place {
        target: Target::Rounded { group, slot },
        first: last,
        length,
    }));
    let slacks = (0..further.count()).map(|claim| further::slack_row(shape, claim) + SLACK_BITS - SMALL_RUN);
    places.extend(slacks.flat_map(|row| small_places(column(row))));
    let dense = |target| Place { target, first: 0, length: shape.rows() };
    if !further.norms.is_empty() {
        places.extend(further::places(shape).map(|(group, slot)| dense(Target::RoundedSquare { group, slot })));
    }
    if further.direction.is_some() {
        places.extend(further::places(shape).map(|(group, slot)| dense(Target::Rounded { group, slot })));
    }
    if let Some(sharing) = shape.sharing {
        let hiding = (sharing.packing..sharing.recovery()).map(|point| (shape.share_row(point), sharing.words()));
        places.extend(hiding.chain([(shape.mask_share_row(), shape.mask_share_rows())]).map(|(row, length)| {
            let (column, first) = column(row);
            Place { target: Target::Linear(column), first, length }
        }));
    }
    places
}

/// The weights of the mask's values at the base points, part of 1 and part of X each.
fn mask_share_weights(shape: &Shape, weights: &Weights) -> Vec<E> {
    let mut laid_out: Vec<E> = weights.shares(shape).iter().flat_map(|&weight| [weight, weight.times_x()]).collect();
    laid_out.resize(shape.mask_share_rows(), E::ZERO);
    laid_out
}

/// Bits of a slack and what is before them, and their squares.
fn small_places((column, first): (usize, usize)) -> [Place; 2] {
    [Target::Linear(column), Target::Square(column)].map(|target| Place { target, first, length: SMALL_RUN })
}

/// The weights of the bits of a further claim's slack, and those of their squares. What a norm's squares lack of the bound
/// is added to them; the slack of a direction is what its products add up to.
fn slack_weights(shape: &Shape, weights: &Weights, claim: usize) -> (Vec<E>, Vec<E>) {
    let weight = weights.claim(shape, claim);
    let weight = if claim < weights.further.norms.len() { weight } else { E::ZERO - weight };
    let (mut linear, mut squares) = (vec![E::ZERO; 2], vec![E::ZERO; 2]);
    for bit in 0..SLACK_BITS {
        let boolean = weights.claim_bit(shape, claim, bit);
        linear.push(weight.scale(1 << bit) - boolean);
        squares.push(boolean);
    }
    (linear, squares)
}

/// The weights of pi and of the bits, and those of their squares.
fn small_weights(shape: &Shape, weights: &Weights) -> (Vec<E>, Vec<E>) {
    let binding = weights.binding(shape);
    let (mut linear, mut squares) = (vec![binding, binding.times_x()], vec![E::ZERO; 2]);
    for bit in 0..SLACK_BITS {
        let boolean = weights.bit(shape, bit);
        linear.push(weights.norm(shape).scale(1 << bit) - boolean);
        squares.push(boolean);
    }
    (linear, squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::proof::constraint::weighed;
    use crate::proof::further::{Direction, PartNorm};

    /// The sums row by row, with the columns as lines.
    fn plainly(run: &Run, shape: &Shape, weights: &Weights, columns: &[&Column], half: usize) -> [E; 4] {
        let mut sums = [E::ZERO; 4];
        for index in 0..run.weights.len().min(half) {
            let (weight, slope) = run.line(half, index);
            let row = run.first % half + index;
            for (x, sum) in sums.iter_mut().enumerate() {
                let at = |low: E, rise: E| low + rise.scale(x as u64);
                let line = |column: &&Column| at(column.at(row), column.at(row + half) - column.at(row));
                let values: Vec<E> = columns.iter().map(line).collect();
                *sum += at(weight, slope) * weighed(shape, weights, &values, run.target);
            }
        }
        sums
    }

    #[test]
    fn runs_fold_to_their_closed_form() {
        let layout = Layout::new(16, 2, 24, 15).unwrap();
        let sharings = [None, Some((8, 3, 2)), Some((5, 2, 1)), Some((8, 1, 4))];
        let sizes = [5, 2 * 2 * N + N + 9, 9 * 2 * N];
        for (values, sharing) in sizes.into_iter().flat_map(|size| sharings.map(|sharing| (size, sharing))) {
            let shape = Shape::new(layout, values).unwrap();
            let element = |seed: usize, i: usize| E::new((seed * 1000 + 7 * i + 1) as u64, (seed + i * i) as u64);
            let norm = |first, end| PartNorm { first, end, bound: 7 };
            let norms = vec![norm(0, values), norm(3, 4), norm(values / 3, values - 1)];
            let entries: Vec<i16> = (0..values).map(|i| (i * i * 31) as i16).collect();
            let further = Further::new(&shape, norms, Some(Direction::new(&shape, &entries))).unwrap();
            let shape = match sharing {
                Some((members, privacy, packing)) => {
                    shape.shared(Threshold::new(members, privacy, packing).unwrap()).unwrap()
                }
                None => shape,
            };
            let weights = Weights::new(&shape, &further, element(1, 1), element(2, 2));
            let key = Column::of((0..N).map(|i| element(3, i)));
            let tau: Vec<E> = (0..shape.log_rows).map(|i| element(4, i)).collect();
            let zeta: Vec<E> = (0..12).map(|i| element(5, i)).collect();
            let z: Vec<E> = (0..shape.log_rows).map(|i| element(6, i)).collect();
            let points = Points { tau: &tau, zeta: &zeta, key: &key };
            let mut runs = runs(&shape, &weights, &points);
            let mut columns: Vec<Column> = (0..shape.base_columns())
                .map(|seed| Column { re: (0..shape.rows()).map(|i| ((seed + 3) * i * i) as u64).collect(), im: vec![] })
                .collect();
            let mut half = shape.rows();
            for &z in &z {
                half /= 2;
                let all: Vec<&Column> = columns.iter().collect();
                for run in &runs {
                    assert_eq!(*run.sums(&shape, &weights, &all, half), plainly(run, &shape, &weights, &all, half));
                }
                columns = columns.iter().map(|column| column.folded(z)).collect();
                for run in &mut runs {
                    let (low, slope) = run.line(half, 0);
                    let row = run.first % half;
                    run.fold(half, z);
                    assert_eq!(run.first, row);
                    assert_eq!(run.weights.at(0), low + slope * z);
                }
            }
            let folded: Vec<E> = runs.iter().map(|run| run.weights.at(0)).collect();
            assert_eq!(folded, runs_at(&shape, &weights, &points, &z));
            assert!(runs.iter().map(|run| run.target).eq(targets(&shape, &further)));
        }
    }
}
