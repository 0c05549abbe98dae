//! The opening, for any code and trees: both sides.
