//! The prover: the messages of docs/inference-proofs.md, in their order.

use zeroize::Zeroizing;

use super::blinded::{Blinded, degrees};
use super::bytes::MAGIC;
use super::claims::{LayerPoint, LayerSent, Linear, Maps, eq_of, outputs_at};
use super::layers;
use super::looked_up::LookedUp;
use super::mask_weights::{MaskWeights, one_over};
use super::opened::{self, Secrets};
use super::public::{Batch, Public};
use super::rounds;
use super::shape::Shape;
use super::statement::Statement;
use super::sums::Sums;
use super::weights::Commitment;
use super::weights_claims::{WeightsClaims, layer_vector};
use super::weights_group::groups;
use super::weights_rounds;
use super::witness::Witness;
use crate::proof::blinding::{Blinding, Use};
use crate::proof::codes::Code;
use crate::proof::column::{Column, drop_all};
use crate::proof::ext::{E, powers};
use crate::proof::messages::Outgoing;
use crate::proof::opened::{bump, split, weights_of_rows};
use crate::proof::published::hide;
use crate::proof::tree::Tree;

/// Trees that the prover commits to and blinds, by their numbers in the blinding stream.
const FIRST: u64 = 1;
const SECOND: u64 = 2;
const MU_W: u64 = 3;

/// For the bench.
macro_rules! lap {
    ($name:literal) => {
        #[cfg(test)]
        super::laps::lap($name)
    };
}

/// A proof, and whether the witness fits the statement: where it does not, the proof will be rejected.
pub struct Attempt {
    pub proof: Vec<u8>,
    pub holds: bool,
}

/// Prove a statement about a batch. The statement is of the commitment's root and of what is public.
pub fn prove(
    statement: &Statement,
    commitment: &Commitment,
    public: &Public,
    witness: &Witness,
    seed: &[u8; 32],
    threads: usize,
) -> Attempt {
    let transcript = statement.transcript();
    let blinding = Blinding::new(seed, &transcript.state());
    let messages = Outgoing::new(MAGIC, transcript);
    let masks = Masks::new(statement.shape, &blinding);
    Prover { shape: statement.shape, commitment, public, witness, blinding, masks, threads, messages }.run()
}

/// The uniform elements that hide what is sent and what is opened.
struct Masks {
    /// The mask row, and the elements appended to it.
    row: Zeroizing<Vec<E>>,
    nu: Zeroizing<Vec<E>>,
    mu: Zeroizing<Vec<E>>,
    mu_w: Zeroizing<Vec<E>>,
}

impl Masks {
    fn new(shape: &Shape, blinding: &Blinding) -> Self {
        let length = shape.masks.length + shape.code.queries;
        let masks = Self {
            row: blinding.elements(Use::MaskRow, length),
            nu: blinding.elements(Use::Nu, length),
            mu: blinding.elements(Use::Mu, shape.row_coefficients()),
            mu_w: blinding.elements(Use::MuW, shape.weights.row_coefficients()),
        };
        for mask in [&masks.row, &masks.nu, &masks.mu, &masks.mu_w] {
            hide(mask.iter().flat_map(|mask| mask.parts()));
        }
        masks
    }
}

struct Prover<'a> {
    shape: &'a Shape,
    commitment: &'a Commitment,
    public: &'a Public<'a>,
    witness: &'a Witness,
    blinding: Blinding,
    masks: Masks,
    threads: usize,
    messages: Outgoing,
}

/// What the layers leave to be proven.
struct Layers {
    points: Vec<LayerPoint>,
    sent: Vec<LayerSent>,
    holds: bool,
}

impl Prover<'_> {
    fn run(mut self) -> Attempt {
        let (shape, threads) = (self.shape, self.threads);
        let transform = shape.code.transform();
        let first_tree = self.commit_columns(&transform);
        lap!("tree 1");
        let mu_tree = self.commit_mu_w();
        lap!("tree M");
        self.messages.send("roots", &[&first_tree.root(), &mu_tree.root()]);
        let mut draw = self.messages.transcript.draw("lookup");
        let (alpha, beta) = (draw.element(), draw.element());

        let looked_up = LookedUp::new(shape, &self.witness.columns, alpha, beta, threads);
        lap!("lookups");
        #[allow(unused_mut)]
        let mut inverses = looked_up.inverse_columns(shape, threads);
        #[cfg(test)]
        super::lies::balance(&mut inverses);
        hide(inverses.iter().flat_map(|column| column.re.iter().chain(&column.im).copied()));
        lap!("inverses");
        let second_tree = self.commit(&transform, SECOND, &self.rows_of(parts_of(&inverses)), usize::MAX);
        drop(transform);
        self.messages.send("root2", &[&second_tree.root()]);
        lap!("tree 2");

        let r_b = self.messages.transcript.draw("batch").elements(shape.log_batch);
        let batch = Batch::new(shape, self.public, &r_b, threads);
        lap!("public sums");
        let sums = Sums::new(shape, &self.witness.columns, &batch, threads);
        lap!("sums");
        let layers = self.layers(&batch, &sums);
        lap!("layers");

        let maps = Maps::draw(shape, &mut self.messages.transcript);
        let tau = self.messages.transcript.draw("point").elements(shape.log_rows);
        let mut draw = self.messages.transcript.draw("gamma");
        let (gamma, gamma_w) = (draw.element(), draw.element());
        let linear = Linear::new(shape, &batch, &layers.points, &layers.sent, &maps, gamma);
        lap!("linear");
        let over_rows = self.rounds(&batch, &layers, &linear, looked_up, &inverses, sums, &tau, gamma);
        lap!("rounds");
        let claims = WeightsClaims::new(shape, batch.sum, &layers.points, &layers.sent, gamma_w);
        lap!("weights claims");
        let over_weights = self.weights_rounds(&layers, &claims);
        lap!("weights rounds");

        let [z, w] = [&over_rows.point[..], &over_weights.point];
        let transcript = &mut self.messages.transcript;
        let weights = MaskWeights::draw(shape, transcript, &layers.points, &linear, &claims, [z, w]);
        self.open(&weights, [z, w], &inverses, [&first_tree, &second_tree, &mu_tree]);
        lap!("opening");
        drop_all(inverses, threads);
        [first_tree, second_tree, mu_tree].into_iter().for_each(|tree| tree.drop_on(threads));
        lap!("wiping");
        Attempt { proof: self.messages.proof, holds: layers.holds & over_rows.holds & over_weights.holds }
    }

    fn commit_columns(&self, transform: &Transform) -> Tree {
        let Masks { row, nu, mu, .. } = &self.masks;
        let mut rows = self.rows_of(self.witness.columns.iter().map(|column| column.re.as_slice()));
        let parts: Vec<Column> = [row, nu, mu].map(|mask| Column::of(mask.iter().copied())).into();
        // The mask row has its appended elements already; mu and nu are uniform.
        let appended = rows.len();
        rows.extend(parts.iter().flat_map(|part| [part.re.as_slice(), part.im.as_slice()]));
        self.commit(transform, FIRST, &rows, appended)
    }

    fn commit_mu_w(&self) -> Tree {
        let code = self.shape.weights.code;
        let mu = Column::of(self.masks.mu_w.iter().copied());
        let words = code.encode(&code.transform(), &mu.parts(), |_| Zeroizing::default(), self.threads);
        Tree::commit(words, code.log_length, Some(&|| self.blinding.salts(MU_W)), self.threads)
    }

    fn rows_of<'b>(&self, columns: impl Iterator<Item = &'b [u64]>) -> Vec<&'b [u64]> {
        columns.flat_map(|column| column.chunks_exact(self.shape.code.message())).collect()
    }

    /// A tree over the code words of rows; to the first `appended` of them, uniform elements are appended.
    fn commit(&self, transform: &Transform, tree: u64, rows: &[&[u64]], appended: usize) -> Tree {
        let code = self.shape.code;
        let behind = |row| {
            let count = if row < appended { code.queries } else { 0 };
            self.blinding.words(Use::Row { tree, row }, count)
        };
        let words = code.encode(transform, rows, behind, self.threads);
        Tree::commit(words, code.log_length, Some(&|| self.blinding.salts(tree)), self.threads)
    }

    fn layers(&mut self, batch: &Batch, sums: &Sums) -> Layers {
        let shape = self.shape;
        let mut out = Layers { points: Vec::new(), sent: Vec::new(), holds: true };
        for number in 0..shape.layers.len() {
            let (point, sent, holds) = self.layer(number, batch, sums);
            out.points.push(point);
            out.sent.push(sent);
            out.holds &= holds;
        }
        out
    }

    fn layer(&mut self, number: usize, batch: &Batch, sums: &Sums) -> (LayerPoint, LayerSent, bool) {
        let (shape, threads) = (self.shape, self.threads);
        let (layer, places) = (&shape.layers[number], &shape.masks.layers[number]);
        let row = &self.masks.row;
        let [rho_a, rho_b, rho_x, rho_m] = [places.a, places.b, places.x, places.m].map(|place| row[place]);
        let rho_a = if layer.cell.is_some() { rho_a } else { E::ZERO };
        let rho_x = if layer.public { E::ZERO } else { rho_x };

        let r_o = self.messages.transcript.draw("layer").elements(layer.output_variables());
        let outputs = eq_of(&r_o, layer.outputs);
        let a = Zeroizing::new(match layer.cell {
            Some(cell) => sums.rounded(shape, cell, &outputs, batch),
            None => outputs_at(batch, layer, &r_o),
        });
        let b = Zeroizing::new(self.biases(number, &outputs) * batch.sum);
        // Of sums that come out A is public.
        hide(layer.cell.map(|_| *a).into_iter().chain([*b]).flat_map(E::parts));
        let (v_a, v_b) = (*a + rho_a, *b + rho_b);
        #[cfg(test)]
        let (v_a, v_b) = match number {
            0 => (v_a + super::lies::sum(), v_b + super::lies::of(super::lies::Lie::Bias)),
            _ => (v_a, v_b),
        };
        let claim = [v_a, v_b];
        self.messages.send_elements("claim", if layer.cell.is_some() { &claim } else { &claim[1..] });

        let mut x = sums.value(shape, shape.program.steps[layer.step].sources[0], batch);
        x.re.resize(1 << layer.log_inputs, 0);
        x.im.resize(1 << layer.log_inputs, 0);
        let columns: Vec<&[u64]> = self.commitment.columns().iter().map(|column| column.re.as_slice()).collect();
        let m = layer_vector(shape, number, &outputs, &columns, threads);
        let constant = (rho_a - rho_b).scale(one_over(layer.log_inputs));
        let mask = Blinded::new(&row[places.rounds.clone()], degrees(layer.log_inputs, 2, 4), constant);
        let messages = &mut self.messages;
        let ending = layers::prove([x, m], &[rho_x, rho_m], *a - *b, mask, threads, |round| {
            messages.send_elements("layer round", round);
            messages.transcript.draw("s").element()
        });
        let [x, m] = *ending.factors;
        #[cfg(test)]
        let [x, m] = match number + 1 == shape.layers.len() {
            true => [x + super::lies::of(super::lies::Lie::Ends(0)), m + super::lies::of(super::lies::Lie::Ends(1))],
            false => [x, m],
        };
        let ends = [x, m];
        self.messages.send_elements("ends", if layer.public { &ends[1..] } else { &ends });
        let sent = LayerSent { a: v_a, b: v_b, x, m };
        (LayerPoint { outputs: r_o, inputs: ending.point }, sent, ending.holds)
    }

    /// sum_f eq_F(r_o)_f bias(f)
    fn biases(&self, number: usize, outputs: &Column) -> E {
        let place = &self.shape.weights.places[number];
        let each = outputs.len() / place.outputs;
        let of_bias = |bias: usize| (bias * each..(bias + 1) * each).map(|output| outputs.at(output)).sum::<E>();
        (0..place.outputs).map(|bias| of_bias(bias).scale(self.commitment.bias(place, bias))).sum()
    }

    #[allow(clippy::too_many_arguments)]
    fn rounds(
        &mut self,
        batch: &Batch,
        layers: &Layers,
        linear: &Linear,
        looked_up: LookedUp,
        inverses: &[Column],
        sums: Sums,
        tau: &[E],
        gamma: E,
    ) -> rounds::Ending {
        let (shape, row) = (self.shape, &self.masks.row);
        let mut masks = Zeroizing::new(E::ZERO);
        for (number, places) in shape.masks.layers.iter().enumerate() {
            *masks += linear.gamma_a[number] * row[places.a];
            *masks += linear.gamma_x[number] * bump(&layers.points[number].inputs) * row[places.x];
        }
        let claim = rounds::Claim {
            shape,
            columns: &self.witness.columns,
            inverses,
            tau,
            gamma: &powers(gamma, shape.inverse_columns() + 1),
            rho: &row[shape.masks.columns.clone()],
            omega: &batch.omega,
            sum: linear.sum - *masks,
        };
        let fractions = shape.largest_chunk();
        let degrees = degrees(shape.log_rows, fractions + 2, 2 * fractions + 3);
        let mask = Blinded::new(&row[shape.masks.rounds.clone()], degrees, masks.scale(one_over(shape.log_rows)));
        let weighed = sums.weighed(shape, linear);
        let messages = &mut self.messages;
        let ending = rounds::prove(&claim, looked_up, weighed, mask, self.threads, |round| {
            messages.send_elements("round", round);
            messages.transcript.draw("z").element()
        });
        #[allow(unused_mut)]
        let mut values = ending.values.to_vec();
        #[cfg(test)]
        if let Some(value) = values.first_mut() {
            *value += super::lies::of(super::lies::Lie::Value);
        }
        self.messages.send_elements("values", &values);
        ending
    }

    fn weights_rounds(&mut self, layers: &Layers, claims: &WeightsClaims) -> weights_rounds::Ending {
        let (shape, row) = (self.shape, &self.masks.row);
        let mut masks = Zeroizing::new(E::ZERO);
        for (number, places) in shape.masks.layers.iter().enumerate() {
            *masks += claims.gamma_m[number] * bump(&layers.points[number].inputs) * row[places.m];
            *masks += claims.gamma_b[number] * row[places.b];
        }
        let log_rows = shape.weights.log_rows;
        let constant = masks.scale(one_over(log_rows));
        let mask = Blinded::new(&row[shape.masks.weights_rounds.clone()], degrees(log_rows, 2, 3), constant);
        let columns: Vec<&Column> = self.commitment.columns().iter().collect();
        let (rho, sum) = (&row[shape.masks.weights_columns.clone()], claims.sum - *masks);
        let messages = &mut self.messages;
        let groups = groups(shape, claims, &columns, self.threads);
        let grouped: Vec<usize> = groups.iter().flat_map(|group| group.columns.iter().copied()).collect();
        let laid_out = claims.laid_out(shape, |column| !grouped.contains(&column));
        lap!("groups");
        let ending = weights_rounds::prove(&columns, laid_out, groups, rho, sum, mask, self.threads, |round| {
            messages.send_elements("weights round", round);
            messages.transcript.draw("w").element()
        });
        #[allow(unused_mut)]
        let mut values = ending.values.to_vec();
        #[cfg(test)]
        {
            values[0] += super::lies::of(super::lies::Lie::WeightsValue);
        }
        self.messages.send_elements("weights values", &values);
        ending
    }

    fn open(&mut self, weights: &MaskWeights, [z, w]: [&[E]; 2], inverses: &[Column], trees: [&Tree; 3]) {
        let shape = self.shape;
        let claim = |code: Code, appended, row_code, columns: &[E], point, masks: &[E]| {
            let (high, low) = split(point, code);
            let rows = weights_of_rows(columns, high);
            opened::Claim { code, appended, row_code, rows, low, masks: masks.to_vec() }
        };
        let of_columns = claim(shape.code, shape.code.queries, shape.row_code, &weights.columns, z, &weights.row);
        let (code, appended, row_code) = (shape.weights.code, shape.weights.appended(), shape.weights.row_code);
        let of_weights = claim(code, appended, row_code, &weights.weights_columns, w, &weights.weights_row);

        let first = self.rows_of(self.witness.columns.iter().map(|column| column.re.as_slice()));
        let second = self.rows_of(parts_of(inverses));
        let behind = |tree, count| (0..count).map(move |row| (tree, row));
        let appended: Vec<_> = behind(FIRST, first.len())
            .chain(behind(SECOND, second.len()))
            .map(|(tree, row)| self.blinding.words(Use::Row { tree, row }, shape.code.queries))
            .collect();
        let secrets = Secrets {
            mask_row: &self.masks.row,
            nu: &self.masks.nu,
            mu: [&self.masks.mu, &self.masks.mu_w],
            rows: &[first, second].concat(),
            appended: &appended.iter().map(|words| words.as_slice()).collect::<Vec<_>>(),
            weights: self.commitment,
            trees: std::array::from_fn(|tree| (trees[tree], self.blinding.salts(tree as u64 + FIRST))),
        };
        opened::prove(&mut self.messages, [&of_columns, &of_weights], secrets, self.threads);
    }
}

type Transform = crate::proof::wide::code::Code;

/// The parts of columns over E, as they are committed.
fn parts_of(columns: &[Column]) -> impl Iterator<Item = &[u64]> {
    columns.iter().flat_map(|column| [column.re.as_slice(), column.im.as_slice()])
}
