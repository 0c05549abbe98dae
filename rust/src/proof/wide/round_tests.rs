//! Against what the specification says, point by point.

use super::super::samples::{elements, words};
use super::*;

/// Parts of columns, alternately two and one.
fn memory(count: usize, rows: usize) -> Vec<[Vec<u64>; 2]> {
    (0..count as u64).map(|seed| [words(seed + 100, rows), words(seed + 200, rows)]).collect()
}

fn column(parts: &[Vec<u64>; 2], extended: bool) -> Column<'_> {
    if extended { Column::Extended([&parts[0], &parts[1]]) } else { Column::Base(&parts[0]) }
}

/// A line at t.
fn at(column: &Column, row: usize, half: usize, t: u64) -> Element {
    let value = |row: usize| match column {
        Column::Base(part) => [part[row], 0],
        Column::Extended([a, b]) => [a[row], b[row]],
    };
    ext::add(value(row), ext::mul_base(ext::sub(value(row + half), value(row)), t))
}

/// As the specification has it.
fn plainly(round: &Round, pairs: Range<usize>, t: u64) -> (Vec<Element>, Element, Element) {
    let mut sums = (vec![[0; 2]; round.chunks.len()], [0; 2], [0; 2]);
    for row in pairs {
        let line = |column: &Column| at(column, row, round.half, t);
        let eq = [round.eq[0][row], round.eq[1][row]];
        for (sum, chunk) in sums.0.iter_mut().zip(round.chunks) {
            let fractions: Vec<[Element; 2]> = chunk
                .lookups
                .iter()
                .map(|lookup| match lookup {
                    Lookup::Value { at, column } => [[1, 0], ext::sub(*at, line(column))],
                    Lookup::Table { at, table, selector, count } => {
                        let numerator = ext::sub([0, 0], ext::mul(line(selector), line(count)));
                        [numerator, ext::sub(*at, line(table))]
                    }
                })
                .collect();
            let mut z = fractions.iter().fold(line(&chunk.inverse), |product, [_, d]| ext::mul(product, *d));
            for (i, [n, _]) in fractions.iter().enumerate() {
                let others = fractions.iter().enumerate().filter(|(l, _)| *l != i);
                z = ext::sub(z, others.fold(*n, |product, (_, [_, d])| ext::mul(product, *d)));
            }
            *sum = ext::add(*sum, ext::mul(eq, z));
            sums.2 = ext::add(sums.2, line(&chunk.inverse));
        }
        sums.1 = ext::add(sums.1, ext::mul(eq, line(&round.relation)));
    }
    sums
}

#[test]
fn every_width_sums_what_the_specification_says_for_any_shape() {
    for (values, tables, extended) in [
        (1, 0, false),
        (2, 0, true),
        (0, 1, true),
        (3, 1, false),
        (3, 2, true),
        (6, 1, false),
        (5, 2, true),
        (7, 0, true),
    ] {
        let half = 19;
        let parts = memory(values + 3 * tables + 3, 2 * half);
        let [eq, inverse, relation, rest @ ..] = &parts[..] else { unreachable!() };
        let constants = elements(3, values + tables);
        let (of_values, of_tables) = rest.split_at(values);
        let mut lookups: Vec<Lookup> = of_values
            .iter()
            .zip(&constants)
            .map(|(parts, &at)| Lookup::Value { at, column: column(parts, extended) })
            .collect();
        lookups.extend(of_tables.chunks_exact(3).zip(&constants[values..]).map(|(parts, &at)| Lookup::Table {
            at,
            table: column(&parts[0], true),
            selector: column(&parts[1], extended),
            count: column(&parts[2], extended),
        }));
        let chunks = [
            Chunk { lookups: &lookups, inverse: column(inverse, true) },
            Chunk { lookups: &lookups[..1], inverse: column(relation, true) },
        ];
        let degree = values + tables + 1;
        let eq = [&eq[0][..], &eq[1][..]];
        let data = Round { half, eq, chunks: &chunks, relation: column(relation, true), degree };
        for width in Width::all() {
            let mut sums = round(width, &data, 0..11);
            sums.add(&round(width, &data, 11..half));
            for t in (0..=degree as u64).filter(|&t| t != 1) {
                let (expected, _, _) = plainly(&data, 0..half, t);
                let index = (t as usize).saturating_sub(1);
                let got: Vec<Element> = sums.chunks.iter().map(|values| values[index]).collect();
                assert_eq!(got, expected, "{} {values} {tables} {t}", width.name());
            }
            for t in 0..2 {
                let (_, relation, inverses) = plainly(&data, 0..half, t);
                assert_eq!(sums.relation[t as usize], relation);
                assert_eq!(sums.inverses[t as usize], inverses);
            }
        }
    }
}
