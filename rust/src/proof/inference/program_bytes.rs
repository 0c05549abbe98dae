//! A program from its bytes, or why it is refused (docs/inference-proofs.md, "Program").

use super::program::{
    Kind, LARGEST_FEATURES, LARGEST_LEFT_SHIFT, LARGEST_SHIFT, LARGEST_STEPS, MAGIC, Program, Rounding, Step, Value,
};
use super::window::Window;

/// Values that are compared are less than this apart.
const LARGEST_COMPARED: i64 = 1 << 15;

/// Sums of products are below this, so that equality modulo p is equality.
const LARGEST_SUM: u128 = 1 << 50;

/// Products of all Convs and AveragePools: a verifier goes through them, whatever the proof.
const LARGEST_WORK: u128 = 1 << 36;

/// Features that all steps take: a verifier holds a weight for each, whatever the proof.
const LARGEST_TAKEN: u128 = 1 << 27;

/// Bits of the upper digits of what an ArgMax compares: a table has an entry for each of their values.
const LARGEST_DIGIT: usize = 16;

impl Program {
    /// The program of these bytes, or why it is refused, with the numbers.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { all: bytes, rest: bytes };
        let (input, largest_weight, count) = reader.head()?;
        let mut program = Self { bytes: bytes.to_vec(), input, largest_weight, steps: Vec::with_capacity(count) };
        let (mut work, mut taken) = (0, 0);
        for number in 1..=count {
            let step = reader.step(&program, count - number).map_err(|reason| format!("step {number} {reason}"))?;
            work += step.work(program.value(step.sources[0]));
            if work > LARGEST_WORK {
                return Err(format!(
                    "Convs and AveragePools up to step {number} have {work} products, 2^36 are the most"
                ));
            }
            taken += step.sources.iter().map(|&source| program.value(source).features() as u128).sum::<u128>();
            if taken > LARGEST_TAKEN {
                return Err(format!("steps up to step {number} take {taken} features, 2^27 are the most"));
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
}

impl Step {
    /// Products of a Conv or an AveragePool.
    fn work(&self, source: &Value) -> u128 {
        let products = match &self.kind {
            Kind::Conv { window, .. } => source.shape[0] as u128 * window.places() as u128,
            Kind::AveragePool { window, .. } => window.places() as u128,
            _ => 0,
        };
        self.value.features() as u128 * products
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

    fn optional_rounding(&mut self, sums: bool) -> Result<Option<Rounding>, String> {
        match self.number()? {
            0 if sums => Ok(None),
            0 => Err("is not rounded, which only a Dense or Conv that is the last step, or a Dense that is the last but one, may be"
                .into()),
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

    /// The next step, behind which so many follow.
    fn step(&mut self, program: &Program, behind: usize) -> Result<Step, String> {
        let kind = self.number()?;
        if kind > 6 {
            return Err(format!("is of kind {kind}, not 0 to 6"));
        }
        let sources = (0..if kind == 2 { 2 } else { 1 }).map(|_| self.number()).collect::<Result<Vec<_>, _>>()?;
        if let Some(source) = sources.iter().find(|&&source| source > program.steps.len()) {
            return Err(format!("takes value {source}, which is not there yet"));
        }
        if program.steps.last().is_some_and(Step::gives_sums) && (kind != 6 || sources != [program.steps.len()]) {
            return Err("does not take the largest of the sums of the step before it, which is not rounded".into());
        }
        let source = program.value(sources[0]);
        let kind = match kind {
            0 => Kind::Dense { outputs: self.size("outputs")?, rounding: self.optional_rounding(behind < 2)? },
            1 => {
                let (channels, window) = (self.size("channels")?, self.window(true)?);
                Kind::Conv { channels, window, rounding: self.optional_rounding(behind == 0)? }
            }
            2 => Kind::Sum { left_shifts: self.left_shifts()?, rounding: self.needed_rounding()? },
            3 => {
                let (window, multiplier) = (self.window(false)?, self.size("multiplier")? as u64);
                Kind::AveragePool { window, multiplier, rounding: self.needed_rounding()? }
            }
            4 => Kind::MaxPool { window: self.window(true)? },
            5 => Kind::Flatten,
            _ if behind > 0 => return Err("is an ArgMax, and not the last step".into()),
            _ => self.comparison(source, program.steps.last().is_some_and(Step::gives_sums))?,
        };
        let second = program.value(*sources.last().expect("a step has sources"));
        let value = value_of(&kind, source, second)?;
        checked_sums(&kind, source, second, program.largest_weight)?;
        Ok(Step { kind, sources, value })
    }

    /// An ArgMax of a value, or of sums.
    fn comparison(&mut self, source: &Value, of_sums: bool) -> Result<Kind, String> {
        let [last, shift, q_bits] = self.numbers()?;
        if last > 1 {
            return Err(format!("has {last} where 0 or 1 says which place of several is taken"));
        }
        if shift > LARGEST_SHIFT as usize || !(1..=LARGEST_DIGIT).contains(&q_bits) {
            return Err(format!(
                "compares digits of {q_bits} and {shift} bits, not 1 to {LARGEST_DIGIT} and 0 to {LARGEST_SHIFT}"
            ));
        }
        if !of_sums && source.high - source.low >= 1 << (shift + q_bits) {
            let (low, high) = (source.low, source.high);
            return Err(format!(
                "compares values of {low} to {high} by {q_bits} and {shift} bits, which do not hold them"
            ));
        }
        Ok(Kind::ArgMax { last: last == 1, shift: shift as u32, q_bits: q_bits as u32 })
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
        Kind::ArgMax { .. } => (0, source.features() as i64 - 1),
    };
    let shape = match kind {
        Kind::Dense { outputs, .. } => match source.shape[..] {
            [_] => vec![*outputs],
            _ => return Err(format!("takes a vector, not a value of shape {:?}", source.shape)),
        },
        Kind::Conv { channels, window, .. } => {
            let [_, height, width] = source.image()?;
            window.image(*channels, [height, width])?
        }
        Kind::Sum { .. } => {
            if source.shape != second.shape {
                return Err(format!("adds values of shapes {:?} and {:?}", source.shape, second.shape));
            }
            source.shape.clone()
        }
        Kind::AveragePool { window, .. } => pooled(window, source)?,
        Kind::MaxPool { window } => {
            window.check_largest()?;
            if source.high - source.low >= LARGEST_COMPARED {
                return Err(format!(
                    "compares values of {} to {}, which are 2^15 or more apart",
                    source.low, source.high
                ));
            }
            pooled(window, source)?
        }
        Kind::Flatten => vec![source.features()],
        Kind::ArgMax { .. } => match source.shape[..] {
            [_] => vec![1],
            _ => return Err(format!("takes a vector, not a value of shape {:?}", source.shape)),
        },
    };
    checked_features(&shape)?;
    if matches!(kind, Kind::Dense { .. } | Kind::Conv { .. }) && source.features() < 2 {
        return Err("takes 1 feature, at least 2 are needed".into());
    }
    Ok(Value { shape, low, high })
}

/// The shape of what a pool gives.
fn pooled(window: &Window, source: &Value) -> Result<Vec<usize>, String> {
    let [channels, height, width] = source.image()?;
    window.image(channels, [height, width])
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
        Kind::MaxPool { .. } | Kind::Flatten | Kind::ArgMax { .. } => return Ok(()),
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
