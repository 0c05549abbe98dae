//! Multilinear polynomials over the cube: variable 0 is the most significant bit of an index.

use super::column::Column;
use super::ext::{E, parts_of};
use super::wide::{Width, tables};

/// eq(r, x) at two points: prod_i (r_i x_i + (1 - r_i)(1 - x_i)).
pub fn eq(r: &[E], x: &[E]) -> E {
    assert_eq!(r.len(), x.len());
    r.iter().zip(x).fold(E::ONE, |product, (&r, &x)| {
        let both = r * x;
        product * (E::ONE - r - x + both + both)
    })
}

/// eq(r, x) where x are the bits of an index.
pub fn eq_index(r: &[E], index: usize) -> E {
    let places = r.iter().rev().enumerate();
    places.fold(E::ONE, |product, (place, &r)| product * if index >> place & 1 == 1 { r } else { E::ONE - r })
}

/// eq(r, x) for every x of the cube.
pub fn eq_table(r: &[E]) -> Column {
    Column::from(tables::eq_table(Width::best(), &parts_of(r)))
}

/// The vector that is 1 from index `c` on, as a polynomial at `z`; `c` is at most 2^l.
pub fn ge(z: &[E], c: usize) -> E {
    sum_from(z.iter().map(|&z| (E::ONE - z, z)), c)
}

/// The vector whose entries are their own indices from `c` on, and 0 before, as a polynomial at `z`; `c` is at most 2^l.
pub fn ge_index(z: &[E], c: usize) -> E {
    if c >> z.len() != 0 {
        return E::ZERO;
    }
    // As in `sum_from`, of eq and of eq times the index.
    let ([mut from, mut from_index], mut all_index) = ([E::ONE, E::ZERO], E::ZERO);
    for (place, &z) in z.iter().rev().enumerate() {
        let size = 1 << place;
        if c >> place & 1 == 1 {
            (from, from_index) = (z * from, z * (from_index + from.scale(size)));
        } else {
            from_index = z * (all_index + E::base(size)) + (E::ONE - z) * from_index;
            from = z + (E::ONE - z) * from;
        }
        all_index += z.scale(size);
    }
    from_index
}

/// sum over x >= c of eq(a, x) eq(b, x); `c` is at most 2^l.
pub fn eq_pair_from(a: &[E], b: &[E], c: usize) -> E {
    sum_from(a.iter().zip(b).map(|(&a, &b)| ((E::ONE - a) * (E::ONE - b), a * b)), c)
}

/// The sum over x >= c of a product of one factor a variable, each given for its values 0 and 1.
fn sum_from(factors: impl DoubleEndedIterator<Item = (E, E)> + ExactSizeIterator, c: usize) -> E {
    if c >> factors.len() != 0 {
        return E::ZERO;
    }
    // From the last variable to the first: `from` is over the indices from the rest of c on, `all` over all of them.
    let (mut from, mut all) = (E::ONE, E::ONE);
    for (place, (zero, one)) in factors.rev().enumerate() {
        from = if c >> place & 1 == 1 { one * from } else { one * all + zero * from };
        all = (zero + one) * all;
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::column::dot;

    fn point(variables: usize, seed: u64) -> Vec<E> {
        (0..variables as u64).map(|i| E::new(seed * 77 + i * i + 2, 1000 * seed + 3 * i + 1)).collect()
    }

    #[test]
    fn the_table_agrees_with_the_product_and_with_single_entries() {
        let r = point(5, 1);
        let table = eq_table(&r);
        for index in 0..32 {
            let bits: Vec<E> = (0..5).map(|variable| E::base((index >> (4 - variable) & 1) as u64)).collect();
            assert_eq!(table.at(index), eq(&r, &bits));
            assert_eq!(table.at(index), eq_index(&r, index));
        }
    }

    #[test]
    fn folding_by_a_point_is_the_product_with_its_table() {
        let z = point(4, 2);
        let vector = Column { re: (0..16).map(|i| i * 31 % 17).collect(), im: (0..16).collect() };
        let folded = z.iter().fold(vector.clone(), |vector, &z| vector.folded(z));
        assert_eq!(folded.at(0), dot(&vector, &eq_table(&z)));
    }

    #[test]
    fn from_an_index_on_is_the_sum_of_the_entries() {
        let (a, b) = (point(4, 3), point(4, 4));
        let (table_a, table_b) = (eq_table(&a), eq_table(&b));
        for c in 0..=16 {
            assert_eq!(ge(&a, c), (c..16).map(|x| table_a.at(x)).sum());
            assert_eq!(ge_index(&a, c), (c..16).map(|x| table_a.at(x).scale(x as u64)).sum());
            assert_eq!(eq_pair_from(&a, &b, c), (c..16).map(|x| table_a.at(x) * table_b.at(x)).sum());
        }
        assert_eq!((ge(&[], 0), ge(&[], 1)), (E::ONE, E::ZERO));
        assert_eq!((ge_index(&[], 0), ge_index(&[], 1)), (E::ZERO, E::ZERO));
        assert_eq!(eq_pair_from(&a, &b, 0), eq(&a, &b));
    }
}
