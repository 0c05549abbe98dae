//! The claims that challenges make, against what models compute: they hold of what was computed, and of nothing else.

use super::comparing::comparing;
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
        linear.weights.iter().zip(vectors).map(of_vector).sum::<E>() + self.over_place(linear, vectors)
    }

    /// The claim about the place, row by row.
    fn over_place(&self, linear: &Linear, vectors: &[Vec<Vec<i64>>; VECTORS]) -> E {
        let Some(place) = &linear.place else { return E::ZERO };
        let (room, samples) = (self.shape.features_a_column(), self.shape.samples());
        let entry = |vector: usize, column: usize, row: usize| {
            let feature = (column - self.shape.columns[vector].start) * room + row / samples;
            let entries = vectors[vector].get(feature).and_then(|entries| entries.get(row % samples));
            entries.map_or(E::ZERO, |&entry| element(entry))
        };
        let mut sum = E::ZERO;
        for (weights, &(q, r)) in place.laid_out(&self.shape, &self.batch).iter().zip(&place.columns) {
            for (row, weight) in weights.iter().enumerate().filter(|(_, weight)| *weight != E::ZERO) {
                let lower = r.map_or(E::ZERO, |r| entry(R, r, row));
                sum += weight * (entry(Q, q, row).scale(place.scale) + lower);
            }
        }
        sum
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
    // All steps are taken by others.
    let comparing = comparing().into_iter().filter(|(name, _)| *name != "of the input");
    let models = [("every kind", of_every_kind())].into_iter().chain(others()).chain(comparing);
    models
        .zip([3, 1, 4, 5, 2, 7, 6].into_iter().cycle())
        .map(|((name, model), size)| (name, Example::new(model, size)))
        .collect()
}

#[test]
fn linear_claims_hold_of_what_is_computed_and_of_nothing_else() {
    for (name, mut example) in examples() {
        let gamma = points(&mut example.random, 1)[0];
        let linear = example.linear(gamma);
        let vectors = example.vectors();
        assert_eq!(example.over(&linear, &vectors), linear.sum, "{name}");
        for vector in [Q, R, Y] {
            // That y is 0 of an ArgMax says its table.
            let digits =
                |feature: &usize| example.shape.cells.all.iter().any(|c| c.digits && c.range().contains(feature));
            for feature in (0..vectors[vector].len()).filter(|feature| vector != Y || !digits(feature)) {
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
            let (rounded, public) = (example.shape.layers[layer].is_hidden(), example.shape.layers[layer].public);
            example.sent[layer].a += E::ONE;
            assert_eq!(holds(&example), !rounded, "{name}");
            example.sent[layer] = LayerSent { x: sent.x + E::ONE, ..sent };
            assert_eq!(holds(&example), public, "{name}");
            example.sent[layer] = sent;
        }
        if !example.shape.program.ends_in_sums() && example.shape.program.compares().is_none() {
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
            if !layer.is_hidden() {
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

#[test]
fn of_every_claim_about_a_place_some_other_answer_is_seen_by_it_alone() {
    for (name, mut example) in examples().into_iter().filter(|(_, example)| example.shape.program.compares().is_some())
    {
        let gamma = points(&mut example.random, 1)[0];
        let (compares, vectors) = (example.shape.program.compares().unwrap(), example.vectors());
        let place = |example: &Example, vectors: &_| example.over_place(&example.linear(gamma), vectors);
        let others = |example: &Example, vectors: &_| {
            let linear = example.linear(gamma);
            example.over(&linear, vectors) - example.over_place(&linear, vectors) - linear.sum
        };
        assert_eq!((place(&example, &vectors), others(&example, &vectors)), (E::ZERO, E::ZERO), "{name}");
        // The largest is more, and every distance as much: all but the place holds of it, for the right answer too.
        let digits = |vectors: &mut [Vec<Vec<i64>>; VECTORS], feature: usize, sample: usize, more: i64| {
            vectors[Q][feature][sample] += more;
        };
        let [distances, largest] = example.shape.cells.compared();
        let mut raised = vectors.clone();
        distances.range().chain(largest.range()).for_each(|feature| digits(&mut raised, feature, 0, 1));
        assert_eq!(others(&example, &raised), E::ZERO, "{name}");
        assert_ne!(place(&example, &raised), E::ZERO, "{name}");
        if compares.features == 1 {
            continue;
        }
        // Another answer, of which the distance is taken for 0: the place holds of it, and nothing else.
        let answer = example.batch.answers[0];
        let other = (answer + 1) % compares.features;
        let mut moved = vectors.clone();
        for vector in [Q, R].into_iter().filter(|&vector| vector == Q || distances.shift > 0) {
            moved[vector][distances.offset + other][0] = 0;
        }
        example.batch.answers[0] = other;
        assert_eq!(place(&example, &moved), E::ZERO, "{name}");
        assert_ne!(others(&example, &moved), E::ZERO, "{name}");
    }
}

#[test]
fn weights_of_a_place_at_a_point_are_those_of_its_rows() {
    for (name, mut example) in examples() {
        let random = points(&mut example.random, 1 + example.shape.log_rows);
        let Some(place) = example.linear(random[0]).place else { continue };
        let eq = eq_table(&random[1..]);
        let expected: Vec<E> =
            place.laid_out(&example.shape, &example.batch).iter().map(|weights| dot(weights, &eq)).collect();
        assert_eq!(place.at(&example.shape, &example.batch, &random[1..]), expected, "{name}");
    }
}
