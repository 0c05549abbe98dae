//! The program: a model in integers without its weights, from its bytes (docs/inference-proofs.md, "Program").

use super::window::Window;

pub const MAGIC: &[u8; 8] = b"QFPROG01";
pub const LARGEST_STEPS: usize = 1024;
pub const LARGEST_FEATURES: usize = 1 << 24;
pub const LARGEST_SHIFT: u32 = 16;
pub const LARGEST_LEFT_SHIFT: u32 = 24;

/// Places of a window that the largest is taken of: each but one is a cell.
pub const LARGEST_POOL: usize = 1 << 12;

/// Values that are compared are less than this apart.
const LARGEST_COMPARED: i64 = 1 << 15;

/// Sums of products are below this, so that equality modulo p is equality.
const LARGEST_SUM: u128 = 1 << 50;

/// Products of all Convs and AveragePools: a verifier goes through them, whatever the proof.
const LARGEST_WORK: u128 = 1 << 36;

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

    /// Products of a Conv or an AveragePool.
    fn work(&self, source: &Value) -> u128 {
        let products = match &self.kind {
            Kind::Conv { window, .. } => source.shape[0] as u128 * window.places() as u128,
            Kind::AveragePool { window, .. } => window.places() as u128,
            _ => 0,
        };
        self.value.features() as u128 * products
    }

    pub fn rounding(&self) -> Option<&Rounding> {
        match &self.kind {
            Kind::Dense { rounding, .. } | Kind::Conv { rounding, .. } => rounding.as_ref(),
            Kind::Sum { rounding, .. } | Kind::AveragePool { rounding, .. } => Some(rounding),
            Kind::MaxPool { .. } | Kind::Flatten => None,
        }
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
    /// The program of these bytes, or why it is refused, with the numbers.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { all: bytes, rest: bytes };
        let (input, largest_weight, count) = reader.head()?;
        let mut program = Self { bytes: bytes.to_vec(), input, largest_weight, steps: Vec::with_capacity(count) };
        let mut work = 0;
        for number in 1..=count {
            let step = reader.step(&program, number == count).map_err(|reason| format!("step {number} {reason}"))?;
            work += step.work(program.value(step.sources[0]));
            if work > LARGEST_WORK {
                return Err(format!(
                    "Convs and AveragePools up to step {number} have {work} products, 2^36 are the most"
                ));
            }
            program.steps.push(step);
        }
        if !reader.rest.is_empty() {
            return Err(format!("{} bytes follow the last step", reader.rest.len()));
        }
        if !program.steps.iter().any(Step::is_layer) {
            return Err("no step is a Dense or a Conv: there are no weights".into());
        }
        if program.is_input(count) {
            return Err("the last step gives the input back".into());
        }
        Ok(program)
    }

    /// Value 0 is the input, i that of step i.
    pub fn value(&self, number: usize) -> &Value {
        number.checked_sub(1).map_or(&self.input, |step| &self.steps[step].value)
    }

    pub fn output(&self) -> &Value {
        self.value(self.steps.len())
    }

    /// Whether the last step's sums come out as they are.
    pub fn ends_in_sums(&self) -> bool {
        self.steps.last().is_some_and(|step| step.is_layer() && step.rounding().is_none())
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

struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], String> {
        let (taken, rest) =
            self.rest.split_first_chunk().ok_or_else(|| format!("the program ends after {} bytes", self.all.len()))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    fn signed(&mut self) -> Result<i64, String> {
        Ok(i64::from(i32::from_le_bytes(self.take()?)))
    }

    /// A number that is at least 1.
    fn size(&mut self, name: &str) -> Result<usize, String> {
        match self.number()? {
            0 => Err(format!("has 0 for its {name}, which is at least 1")),
            size => Ok(size),
        }
    }

    fn numbers<const COUNT: usize>(&mut self) -> Result<[usize; COUNT], String> {
        let mut numbers = [0; COUNT];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn range(&mut self) -> Result<(i64, i64), String> {
        let (low, high) = (self.signed()?, self.signed()?);
        let largest = 1 << 16;
        if low > 0 || high < 0 || high - low >= largest || -low > largest || high > largest {
            return Err(format!("has a range of {low} to {high}, which must hold 0 and at most 2^16 integers"));
        }
        Ok((low, high))
    }

    fn head(&mut self) -> Result<(Value, u64, usize), String> {
        if self.take()? != *MAGIC {
            return Err("the bytes do not begin as a program does".into());
        }
        let rank = self.number()?;
        if rank != 1 && rank != 3 {
            return Err(format!("the input has {rank} sizes, not 1 or 3"));
        }
        let of_input = |reason| format!("the input {reason}");
        let shape = (0..rank).map(|_| self.size("size")).collect::<Result<Vec<_>, _>>().map_err(of_input)?;
        checked_features(&shape).map_err(of_input)?;
        let (low, high) = self.range().map_err(of_input)?;
        let largest_weight = self.number()? as u64;
        if !(1..1 << 16).contains(&largest_weight) {
            return Err(format!("weights of magnitude at most {largest_weight}, not 1 to 2^16 - 1"));
        }
        let count = self.number()?;
        if !(1..=LARGEST_STEPS).contains(&count) {
            return Err(format!("{count} steps, not 1 to {LARGEST_STEPS}"));
        }
        Ok((Value { shape, low, high }, largest_weight, count))
    }

    fn rounding(&mut self) -> Result<Rounding, String> {
        let shift = self.number()?;
        if shift > LARGEST_SHIFT as usize {
            return Err(format!("rounds by {shift} bits, {LARGEST_SHIFT} are the most"));
        }
        let (low, high) = self.range()?;
        let q_bits = self.number()?;
        if !(1..=15).contains(&q_bits) {
            return Err(format!("has rounded sums of {q_bits} bits, not 1 to 15"));
        }
        Ok(Rounding { shift: shift as u32, low, high, q_bits: q_bits as u32 })
    }

    fn optional_rounding(&mut self, last: bool) -> Result<Option<Rounding>, String> {
        match self.number()? {
            0 if last => Ok(None),
            0 => Err("is not rounded, which only a Dense or Conv that is the last step may be".into()),
            1 => self.rounding().map(Some),
            other => Err(format!("has {other} where 0 or 1 says whether it is rounded")),
        }
    }

    fn needed_rounding(&mut self) -> Result<Rounding, String> {
        let found = self.optional_rounding(false)?;
        Ok(found.expect("what is not rounded was refused"))
    }

    /// Kernel and strides; pads where they are there.
    fn window(&mut self, padded: bool) -> Result<Window, String> {
        let kernel = [self.size("kernel height")?, self.size("kernel width")?];
        let strides = [self.size("stride")?, self.size("stride")?];
        let pads = if padded { self.numbers()? } else { [0; 4] };
        Ok(Window { kernel, strides, pads })
    }

    fn step(&mut self, program: &Program, last: bool) -> Result<Step, String> {
        let kind = self.number()?;
        if kind > 5 {
            return Err(format!("is of kind {kind}, not 0 to 5"));
        }
        let sources = (0..if kind == 2 { 2 } else { 1 }).map(|_| self.number()).collect::<Result<Vec<_>, _>>()?;
        if let Some(source) = sources.iter().find(|&&source| source > program.steps.len()) {
            return Err(format!("takes value {source}, which is not there yet"));
        }
        let source = program.value(sources[0]);
        let kind = match kind {
            0 => Kind::Dense { outputs: self.size("outputs")?, rounding: self.optional_rounding(last)? },
            1 => {
                let (channels, window) = (self.size("channels")?, self.window(true)?);
                Kind::Conv { channels, window, rounding: self.optional_rounding(last)? }
            }
            2 => Kind::Sum { left_shifts: self.left_shifts()?, rounding: self.needed_rounding()? },
            3 => {
                let (window, multiplier) = (self.window(false)?, self.size("multiplier")? as u64);
                Kind::AveragePool { window, multiplier, rounding: self.needed_rounding()? }
            }
            4 => Kind::MaxPool { window: self.window(true)? },
            _ => Kind::Flatten,
        };
        let second = program.value(*sources.last().expect("a step has sources"));
        let value = value_of(&kind, source, second)?;
        checked_sums(&kind, source, second, program.largest_weight)?;
        Ok(Step { kind, sources, value })
    }

    fn left_shifts(&mut self) -> Result<[u32; 2], String> {
        let shifts: [usize; 2] = self.numbers()?;
        match shifts.iter().find(|&&shift| shift > LARGEST_LEFT_SHIFT as usize) {
            Some(shift) => Err(format!("shifts by {shift} bits to the left, {LARGEST_LEFT_SHIFT} are the most")),
            None => Ok(shifts.map(|shift| shift as u32)),
        }
    }
}

/// What a step gives, or why it does not fit what it takes.
fn value_of(kind: &Kind, source: &Value, second: &Value) -> Result<Value, String> {
    let (low, high) = match kind {
        Kind::Dense { rounding: Some(rounding), .. }
        | Kind::Conv { rounding: Some(rounding), .. }
        | Kind::Sum { rounding, .. }
        | Kind::AveragePool { rounding, .. } => (rounding.low, rounding.high),
        Kind::Dense { .. } | Kind::Conv { .. } => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Kind::MaxPool { .. } | Kind::Flatten => (source.low, source.high),
    };
    let shape = match kind {
        Kind::Dense { outputs, .. } => match source.shape[..] {
            [_] => vec![*outputs],
            _ => return Err(format!("takes a vector, not a value of shape {:?}", source.shape)),
        },
        Kind::Conv { channels, window, .. } => {
            source.image()?;
            window.image(*channels, source)?
        }
        Kind::Sum { .. } => {
            if source.shape != second.shape {
                return Err(format!("adds values of shapes {:?} and {:?}", source.shape, second.shape));
            }
            source.shape.clone()
        }
        Kind::AveragePool { window, .. } => window.image(source.image()?[0], source)?,
        Kind::MaxPool { window } => {
            window.check_largest()?;
            if source.high - source.low >= LARGEST_COMPARED {
                return Err(format!(
                    "compares values of {} to {}, which are 2^15 or more apart",
                    source.low, source.high
                ));
            }
            window.image(source.image()?[0], source)?
        }
        Kind::Flatten => vec![source.features()],
    };
    checked_features(&shape)?;
    if matches!(kind, Kind::Dense { .. } | Kind::Conv { .. }) && source.features() < 2 {
        return Err("takes 1 feature, at least 2 are needed".into());
    }
    Ok(Value { shape, low, high })
}

fn checked_features(shape: &[usize]) -> Result<(), String> {
    // Each size is below 2^32, and there are at most three.
    let features = shape.iter().map(|&size| size as u128).product::<u128>();
    if features > LARGEST_FEATURES as u128 {
        return Err(format!("has {features} features, {LARGEST_FEATURES} are the most"));
    }
    Ok(())
}

/// K w x < 2^50 and 2^(q_bits + shift) < 2^50.
fn checked_sums(kind: &Kind, source: &Value, second: &Value, largest_weight: u64) -> Result<(), String> {
    let x = source.magnitude().max(second.magnitude());
    let (products, weight) = match kind {
        Kind::Dense { .. } => (source.features() as u128, largest_weight),
        Kind::Conv { window, .. } => (source.shape[0] as u128 * window.places() as u128, largest_weight),
        Kind::Sum { left_shifts: [first, second], .. } => (2, 1 << first.max(second)),
        Kind::AveragePool { window, multiplier, .. } => (window.places() as u128, *multiplier),
        Kind::MaxPool { .. } | Kind::Flatten => return Ok(()),
    };
    let largest = products * u128::from(weight) * u128::from(x);
    if products >= LARGEST_SUM {
        return Err(format!("adds up {products} products, not below 2^50"));
    }
    if largest >= LARGEST_SUM {
        return Err(format!(
            "adds up {products} products of weights up to {weight} and values up to {x}: {largest} is not below 2^50"
        ));
    }
    Ok(())
}
