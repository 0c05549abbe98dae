//! Batches of small models, with all that a prover and a verifier are given.

use super::models::{Model, Random};
use crate::field_hash::FieldHash;
use crate::proof::inference::prover::{Attempt, prove};
use crate::proof::inference::public::{Inputs, Public};
use crate::proof::inference::shape::Shape;
use crate::proof::inference::statement::Statement;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::witness::{Trace, Witness};

pub struct Instance {
    pub shape: Shape,
    pub commitment: Commitment,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    /// Of the Dense and Conv whose sums do not come out.
    pub sums: Vec<Vec<i32>>,
    /// With hidden inputs: what blinds their hashes, and those.
    pub randomness: Option<Vec<i32>>,
    pub hashes: Vec<u64>,
}

pub fn weights_bytes(model: &Model) -> Vec<u8> {
    let both = model.weights.iter().zip(&model.biases);
    let all = both.flat_map(|(weights, biases)| weights.iter().chain(biases));
    all.flat_map(|&weight| (weight as i32).to_le_bytes()).collect()
}

impl Instance {
    pub fn new(model: &Model, batch: usize, openings: usize) -> Self {
        let mut instance = Self::empty(model, batch, openings);
        instance.compute(model, &model.inputs(batch, 5));
        instance
    }

    /// Before anything is computed.
    pub fn empty(model: &Model, batch: usize, openings: usize) -> Self {
        Self::of(model, batch, openings, false)
    }

    /// With hidden inputs.
    pub fn hidden(model: &Model, batch: usize, openings: usize) -> Self {
        let mut instance = Self::of(model, batch, openings, true);
        instance.compute(model, &model.inputs(batch, 5));
        let (input, mut random) = (&model.program.input, Random::new(6));
        let hash = FieldHash::new(input.features(), input.low as i32, input.high as i32).unwrap();
        let entries = (0..batch * hash.blinds()).map(|_| random.between(input.low, input.low + 15) as i32);
        instance.randomness = Some(entries.collect());
        instance.hash();
        instance
    }

    /// The hashes are those of the inputs.
    pub fn hash(&mut self) {
        let input = &self.shape.program.input;
        let hash = FieldHash::new(input.features(), input.low as i32, input.high as i32).unwrap();
        let blinds = self.randomness.as_ref().unwrap().chunks_exact(hash.blinds());
        let samples = self.inputs.chunks_exact(input.features()).zip(blinds);
        self.hashes = samples.flat_map(|(input, blind)| hash.hash_entries(input, blind).unwrap()).collect();
    }

    fn of(model: &Model, batch: usize, openings: usize, hidden: bool) -> Self {
        let shape = Shape::new(&model.program, batch, hidden, openings).unwrap();
        let commitment = Commitment::new(&model.program, openings, &weights_bytes(model), &[7; 32], 2).unwrap();
        Self {
            shape,
            commitment,
            inputs: Vec::new(),
            outputs: Vec::new(),
            sums: Vec::new(),
            randomness: None,
            hashes: Vec::new(),
        }
    }

    /// A batch of one sample, again and again.
    pub fn compute_one(&mut self, model: &Model, sample: &[i64]) {
        self.compute(model, &[sample.to_vec()]);
        let batch = self.shape.batch;
        for values in [&mut self.inputs, &mut self.outputs].into_iter().chain(&mut self.sums) {
            *values = values.repeat(batch);
        }
    }

    /// Inputs, outputs and sums are those of this model.
    pub fn compute(&mut self, model: &Model, samples: &[Vec<i64>]) {
        let small = |values: &[i64]| values.iter().map(|&value| value as i32).collect::<Vec<_>>();
        let traces: Vec<_> = samples.iter().map(|sample| model.run(sample)).collect();
        self.inputs = small(&samples.concat());
        self.outputs = traces.iter().flat_map(|trace| small(trace.values.last().unwrap())).collect();
        let rounded = (0..self.shape.layers.len()).filter(|&layer| self.shape.layers[layer].is_hidden());
        let of_layer = |layer: usize| traces.iter().flat_map(|trace| small(&trace.layer_sums[layer])).collect();
        self.sums = rounded.map(of_layer).collect();
    }

    pub fn public(&self) -> Public<'_> {
        let open = Inputs::Open(&self.inputs);
        let inputs = self.randomness.as_ref().map_or(open, |_| Inputs::Hashed(&self.hashes));
        Public::new(&self.shape, inputs, &self.outputs).unwrap()
    }

    pub fn statement(&self) -> Statement<'_> {
        let [inputs, outputs] = self.public().digests(1);
        Statement { shape: &self.shape, root: self.commitment.root(), inputs, outputs, binding: [3; 32] }
    }

    pub fn witness(&self, threads: usize) -> Witness {
        let sums: Vec<&[i32]> = self.sums.iter().map(Vec::as_slice).collect();
        let (inputs, outputs) = (self.inputs.as_slice(), self.outputs.as_slice());
        let trace = Trace { inputs, sums: &sums, outputs, randomness: self.randomness.as_deref() };
        Witness::new(&self.shape, &trace, threads).unwrap()
    }

    pub fn prove_on(&self, seed: &[u8; 32], threads: usize) -> Attempt {
        prove(&self.statement(), &self.commitment, &self.public(), &self.witness(threads), seed, threads)
    }

    pub fn prove(&self) -> Attempt {
        self.prove_on(&[9; 32], 1)
    }
}
