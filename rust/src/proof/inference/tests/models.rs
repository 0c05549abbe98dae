//! Small models with random weights, and what they compute, written out index by index: nothing of it is shared with the
//! code that is tested but the program's bytes.

use std::collections::HashMap;

use crate::proof::inference::program::{Kind, Program, Rounding};
use crate::proof::inference::window::Window;

/// A stream of numbers that is the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.word() % (high - low + 1) as u64) as i64
    }
}

/// A program's bytes, step by step.
#[derive(Clone)]
pub struct Builder {
    pub head: Vec<u8>,
    pub steps: Vec<Vec<u8>>,
}

fn numbers(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect()
}

fn rounding(rounding: Option<Rounding>) -> Vec<u8> {
    match rounding {
        None => numbers(&[0]),
        Some(Rounding { shift, low, high, q_bits }) => numbers(&[1, shift.into(), low, high, q_bits.into()]),
    }
}

pub fn clip(shift: u32, low: i64, high: i64, q_bits: u32) -> Option<Rounding> {
    Some(Rounding { shift, low, high, q_bits })
}

pub fn window(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
    Window { kernel, strides, pads }
}

impl Builder {
    pub fn new(shape: &[usize], low: i64, high: i64, largest_weight: i64) -> Self {
        let mut head = b"QFPROG01".to_vec();
        head.extend(numbers(&[shape.len() as i64]));
        head.extend(shape.iter().flat_map(|&size| numbers(&[size as i64])));
        head.extend(numbers(&[low, high, largest_weight]));
        Self { head, steps: Vec::new() }
    }

    fn step(mut self, kind: i64, sources: &[i64], fields: &[i64], end: Vec<u8>) -> Self {
        self.steps.push([numbers(&[kind]), numbers(sources), numbers(fields), end].concat());
        self
    }

    pub fn dense(self, source: i64, outputs: i64, round: Option<Rounding>) -> Self {
        self.step(0, &[source], &[outputs], rounding(round))
    }

    pub fn conv(self, source: i64, channels: i64, window: Window, round: Option<Rounding>) -> Self {
        let fields = [vec![channels], fields(&window, true)].concat();
        self.step(1, &[source], &fields, rounding(round))
    }

    pub fn sum(self, sources: [i64; 2], shifts: [i64; 2], round: Option<Rounding>) -> Self {
        self.step(2, &sources, &shifts, rounding(round))
    }

    pub fn average(self, source: i64, window: Window, multiplier: i64, round: Option<Rounding>) -> Self {
        let fields = [fields(&window, false), vec![multiplier]].concat();
        self.step(3, &[source], &fields, rounding(round))
    }

    pub fn largest(self, source: i64, window: Window) -> Self {
        self.step(4, &[source], &fields(&window, true), Vec::new())
    }

    pub fn flatten(self, source: i64) -> Self {
        self.step(5, &[source], &[], Vec::new())
    }

    pub fn argmax(self, source: i64, last: bool, shift: i64, q_bits: i64) -> Self {
        self.step(6, &[source], &[last.into(), shift, q_bits], Vec::new())
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head.clone(), numbers(&[self.steps.len() as i64]), self.steps.concat()].concat()
    }

    pub fn program(&self) -> Program {
        Program::parse(&self.bytes()).unwrap()
    }
}

fn fields(window: &Window, padded: bool) -> Vec<i64> {
    let mut fields = [window.kernel, window.strides].concat();
    if padded {
        fields.extend(window.pads);
    }
    fields.into_iter().map(|field| field as i64).collect()
}

/// A program, and weights (row-major) and biases of its Dense and Conv steps.
pub struct Model {
    pub program: Program,
    pub weights: Vec<Vec<i64>>,
    pub biases: Vec<Vec<i64>>,
}

impl Model {
    pub fn random(program: Program, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let largest = program.largest_weight as i64;
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for step in program.layers().collect::<Vec<_>>() {
            let (outputs, products) = (program.biases(step), program.products(step));
            weights.push((0..outputs * products).map(|_| random.between(-largest, largest)).collect());
            biases.push((0..outputs).map(|_| random.between(-50, 50)).collect());
        }
        Self { program, weights, biases }
    }

    pub fn inputs(&self, batch: usize, seed: u64) -> Vec<Vec<i64>> {
        let mut random = Random::new(seed);
        let input = &self.program.input;
        (0..batch).map(|_| (0..input.features()).map(|_| random.between(input.low, input.high)).collect()).collect()
    }

    pub fn run(&self, input: &[i64]) -> Trace {
        let mut trace = Trace { values: vec![input.to_vec()], cells: Vec::new(), layer_sums: Vec::new() };
        let mut layer = 0;
        for (number, step) in self.program.steps.iter().enumerate() {
            let source = trace.values[step.sources[0]].clone();
            let shape = &self.program.value(step.sources[0]).shape;
            let given = &step.value.shape;
            let value = match &step.kind {
                Kind::Dense { outputs, rounding } => {
                    let (weights, biases) = (&self.weights[layer], &self.biases[layer]);
                    layer += 1;
                    let sum = |o: usize| {
                        biases[o] + (0..source.len()).map(|i| weights[o * source.len() + i] * source[i]).sum::<i64>()
                    };
                    let sums: Vec<i64> = (0..*outputs).map(sum).collect();
                    trace.layer_sums.push(sums.clone());
                    trace.round(number, sums, *rounding)
                }
                Kind::Conv { window, rounding, .. } => {
                    let (weights, biases) = (&self.weights[layer], &self.biases[layer]);
                    layer += 1;
                    let mut sums = Vec::new();
                    for (o, row, column) in positions(given) {
                        let mut sum = biases[o];
                        for c in 0..shape[0] {
                            for (place, at) in under(window, shape, row, column).into_iter().enumerate() {
                                let weight = weights[(o * shape[0] + c) * window.places() + place];
                                sum += weight * at.map_or(0, |at| source[c * shape[1] * shape[2] + at]);
                            }
                        }
                        sums.push(sum);
                    }
                    trace.layer_sums.push(sums.clone());
                    trace.round(number, sums, *rounding)
                }
                Kind::Sum { left_shifts: [a, b], rounding } => {
                    let other = &trace.values[step.sources[1]];
                    let sums = source.iter().zip(other).map(|(x, y)| (x << a) + (y << b)).collect();
                    trace.round(number, sums, Some(*rounding))
                }
                Kind::AveragePool { window, multiplier, rounding } => {
                    let mut sums = Vec::new();
                    for (c, row, column) in positions(given) {
                        let places = under(window, shape, row, column);
                        let sum: i64 = places.into_iter().map(|at| source[c * shape[1] * shape[2] + at.unwrap()]).sum();
                        sums.push(sum * *multiplier as i64);
                    }
                    trace.round(number, sums, Some(*rounding))
                }
                Kind::MaxPool { window } => {
                    let low = step.value.low;
                    let mut largest = Vec::new();
                    for (index, (c, row, column)) in positions(given).into_iter().enumerate() {
                        let places = under(window, shape, row, column);
                        let entries: Vec<Option<i64>> =
                            places.into_iter().map(|at| at.map(|at| source[c * shape[1] * shape[2] + at])).collect();
                        largest.push(*entries.iter().flatten().max().unwrap());
                        let mut so_far = entries[0].unwrap_or(low);
                        for (place, entry) in entries.iter().enumerate().skip(1) {
                            let q = entry.unwrap_or(low) - so_far;
                            trace.cell(number, place, index, [q, 0, q.max(0)]);
                            so_far += q.max(0);
                        }
                    }
                    largest
                }
                Kind::Flatten => source,
                Kind::ArgMax { last, shift, q_bits } => {
                    let largest = *source.iter().max().unwrap();
                    let places = (0..source.len()).filter(|&place| source[place] == largest);
                    let answer = if *last { places.max() } else { places.min() }.unwrap();
                    trace.compare(number, &source, answer, *last, *shift, *q_bits, self.floor(number));
                    vec![answer as i64]
                }
            };
            trace.values.push(value);
        }
        trace
    }
}

impl Model {
    /// No number that an ArgMax compares is less.
    fn floor(&self, number: usize) -> i64 {
        let Kind::ArgMax { shift, q_bits, .. } = self.program.steps[number].kind else { unreachable!("an ArgMax") };
        let source = self.program.steps[number].sources[0];
        match source > 0
            && self.program.steps[source - 1].is_layer()
            && self.program.steps[source - 1].rounding().is_none()
        {
            true => -(1 << (shift + q_bits - 1)),
            false => self.program.value(source).low,
        }
    }
}

/// Channel, row and column of every feature of an image, in order.
fn positions(shape: &[usize]) -> Vec<(usize, usize, usize)> {
    let of_channel = |c| (0..shape[1]).flat_map(move |row| (0..shape[2]).map(move |column| (c, row, column)));
    (0..shape[0]).flat_map(of_channel).collect()
}

/// What of an image is under each place of the window at a position.
fn under(window: &Window, shape: &[usize], row: usize, column: usize) -> Vec<Option<usize>> {
    let mut places = Vec::new();
    for i in 0..window.kernel[0] {
        for j in 0..window.kernel[1] {
            let h = (row * window.strides[0] + i) as i64 - window.pads[0] as i64;
            let w = (column * window.strides[1] + j) as i64 - window.pads[1] as i64;
            let inside = (0..shape[1] as i64).contains(&h) && (0..shape[2] as i64).contains(&w);
            places.push(inside.then(|| h as usize * shape[2] + w as usize));
        }
    }
    places
}

/// A step, from 0, and the place of a pool's window.
type CellKey = (usize, usize);

/// What one sample comes to.
pub struct Trace {
    /// The input, then what each step gives.
    pub values: Vec<Vec<i64>>,
    /// By step, from 0, and place of a pool's window: q, r and y of every feature.
    pub cells: Vec<(CellKey, Vec<[i64; 3]>)>,
    /// Of each Dense and Conv, with its bias.
    pub layer_sums: Vec<Vec<i64>>,
}

impl Trace {
    fn cell(&mut self, step: usize, place: usize, index: usize, entry: [i64; 3]) {
        let known = self.cells.iter().position(|(key, _)| *key == (step, place));
        let cell = known.unwrap_or_else(|| {
            self.cells.push(((step, place), Vec::new()));
            self.cells.len() - 1
        });
        assert_eq!(self.cells[cell].1.len(), index);
        self.cells[cell].1.push(entry);
    }

    #[allow(clippy::too_many_arguments)]
    fn compare(&mut self, step: usize, values: &[i64], answer: usize, last: bool, shift: u32, q_bits: u32, floor: i64) {
        let digits = |number: i64| {
            assert!((0..1 << (shift + q_bits)).contains(&number), "{number} has more than {shift} and {q_bits} bits");
            [number >> shift, number & ((1 << shift) - 1), 0]
        };
        for (place, value) in values.iter().enumerate() {
            let before = if last { place > answer } else { place < answer };
            self.cell(step, 1, place, digits(values[answer] - value - i64::from(before)));
        }
        self.cell(step, 2, 0, digits(values[answer] - floor));
    }

    fn round(&mut self, step: usize, sums: Vec<i64>, rounding: Option<Rounding>) -> Vec<i64> {
        let Some(Rounding { shift, low, high, q_bits }) = rounding else { return sums };
        let mut rounded = Vec::new();
        for (index, sum) in sums.into_iter().enumerate() {
            let shifted = if shift == 0 { sum } else { sum + (1 << (shift - 1)) };
            let (q, r) = (shifted.div_euclid(1 << shift), shifted.rem_euclid(1 << shift));
            assert!(-(1 << q_bits) <= q && q < 1 << q_bits, "a sum of {sum} is too large for {q_bits} bits");
            let y = q.max(low).min(high);
            self.cell(step, 0, index, [q, r, y]);
            rounded.push(y);
        }
        rounded
    }

    pub fn by_cell(&self) -> HashMap<CellKey, &[[i64; 3]]> {
        self.cells.iter().map(|(key, entries)| (*key, entries.as_slice())).collect()
    }
}

/// A model of every kind of step, among them windows with strides and pads, a pool of the input, a residual sum, a step
/// that is not shifted, and a last step that is not rounded.
pub fn of_every_kind() -> Model {
    let program = Builder::new(&[2, 7, 6], -3, 12, 5)
        .conv(0, 3, window([3, 2], [2, 1], [1, 1, 1, 0]), clip(3, 0, 15, 9))
        .largest(1, window([2, 3], [1, 2], [1, 1, 0, 1]))
        .conv(2, 3, window([1, 3], [1, 1], [0, 1, 0, 1]), clip(2, -8, 7, 10))
        .sum([3, 2], [1, 0], clip(1, -20, 20, 9))
        .average(4, window([2, 2], [1, 1], [0; 4]), 13, clip(4, -20, 20, 10))
        .flatten(5)
        .dense(6, 5, clip(0, -200, 200, 14))
        .dense(7, 4, None)
        .program();
    Model::random(program, 1)
}

/// Other shapes: what each has that the others lack is in its name.
pub fn others() -> Vec<(&'static str, Model)> {
    let model = |builder: Builder, seed| Model::random(builder.program(), seed);
    vec![
        ("one layer, sums", model(Builder::new(&[5], -4, 9, 7).dense(0, 3, None), 2)),
        ("one output", model(Builder::new(&[2], 0, 1, 1).dense(0, 1, clip(0, 0, 1, 7)), 3)),
        ("two layers", model(Builder::new(&[6], 0, 15, 3).dense(0, 9, clip(2, 0, 15, 8)).dense(1, 3, None), 4)),
        (
            "ends in a pool",
            model(
                Builder::new(&[1, 4, 4], -2, 2, 3)
                    .largest(0, window([2, 2], [1, 1], [1, 1, 1, 1]))
                    .conv(1, 2, window([2, 2], [1, 1], [0; 4]), clip(1, -9, 9, 8))
                    .largest(2, window([3, 3], [2, 2], [1, 1, 1, 1]))
                    .flatten(3),
                5,
            ),
        ),
        (
            "a pool of one place, and the input twice",
            model(
                Builder::new(&[2, 3, 3], -2, 5, 3)
                    .largest(0, window([1, 1], [2, 2], [0; 4]))
                    .flatten(1)
                    .dense(2, 4, clip(2, -9, 9, 8))
                    .flatten(0)
                    .dense(4, 4, clip(3, -9, 9, 8))
                    .sum([3, 5], [3, 3], clip(0, -100, 100, 8))
                    .sum([6, 6], [0, 1], clip(2, -50, 50, 9)),
                6,
            ),
        ),
        (
            "sums of the input and pools of pools",
            model(
                Builder::new(&[1, 6, 5], -7, 7, 2)
                    .sum([0, 0], [0, 2], clip(2, -9, 9, 8))
                    .largest(1, window([2, 1], [1, 1], [0; 4]))
                    .largest(2, window([1, 2], [1, 2], [0, 1, 0, 1]))
                    .average(0, window([3, 3], [2, 2], [0; 4]), 7, clip(6, -5, 5, 7))
                    .flatten(4)
                    .flatten(3)
                    .dense(5, 3, clip(1, 0, 9, 8))
                    .dense(6, 3, clip(2, 0, 9, 8))
                    .sum([7, 8], [1, 0], clip(0, 0, 30, 7)),
                7,
            ),
        ),
    ]
}
