//! What a layer's sum-check multiplies its inputs with: the committed weights, combined by what the outputs weigh.

use zeroize::Zeroizing;

use super::program::Kind;
use super::shape::Shape;
use crate::field;
use crate::proof::column::Column;
use crate::proof::combination::combine;
use crate::proof::ext::E;

/// m of a layer: for each input, the sum over its products of what the output weighs, times the weight; N entries. `columns`:
/// the committed columns of weights.
pub fn layer_vector(shape: &Shape, layer: usize, outputs: &Column, columns: &[&[u64]], threads: usize) -> Column {
    let (place, rows) = (&shape.weights.places[layer], shape.weights.rows());
    let layer = &shape.layers[layer];
    let length = 1 << layer.log_inputs;
    let step = &shape.program.steps[layer.step];
    let Kind::Conv { channels, window, .. } = &step.kind else {
        let weights: Vec<E> = outputs.iter().collect();
        if place.stride <= rows {
            let row = |output: usize| {
                let first = place.start + output * place.stride;
                &columns[first / rows][first % rows..][..place.stride]
            };
            return combine(&(0..place.outputs).map(row).collect::<Vec<_>>(), &weights, threads);
        }
        let mut vector = Column::extension(length);
        for part in 0..place.stride / rows {
            let row = |output: usize| columns[(place.start + output * place.stride) / rows + part];
            let sums = combine(&(0..place.outputs).map(row).collect::<Vec<_>>(), &weights, threads);
            vector.re[part * rows..][..rows].copy_from_slice(&sums.re);
            vector.im[part * rows..][..rows].copy_from_slice(&sums.im);
        }
        return vector;
    };
    let source = &shape.program.value(step.sources[0]).shape;
    let (image, given) = ([source[1], source[2]], [step.value.shape[1], step.value.shape[2]]);
    let (size, windows, deep) = (image[0] * image[1], given[0] * given[1], source[0]);
    let mut vector = Column::extension(length);
    for position in 0..window.places() {
        let map: Vec<Option<usize>> = window.under(position, image, given).collect();
        for channel in 0..deep {
            // For this place of the kernel and this input channel, the outputs' weights times those of the kernels.
            let weights: Zeroizing<Vec<u64>> = (0..*channels)
                .map(|output| {
                    let entry = place.start + (output * deep + channel) * window.places() + position;
                    columns[entry / rows][entry % rows]
                })
                .collect::<Vec<u64>>()
                .into();
            let sums = channel_sums(outputs, windows, &weights, threads);
            for (found, sum) in map.iter().zip(sums.iter()) {
                if let Some(found) = found {
                    let index = channel * size + found;
                    vector.set(index, vector.at(index) + sum);
                }
            }
        }
    }
    vector
}

/// sum over output channels of a weight of F_p times the channel's entries of E.
fn channel_sums(outputs: &Column, windows: usize, weights: &[u64], _threads: usize) -> Column {
    let mut sums = Column::extension(windows);
    for (parts, &weight) in outputs.re.chunks(windows).zip(outputs.im.chunks(windows)).zip(weights) {
        let (re, im) = parts;
        for index in 0..windows {
            sums.re[index] = field::add(sums.re[index], field::mul(re[index], weight));
            sums.im[index] = field::add(sums.im[index], field::mul(im[index], weight));
        }
    }
    sums
}
