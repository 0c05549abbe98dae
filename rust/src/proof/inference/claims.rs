//! The linear claims that challenges make of Q, R, Y and I (docs/inference-proofs.md, "Claims", Over L rows): their weights
//! over features, added up with the powers of gamma, and the sum that they come to.

use super::cells::{Pulling, add_all};
use super::layer_shape::{Gives, Layer};
use super::place::{Place, ties};
use super::program::Kind;
use super::public::Batch;
use super::shape::{I, Q, R, Shape, VECTORS, Y};
use crate::field;
use crate::field_hash::FieldHash;
use crate::proof::column::{Column, dot};
use crate::proof::ext::{E, powers};
use crate::proof::multilinear::eq_table;
use crate::proof::transcript::Transcript;

/// What was drawn for a Dense or Conv.
pub struct LayerPoint {
    /// r_o
    pub outputs: Vec<E>,
    /// s
    pub inputs: Vec<E>,
}

/// What was sent for a Dense or Conv, or is public.
#[derive(Clone, Copy)]
pub struct LayerSent {
    /// v_A, or of sums that come out A, which is public.
    pub a: E,
    /// v_B
    pub b: E,
    /// X'(s), or X(s) where it is public.
    pub x: E,
    /// m'(s)
    pub m: E,
}

/// What is drawn when all layers are through.
pub struct Maps {
    /// r_t of each cell of a Sum, AveragePool or MaxPool.
    pub cells: Vec<Vec<E>>,
    /// r_t of an ArgMax of a value.
    pub compared: Vec<E>,
    /// r_h, with hidden inputs.
    pub hash: Vec<E>,
    /// r_out, unless sums come out or places.
    pub outputs: Vec<E>,
}

impl Maps {
    pub fn draw(shape: &Shape, transcript: &mut Transcript) -> Self {
        use crate::proof::shape::log2_ceil;
        let mut draw = transcript.draw("maps");
        let cells = shape.mapped().map(|cell| draw.elements(log2_ceil(cell.features))).collect();
        let compared = draw.elements(shape.compared_variables());
        let hash = draw.elements(shape.hashing.map_or(0, |hashing| log2_ceil(hashing.rows)));
        Self { cells, compared, hash, outputs: draw.elements(shape.output_variables()) }
    }
}

/// eq_F(r): the first F entries of the table.
pub fn eq_of(r: &[E], features: usize) -> Column {
    let mut table = eq_table(r);
    table.re.truncate(features);
    table.im.truncate(features);
    table
}

/// A of a layer whose sums come out.
pub fn outputs_at(batch: &Batch, layer: &Layer, r_o: &[E]) -> E {
    dot(&eq_of(r_o, layer.outputs), &batch.outputs)
}

/// X(s) of a layer whose source is the input, which is not hidden.
pub fn inputs_at(batch: &Batch, layer: &Layer, s: &[E]) -> E {
    dot(&eq_of(s, layer.inputs), &batch.inputs)
}

/// The sum of all linear claims, times their powers of gamma.
pub struct Linear {
    /// Weights over the features of Q, R, Y and I: each claim is of these times Omega.
    pub weights: [Column; VECTORS],
    /// What they come to over the cube, G included.
    pub sum: E,
    /// gamma_(A,i) and gamma_(X,i) of each layer, 0 where the claim is not there.
    pub gamma_a: Vec<E>,
    pub gamma_x: Vec<E>,
    /// The claim that is not of such weights, of an ArgMax. It comes to 0.
    pub place: Option<Place>,
}

impl Linear {
    pub fn new(shape: &Shape, batch: &Batch, points: &[LayerPoint], sent: &[LayerSent], maps: &Maps, gamma: E) -> Self {
        let powers = powers(gamma, shape.inverse_columns() + 1 + shape.linear_claims());
        let (layers, rest) = powers[shape.inverse_columns() + 1..].split_at(2 * shape.layers.len());
        let none = || vec![E::ZERO; shape.layers.len()];
        let mut claims = Claims {
            shape,
            batch,
            pulling: Pulling::new(&shape.program, &shape.cells),
            linear: Self {
                weights: shape.features.map(Column::extension),
                sum: E::ZERO,
                gamma_a: none(),
                gamma_x: none(),
                place: None,
            },
        };
        for (number, (point, sent)) in points.iter().zip(sent).enumerate() {
            claims.add_layer(number, point, sent, [layers[2 * number], layers[2 * number + 1]]);
        }
        let mut rest = rest.iter().copied();
        let mut next = || rest.next().expect("a power for every claim");
        claims.add_mapped(maps, &mut next);
        let compares = shape.program.compares();
        if let Some(compares) = compares.filter(|compares| !compares.of_sums) {
            let weights = scaled(&eq_of(&maps.compared, compares.features), next());
            claims.pulling.add(compares.source, weights.iter());
            claims.add_compared(&Column::of(weights.iter().map(|weight| -weight)));
        }
        if shape.hashing.is_some() {
            claims.add_hash(&maps.hash, next());
        }
        if compares.is_some() {
            claims.linear.place = Some(Place::new(shape, next()));
        } else if !shape.program.ends_in_sums() {
            let weights = scaled(&eq_of(&maps.outputs, shape.program.output().features()), next());
            claims.linear.sum += dot(&weights, &batch.outputs);
            claims.pulling.add(shape.program.steps.len(), weights.iter());
        }
        claims.finish()
    }

    /// The weights on each column of Q, R, Y and I at a point of the features.
    pub fn at(&self, shape: &Shape, features: &[E]) -> Vec<E> {
        let eq = eq_table(features);
        let mut weights = Vec::with_capacity(shape.columns.iter().map(|columns| columns.len()).sum());
        for vector in &self.weights {
            for start in (0..vector.len()).step_by(eq.len()) {
                let end = vector.len().min(start + eq.len());
                let part = Column { re: vector.re[start..end].to_vec(), im: vector.im[start..end].to_vec() };
                let eq = Column { re: eq.re[..end - start].to_vec(), im: eq.im[..end - start].to_vec() };
                weights.push(dot(&part, &eq));
            }
        }
        weights
    }
}

struct Claims<'a> {
    shape: &'a Shape,
    batch: &'a Batch,
    /// Weights over values, that are still to be pulled back.
    pulling: Pulling<'a>,
    linear: Linear,
}

impl Claims<'_> {
    /// A, unless sums come out, and X, unless it is public.
    fn add_layer(&mut self, number: usize, point: &LayerPoint, sent: &LayerSent, [gamma_a, gamma_x]: [E; 2]) {
        let layer = &self.shape.layers[number];
        if layer.is_hidden() {
            let weights = scaled(&eq_of(&point.outputs, layer.outputs), gamma_a);
            match layer.gives {
                Gives::Cell(cell) => self.add_rounded(cell, &weights),
                _ => self.add_compared(&weights),
            }
            self.linear.sum += gamma_a * sent.a;
            self.linear.gamma_a[number] = gamma_a;
        }
        if !layer.public {
            let weights = scaled(&eq_of(&point.inputs, layer.inputs), gamma_x);
            self.pulling.add(self.shape.program.steps[layer.step].sources[0], weights.iter());
            self.linear.sum += gamma_x * sent.x;
            self.linear.gamma_x[number] = gamma_x;
        }
    }

    /// Weights on a cell's sum, as 2^shift q + r - half.
    fn add_rounded(&mut self, cell: usize, weights: &Column) {
        let cell = &self.shape.cells.all[cell];
        add_all(&mut self.linear.weights[Q], cell.offset, weights.iter().map(|weight| weight.scale(1 << cell.shift)));
        if cell.shift > 0 {
            add_all(&mut self.linear.weights[R], cell.offset, weights.iter());
        }
        self.linear.sum += self.batch.sum * weights.iter().sum::<E>().scale(cell.half());
    }

    /// Weights on what an ArgMax compares, as the largest less distances, and less 1 where a place must have less.
    fn add_compared(&mut self, weights: &Column) {
        let shape = self.shape;
        let compares = shape.program.compares().expect("an ArgMax compares");
        let [distances, largest] = shape.cells.compared();
        let sum = weights.iter().sum::<E>();
        let mut add = |first: usize, weights: Column| {
            let scaled = weights.iter().map(|weight| weight.scale(1 << compares.shift));
            add_all(&mut self.linear.weights[Q], first, scaled);
            if compares.shift > 0 {
                add_all(&mut self.linear.weights[R], first, weights.iter());
            }
        };
        add(distances.offset, Column::of(weights.iter().map(|weight| -weight)));
        add(largest.offset, Column::of([sum]));
        let floor = field::add_signed(0, compares.floor);
        self.linear.sum += ties(&compares, self.batch, weights) - (self.batch.sum * sum).scale(floor);
    }

    /// The cells of Sums and pools: what is rounded, less the sum.
    fn add_mapped(&mut self, maps: &Maps, next: &mut impl FnMut() -> E) {
        let mut points = maps.cells.iter();
        for (step, cells) in self.shape.cells.of_step.iter().enumerate() {
            let made_by = &self.shape.program.steps[step];
            if made_by.is_layer() || matches!(made_by.kind, Kind::ArgMax { .. }) {
                continue;
            }
            let sums = cells.clone().map(|cell| {
                let r_t = points.next().expect("a point for every cell");
                let weights = scaled(&eq_of(r_t, self.shape.cells.all[cell].features), next());
                self.add_rounded(cell, &weights);
                Column::of(weights.iter().map(|weight| -weight))
            });
            let sums: Vec<Column> = sums.collect();
            if !sums.is_empty() {
                self.pulling.add_sums(step, &sums);
            }
        }
    }

    /// The hash of hidden inputs: its matrix, each row with its weight.
    fn add_hash(&mut self, r_h: &[E], gamma: E) {
        let input = &self.shape.program.input;
        let hash = FieldHash::new(input.features(), input.low as i32, input.high as i32)
            .expect("a shape with hidden inputs has a hash");
        let weights = scaled(&eq_of(r_h, hash.rows()), gamma);
        self.linear.sum += dot(&weights, &self.batch.hashes);
        let combined = hash.combination(&weights.iter().collect::<Vec<_>>());
        add_all(&mut self.linear.weights[I], 0, combined.into_iter());
    }

    fn finish(self) -> Linear {
        let (form, mut linear) = (self.pulling.finish(), self.linear);
        add_all(&mut linear.weights[Y], 0, form.y.iter());
        let input = match self.shape.hashing {
            Some(_) => {
                add_all(&mut linear.weights[I], 0, form.input.iter());
                E::ZERO
            }
            None => dot(&form.input, &self.batch.inputs),
        };
        linear.sum = linear.sum - self.batch.sum * form.constant - input;
        linear
    }
}

fn scaled(column: &Column, factor: E) -> Column {
    Column::of(column.iter().map(|entry| entry * factor))
}
