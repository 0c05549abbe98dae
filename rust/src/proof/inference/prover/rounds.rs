//! The sum-checks over the rows of the columns and over those of the weights.

use zeroize::Zeroizing;

use super::Prover;
use super::layers::Layers;
use crate::proof::column::Column;
use crate::proof::ext::{E, powers};
use crate::proof::inference::blinded::{Blinded, degrees};
use crate::proof::inference::claims::Linear;
use crate::proof::inference::looked_up::LookedUp;
use crate::proof::inference::mask_weights::one_over;
use crate::proof::inference::placed::Placed;
use crate::proof::inference::public::Batch;
use crate::proof::inference::sums::Sums;
use crate::proof::inference::weights_claims::WeightsClaims;
use crate::proof::inference::weights_group::groups;
use crate::proof::inference::{rounds, weights_rounds};
use crate::proof::opened::bump;

impl Prover<'_> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn rounds(
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
        let place =
            linear.place.as_ref().map(|place| Placed::new(place, shape, &self.witness.columns, batch, self.threads));
        let ending = rounds::prove(&claim, looked_up, weighed, place, mask, self.threads, |round| {
            messages.send_elements("round", round);
            messages.transcript.draw("z").element()
        });
        #[allow(unused_mut)]
        let mut values = ending.values.to_vec();
        #[cfg(test)]
        if let Some(value) = values.first_mut() {
            *value += crate::proof::inference::lies::of(crate::proof::inference::lies::Lie::Value);
        }
        self.messages.send_elements("values", &values);
        ending
    }

    pub(super) fn weights_rounds(&mut self, layers: &Layers, claims: &WeightsClaims) -> weights_rounds::Ending {
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
            values[0] += crate::proof::inference::lies::of(crate::proof::inference::lies::Lie::WeightsValue);
        }
        self.messages.send_elements("weights values", &values);
        ending
    }
}
