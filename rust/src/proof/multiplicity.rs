//! How often each entry of a table is used.

/// How often each number below `table` stands in the columns. All their entries are below it.
pub fn count<'a>(columns: impl Iterator<Item = &'a [u64]>, table: usize) -> Vec<u64> {
    let mut uses = vec![0; table];
    for column in columns {
        for &entry in column {
            uses[entry as usize] += 1;
        }
    }
    uses
}
