//! The commitment to a model's weights: their columns, code words and tree, kept for many proofs
//! (docs/inference-proofs.md, "Commitment to weights").

use zeroize::Zeroizing;

use super::program::Program;
use super::weights_shape::{Place, WeightsShape};
use crate::field;
use crate::proof::blinding::{Blinding, Salts, Use};
use crate::proof::column::{Column, drop_all};
use crate::proof::ext::E;
use crate::proof::opened::{Combined, OpenedRow};
use crate::proof::published::{hide, published};
use crate::proof::transcript::{Digest, Transcript, content_on};
use crate::proof::tree::Tree;

/// The number of tree W in a blinding stream.
const TREE: u64 = 1;

/// Weights and biases under a root. Everything in it but shape and root is secret, and wiped when it is dropped.
pub struct Commitment {
    pub program: Program,
    pub shape: WeightsShape,
    /// n_W columns of WL entries: those of weights, then those of biases.
    columns: Vec<Column>,
    /// What is appended to every row, of T Q_W elements each.
    appended: Vec<Zeroizing<Vec<u64>>>,
    blinding: Blinding,
    tree: Tree,
    threads: usize,
}

impl Commitment {
    /// Commit to the weights and biases of every Dense and Conv in the order of steps, little-endian i32: weights row-major
    /// in their natural shape, then biases. The same arguments give the same root, whatever the threads.
    pub fn new(
        program: &Program,
        openings: usize,
        weights: &[u8],
        seed: &[u8; 32],
        threads: usize,
    ) -> Result<Self, String> {
        let shape = WeightsShape::new(program, openings)?;
        let expected = shape.entries();
        if weights.len() != 4 * expected {
            return Err(format!(
                "{} bytes of weights are not 4 for each of the program's {expected} weights and biases",
                weights.len()
            ));
        }
        let columns = laid_out(&shape, weights, program.largest_weight)?;
        let blinding = Blinding::new(seed, &derivation(program, openings, weights, threads));
        let rows: Vec<&[u64]> = rows_of(&columns, &shape);
        let appended: Vec<_> =
            (0..rows.len()).map(|row| blinding.words(Use::Row { tree: TREE, row }, shape.appended())).collect();
        hide(appended.iter().flat_map(|words| words.iter().copied()));
        let code = shape.code;
        let words = code.encode(&code.transform(), &rows, |row| appended[row].clone(), threads);
        let tree = Tree::commit(words, code.log_length, Some(&|| blinding.salts(TREE)), threads);
        Ok(Self { program: program.clone(), shape, columns, appended, blinding, tree, threads })
    }

    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The columns of weights, then those of biases.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The runs of all columns, in order.
    pub fn rows(&self) -> Vec<&[u64]> {
        rows_of(&self.columns, &self.shape)
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    pub fn salts(&self) -> Salts {
        self.blinding.salts(TREE)
    }

    /// Bias `index` of a layer.
    pub fn bias(&self, place: &Place, index: usize) -> u64 {
        self.entry(self.shape.bias_entry(place, index))
    }

    /// An entry of all columns, one after the other.
    pub fn entry(&self, entry: usize) -> u64 {
        self.columns[entry >> self.shape.log_rows].re[entry & (self.shape.rows() - 1)]
    }

    /// A forger's: what is proven of is not what the tree is over.
    #[cfg(test)]
    pub fn swap_columns(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.columns, &mut other.columns);
    }

    #[cfg(test)]
    pub fn appended_to(&self, row: usize) -> &[u64] {
        &self.appended[row]
    }

    /// Whether the other one holds the same weights and biases, of the same program. Nothing branches on a weight but this.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        let columns = self.columns.iter().zip(&other.columns);
        let words = columns.flat_map(|(one, other)| one.re.iter().zip(&other.re));
        published(words.fold(0, |different, (one, other)| different | (one ^ other)) == 0)
    }

    /// u_W of its rows.
    pub fn combine(&self, row: &OpenedRow, mu: &[E], threads: usize) -> Combined {
        let appended: Vec<&[u64]> = self.appended.iter().map(|words| words.as_slice()).collect();
        row.combine(mu, &self.rows(), &appended, threads)
    }
}

impl Drop for Commitment {
    fn drop(&mut self) {
        drop_all(std::mem::take(&mut self.columns), self.threads);
    }
}

fn rows_of<'a>(columns: &'a [Column], shape: &WeightsShape) -> Vec<&'a [u64]> {
    columns.iter().flat_map(|column| column.re.chunks_exact(shape.code.message())).collect()
}

/// What goes into the derivation of all that blinds a commitment: a seed that comes twice blinds two models differently.
fn derivation(program: &Program, openings: usize, weights: &[u8], threads: usize) -> Digest {
    let length = (program.bytes.len() as u32).to_le_bytes();
    let openings = (openings as u32).to_le_bytes();
    let parts = [&length[..], &program.bytes, &openings, &content_on(weights, threads)];
    Transcript::new("quatrefoil/proof/weights/v1", &parts.concat()).state()
}

/// The columns: weights of a Dense a stride apart, biases behind them. Nothing branches on a weight but the answer whether
/// all are in their range.
fn laid_out(shape: &WeightsShape, weights: &[u8], largest: u64) -> Result<Vec<Column>, String> {
    let mut columns: Vec<Column> = (0..shape.columns).map(|_| Column::base(shape.rows())).collect();
    let mut rest = weights;
    for place in &shape.places {
        let (own, behind) = rest.split_at(4 * place.outputs * place.products);
        for (output, row) in own.chunks_exact(4 * place.products).enumerate() {
            let excess = row.chunks_exact(4).fold(0, |excess, word| excess | beyond(read(word), largest));
            if published(excess != 0) {
                let index = row.chunks_exact(4).position(|word| beyond(read(word), largest) != 0).unwrap_or(0);
                return Err(format!(
                    "weight {} of step {} is {}, of a magnitude above {largest}",
                    output * place.products + index,
                    place.step + 1,
                    read(&row[4 * index..4 * index + 4]),
                ));
            }
            write(&mut columns, shape, place.start + output * place.stride, row);
        }
        let (biases, behind) = behind.split_at(4 * place.outputs);
        write(&mut columns, shape, shape.bias_entry(place, 0), biases);
        rest = behind;
    }
    Ok(columns)
}

/// Write integers modulo p from an entry on.
fn write(columns: &mut [Column], shape: &WeightsShape, entry: usize, values: &[u8]) {
    let mut values = values.chunks_exact(4);
    let (mut number, mut row) = (entry >> shape.log_rows, entry & (shape.rows() - 1));
    while values.len() > 0 {
        let out = &mut columns[number].re[row..];
        out.iter_mut().zip(values.by_ref()).for_each(|(out, word)| *out = field::add_signed(0, read(word)));
        (number, row) = (number + 1, 0);
    }
}

fn read(word: &[u8]) -> i64 {
    i64::from(i32::from_le_bytes(word.try_into().expect("four bytes")))
}

/// Not zero for what is beyond a magnitude; without a branch.
fn beyond(value: i64, largest: u64) -> u64 {
    let largest = largest as i64;
    ((largest - value) | (largest + value)) as u64 >> 63
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::field::P;

    /// Dense 3 to 2, ReLU-like rounding, then Dense 2 to 2 whose sums come out: biases 2 and 2.
    pub fn program(largest_weight: i32) -> Program {
        let mut bytes = b"QFPROG01".to_vec();
        let numbers: [i32; 18] = [1, 3, -128, 127, largest_weight, 2, 0, 0, 2, 1, 4, 0, 127, 10, 0, 1, 2, 0];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        Program::parse(&bytes).unwrap()
    }

    pub fn bytes(values: &[i32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    pub const WEIGHTS: [i32; 14] = [1, -2, 3, 4, 5, -127, 1 << 20, -9, 10, 11, 12, 13, -14, i32::MIN];

    fn commitment(openings: usize, weights: &[i32], seed: u8, threads: usize) -> Result<Commitment, String> {
        Commitment::new(&program(127), openings, &bytes(weights), &[seed; 32], threads)
    }

    #[test]
    fn weights_are_where_the_specification_puts_them() {
        let commitment = commitment(2, &WEIGHTS, 1, 1).unwrap();
        assert_eq!((commitment.shape.columns, commitment.shape.weight_columns), (2, 1));
        let entries: Vec<u64> = (0..13).map(|entry| commitment.entry(entry)).collect();
        assert_eq!(entries, [1, P - 2, 3, 0, 4, 5, P - 127, 0, 10, 11, 12, 13, 0]);
        let [first, second] = [&commitment.shape.places[0], &commitment.shape.places[1]];
        let biases = [(first, 0), (first, 1), (second, 0), (second, 1)];
        let biases = biases.map(|(place, index)| commitment.bias(place, index));
        assert_eq!(biases, [1 << 20, P - 9, P - 14, P - (1 << 31)]);
        let rows = commitment.rows();
        assert!(rows.len() == commitment.shape.columns * commitment.shape.runs());
        assert!(rows.iter().all(|row| row.len() == commitment.shape.code.message()));
    }

    #[test]
    fn the_root_follows_from_all_that_is_given_and_not_from_threads() {
        let root =
            |openings, weights: &[i32], seed, threads| commitment(openings, weights, seed, threads).unwrap().root();
        let mut other = WEIGHTS;
        other[13] += 1;
        let roots = [root(2, &WEIGHTS, 1, 1), root(3, &WEIGHTS, 1, 1), root(2, &other, 1, 1), root(2, &WEIGHTS, 2, 1)];
        for (index, one) in roots.iter().enumerate() {
            assert!(roots[index + 1..].iter().all(|other| one != other));
        }
        assert_eq!(roots[0], root(2, &WEIGHTS, 1, 3));
    }

    #[test]
    fn one_seed_blinds_two_models_differently() {
        let mut other = WEIGHTS;
        other[0] += 1;
        let [one, other] = [&WEIGHTS, &other].map(|weights| commitment(2, weights, 1, 1).unwrap());
        assert!(one.appended.iter().zip(&other.appended).all(|(one, other)| one != other));
        assert_ne!(one.salts().one(0), other.salts().one(0));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let refused = |weights: &[i32]| commitment(2, weights, 1, 1).err().unwrap();
        assert_eq!(
            refused(&WEIGHTS[..13]),
            "52 bytes of weights are not 4 for each of the program's 14 weights and biases"
        );
        for (index, value, expected) in [
            (5, -128, "weight 5 of step 1 is -128, of a magnitude above 127"),
            (8, 128, "weight 0 of step 2 is 128, of a magnitude above 127"),
            (0, i32::MIN, "weight 0 of step 1 is -2147483648, of a magnitude above 127"),
        ] {
            let mut weights = WEIGHTS;
            weights[index] = value;
            assert_eq!(refused(&weights), expected);
        }
        assert!(commitment(0, &WEIGHTS, 1, 1).err().unwrap().contains("not 1 to 64"));
        assert!(commitment(65, &WEIGHTS, 1, 1).err().unwrap().contains("not 1 to 64"));
    }
}
