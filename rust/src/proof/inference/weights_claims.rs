//! The linear claims over the committed weights (docs/inference-proofs.md, "Claims", Over WL rows): laid out for a prover, at
//! a point for a verifier. All of it is public.

use super::claims::{LayerPoint, LayerSent, eq_of};
use super::layer_shape::Layer;
use super::program::Kind;
use super::shape::Shape;
use super::weights_shape::Place;
use super::window::Window;
use crate::proof::column::Column;
use crate::proof::ext::{E, powers};
use crate::proof::multilinear::{eq_pair_from, eq_table};
use crate::proof::wide::tables;
use crate::proof::wide::{Width, ext::Element};

/// What the weights of a layer weigh, times its power of gamma_W.
pub enum LayerWeights {
    /// A Dense: weight (o, i) weighs outputs[o] inputs[i], i < K. `s` is the point of which `inputs` are the eq.
    Dense { outputs: Column, inputs: Column, s: Vec<E> },
    /// A Conv: each weight, in order.
    Conv(Column),
}

/// The claims m'(s) and v_B of all layers, times their powers of gamma_W.
pub struct WeightsClaims {
    pub layers: Vec<LayerWeights>,
    /// What the biases weigh, one after the other.
    pub biases: Column,
    /// What they come to over the cube, G_W included.
    pub sum: E,
    /// gamma_W^(2 i) and gamma_W^(2 i + 1)
    pub gamma_m: Vec<E>,
    pub gamma_b: Vec<E>,
}

impl WeightsClaims {
    /// `batch_sum` is S.
    pub fn new(shape: &Shape, batch_sum: E, points: &[LayerPoint], sent: &[LayerSent], gamma: E) -> Self {
        let powers = powers(gamma, 2 * shape.layers.len());
        let (gamma_m, gamma_b): (Vec<E>, Vec<E>) = powers.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
        let mut layers = Vec::with_capacity(shape.layers.len());
        let (mut biases, mut sum) = (Vec::new(), E::ZERO);
        for (number, (point, sent)) in points.iter().zip(sent).enumerate() {
            let layer = &shape.layers[number];
            let place = &shape.weights.places[number];
            let eq_outputs = eq_of(&point.outputs, layer.outputs);
            let each = layer.outputs / place.outputs;
            let factor = gamma_b[number] * batch_sum;
            let of_bias = |bias: usize| (bias * each..(bias + 1) * each).map(|output| eq_outputs.at(output)).sum::<E>();
            biases.extend((0..place.outputs).map(|bias| factor * of_bias(bias)));
            layers.push(layer_weights(shape, layer, point, gamma_m[number], &eq_outputs));
            sum += gamma_m[number] * sent.m + gamma_b[number] * sent.b;
        }
        Self { layers, biases: Column::of(biases), sum, gamma_m, gamma_b }
    }

    /// C_w of the columns that are wanted.
    pub fn laid_out(&self, shape: &Shape, wanted: impl Fn(usize) -> bool) -> Vec<(usize, Column)> {
        let (weights, rows) = (&shape.weights, shape.weights.rows());
        let room = |column| if wanted(column) { rows } else { 0 };
        let mut columns: Vec<Column> = (0..weights.columns).map(|column| Column::extension(room(column))).collect();
        let mut set = |entry: usize, weight: E| {
            let column = &mut columns[entry / rows];
            if column.len() > 0 {
                column.set(entry % rows, weight);
            }
        };
        for (place, layer) in weights.places.iter().zip(&self.layers) {
            match layer {
                LayerWeights::Dense { outputs, inputs, .. } => {
                    for (output, factor) in outputs.iter().enumerate() {
                        let first = place.start + output * place.stride;
                        if place.stride > rows || wanted(first / rows) {
                            (0..place.products).for_each(|input| set(first + input, factor * inputs.at(input)));
                        }
                    }
                }
                LayerWeights::Conv(all) => {
                    all.iter().enumerate().for_each(|(index, weight)| set(place.start + index, weight));
                }
            }
        }
        let first = weights.weight_columns * rows;
        self.biases.iter().enumerate().for_each(|(index, weight)| set(first + index, weight));
        columns.into_iter().enumerate().filter(|(_, column)| column.len() > 0).collect()
    }

    /// C_w of every column at a point: of a Dense in as many steps as it has outputs.
    pub fn at(&self, shape: &Shape, w: &[E]) -> Vec<E> {
        let weights = &shape.weights;
        let mut at = vec![E::ZERO; weights.columns];
        let eq = SplitEq::new(w);
        for (place, layer) in weights.places.iter().zip(&self.layers) {
            match layer {
                LayerWeights::Dense { outputs, s, .. } => add_dense(&mut at, place, outputs, s, w),
                LayerWeights::Conv(all) => eq.add_entries(&mut at, place.start, all),
            }
        }
        eq.add_entries(&mut at, weights.weight_columns * weights.rows(), &self.biases);
        at
    }
}

fn layer_weights(shape: &Shape, layer: &Layer, point: &LayerPoint, gamma: E, outputs: &Column) -> LayerWeights {
    let inputs = eq_of(&point.inputs, layer.inputs);
    let step = &shape.program.steps[layer.step];
    let scaled = |column: &Column| Column::of(column.iter().map(|entry| entry * gamma));
    match &step.kind {
        Kind::Conv { channels, window, .. } => {
            let source = &shape.program.value(step.sources[0]).shape;
            let (image, given) = ([source[1], source[2]], [step.value.shape[1], step.value.shape[2]]);
            LayerWeights::Conv(scaled(&kernels(window, [*channels, source[0]], image, given, outputs, &inputs)))
        }
        _ => LayerWeights::Dense { outputs: scaled(outputs), inputs, s: point.inputs.clone() },
    }
}

/// sum over the products with each weight of what its output and its input weigh.
fn kernels(
    window: &Window,
    [channels, deep]: [usize; 2],
    image: [usize; 2],
    given: [usize; 2],
    outputs: &Column,
    inputs: &Column,
) -> Column {
    let (places, size, windows) = (window.places(), image[0] * image[1], given[0] * given[1]);
    let mut kernels = Column::extension(channels * deep * places);
    let mut under = Column::extension(windows);
    for place in 0..places {
        let map: Vec<Option<usize>> = window.under(place, image, given).collect();
        for channel in 0..deep {
            for (index, found) in map.iter().enumerate() {
                under.set(index, found.map_or(E::ZERO, |found| inputs.at(channel * size + found)));
            }
            for output in 0..channels {
                let part = outputs.parts().map(|part| &part[output * windows..(output + 1) * windows]);
                let sum: Element = tables::dot(Width::best(), part, under.parts());
                kernels.set((output * deep + channel) * places + place, sum.into());
            }
        }
    }
    kernels
}

/// Add sum_(o, i < K) outputs[o] eq(s, i) eq(w, entry of (o, i)) to each column.
fn add_dense(at: &mut [E], place: &Place, outputs: &Column, s: &[E], w: &[E]) {
    // A row fills a part of a column that begins at a multiple of its length, or several whole columns.
    let (rows, stride) = (1usize << w.len(), place.stride);
    if stride <= rows {
        let (high, low) = w.split_at(w.len() - s.len());
        let within = eq_pair_from(s, low, 0) - eq_pair_from(s, low, place.products);
        let eq = eq_table(high);
        for (output, factor) in outputs.iter().enumerate() {
            let block = place.start / stride + output;
            at[block / eq.len()] += factor * eq.at(block % eq.len()) * within;
        }
        return;
    }
    let (high, low) = s.split_at(s.len() - w.len());
    let eq = eq_table(high);
    let parts: Vec<E> = (0..place.products.div_ceil(rows))
        .map(|part| {
            let end = (place.products - part * rows).min(rows);
            eq.at(part) * (eq_pair_from(low, w, 0) - eq_pair_from(low, w, end))
        })
        .collect();
    for (output, factor) in outputs.iter().enumerate() {
        let first = (place.start + output * stride) / rows;
        at[first..].iter_mut().zip(&parts).for_each(|(at, &part)| *at += factor * part);
    }
}

/// eq(w, x) for single x, without a table of all.
struct SplitEq {
    rows: usize,
    high: Column,
    low: Column,
}

impl SplitEq {
    fn new(w: &[E]) -> Self {
        let (high, low) = w.split_at(w.len() / 2);
        Self { rows: 1 << w.len(), high: eq_table(high), low: eq_table(low) }
    }

    /// Add what entries from `start` on of all columns, one after the other, come to at w.
    fn add_entries(&self, at: &mut [E], start: usize, entries: &Column) {
        let size = self.low.len();
        let mut first = 0;
        while first < entries.len() {
            // The entries of one run of `low`: with one factor of `high`.
            let entry = start + first;
            let (row, offset) = (entry % self.rows, entry % size);
            let end = entries.len().min(first + size - offset);
            let [re, im] = entries.parts().map(|part| &part[first..end]);
            let low = self.low.parts().map(|part| &part[offset..offset + end - first]);
            let sum: E = tables::dot(Width::best(), [re, im], low).into();
            at[entry / self.rows] += self.high.at(row / size) * sum;
            first = end;
        }
    }
}
