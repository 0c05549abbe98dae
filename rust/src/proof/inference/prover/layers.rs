//! The sum-checks of the layers: of every Dense and Conv, one after the other.

use zeroize::Zeroizing;

use super::Prover;
use crate::proof::column::Column;
use crate::proof::ext::E;
use crate::proof::inference::blinded::{Blinded, degrees};
use crate::proof::inference::claims::{LayerPoint, LayerSent, eq_of, outputs_at};
use crate::proof::inference::layer_shape::Gives;
use crate::proof::inference::layer_vector::layer_vector;
use crate::proof::inference::layers;
use crate::proof::inference::mask_weights::one_over;
use crate::proof::inference::public::Batch;
use crate::proof::inference::sums::Sums;
use crate::proof::published::hide;

/// What the layers leave to be proven.
pub struct Layers {
    pub points: Vec<LayerPoint>,
    pub sent: Vec<LayerSent>,
    pub holds: bool,
}

impl Prover<'_> {
    pub(super) fn layers(&mut self, batch: &Batch, sums: &Sums) -> Layers {
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
        let rho_a = if layer.is_hidden() { rho_a } else { E::ZERO };
        let rho_x = if layer.public { E::ZERO } else { rho_x };

        let r_o = self.messages.transcript.draw("layer").elements(layer.output_variables());
        let outputs = eq_of(&r_o, layer.outputs);
        let a = Zeroizing::new(match layer.gives {
            Gives::Cell(cell) => sums.rounded(shape, cell, &outputs, batch),
            Gives::Compared => sums.compared(shape, &outputs, batch),
            Gives::Outputs => outputs_at(batch, layer, &r_o),
        });
        let b = Zeroizing::new(self.biases(number, &outputs) * batch.sum);
        // Of sums that come out A is public.
        hide(layer.is_hidden().then_some(*a).into_iter().chain([*b]).flat_map(E::parts));
        let (v_a, v_b) = (*a + rho_a, *b + rho_b);
        #[cfg(test)]
        let (v_a, v_b) = match number {
            0 => (
                v_a + crate::proof::inference::lies::sum(),
                v_b + crate::proof::inference::lies::of(crate::proof::inference::lies::Lie::Bias),
            ),
            _ => (v_a, v_b),
        };
        let claim = [v_a, v_b];
        self.messages.send_elements("claim", if layer.is_hidden() { &claim } else { &claim[1..] });

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
            true => [
                x + crate::proof::inference::lies::of(crate::proof::inference::lies::Lie::Ends(0)),
                m + crate::proof::inference::lies::of(crate::proof::inference::lies::Lie::Ends(1)),
            ],
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
}
