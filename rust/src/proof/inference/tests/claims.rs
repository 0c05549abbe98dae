//! The claims that challenges make, against what models compute: they hold of what was computed, and of nothing else.

use super::models::{Model, Random, Trace, of_every_kind, others};
use crate::field;
use crate::proof::column::{Column, dot};
use crate::proof::ext::E;
use crate::proof::inference::claims::{LayerPoint, LayerSent, Linear, Maps, eq_of, inputs_at, outputs_at};
use crate::proof::inference::layer_vector::layer_vector;
use crate::proof::inference::program::Kind;
use crate::proof::inference::public::{Batch, Inputs, Public};
use crate::proof::inference::shape::{Q, R, Shape, VECTORS, Y};
use crate::proof::inference::weights_claims::WeightsClaims;
use crate::proof::multilinear::{eq_index, eq_table};
use crate::proof::transcript::Transcript;

fn element(integer: i64) -> E {
    E::base(field::add_signed(0, integer))
}

fn points(random: &mut Random, count: usize) -> Vec<E> {
    (0..count).map(|_| E::new(random.word() % field::P, random.word() % field::P)).collect()
}

/// A batch of a model, as both sides have it, and what the prover has besides.
struct Example {
    model: Model,
    shape: Shape,
    traces: Vec<Trace>,
    batch: Batch,
    points: Vec<LayerPoint>,
    sent: Vec<LayerSent>,
    maps: Maps,
    random: Random,
}

impl Example {
    fn new(model: Model, size: usize) -> Self {
        let mut random = Random::new(99 + size as u64);
        let shape = Shape::new(&model.program, size, false, 3).unwrap();
        let inputs = model.inputs(size, 7);
        let traces: Vec<Trace> = inputs.iter().map(|input| model.run(input)).collect();
        let flat: Vec<i32> = inputs.concat().into_iter().map(|entry| entry as i32).collect();
        let outputs = traces.iter().flat_map(|trace| trace.values.last().unwrap());
        let outputs: Vec<i32> = outputs.map(|&entry| entry as i32).collect();
        let public = Public::new(&shape, Inputs::Open(&flat), &outputs).unwrap();
        let batch = Batch::new(&shape, &public, &points(&mut random, shape.log_batch), 2);
        let points: Vec<LayerPoint> = shape
            .layers
            .iter()
            .map(|layer| LayerPoint {
                outputs: points(&mut random, layer.output_variables()),
                inputs: points(&mut random, layer.log_inputs),
            })
            .collect();
        let maps = Maps::draw(&shape, &mut Transcript::new("test", &[size as u8]));
        let mut example = Self { model, shape, traces, batch, points, sent: Vec::new(), maps, random };
        example.sent = (0..example.shape.layers.len()).map(|layer| example.sent(layer)).collect();
        example
    }

    /// sum_b Omega_b value_b
    fn summed(&self, value: impl Fn(&Trace) -> i64) -> E {
        self.traces.iter().enumerate().map(|(b, trace)| self.batch.omega.at(b) * element(value(trace))).sum()
    }

    /// What an honest prover sends, unmasked, one sum at a time.
    fn sent(&self, number: usize) -> LayerSent {
        let (layer, point) = (&self.shape.layers[number], &self.points[number]);
        let step = &self.model.program.steps[layer.step];
        let each = layer.outputs / self.model.biases[number].len();
        let bias = |output: usize| self.model.biases[number][output / each];
        let outputs = |value: &dyn Fn(usize) -> E| {
            (0..layer.outputs).map(|output| eq_index(&point.outputs, output) * value(output)).sum::<E>()
        };
        let inputs = |value: &dyn Fn(usize) -> E| {
            (0..layer.inputs).map(|input| eq_index(&point.inputs, input) * value(input)).sum::<E>()
        };
        let m = |input: usize| {
            // The sums are linear: what a layer does to a unit vector, less its bias, are the weights of its products.
            let mut unit = Model {
                program: self.model.program.clone(),
                weights: self.model.weights.clone(),
                biases: self.model.biases.iter().map(|biases| vec![0; biases.len()]).collect(),
            };
            let mut value = vec![0; layer.inputs];
            value[input] = 1;
            let sums = unit.sums(layer.step, number, &value);
            outputs(&|output| element(sums[output]))
        };
        let a = outputs(&|output| self.summed(|trace| trace.layer_sums[number][output]));
        LayerSent {
            a,
            b: self.batch.sum * outputs(&|output| element(bias(output))),
            x: inputs(&|input| self.summed(|trace| trace.values[step.sources[0]][input])),
            m: inputs(&m),
        }
    }

    /// Q, R and Y, feature after feature, as rows of samples.
    fn vectors(&self) -> [Vec<Vec<i64>>; VECTORS] {
        let rows = |kind: usize, features: usize| {
            let mut rows = vec![vec![0; self.shape.batch]; features];
            for (sample, trace) in self.traces.iter().enumerate() {
                let entries = trace.by_cell();
                for cell in self.shape.cells.all.iter().filter(|cell| kind != R || cell.shift > 0) {
                    for (feature, entry) in entries[&(cell.step, cell.place)].iter().enumerate() {
                        rows[cell.offset + feature][sample] = entry[kind];
                    }
                }
            }
            rows
        };
        [rows(Q, self.shape.features[Q]), rows(R, self.shape.features[R]), rows(Y, self.shape.features[Y]), vec![]]
    }

    fn linear(&self, gamma: E) -> Linear {
        Linear::new(&self.shape, &self.batch, &self.points, &self.sent, &self.maps, gamma)
    }

    /// <Omega w, V> over all vectors.
    fn over(&self, linear: &Linear, vectors: &[Vec<Vec<i64>>; VECTORS]) -> E {
        let of_vector = |(weights, rows): (&Column, &Vec<Vec<i64>>)| {
            assert_eq!(weights.len(), rows.len());
            let row = |row: &Vec<i64>| {
                row.iter().enumerate().map(|(b, &entry)| self.batch.omega.at(b) * element(entry)).sum::<E>()
            };
            weights.iter().zip(rows).map(|(weight, entries)| weight * row(entries)).sum::<E>()
        };
        linear.weights.iter().zip(vectors).map(of_vector).sum()
    }

    /// The columns of weights and biases.
    fn columns(&self) -> Vec<Vec<u64>> {
        let weights = &self.shape.weights;
        let mut all = vec![0; weights.columns * weights.rows()];
        for (number, place) in weights.places.iter().enumerate() {
            for (index, &weight) in self.model.weights[number].iter().enumerate() {
                let (row, product) = (index / place.products, index % place.products);
                all[place.start + row * place.stride + product] = element(weight).re;
            }
            for (index, &bias) in self.model.biases[number].iter().enumerate() {
                all[weights.bias_entry(place, index)] = element(bias).re;
            }
        }
        all.chunks(weights.rows()).map(<[u64]>::to_vec).collect()
    }
}

impl Model {
    /// The sums of a Dense or Conv of a value that is given to it.
    fn sums(&mut self, step: usize, number: usize, value: &[i64]) -> Vec<i64> {
        let mut program = self.program.clone();
        program.input = program.value(program.steps[step].sources[0]).clone();
        let mut alone = program.steps[step].clone();
        alone.sources = vec![0];
        match &mut alone.kind {
            Kind::Dense { rounding, .. } | Kind::Conv { rounding, .. } => *rounding = None,
            _ => unreachable!("a Dense or Conv"),
        }
        program.steps = vec![alone];
        let (weights, biases) = (vec![self.weights[number].clone()], vec![self.biases[number].clone()]);
        Model { program, weights, biases }.run(value).layer_sums.swap_remove(0)
    }
}

fn examples() -> Vec<(&'static str, Example)> {
    let models = [("every kind", of_every_kind())].into_iter().chain(others());
    models.zip([3, 1, 4, 5, 2, 7, 6]).map(|((name, model), size)| (name, Example::new(model, size))).collect()
}

#[test]
fn linear_claims_hold_of_what_is_computed_and_of_nothing_else() {
    for (name, mut example) in examples() {
        let gamma = points(&mut example.random, 1)[0];
        let linear = example.linear(gamma);
        let vectors = example.vectors();
        assert_eq!(example.over(&linear, &vectors), linear.sum, "{name}");
        // All steps of these models are taken by others: every entry is held by a claim.
        for vector in [Q, R, Y] {
            for feature in 0..vectors[vector].len() {
                let mut changed = vectors.clone();
                changed[vector][feature][example.shape.batch - 1] += 1;
                assert_ne!(example.over(&linear, &changed), linear.sum, "{name} {vector} {feature}");
            }
        }
    }
}

#[test]
fn other_inputs_outputs_and_values_sent_are_other_claims() {
    for (name, mut example) in examples() {
        let gamma = points(&mut example.random, 1)[0];
        let (vectors, sum) = (example.vectors(), example.linear(gamma).sum);
        let holds = |example: &Example| {
            let linear = example.linear(gamma);
            linear.sum == example.over(&linear, &vectors)
        };
        assert!(holds(&example), "{name}");
        for layer in 0..example.shape.layers.len() {
            let sent = example.sent[layer];
            let (rounded, public) = (example.shape.layers[layer].cell.is_some(), example.shape.layers[layer].public);
            example.sent[layer].a += E::ONE;
            assert_eq!(holds(&example), !rounded, "{name}");
            example.sent[layer] = LayerSent { x: sent.x + E::ONE, ..sent };
            assert_eq!(holds(&example), public, "{name}");
            example.sent[layer] = sent;
        }
        if !example.shape.program.ends_in_sums() {
            let outputs = example.batch.outputs.at(0);
            example.batch.outputs.set(0, outputs + E::ONE);
            assert!(!holds(&example), "{name}");
            example.batch.outputs.set(0, outputs);
        }
        assert!(holds(&example) && example.linear(gamma).sum == sum, "{name}");
    }
}

#[test]
fn what_is_public_of_a_layer_is_what_the_model_has() {
    let mut found = [0, 0];
    for (name, example) in examples() {
        for (number, layer) in example.shape.layers.iter().enumerate() {
            let (point, sent) = (&example.points[number], &example.sent[number]);
            if layer.public {
                assert_eq!(inputs_at(&example.batch, layer, &point.inputs), sent.x, "{name}");
                found[0] += 1;
            }
            if layer.cell.is_none() {
                assert_eq!(outputs_at(&example.batch, layer, &point.outputs), sent.a, "{name}");
                found[1] += 1;
            }
        }
    }
    assert!(found[0] >= 4 && found[1] >= 3, "{found:?}");
}

#[test]
fn a_layer_is_a_sum_of_products_of_inputs_and_what_weighs_them() {
    for (name, example) in examples() {
        let columns = example.columns();
        let columns: Vec<&[u64]> = columns.iter().map(Vec::as_slice).collect();
        for (number, layer) in example.shape.layers.iter().enumerate() {
            let (point, sent) = (&example.points[number], &example.sent[number]);
            let m = layer_vector(&example.shape, number, &eq_of(&point.outputs, layer.outputs), &columns, 2);
            assert_eq!(dot(&m, &eq_table(&point.inputs)), sent.m, "{name} {number}");
            let source = example.model.program.steps[layer.step].sources[0];
            let products = (0..layer.inputs).map(|input| m.at(input) * example.summed(|t| t.values[source][input]));
            assert_eq!(products.sum::<E>(), sent.a - sent.b, "{name} {number}");
        }
    }
}

#[test]
fn claims_over_the_weights_hold_of_the_weights_and_are_at_a_point_what_is_laid_out() {
    for (name, mut example) in examples() {
        let gamma = points(&mut example.random, 1)[0];
        let claims = WeightsClaims::new(&example.shape, example.batch.sum, &example.points, &example.sent, gamma);
        let (columns, laid_out) = (
            example.columns(),
            claims.laid_out(&example.shape, |_| true).into_iter().map(|(_, column)| column).collect::<Vec<_>>(),
        );
        let over = |columns: &[Vec<u64>]| {
            let column = |(weights, column): (&Column, &Vec<u64>)| {
                weights.iter().zip(column).map(|(weight, &entry)| weight.scale(entry)).sum::<E>()
            };
            laid_out.iter().zip(columns).map(column).sum::<E>()
        };
        assert_eq!(over(&columns), claims.sum, "{name}");
        let weights = &example.shape.weights;
        for place in &weights.places {
            let last = place.start + (place.outputs - 1) * place.stride + place.products - 1;
            for entry in [place.start, last, weights.bias_entry(place, 0), weights.bias_entry(place, place.outputs - 1)]
            {
                let mut changed = columns.clone();
                changed[entry / weights.rows()][entry % weights.rows()] ^= 1;
                assert_ne!(over(&changed), claims.sum, "{name} {entry}");
            }
        }
        let w = points(&mut example.random, weights.log_rows);
        let expected: Vec<E> = laid_out.iter().map(|column| dot(column, &eq_table(&w))).collect();
        assert_eq!(claims.at(&example.shape, &w), expected, "{name}");
    }
}

#[test]
fn weights_on_columns_at_a_point_are_those_of_their_features() {
    for (name, mut example) in examples() {
        let random = points(&mut example.random, 1 + example.shape.log_rows);
        let linear = example.linear(random[0]);
        let features = &random[1..][..example.shape.log_rows - example.shape.log_batch];
        let (room, at) = (example.shape.features_a_column(), linear.at(&example.shape, features));
        let mut found = at.iter();
        for (columns, weights) in example.shape.columns.iter().zip(&linear.weights) {
            for column in 0..columns.len() {
                let inside = (column * room..weights.len().min((column + 1) * room))
                    .map(|feature| weights.at(feature) * eq_index(features, feature % room));
                assert_eq!(*found.next().unwrap(), inside.sum(), "{name}");
            }
        }
        assert!(found.next().is_none(), "{name}");
    }
}
