//! What the claims of a bounded update weigh the committed columns, their rows and the mask row with when they are opened.

use super::ext::E;
use super::multilinear::eq_table;
use super::opened::{bump, split, sum_mask_weights, weights_of_rows};
use super::shape::Shape;

/// The weights of the committed columns, of their rows, and of the mask row.
pub struct Opening {
    /// kappa_V for every committed column.
    pub columns: Vec<E>,
    /// kappa_g
    pub sum_mask: E,
    /// kappa_V eq(z_hi, r), row after row.
    pub rows: Vec<E>,
    /// w_m
    pub masks: Vec<E>,
}

impl Opening {
    pub fn new(shape: &Shape, kappa: &[E], sum_mask: E, z: &[E]) -> Self {
        let (high, _) = split(z, shape.code);
        let columns: Vec<E> = eq_table(kappa).iter().take(shape.committed()).collect();
        let rows = weights_of_rows(&columns, high);
        let mut masks = sum_mask_weights(sum_mask, z, |round| shape.degree(round));
        let bump = bump(z);
        masks.extend(columns.iter().map(|&column| column * bump));
        Self { columns, sum_mask, rows, masks }
    }
}
