//! Where the masks are in the mask row (docs/inference-proofs.md, "Shape", Masks).

use std::ops::Range;

#[derive(Clone, Debug, Default)]
pub struct MaskRow {
    /// The coefficients of g, round after round.
    pub rounds: Range<usize>,
    /// rho_V of the committed columns.
    pub columns: Range<usize>,
    /// Of each Dense and Conv, in order.
    pub layers: Vec<LayerMasks>,
    /// The coefficients of g_W.
    pub weights_rounds: Range<usize>,
    /// rho_w of the columns of weights.
    pub weights_columns: Range<usize>,
    /// M
    pub length: usize,
}

#[derive(Clone, Debug)]
pub struct LayerMasks {
    /// The coefficients of g_i.
    pub rounds: Range<usize>,
    /// rho_A, rho_B, rho_X, rho_M
    pub a: usize,
    pub b: usize,
    pub x: usize,
    pub m: usize,
}
