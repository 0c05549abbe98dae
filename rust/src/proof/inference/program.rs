//! The program: a model in integers without its weights (docs/inference-proofs.md, "Program").

use super::window::Window;

pub const MAGIC: &[u8; 8] = b"QFPROG01";
pub const LARGEST_STEPS: usize = 1024;
pub const LARGEST_FEATURES: usize = 1 << 24;
pub const LARGEST_SHIFT: u32 = 16;
pub const LARGEST_LEFT_SHIFT: u32 = 24;

/// What flows between steps: its shape without the batch, and the least and the largest integer that it can hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// One size, or channels, rows and columns.
    pub shape: Vec<usize>,
    pub low: i64,
    pub high: i64,
}

impl Value {
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn magnitude(&self) -> u64 {
        self.low.unsigned_abs().max(self.high.unsigned_abs())
    }

    /// Channels, rows and columns, of an image.
    pub fn image(&self) -> Result<[usize; 3], String> {
        self.shape.as_slice().try_into().map_err(|_| format!("takes an image, not a value of shape {:?}", self.shape))
    }
}

/// y = min(max(q, low), high) with q = floor((sum + half) / 2^shift) in [-2^q_bits, 2^q_bits).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounding {
    pub shift: u32,
    pub low: i64,
    pub high: i64,
    pub q_bits: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Weights (out, in) times a vector, and a bias; without a rounding its sums come out.
    Dense {
        outputs: usize,
        rounding: Option<Rounding>,
    },
    /// Kernels (out, in, height, width) over an image with zeros around it, and a bias for each channel.
    Conv {
        channels: usize,
        window: Window,
        rounding: Option<Rounding>,
    },
    Sum {
        left_shifts: [u32; 2],
        rounding: Rounding,
    },
    AveragePool {
        window: Window,
        multiplier: u64,
        rounding: Rounding,
    },
    /// The largest of the places that are in the image.
    MaxPool {
        window: Window,
    },
    Flatten,
    /// The place of the largest, all of which are less than 2^(shift + q_bits) above `floor`.
    ArgMax {
        /// Of several places of the largest the last, not the first.
        last: bool,
        shift: u32,
        q_bits: u32,
    },
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: Kind,
    /// Values that it takes: 0 is the input, i that of step i.
    pub sources: Vec<usize>,
    pub value: Value,
}

impl Step {
    pub fn is_layer(&self) -> bool {
        matches!(self.kind, Kind::Dense { .. } | Kind::Conv { .. })
    }

    /// A Dense or Conv that is not rounded.
    pub fn gives_sums(&self) -> bool {
        self.is_layer() && self.rounding().is_none()
    }

    pub fn rounding(&self) -> Option<&Rounding> {
        match &self.kind {
            Kind::Dense { rounding, .. } | Kind::Conv { rounding, .. } => rounding.as_ref(),
            Kind::Sum { rounding, .. } | Kind::AveragePool { rounding, .. } => Some(rounding),
            Kind::MaxPool { .. } | Kind::Flatten | Kind::ArgMax { .. } => None,
        }
    }
}

/// What an ArgMax compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compares {
    pub last: bool,
    pub shift: u32,
    /// The value, and F: its features.
    pub source: usize,
    pub features: usize,
    /// Whether it is sums of a Dense that come out, and are no cell's.
    pub of_sums: bool,
    /// No number is less.
    pub floor: i64,
}

impl Compares {
    /// t(k, c): the places k of these for which it is 1 have to be less than that of the answer c, the others not more.
    pub fn strict(&self, answer: usize) -> std::ops::Range<usize> {
        if self.last { answer + 1..self.features } else { 0..answer }
    }
}

#[derive(Clone, Debug)]
pub struct Program {
    pub bytes: Vec<u8>,
    pub input: Value,
    /// w_max
    pub largest_weight: u64,
    pub steps: Vec<Step>,
}

impl Program {
    /// Value 0 is the input, i that of step i.
    pub fn value(&self, number: usize) -> &Value {
        number.checked_sub(1).map_or(&self.input, |step| &self.steps[step].value)
    }

    pub fn output(&self) -> &Value {
        self.value(self.steps.len())
    }

    /// Whether the last step's sums come out as they are.
    pub fn ends_in_sums(&self) -> bool {
        self.steps.last().is_some_and(Step::gives_sums)
    }

    /// The ArgMax that the program ends in.
    pub fn compares(&self) -> Option<Compares> {
        let step = self.steps.last()?;
        let Kind::ArgMax { last, shift, q_bits } = step.kind else { return None };
        let source = step.sources[0];
        let from = self.value(source);
        let of_sums = source > 0 && self.steps[source - 1].gives_sums();
        let floor = if of_sums { -(1 << (shift + q_bits - 1)) } else { from.low };
        Some(Compares { last, shift, source, features: from.features(), of_sums, floor })
    }

    /// Whether a value is the input, through Flattens.
    pub fn is_input(&self, number: usize) -> bool {
        match number.checked_sub(1).map(|step| &self.steps[step]) {
            None => true,
            Some(step) => step.kind == Kind::Flatten && self.is_input(step.sources[0]),
        }
    }

    /// The Dense and Conv steps, in their order: numbers from 0.
    pub fn layers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(|&step| self.steps[step].is_layer())
    }

    /// The products in a sum of a Dense or Conv.
    pub fn products(&self, step: usize) -> usize {
        let source = self.value(self.steps[step].sources[0]);
        match &self.steps[step].kind {
            Kind::Conv { window, .. } => source.shape[0] * window.places(),
            _ => source.features(),
        }
    }

    /// The rows of weights, and so the biases, of a Dense or Conv.
    pub fn biases(&self, step: usize) -> usize {
        self.steps[step].value.shape[0]
    }
}
