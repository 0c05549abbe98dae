//! The encryption relation at a point: the weights of the key, and the ciphertext's side of the claim.

use std::borrow::Cow;

use super::column::{Column, dot};
use super::combination::combine;
use super::ext::E;
use super::multilinear::eq_table;
use super::shape::Shape;
use crate::layout::{BLOCK_BYTES, read_word};
use crate::ntt;
use crate::ring::{N, Polynomial};

/// eq(theta, j / S) eq(tau_hi, j mod S) for every block j.
pub fn block_weights(shape: &Shape, tau: &[E], theta: &[E]) -> Vec<E> {
    let (groups, blocks) = (eq_table(theta), eq_table(&tau[..tau.len() - N.ilog2() as usize]));
    (0..shape.blocks).map(|j| groups.at(j / shape.column_blocks) * blocks.at(j % shape.column_blocks)).collect()
}

/// W_s = A(X^-1) T with A = sum_j weights_j a_j and T = sum_i eq(tau_lo, i) X^i, so that <W_s, s> is the weighted sum of
/// the coefficients of a_j s. `masks` are the a_j as evaluations, one after the other.
pub fn key_weights(masks: &[u64], weights: &[E], tau: &[E], threads: usize) -> Column {
    let rows: Vec<&[u64]> = masks.chunks_exact(N).take(weights.len()).collect();
    let mask = combine(&rows, weights, threads);
    let point = eq_table(&tau[tau.len() - N.ilog2() as usize..]);
    let (re, im) = (transformed(&point.re), transformed(&point.im));
    let (mut product_re, mut product_im) = (Polynomial::zero(), Polynomial::zero());
    for index in 0..N {
        // Evaluation i is at psi^(2 r(i) + 1); at the inverse of that point is evaluation N - 1 - i.
        let product = mask.at(N - 1 - index) * E::new(re[index], im[index]);
        (product_re[index], product_im[index]) = (product.re, product.im);
    }
    let mut scale = Polynomial::zero();
    scale.fill(1);
    ntt::divide_by_degree(&mut scale);
    let (mut weights_re, mut weights_im) = (Polynomial::zero(), Polynomial::zero());
    ntt::multiply_and_invert(&product_re, &scale, &mut weights_re);
    ntt::multiply_and_invert(&product_im, &scale, &mut weights_im);
    Column { re: weights_re.to_vec(), im: weights_im.to_vec() }
}

fn transformed(coefficients: &[u64]) -> Polynomial {
    let mut polynomial = Polynomial::zero();
    polynomial.copy_from_slice(coefficients);
    ntt::forward(&mut polynomial);
    polynomial
}

/// b~: the weighted sum of the ciphertext's blocks at tau_lo.
pub fn ciphertext_at(blocks: &[u8], weights: &[E], tau: &[E], threads: usize) -> E {
    let words: Vec<Cow<[u64]>> = blocks.chunks_exact(BLOCK_BYTES).map(words_of).collect();
    let rows: Vec<&[u64]> = words.iter().map(|words| &**words).collect();
    dot(&combine(&rows, weights, threads), &eq_table(&tau[tau.len() - N.ilog2() as usize..]))
}

/// Little-endian words where they lie, if the machine reads them so.
fn words_of(bytes: &[u8]) -> Cow<'_, [u64]> {
    // SAFETY: any eight bytes are a word.
    let (before, words, after) = unsafe { bytes.align_to::<u64>() };
    if cfg!(target_endian = "little") && before.is_empty() && after.is_empty() {
        return Cow::Borrowed(words);
    }
    bytes.chunks_exact(8).map(read_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field;
    use crate::layout::Layout;

    fn polynomial(seed: u64) -> Polynomial {
        let mut polynomial = Polynomial::zero();
        let mut state = seed;
        for value in polynomial.iter_mut() {
            state = field::add(field::mul(state, 0x9E37_79B9_7F4A_7C15), 0x1234_5678_9ABC_DEF1);
            *value = state;
        }
        polynomial
    }

    #[test]
    fn the_weights_of_the_key_give_the_products_at_the_point() {
        let shape = Shape::new(Layout::new(16, 2, 24, 15).unwrap(), 3 * 2 * N).unwrap();
        let element = |seed: u64| E::new(seed * 1_000_003 + 1, seed * seed + 5);
        let tau: Vec<E> = (0..13).map(element).collect();
        let theta = [element(99)];
        let mut secret = polynomial(7);
        let (mut masks, mut products) = (Vec::new(), Vec::new());
        ntt::forward(&mut secret);
        ntt::divide_by_degree(&mut secret);
        for block in 0..3 {
            let (mask, mut product) = (polynomial(block), Polynomial::zero());
            masks.extend_from_slice(mask.as_slice());
            ntt::multiply_and_invert(&mask, &secret, &mut product);
            products.extend(product.iter().flat_map(|word| word.to_le_bytes()));
        }
        let weights = block_weights(&shape, &tau, &theta);
        let key = key_weights(&masks, &weights, &tau, 2);
        let secret = Column { re: polynomial(7).to_vec(), im: vec![0; N] };
        assert_eq!(dot(&key, &secret), ciphertext_at(&products, &weights, &tau, 1));
        // The same where the words are not aligned.
        let shifted = [&[0], products.as_slice()].concat();
        assert_eq!(ciphertext_at(&shifted[1..], &weights, &tau, 1), ciphertext_at(&products, &weights, &tau, 1));
    }
}
