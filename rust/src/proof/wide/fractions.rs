//! The fractions of a chunk on every row, before they are divided: what an inverse column is made of.

use super::ext::Ext;
use super::packed::Packed;
use super::round::Lookup;
use super::{Width, Work};

/// The numerators and the denominators of the sums of some fractions, on the rows from `first` on.
pub fn sums(
    width: Width,
    lookups: &[Lookup],
    first: usize,
    numerators: [&mut [u64]; 2],
    denominators: [&mut [u64]; 2],
) {
    let rows = numerators[0].len();
    assert!(numerators[1].len() == rows && denominators.iter().all(|part| part.len() == rows) && !lookups.is_empty());
    assert!(lookups.iter().all(|lookup| lookup.rows() >= first + rows));
    let numerators = numerators.map(<[u64]>::as_mut_ptr);
    let denominators = denominators.map(<[u64]>::as_mut_ptr);
    let wide = rows / 8 * 8;
    width.run(Sums { lookups, first, rows: [0, wide], numerators, denominators });
    // SAFETY: every processor has words.
    unsafe { Sums { lookups, first, rows: [wide, rows], numerators, denominators }.run::<u64>() };
}

struct Sums<'a> {
    lookups: &'a [Lookup<'a>],
    first: usize,
    rows: [usize; 2],
    numerators: [*mut u64; 2],
    denominators: [*mut u64; 2],
}

impl Work for Sums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        // SAFETY: `sums` has checked that every column and every part is long enough.
        unsafe {
            for row in (self.rows[0]..self.rows[1]).step_by(V::COUNT) {
                let [mut n, mut d] = fraction::<V>(&self.lookups[0], self.first + row);
                for lookup in &self.lookups[1..] {
                    let [numerator, denominator] = fraction::<V>(lookup, self.first + row);
                    n = match lookup {
                        Lookup::Value { .. } => n.mul_loose(denominator).add(d).canonical(),
                        Lookup::Table { .. } => Ext::two_products([n, denominator], [numerator, d]).canonical(),
                    };
                    d = d.mul(denominator);
                }
                n.store(self.numerators, row);
                d.store(self.denominators, row);
            }
        }
    }
}

#[inline(always)]
unsafe fn fraction<V: Packed>(lookup: &Lookup, row: usize) -> [Ext<V>; 2] {
    unsafe {
        match lookup {
            Lookup::Value { at, column } => [Ext::splat([1, 0]), Ext::splat(*at).sub(column.at(row))],
            Lookup::Table { at, table, selector, count } => {
                let uses = selector.at::<V>(row).mul(count.at(row));
                [Ext::zero().sub(uses), Ext::splat(*at).sub(table.at(row))]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::column::Column;
    use super::super::ext::{self, Element};
    use super::super::inversion;
    use super::super::samples::words;
    use super::*;

    #[test]
    fn divided_they_are_the_sum_of_the_fractions_at_every_width() {
        let rows = 37;
        let parts: Vec<Vec<u64>> = (0..8).map(|seed| words(seed, rows)).collect();
        let extended = |index: usize| Column::Extended([&parts[index], &parts[index + 1]]);
        let table = Lookup::Table {
            at: [3, 4],
            table: extended(0),
            selector: Column::Base(&parts[2]),
            count: Column::Base(&parts[3]),
        };
        let value = |index: usize| Lookup::Value { at: [7, 5 + index as u64], column: Column::Base(&parts[index]) };
        for lookups in [vec![table], vec![value(4)], vec![value(4), value(5), table], vec![table, table, value(6)]] {
            for width in Width::all() {
                let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| vec![0; rows - 2]);
                sums(width, &lookups, 2, [&mut a, &mut b], [&mut c, &mut d]);
                inversion::divide(width, [&mut a, &mut b], [&c, &d]);
                for row in 2..rows {
                    let fraction = |lookup: &Lookup| -> Element {
                        match lookup {
                            Lookup::Value { at, column: Column::Base(part) } => {
                                ext::invert(ext::sub(*at, [part[row], 0]))
                            }
                            _ => {
                                let below = ext::invert(ext::sub([3, 4], [parts[0][row], parts[1][row]]));
                                ext::sub([0; 2], ext::mul(below, ext::mul([parts[2][row], 0], [parts[3][row], 0])))
                            }
                        }
                    };
                    let expected = lookups.iter().map(fraction).fold([0; 2], ext::add);
                    assert_eq!([a[row - 2], b[row - 2]], expected, "{}", width.name());
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "first + rows")]
    fn columns_that_end_too_soon_are_refused() {
        let lookup = Lookup::Value { at: [0, 1], column: Column::Base(&[0; 8]) };
        let [mut a, mut b, mut c, mut d] = [[0; 8]; 4];
        sums(Width::best(), &[lookup], 1, [&mut a, &mut b], [&mut c, &mut d]);
    }
}
