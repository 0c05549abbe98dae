//! The two openings of a proof about committed weights: of the columns that it commits to itself, and of the weights
//! (docs/inference-proofs.md, rows 7 to 12 of the transcript). Both sides; a proof of answers and one of the range of the
//! weights end so.

use super::weights::Commitment;
use crate::proof::blinding::Salts;
use crate::proof::codes::Code;
use crate::proof::column::{Column, dot};
use crate::proof::ext::{E, bytes_of};
use crate::proof::messages::{Incoming, Outgoing};
use crate::proof::multilinear::eq_table;
use crate::proof::opened::{OpenedRow, OpenedRows, check_mask_row, inner_product};
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;
use crate::proof::tree::{self, Tree};

/// What both sides know of one of the openings before sigma is sent.
pub struct Claim<'a> {
    pub code: Code,
    /// Q, or T Q_W.
    pub appended: usize,
    /// kappa_V eq(z_hi, r), row after row: see `weights_of_rows`.
    pub rows: Vec<E>,
    /// z_lo: see `split`.
    pub low: &'a [E],
    /// w_m, or w_mW: M elements.
    pub masks: Vec<E>,
}

impl Claim<'_> {
    fn opened(&self, epsilon: E) -> OpenedRow<'_> {
        let &Self { code, appended, low, .. } = self;
        OpenedRow { code, appended, weights: &self.rows, low, epsilon }
    }

    /// <eq(z_lo), mu[0..C]> + <w_m, nu[0..M]>
    fn sigma(&self, mu: &[E], nu: &[E]) -> E {
        let mu = Column::of(mu[..self.code.message()].iter().copied());
        dot(&mu, &eq_table(self.low)) + inner_product(&self.masks, &nu[..self.masks.len()])
    }
}

/// What a prover opens.
pub struct Secrets<'a> {
    /// The mask row and nu: M + Q elements, those appended to the mask row included.
    pub mask_row: &'a [E],
    pub nu: &'a [E],
    /// mu and mu_W: K and K_W elements.
    pub mu: [&'a [E]; 2],
    /// The rows of trees 1 and 2 that are weighed, in order, and what is appended to each.
    pub rows: &'a [&'a [u64]],
    pub appended: &'a [&'a [u64]],
    pub weights: &'a Commitment,
    /// Trees 1, 2 and M, with their salts.
    pub trees: [(&'a Tree, Salts); 3],
}

/// Rows 7 to 12: everything behind the draw of kappa.
pub fn prove(messages: &mut Outgoing, [claim, claim_w]: [&Claim; 2], row_code: Code, secrets: Secrets, threads: usize) {
    let [mu, mu_w] = secrets.mu;
    let sigmas = [claim.sigma(mu, secrets.nu), claim_w.sigma(mu_w, secrets.nu)];
    messages.send_elements("sigma", &sigmas);
    let epsilon = messages.transcript.draw("epsilon").element();
    let (row, row_w) = (claim.opened(epsilon), claim_w.opened(epsilon));
    let u = row.combine(mu, secrets.rows, secrets.appended, threads);
    #[allow(unused_mut)]
    let mut u_w = secrets.weights.combine(&row_w, mu_w, threads);
    let mask_row: Vec<E> = secrets.nu.iter().zip(secrets.mask_row).map(|(&nu, &mask)| nu + epsilon * mask).collect();
    let rows = OpenedRows { rows: vec![row, row_w], row_code };
    let appended = u.appended;
    let vector = rows.lay_out([u.message, u_w.message]);
    let tree = rows.commit(&vector, threads);
    #[cfg(test)]
    let (mask_row, appended) = crate::proof::lies::opened(claim.masks.len(), mask_row, appended);
    #[cfg(test)]
    crate::proof::lies::second_appended(&mut u_w.appended);
    let elements = [&mask_row, &appended, &u_w.appended].map(|elements| bytes_of(elements));
    let [mask_row, appended, appended_w] = elements.each_ref().map(Vec::as_slice);
    messages.send("opening", &[mask_row, appended, appended_w, &tree.root()]);

    let positions = positions(&mut messages.transcript, "positions", claim.code);
    let places = self::positions(&mut messages.transcript, "places", claim_w.code);
    let [first, second, mu_tree] = secrets.trees;
    let own = [first, second].into_iter().map(|(tree, salts)| (tree, positions.as_slice(), salts));
    let weights = [mu_tree, (secrets.weights.tree(), secrets.weights.salts())];
    let of_weights = weights.into_iter().map(|(tree, salts)| (tree, places.as_slice(), salts));
    messages.open("opened", own.chain(of_weights));

    let chi = messages.transcript.draw("chi").element();
    let points = [claim.code.points(&positions), claim_w.code.points(&places)];
    rows.prove(messages, &vector, points.each_ref().map(Vec::as_slice), chi, threads);
    let positions = self::positions(&mut messages.transcript, "positions2", row_code);
    tree.open(&positions, None, &mut messages.proof);
}

/// What a verifier has read of the trees: roots and words a leaf of trees 1, 2, M and W.
pub struct Trees {
    pub roots: [Digest; 4],
    pub widths: [usize; 4],
}

/// Rows 7 to 12. `claimed`: what epsilon is multiplied with in both claims: sum_V kappa_V y_V + kappa_g G(z) + .. .
pub fn verify(
    messages: &mut Incoming,
    [claim, claim_w]: [&Claim; 2],
    row_code: Code,
    claimed: [E; 2],
    trees: &Trees,
) -> Result<(), Rejected> {
    let masks = claim.masks.len();
    let sigma = messages.receive("sigma", 2)?;
    let epsilon = messages.transcript.draw("epsilon").element();
    let (mask_row, appended, appended_w, root) = messages.read("opening", |bytes| {
        let mask_row = bytes.elements(masks + claim.code.queries)?;
        let (appended, appended_w) = (bytes.elements(claim.appended)?, bytes.elements(claim_w.appended)?);
        Ok((mask_row, appended, appended_w, bytes.digest()?))
    })?;
    let of_row = |claim: &Claim, sigma: E, claimed: E| {
        sigma + epsilon * claimed - inner_product(&claim.masks, &mask_row[..masks])
    };
    let (value, value_w) = (of_row(claim, sigma[0], claimed[0]), of_row(claim_w, sigma[1], claimed[1]));

    let positions = positions(&mut messages.transcript, "positions", claim.code);
    let places = self::positions(&mut messages.transcript, "places", claim_w.code);
    let tree = |number: usize, tree, code: Code, positions| tree::Opening {
        tree,
        root: trees.roots[number],
        log_length: code.log_length,
        width: trees.widths[number],
        salted: true,
        positions,
    };
    let openings = [
        tree(0, "1", claim.code, &positions),
        tree(1, "2", claim.code, &positions),
        tree(2, "M", claim_w.code, &places),
        tree(3, "W", claim_w.code, &places),
    ];
    let [first, second, mu, weights] = messages.opened("opened", openings)?;
    let chi = messages.transcript.draw("chi").element();

    let (points, points_w) = (claim.code.points(&positions), claim_w.code.points(&places));
    check_mask_row(&first, first.width() - 6, &mask_row, epsilon, &positions, &points)?;
    let (row, row_w) = (claim.opened(epsilon), claim_w.opened(epsilon));
    let values = row.values(&[&first, &second], &first.elements(first.width() - 2), &appended, &points);
    let at_places = row_w.values(&[&weights], &mu.elements(0), &appended_w, &points_w);
    let rows = OpenedRows { rows: vec![row, row_w], row_code };
    let run = rows.check(messages, [(value, &values), (value_w, &at_places)], [&points, &points_w], chi)?;
    let positions = self::positions(&mut messages.transcript, "positions2", row_code);
    rows.check_run(messages, root, &run, &positions)
}

fn positions(transcript: &mut crate::proof::transcript::Transcript, label: &str, code: Code) -> Vec<usize> {
    transcript.draw(label).positions(code.queries, code.log_length)
}
