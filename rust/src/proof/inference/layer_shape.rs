//! The Dense and Conv steps of a program, as their sum-checks see them (docs/inference-proofs.md, "Claims").

use super::cells::Cells;
use super::program::Program;
use crate::proof::shape::log2_ceil;

/// What becomes of the sums of a Dense or Conv.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gives {
    /// They are rounded: its cell in `Cells::all`.
    Cell(usize),
    /// An ArgMax compares them.
    Compared,
    /// They come out.
    Outputs,
}

/// A Dense or Conv.
#[derive(Clone, Debug)]
pub struct Layer {
    /// From 0.
    pub step: usize,
    /// F: features of what it gives.
    pub outputs: usize,
    /// F_in: features of its source.
    pub inputs: usize,
    /// lambda = ceil(log2 F_in); N = 2^lambda.
    pub log_inputs: usize,
    pub gives: Gives,
    /// Whether X is public: its source is the input, which is not hidden.
    pub public: bool,
}

impl Layer {
    /// Whether nobody but the prover knows its sums.
    pub fn is_hidden(&self) -> bool {
        self.gives != Gives::Outputs
    }

    /// The degree of a round of its sum-check.
    pub fn degree(&self, round: usize) -> usize {
        if round + 1 < self.log_inputs { 2 } else { 4 }
    }

    /// ceil(log2 F)
    pub fn output_variables(&self) -> usize {
        log2_ceil(self.outputs)
    }
}

/// The Dense and Conv steps, in order.
pub fn layers(program: &Program, cells: &Cells, hidden: bool) -> Vec<Layer> {
    let compares = program.compares().is_some_and(|compares| compares.of_sums);
    let layer = |step: usize| {
        let source = program.steps[step].sources[0];
        let inputs = program.value(source).features();
        Layer {
            step,
            outputs: program.steps[step].value.features(),
            inputs,
            log_inputs: log2_ceil(inputs),
            gives: match program.steps[step].rounding() {
                Some(_) => Gives::Cell(cells.of_step[step].start),
                None if compares => Gives::Compared,
                None => Gives::Outputs,
            },
            public: !hidden && program.is_input(source),
        }
    };
    program.layers().map(layer).collect()
}
