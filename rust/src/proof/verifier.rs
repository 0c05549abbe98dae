//! The verifier: reads a proof in order, and gives a verdict or the first reason against it.

use super::constraint::{Public, Relation, constraint, table_at};
use super::ext::E;
use super::further::Further;
use super::messages::Incoming;
use super::multilinear::{eq, eq_table};
use super::opened::{OpenedRow, OpenedRows, check_mask_row, inner_product, split};
use super::opening::Opening;
use super::polynomial::interpolate;
use super::proof_bytes::{Bytes, Format};
use super::prover::{Ciphertext, claimed_sum};
use super::rejected::Rejected;
use super::relation::{block_weights, ciphertext_at, key_weights};
use super::runs::{Points, runs_at, targets};
use super::shape::Shape;
use super::statement::{First, Statement};
use super::transcript::Digest;
use super::tree;
use super::weights::Weights;

/// Check a proof; the digest of the statement it is for.
pub fn verify(
    statement: &Statement,
    ciphertext: &Ciphertext,
    proof: &[u8],
    threads: usize,
) -> Result<Digest, Rejected> {
    let transcript = statement.transcript();
    let digest = transcript.state();
    let bytes = Bytes::new(proof, &Format::bounded_update(statement.shape), &digest)?;
    let messages = Incoming { transcript, bytes };
    let (shape, further) = (statement.shape, statement.further);
    Verifier { shape, bound: statement.bound, further, ciphertext, threads, messages }.run()?;
    Ok(digest)
}

struct Verifier<'a> {
    shape: &'a Shape,
    bound: u64,
    further: &'a Further,
    ciphertext: &'a Ciphertext<'a>,
    threads: usize,
    messages: Incoming<'a>,
}

/// What the sum-check leaves to be opened.
struct Values {
    /// y_V of all committed columns.
    columns: Vec<E>,
    /// g(z)
    mask: E,
    z: Vec<E>,
}

impl Verifier<'_> {
    fn run(mut self) -> Result<(), Rejected> {
        let first_root = self.messages.bytes.digest()?;
        let First { zeta, alpha } = First::draw(&mut self.messages.transcript, &first_root);
        let count = self.shape.key_values();
        let (v, second_root) = self.messages.read("root2", |bytes| Ok((bytes.elements(count)?, bytes.digest()?)))?;

        let values = self.sum_check(&zeta, alpha, &v)?;
        let mut draw = self.messages.transcript.draw("kappa");
        let kappa = draw.elements(self.shape.column_variables());
        let opening = Opening::new(self.shape, &kappa, draw.element(), &values.z);
        self.open([first_root, second_root], &opening, &values)?;
        self.messages.bytes.finish()
    }

    fn sum_check(&mut self, zeta: &[E], alpha: E, v: &[E]) -> Result<Values, Rejected> {
        let shape = self.shape;
        let mut draw = self.messages.transcript.draw("point");
        #[allow(unused_mut)]
        let (mut tau, theta) = (draw.elements(shape.log_rows), draw.elements(shape.group_variables()));
        #[cfg(test)]
        super::lies::draw(&mut tau);
        let weights = Weights::new(shape, self.further, alpha, self.messages.transcript.draw("gamma").element());
        let blocks = block_weights(shape, &tau, &theta);
        let ciphertext = ciphertext_at(self.ciphertext.blocks, &blocks, &tau, self.threads);
        let mut claim = claimed_sum(shape, &weights, ciphertext, self.bound, v);
        let mut z = Vec::with_capacity(shape.log_rows);
        for round in 0..shape.log_rows {
            let mut values = self.messages.receive("round", shape.degree(round))?;
            values.insert(1, claim - values[0]);
            let challenge = self.messages.transcript.draw("z").element();
            claim = interpolate(&values, challenge);
            z.push(challenge);
        }
        let columns = self.messages.receive("values", shape.committed())?;

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

    fn open(&mut self, roots: [Digest; 2], opening: &Opening, values: &Values) -> Result<(), Rejected> {
        let (shape, code, row_code) = (self.shape, self.shape.code, self.shape.row_code);
        let messages = &mut self.messages;
        let sigma = messages.receive("sigma", 1)?[0];
        let epsilon = messages.transcript.draw("epsilon").element();
        let (mask_row, appended, root) = messages.read("opening", |bytes| {
            let mask_row = bytes.elements(shape.mask_row() + code.queries)?;
            Ok((mask_row, bytes.elements(code.queries)?, bytes.digest()?))
        })?;
        let claimed = inner_product(&opening.columns, &values.columns) + opening.sum_mask * values.mask;
        let claim = sigma + epsilon * claimed - inner_product(&opening.masks, &mask_row[..shape.mask_row()]);

        let positions = messages.transcript.draw("positions").positions(code.queries, code.log_length);
        let [first, second, _] = shape.leaf_words();
        let tree = |tree, root, width| tree::Opening {
            tree,
            root,
            log_length: code.log_length,
            width,
            salted: true,
            positions: &positions,
        };
        let opened = messages.opened("opened", [tree("1", roots[0], first), tree("2", roots[1], second)])?;
        let chi = messages.transcript.draw("chi").element();
        let points = code.points(&positions);
        check_mask_row(&opened[0], first - 6, &mask_row, epsilon, &positions, &points)?;

        let (_, low) = split(&values.z, code);
        let row = OpenedRow { code, appended: code.queries, weights: &opening.rows, low, epsilon };
        let at_points = row.values(&[&opened[0], &opened[1]], &opened[0].elements(first - 2), &appended, &points);
        let rows = OpenedRows { rows: vec![row], row_code };
        let run = rows.check(messages, [(claim, &at_points)], [&points], chi)?;
        let positions = messages.transcript.draw("positions2").positions(row_code.queries, row_code.log_length);
        rows.check_run(messages, root, &run, &positions)
    }
}
