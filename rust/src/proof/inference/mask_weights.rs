//! What the masks are weighed with when all claims become one (docs/inference-proofs.md, "The opening"): w_m and w_mW.

use super::claims::{LayerPoint, Linear};
use super::shape::Shape;
use super::weights_claims::WeightsClaims;
use crate::field;
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;
use crate::proof::opened::{bump, sum_mask_weights};
use crate::proof::transcript::Transcript;

/// The weights of all claims, and what they make of the mask row.
pub struct MaskWeights {
    /// kappa_V of the committed columns, and kappa_g.
    pub columns: Vec<E>,
    pub sum_mask: E,
    /// kappa_w of the columns of weights, and kappa_gW.
    pub weights_columns: Vec<E>,
    pub weights_sum_mask: E,
    /// kappa_i
    pub layers: Vec<E>,
    /// w_m and w_mW: M elements each.
    pub row: Vec<E>,
    pub weights_row: Vec<E>,
}

impl MaskWeights {
    /// Draw kappa, when z and w are known.
    pub fn draw(
        shape: &Shape,
        transcript: &mut Transcript,
        points: &[LayerPoint],
        linear: &Linear,
        claims: &WeightsClaims,
        [z, w]: [&[E]; 2],
    ) -> Self {
        let (masks, weights) = (&shape.masks, &shape.weights);
        let mut draw = transcript.draw("kappa");
        let columns: Vec<E> =
            eq_table(&draw.elements(shape.column_variables())).iter().take(shape.committed()).collect();
        let sum_mask = draw.element();
        let weights_columns: Vec<E> =
            eq_table(&draw.elements(weights.column_variables())).iter().take(weights.columns).collect();
        let weights_sum_mask = draw.element();
        let layers = draw.elements(shape.layers.len());

        let (mut row, mut weights_row) = (vec![E::ZERO; masks.length], vec![E::ZERO; masks.length]);
        row[masks.rounds.clone()].copy_from_slice(&sum_mask_weights(sum_mask, z, |round| shape.degree(round)));
        row[masks.columns.clone()].copy_from_slice(&scaled(&columns, bump(z)));
        let of_w = sum_mask_weights(weights_sum_mask, w, |round| weights.degree(round));
        weights_row[masks.weights_rounds.clone()].copy_from_slice(&of_w);
        weights_row[masks.weights_columns.clone()].copy_from_slice(&scaled(&weights_columns, bump(w)));
        let (a_row, a_weight_row) =
            (sum_mask.scale(one_over(shape.log_rows)), weights_sum_mask.scale(one_over(w.len())));
        for (number, layer) in shape.layers.iter().enumerate() {
            let (places, kappa, s) = (&masks.layers[number], layers[number], &points[number].inputs);
            let each = kappa.scale(one_over(layer.log_inputs));
            let rounds = sum_mask_weights(kappa, s, |round| layer.degree(round));
            row[places.rounds.clone()].copy_from_slice(&rounds);
            if layer.is_hidden() {
                row[places.a] = each + a_row * linear.gamma_a[number];
            }
            row[places.b] = -each;
            if !layer.public {
                row[places.x] = a_row * linear.gamma_x[number] * bump(s);
            }
            weights_row[places.m] = a_weight_row * claims.gamma_m[number] * bump(s);
            weights_row[places.b] = a_weight_row * claims.gamma_b[number];
        }
        Self { columns, sum_mask, weights_columns, weights_sum_mask, layers, row, weights_row }
    }
}

/// 2^-variables
pub fn one_over(variables: usize) -> u64 {
    field::invert(1 << variables)
}

fn scaled(elements: &[E], factor: E) -> Vec<E> {
    elements.iter().map(|&element| element * factor).collect()
}
