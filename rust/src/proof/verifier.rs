//! The verifier: reads a proof in order, and gives a verdict or the first reason against it.

use super::column::{Column, dot};
use super::combination::combine_words;
use super::constraint::{Public, Relation, Weights, constraint, table_at};
use super::ext::E;
use super::further::Further;
use super::multilinear::{eq, eq_table};
use super::opened_row::weights_of_parts;
use super::opening::{self, Opening, inner_product, position_weights, round_at, row_weights_at};
use super::polynomial::{evaluate, interpolate};
use super::proof_bytes::Bytes;
use super::prover::{Ciphertext, claimed_sum};
use super::rejected::Rejected;
use super::relation::{block_weights, ciphertext_at, key_weights};
use super::runs::{Points, runs_at, targets};
use super::shape::Shape;
use super::statement::{First, Statement};
use super::transcript::{Digest, Transcript};
use super::tree::{self, Opened};

/// Check a proof; the digest of the statement it is for.
pub fn verify(
    statement: &Statement,
    ciphertext: &Ciphertext,
    proof: &[u8],
    threads: usize,
) -> Result<Digest, Rejected> {
    let transcript = statement.transcript();
    let digest = transcript.state();
    let bytes = Bytes::new(proof, statement.shape, &digest)?;
    let (shape, further) = (statement.shape, statement.further);
    Verifier { shape, bound: statement.bound, further, ciphertext, threads, transcript, bytes }.run()?;
    Ok(digest)
}

struct Verifier<'a> {
    shape: &'a Shape,
    bound: u64,
    further: &'a Further,
    ciphertext: &'a Ciphertext<'a>,
    threads: usize,
    transcript: Transcript,
    bytes: Bytes<'a>,
}

/// What the sum-check leaves to be opened.
struct Values {
    /// y_V of all committed columns.
    columns: Vec<E>,
    /// g(z)
    mask: E,
    z: Vec<E>,
}

/// What is said of the opened row.
struct RowClaim {
    /// u_m, the appended elements of u, root 3
    mask_row: Vec<E>,
    appended: Vec<E>,
    root: Digest,
    epsilon: E,
    claim: E,
}

impl Verifier<'_> {
    fn run(mut self) -> Result<(), Rejected> {
        let first_root = self.bytes.digest()?;
        let First { zeta, alpha } = First::draw(&mut self.transcript, &first_root);
        let start = self.bytes.at();
        let v = self.bytes.element()?;
        let second_root = self.bytes.digest()?;
        self.transcript.absorb("root2", self.bytes.since(start));

        let values = self.sum_check(&zeta, alpha, v)?;
        let mut draw = self.transcript.draw("kappa");
        let kappa = draw.elements(self.shape.column_variables());
        let opening = Opening::new(self.shape, &kappa, draw.element(), &values.z);
        let row = self.row_claim(&opening, &values)?;
        self.open([first_root, second_root], &opening, row, &values.z)?;
        self.bytes.finish()
    }

    /// Absorb `count` elements, and give them.
    fn receive(&mut self, label: &str, count: usize) -> Result<Vec<E>, Rejected> {
        let start = self.bytes.at();
        let elements = self.bytes.elements(count)?;
        self.transcript.absorb(label, self.bytes.since(start));
        Ok(elements)
    }

    fn sum_check(&mut self, zeta: &[E], alpha: E, v: E) -> Result<Values, Rejected> {
        let shape = self.shape;
        let mut draw = self.transcript.draw("point");
        #[allow(unused_mut)]
        let (mut tau, theta) = (draw.elements(shape.log_rows), draw.elements(shape.group_variables()));
        #[cfg(test)]
        super::lies::draw(&mut tau);
        let weights = Weights::new(shape, self.further, alpha, self.transcript.draw("gamma").element());
        let blocks = block_weights(shape, &tau, &theta);
        let ciphertext = ciphertext_at(self.ciphertext.blocks, &blocks, &tau, self.threads);
        let mut claim = claimed_sum(shape, &weights, ciphertext, self.bound, v);
        let mut z = Vec::with_capacity(shape.log_rows);
        for round in 0..shape.log_rows {
            let mut values = self.receive("round", shape.degree(round))?;
            values.insert(1, claim - values[0]);
            let challenge = self.transcript.draw("z").element();
            claim = interpolate(&values, challenge);
            z.push(challenge);
        }
        let columns = self.receive("values", shape.committed())?;

        let key = key_weights(self.ciphertext.masks, &blocks, &tau, self.threads);
        let points = Points { tau: &tau, zeta, key: &key };
        let (tables, selected) = (0..shape.tables).map(|a| table_at(shape, a, &z)).unzip();
        let public = Public { eq: eq(&tau, &z), tables, selected, runs: runs_at(shape, &weights, &points, &z) };
        let (base, parts) = columns.split_at(shape.base_columns());
        let inverses = parts.chunks_exact(2).map(|parts| parts[0] + parts[1].times_x());
        let at: Vec<E> = base.iter().copied().chain(inverses).collect();
        let relation = Relation::new(shape, &eq_table(&theta));
        let mask = claim - constraint(shape, &weights, &relation, &targets(shape, self.further), &at, &public);
        Ok(Values { columns, mask, z })
    }

    fn row_claim(&mut self, opening: &Opening, values: &Values) -> Result<RowClaim, Rejected> {
        let shape = self.shape;
        let sigma = self.receive("sigma", 1)?[0];
        let epsilon = self.transcript.draw("epsilon").element();
        let start = self.bytes.at();
        let mask_row = self.bytes.elements(shape.mask_row() + shape.code.queries)?;
        let appended = self.bytes.elements(shape.code.queries)?;
        let root = self.bytes.digest()?;
        self.transcript.absorb("opening", self.bytes.since(start));
        let claimed = inner_product(&opening.columns, &values.columns) + opening.sum_mask * values.mask;
        let claim = sigma + epsilon * claimed - inner_product(&opening.masks, &mask_row[..shape.mask_row()]);
        Ok(RowClaim { mask_row, appended, root, epsilon, claim })
    }

    fn open(&mut self, roots: [Digest; 2], opening: &Opening, row: RowClaim, z: &[E]) -> Result<(), Rejected> {
        let shape = self.shape;
        let code = shape.code;
        let positions = self.transcript.draw("positions").positions(code.queries, code.log_length);
        let start = self.bytes.at();
        let mut read = |tree: usize| {
            let (root, width) = (roots[tree], shape.leaf_words()[tree]);
            let log_length = code.log_length;
            tree::Opening { tree: tree + 1, root, log_length, width, salted: true, positions: &positions }
                .check(&mut self.bytes)
        };
        let opened = [read(0)?, read(1)?];
        self.transcript.absorb("opened", self.bytes.since(start));
        let weights = position_weights(self.transcript.draw("chi").element(), positions.len());

        let points = code.points(&positions);
        let mut claim = row.claim;
        let values = self.row_at(&opened, opening, &row, &positions, &points)?;
        claim += inner_product(&weights, &values);
        let mut r = Vec::with_capacity(code.log_message);
        for _ in 0..code.log_message {
            let round = self.receive("fold", 2)?;
            let challenge = self.transcript.draw("r").element();
            claim = round_at(claim, [round[0], round[1]], challenge);
            r.push(challenge);
        }
        let combined = self.receive("row", shape.row_code.message())?;
        let (high, low) = r.split_at(code.log_message - shape.row_code.log_message);
        let (_, z_low) = opening::split(shape, z);
        let value = dot(&eq_table(low), &Column::of(combined.iter().copied()));
        if value * row_weights_at(z_low, &points, &weights, &r) != claim {
            return Err(Rejected::Row);
        }
        self.open_row(row.root, high, &combined)
    }

    /// (u[0..C])(x) at all positions, where the masks fit u_m.
    fn row_at(
        &self,
        opened: &[Opened; 2],
        opening: &Opening,
        row: &RowClaim,
        positions: &[usize],
        points: &[u64],
    ) -> Result<Vec<E>, Rejected> {
        let columns = self.shape.leaf_words()[0] - 6;
        let part = |rows: &[E]| Column::of(rows.iter().copied());
        let (first, second) = opening.rows.split_at(columns);
        let (first, second) = (part(first), part(second));
        let (masks, tails) = (evaluate(&row.mask_row, points), evaluate(&row.appended, points));
        let mut values = Vec::with_capacity(points.len());
        for (number, &x) in points.iter().enumerate() {
            let (words, others) = opened[0].at(number).split_at(columns);
            let pair = |index: usize| E::new(others[index], others[index + 1]);
            let (mask, nu, mu) = (pair(0), pair(2), pair(4));
            if nu + row.epsilon * mask != masks[number] {
                return Err(Rejected::MaskRow { position: positions[number] });
            }
            let sum = combine_words(words, &first) + combine_words(opened[1].at(number), &second);
            let shift = crate::field::pow(x, self.shape.code.message() as u64);
            values.push(mu + row.epsilon * sum - tails[number].scale(shift));
        }
        Ok(values)
    }

    /// The runs of the opened row at some positions against their combination.
    fn open_row(&mut self, root: Digest, high: &[E], combined: &[E]) -> Result<(), Rejected> {
        let (code, width) = (self.shape.row_code, self.shape.leaf_words()[2]);
        let log_length = code.log_length;
        let positions = self.transcript.draw("positions2").positions(code.queries, log_length);
        let opened = tree::Opening { tree: 3, root, log_length, width, salted: false, positions: &positions }
            .check(&mut self.bytes)?;
        let weights = Column::of(weights_of_parts(high));
        let values = evaluate(combined, &code.points(&positions));
        for (number, (&position, &value)) in positions.iter().zip(&values).enumerate() {
            if combine_words(opened.at(number), &weights) != value {
                return Err(Rejected::Run { position });
            }
        }
        Ok(())
    }
}
