//! How often every entry of every table is used. Which rows are of which table is public; what they hold is counted by work
//! that is the same whatever it is.

use zeroize::Zeroizing;

use super::shape::{I, Q, R, Shape};
use super::tables::Table;
use crate::proof::column::Column;
use crate::proof::multiplicity;

/// How often every entry of every table is used, one table after the other.
pub fn uses(shape: &Shape, columns: &[Column], threads: usize) -> Vec<u64> {
    let (samples, room) = (shape.samples(), shape.features_a_column());
    let mut uses = Vec::with_capacity(shape.entries());
    for (number, &table) in shape.tables.iter().enumerate() {
        // The rows of the features with this tag; those filled up are 0 in every vector.
        let (mut rows, mut filled) = (Vec::new(), 0);
        for vector in [Q, R, I] {
            let tags = &shape.tags[vector];
            for (index, tag) in tags.iter().enumerate().filter(|(_, tag)| tag.table == number) {
                let end = tags.get(index + 1).map_or(shape.features[vector], |next| next.first);
                if index + 1 == tags.len() {
                    filled += (shape.columns[vector].len() * room - end) * samples;
                }
                let mut first = tag.first;
                while first < end {
                    let (column, from) = (first / room, first % room);
                    let to = room.min(from + end - first);
                    let column = &columns[shape.columns[vector].start + column];
                    rows.push(&column.re[from * samples..to * samples]);
                    first += to - from;
                }
            }
        }
        let of_table = of_table(table, &rows, threads);
        uses.extend_from_slice(&of_table);
        let zero = uses.len() - of_table.len() + (-table.least()) as usize;
        uses[zero] += filled as u64;
    }
    uses
}

/// How often each entry of a table stands in some rows: v0 says which it is.
fn of_table(table: Table, rows: &[&[u64]], threads: usize) -> Zeroizing<Vec<u64>> {
    let raised = (-table.least()) as u64;
    let mut uses = multiplicity::count(rows, raised, table.len().next_power_of_two(), threads);
    uses.truncate(table.len());
    uses
}
