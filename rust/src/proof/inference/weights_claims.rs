//! The linear claims over the committed weights.
