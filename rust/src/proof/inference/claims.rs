//! The linear claims that challenges make of a shape: weights over features and over the committed weights, and sums.
