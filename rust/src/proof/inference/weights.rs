//! The commitment to a model's weights.
