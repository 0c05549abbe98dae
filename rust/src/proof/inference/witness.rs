//! What a batch of inferences is between the layers, as columns: Q, R, Y, I, and the uses of the tables.
//!
//! The sums of Dense and Conv come from whoever has run the model; those of Sums and pools follow from them. Nothing here
//! branches on a value or has one as an index.

use zeroize::Zeroizing;

use super::looked_up::{entry_of, signed};
use super::program::{Kind, Step};
use super::public::check_places;
use super::rounded::Rounded;
use super::shape::{I, Q, R, Shape, VECTORS, Y};
use super::uses::uses;
use crate::parallel;
use crate::proof::column::Column;

/// What a model has computed for a batch, sample after sample.
pub struct Trace<'a> {
    pub inputs: &'a [i32],
    /// For each Dense and Conv whose sums do not come out, in order: those with their biases, before half of a step is added.
    pub sums: &'a [&'a [i32]],
    /// The places that an ArgMax answers, sample by sample; without one nothing is asked of them.
    pub outputs: &'a [i32],
    /// With hidden inputs: what blinds their hashes.
    pub randomness: Option<&'a [i32]>,
}

/// The base columns.
pub struct Witness {
    pub columns: Vec<Column>,
}

impl Witness {
    /// The columns of a batch, or what about the trace has another length than the shape's.
    pub fn new(shape: &Shape, trace: &Trace, threads: usize) -> Result<Self, String> {
        check_lengths(shape, trace)?;
        let mut columns: Vec<Column> = (0..shape.base_columns()).map(|_| Column::base(shape.rows())).collect();
        Filling::new(shape, &mut columns, threads).fill(trace);
        #[allow(unused_mut)]
        let mut uses = Zeroizing::new(uses(shape, &columns, threads));
        #[cfg(test)]
        super::lies::uses(&mut uses);
        for (column, uses) in columns[shape.table_columns.clone()].iter_mut().zip(uses.chunks(shape.rows())) {
            column.re[..uses.len()].copy_from_slice(uses);
        }
        Ok(Self { columns })
    }
}

fn check_lengths(shape: &Shape, trace: &Trace) -> Result<(), String> {
    let batch = shape.batch;
    let counted = |what: String, found: usize, each: usize| match found == batch * each {
        true => Ok(()),
        false => Err(format!("{found} {what} are not {batch} times {each}")),
    };
    counted("entries of inputs".into(), trace.inputs.len(), shape.program.input.features())?;
    let hidden: Vec<_> = shape.layers.iter().filter(|layer| layer.is_hidden()).collect();
    if hidden.len() != trace.sums.len() {
        return Err(format!("sums of {} steps, {} are rounded or compared", trace.sums.len(), hidden.len()));
    }
    for (layer, sums) in hidden.iter().zip(trace.sums) {
        counted(format!("sums of step {}", layer.step + 1), sums.len(), layer.outputs)?;
    }
    check_places(shape, trace.outputs)?;
    match (shape.hashing, trace.randomness) {
        (Some(hashing), Some(randomness)) => {
            counted("entries of the hashes' randomness".into(), randomness.len(), hashing.blinds)
        }
        (None, None) => Ok(()),
        (Some(_), None) => Err("hidden inputs have hashes, whose randomness is missing".into()),
        (None, Some(_)) => Err("inputs are not hidden, and randomness of hashes stands there".into()),
    }
}

/// Features whose samples are turned over together: a line of a cache.
const TILE: usize = 16;

/// Nanoseconds that an entry takes to round and to turn over.
const ENTRY: usize = 4;

/// The columns of Q, R, Y and I, a run of B' samples for each feature.
struct Filling<'a> {
    shape: &'a Shape,
    rows: [Vec<&'a mut [u64]>; VECTORS],
    /// Whether a value is asked for by a Sum or a pool, and then its features, B' samples each.
    needed: Vec<bool>,
    values: Vec<Zeroizing<Vec<i64>>>,
    threads: usize,
}

impl<'a> Filling<'a> {
    fn new(shape: &'a Shape, columns: &'a mut [Column], threads: usize) -> Self {
        let samples = shape.samples();
        let mut columns = columns.iter_mut();
        let rows = [Q, R, Y, I].map(|vector| {
            let columns = columns.by_ref().take(shape.columns[vector].len());
            let rows = columns.flat_map(|column| column.re.chunks_exact_mut(samples));
            rows.take(shape.features[vector]).collect()
        });
        let steps = &shape.program.steps;
        let mut needed = vec![false; steps.len() + 1];
        for (number, step) in steps.iter().enumerate().rev() {
            let asks = match step.kind {
                Kind::Dense { .. } | Kind::Conv { .. } => false,
                Kind::Sum { .. } | Kind::AveragePool { .. } | Kind::MaxPool { .. } | Kind::ArgMax { .. } => true,
                Kind::Flatten => needed[number + 1],
            };
            step.sources.iter().for_each(|&source| needed[source] |= asks);
        }
        let values = needed.iter().map(|_| Zeroizing::default()).collect();
        Self { shape, rows, needed, values, threads }
    }

    fn fill(mut self, trace: &Trace) {
        let shape = self.shape;
        let samples = shape.samples();
        let input = shape.program.input.features();
        if let (Some(hashing), Some(randomness)) = (shape.hashing, trace.randomness) {
            let (inputs, blinds) = self.rows[I].split_at_mut(input);
            enter(trace.inputs, input, inputs, self.threads);
            enter(randomness, hashing.blinds, blinds, self.threads);
        }
        if self.needed[0] {
            self.values[0] = turned(trace.inputs, input, samples);
        }
        let mut sums = trace.sums.iter();
        for (number, step) in shape.program.steps.iter().enumerate() {
            match &step.kind {
                Kind::Dense { .. } | Kind::Conv { .. } if step.gives_sums() => {
                    if self.needed[number + 1] {
                        let sums = sums.next().expect("their number was looked at");
                        self.values[number + 1] = turned(sums, step.value.features(), samples);
                    }
                    continue;
                }
                Kind::Dense { .. } | Kind::Conv { .. } => {
                    self.fill_layer(number, sums.next().expect("their number was looked at"));
                }
                Kind::Sum { .. } | Kind::AveragePool { .. } => self.fill_sum(number, step),
                Kind::MaxPool { .. } => self.fill_largest(number, step),
                Kind::Flatten => {
                    if self.needed[number + 1] {
                        self.values[number + 1] = self.values[step.sources[0]].clone();
                    }
                    continue;
                }
                Kind::ArgMax { .. } => {
                    self.fill_compared(trace.outputs);
                    continue;
                }
            }
            if self.needed[number + 1] && !matches!(step.kind, Kind::MaxPool { .. }) {
                let cell = shape.cells.of_rounded(number);
                let mut value = Zeroizing::new(vec![0; cell.features * samples]);
                for (value, row) in value.chunks_exact_mut(samples).zip(&self.rows[Y][cell.range()]) {
                    value.iter_mut().zip(row.iter()).for_each(|(value, &entry)| *value = signed(entry));
                }
                self.values[number + 1] = value;
            }
        }
        #[cfg(test)]
        if let Some(cell) = shape.cells.laid_out.first().map(|&cell| &shape.cells.all[cell]) {
            let [q, r, y] = self.rows_of(0..1, cell.shift > 0);
            super::lies::witness(cell.shift, &mut q[0][0], r.first_mut().map(|r| &mut r[0]), &mut y[0][0]);
        }
        #[cfg(test)]
        if let Some((feature, sample)) = super::lies::remainder() {
            let cell = shape.cells.all.iter().find(|cell| cell.range().contains(&feature)).expect("a cell's feature");
            let [q, r, y] = self.rows_of(feature..feature + 1, cell.shift > 0);
            super::lies::other_sum(cell, &mut q[0][sample], r.first_mut().map(|r| &mut r[sample]), &mut y[0][sample]);
        }
    }

    fn fill_layer(&mut self, number: usize, sums: &[i32]) {
        let shape = self.shape;
        let (batch, samples) = (shape.batch, shape.samples());
        let cell = shape.cells.of_rounded(number);
        let threads = parallel::worth(self.threads, cell.features * batch, ENTRY);
        let [q, r, y] = self.rows_of(cell.range(), cell.shift > 0);
        let rounded = Rounded { shift: cell.shift, low: cell.low, high: cell.high };
        let share = parallel::share(cell.features.div_ceil(TILE), threads) * TILE;
        let mut parts = Vec::new();
        let mut r = r.chunks_mut(share);
        for ((first, q), y) in (0..).step_by(share).zip(q.chunks_mut(share)).zip(y.chunks_mut(share)) {
            parts.push((first, q, r.next().unwrap_or_default(), y));
        }
        let done: Result<(), ()> = parallel::run(parts.into_iter(), |(first, q, r, y)| {
            // A little apart, so that features do not compete for the same lines of a cache.
            let stride = samples + 8;
            let mut tile = Zeroizing::new(vec![0i64; TILE * stride]);
            for start in (0..q.len()).step_by(TILE) {
                let count = TILE.min(q.len() - start);
                for (sample, sums) in sums.chunks_exact(cell.features).enumerate() {
                    for (index, &sum) in sums[first + start..][..count].iter().enumerate() {
                        tile[index * stride + sample] = i64::from(sum);
                    }
                }
                for (index, sums) in tile.chunks_exact(stride).take(count).enumerate() {
                    let r = r.get_mut(start + index).map(|row| &mut row[..batch]);
                    let row = start + index;
                    rounded.fill(&sums[..batch], &mut q[row][..batch], r, &mut y[row][..batch]);
                }
            }
            Ok(())
        });
        done.expect("no part fails");
    }

    fn rows_of(&mut self, range: std::ops::Range<usize>, rounded: bool) -> [&mut [&'a mut [u64]]; 3] {
        let [q, r, y, _] = &mut self.rows;
        let r = if rounded { &mut r[range.clone()] } else { &mut [] };
        [&mut q[range.clone()], r, &mut y[range]]
    }

    /// The cell of a Sum or an AveragePool.
    fn fill_sum(&mut self, number: usize, step: &Step) {
        let shape = self.shape;
        let (batch, samples) = (shape.batch, shape.samples());
        let cell = shape.cells.of_rounded(number);
        let mut sums = Zeroizing::new(vec![0i64; cell.features * samples]);
        let mut add = |feature: usize, from: &[i64], factor: i64| {
            let sums = &mut sums[feature * samples..][..samples];
            sums.iter_mut().zip(from).for_each(|(sum, &value)| *sum += factor * value);
        };
        match &step.kind {
            Kind::Sum { left_shifts, .. } => {
                for (&source, shift) in step.sources.iter().zip(left_shifts) {
                    let rows = self.values[source].chunks_exact(samples).enumerate();
                    rows.for_each(|(feature, row)| add(feature, row, 1 << shift));
                }
            }
            Kind::AveragePool { window, multiplier, .. } => {
                let source = step.sources[0];
                for place in 0..window.places() {
                    for (feature, under) in unders(shape, step, place) {
                        let under = under.expect("no pads");
                        add(feature, &self.values[source][under * samples..][..samples], *multiplier as i64);
                    }
                }
            }
            _ => unreachable!("only Sums and AveragePools come here"),
        }
        let [q, r, y] = self.rows_of(cell.range(), cell.shift > 0);
        let rounded = Rounded { shift: cell.shift, low: cell.low, high: cell.high };
        for (index, sums) in sums.chunks_exact(samples).enumerate() {
            let r = r.get_mut(index).map(|row| &mut row[..batch]);
            rounded.fill(&sums[..batch], &mut q[index][..batch], r, &mut y[index][..batch]);
        }
    }

    /// The cells of a MaxPool: what each place is above the largest of those before it.
    fn fill_largest(&mut self, number: usize, step: &Step) {
        let shape = self.shape;
        let (batch, samples) = (shape.batch, shape.samples());
        let (source, features) = (step.sources[0], step.value.features());
        let low = shape.program.value(source).low;
        let mut largest = Zeroizing::new(vec![0i64; features * samples]);
        let mut values = Zeroizing::new(vec![low; samples]);
        let cells = shape.cells.of_step[number].clone();
        for place in 0..cells.len() + 1 {
            let cell = place.checked_sub(1).map(|cell| &shape.cells.all[cells.start + cell]);
            for (feature, under) in unders(shape, step, place) {
                match under {
                    Some(under) => values.copy_from_slice(&self.values[source][under * samples..][..samples]),
                    None => values.fill(low),
                }
                let largest = &mut largest[feature * samples..][..batch];
                let Some(cell) = cell else {
                    largest.copy_from_slice(&values[..batch]);
                    continue;
                };
                let index = cell.offset + feature;
                let [q, _, y, _] = &mut self.rows;
                let (q, y) = (&mut q[index][..batch], &mut y[index][..batch]);
                values.iter_mut().zip(largest.iter()).for_each(|(value, &largest)| *value -= largest);
                Rounded { shift: 0, low: 0, high: cell.high }.fill(&values[..batch], q, None, y);
                largest.iter_mut().zip(y).for_each(|(largest, y)| *largest += signed(*y));
            }
        }
        if self.needed[number + 1] {
            self.values[number + 1] = largest;
        }
    }

    /// The cells of an ArgMax: how far each value is below that at the answer, which is public.
    fn fill_compared(&mut self, answers: &[i32]) {
        let shape = self.shape;
        let compares = shape.program.compares().expect("it ends in one");
        let samples = shape.samples();
        let values = std::mem::take(&mut self.values[compares.source]);
        let [distances, largest] = shape.cells.compared();
        for (sample, &answer) in answers.iter().enumerate() {
            let (answer, strict) = (answer as usize, compares.strict(answer as usize));
            let at = |place: usize| values[place * samples + sample];
            #[cfg(not(test))]
            let least = |place: usize| at(place) + i64::from(strict.contains(&place));
            #[cfg(test)]
            let least = |place: usize| at(place) + i64::from(super::lies::strict(strict.contains(&place)));
            #[allow(unused_mut)]
            let mut top = at(answer);
            #[cfg(test)]
            super::lies::largest(&mut top, (0..compares.features).map(least));
            for place in 0..compares.features {
                self.enter_digits(distances.offset + place, sample, compares.shift, top - least(place));
            }
            self.enter_digits(largest.offset, sample, compares.shift, top - compares.floor);
        }
    }

    fn enter_digits(&mut self, feature: usize, sample: usize, shift: u32, number: i64) {
        let upper = number >> shift;
        self.rows[Q][feature][sample] = entry_of(upper);
        if shift > 0 {
            self.rows[R][feature][sample] = (number - (upper << shift)) as u64;
        }
    }
}

/// Integers, sample after sample, as features of `samples` each, filled up with 0.
fn turned(entries: &[i32], features: usize, samples: usize) -> Zeroizing<Vec<i64>> {
    let mut turned = Zeroizing::new(vec![0; features * samples]);
    for (sample, entries) in entries.chunks_exact(features).enumerate() {
        for (feature, &entry) in entries.iter().enumerate() {
            turned[feature * samples + sample] = i64::from(entry);
        }
    }
    turned
}

/// For each feature that a pool gives, the feature of its source that is under a place of its window.
fn unders<'b>(shape: &'b Shape, step: &'b Step, place: usize) -> impl Iterator<Item = (usize, Option<usize>)> + 'b {
    let (Kind::AveragePool { window, .. } | Kind::MaxPool { window }) = &step.kind else {
        unreachable!("only pools come here")
    };
    let (from, to) = (&shape.program.value(step.sources[0]).shape, &step.value.shape);
    let (image, given) = ([from[1], from[2]], [to[1], to[2]]);
    let channels = 0..to[0];
    let size = image[0] * image[1];
    let under = channels.flat_map(move |channel| {
        window.under(place, image, given).map(move |under| under.map(|under| channel * size + under))
    });
    under.enumerate()
}

/// Integers, sample after sample, as rows of features.
fn enter(entries: &[i32], features: usize, rows: &mut [&mut [u64]], _threads: usize) {
    for (sample, entries) in entries.chunks_exact(features).enumerate() {
        for (row, &entry) in rows.iter_mut().zip(entries) {
            row[sample] = entry_of(i64::from(entry));
        }
    }
}
