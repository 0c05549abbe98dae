//! What the loops cost, on one thread, at every width:
//! `cargo test --release proof::wide::bench -- --ignored --nocapture --test-threads 1`.
//!
//! The shape is that of 1,048,576 values of 16 bits: columns of 2^17 rows, code words of 2^17 entries.

use std::hint::black_box;
use std::time::Instant;

use super::samples::{elements, words};
use super::{Width, blake, code, column, combine, fold, fractions, inversion, round, tables};

/// Seconds of the fastest run.
fn best(mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut fastest = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || begun.elapsed().as_secs_f64() < 0.7 {
        let start = Instant::now();
        work();
        fastest = fastest.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    fastest
}

/// Seconds of all parts, each the fastest of its runs: short enough that other work on the machine spares one of them.
fn best_of_parts(parts: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut fastest = vec![f64::INFINITY; parts];
    for _ in 0..12 {
        for (part, fastest) in fastest.iter_mut().enumerate() {
            let start = Instant::now();
            work(part);
            *fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    fastest.iter().sum()
}

fn row(name: &str, width: Width, items: usize, seconds: f64, times: f64) {
    let each = seconds * 1e9 / items as f64;
    println!("{name:<44} {:<10} {each:9.3} ns each {:9.2} ms in all", width.name(), seconds * times * 1e3);
}

const ROWS: usize = 1 << 17;
/// One cache line more than a power of two: rows at the same place of different code words do not share a set.
const STRIDE: usize = ROWS + 8;

#[test]
#[ignore = "prints timings"]
fn trees() {
    let memory = words(1, 62 * STRIDE);
    let rows: Vec<&[u64]> = (0..62).map(|row| &memory[row * STRIDE..][..ROWS]).collect();
    let mut digests = vec![[0; 32]; ROWS];
    for width in Width::all() {
        let part = ROWS / 128;
        let seconds =
            best_of_parts(128, |i| blake::leaves(width, &[7; 32], None, &rows, i * part, &mut digests[..part]));
        row("leaves of tree 1: 2^17 of 62 words", width, ROWS, seconds, 1.0);
        let seconds =
            best_of_parts(128, |i| blake::leaves(width, &[7; 32], None, &rows[..20], i * part, &mut digests[..part]));
        row("leaves of tree 2: 2^17 of 20 words", width, ROWS, seconds, 1.0);
        let mut nodes = vec![[0; 32]; 512];
        let seconds = best_of_parts(128, |i| {
            blake::parents(
                width,
                &[7; 32],
                &digests[512 * i..][..512],
                &digests[ROWS / 2 + 512 * i..][..512],
                &mut nodes,
            )
        });
        let runs = &rows[..32];
        let third = best_of_parts(32, |i| blake::leaves(width, &[7; 32], None, runs, i * part, &mut digests[..part]));
        row("leaves of tree 3: 2^15 of 32 words", width, ROWS / 4, third, 1.0);
        row("nodes: 2^16 of two digests (times 4)", width, ROWS / 2, seconds, 4.0);
        let opened: Vec<Vec<u64>> = (0..151).map(|leaf| words(leaf, 62)).collect();
        let opened: Vec<&[u64]> = opened.iter().map(Vec::as_slice).collect();
        let mut digests = vec![[0; 32]; 151];
        let seconds = best(|| blake::messages(width, &[7; 32], &opened, &mut digests));
        row("opened leaves: 151 of 62 words", width, 151, seconds, 1.0);
    }
    let bytes: Vec<u8> = words(2, 128 * 4096).into_iter().flat_map(u64::to_le_bytes).collect();
    let seconds = best(|| _ = black_box(blake3::keyed_hash(&[7; 32], &bytes)));
    println!("content hash of 4 MiB by the crate, at its own width: {:.3} ms", seconds * 1e3);
}

#[test]
#[ignore = "prints timings"]
fn combinations() {
    let memory = words(1, 128 * 4096);
    let blocks: Vec<&[u64]> = memory.chunks_exact(4096).collect();
    let rows: Vec<&[u64]> = memory[..16 * (1 << 15)].chunks_exact(1 << 15).collect();
    let weights = elements(2, 128);
    for width in Width::all() {
        let (mut a, mut b) = (vec![0; 1 << 15], vec![0; 1 << 15]);
        let seconds = best(|| combine::combine(width, &rows, &weights[..16], [&mut a, &mut b]));
        row("combine: 16 rows of 2^15 (times 68 / 16)", width, 16 << 15, seconds, 68.0 / 16.0);
        let seconds = best(|| combine::combine(width, &blocks, &weights, [&mut a[..4096], &mut b[..4096]]));
        row("combine: 128 blocks of 4096", width, 128 << 12, seconds, 1.0);
        let (words, [c, d]) = (&memory[..68], [&memory[100..168], &memory[200..268]]);
        let seconds = best(|| (0..151).for_each(|_| _ = black_box(combine::dot_base(width, words, [c, d]))));
        row("dot: 151 opened columns of 68 words", width, 151 * 68, seconds, 1.0);
    }
}

#[test]
#[ignore = "prints timings"]
fn codes() {
    let code = code::Code::new(15, 17);
    let message = words(1, (1 << 15) + 151);
    let rows = [[&message[..1 << 15], &message[1 << 15..]]];
    let mut out = vec![0; 1 << 17];
    for width in Width::all() {
        let seconds = best(|| code.encode(width, &rows, 1 << 17, &mut out));
        row("code word of 2^17 (times 74)", width, 1 << 17, seconds, 74.0);
    }
    let code = code::Code::new(11, 15);
    let rows = [[&message[..1 << 11], &[]]];
    for width in Width::all() {
        let seconds = best(|| code.encode(width, &rows, 1 << 15, &mut out));
        row("code word of 2^15 (times 32)", width, 1 << 15, seconds, 32.0);
    }
}

#[test]
#[ignore = "prints timings"]
fn rounds() {
    let half = 1 << 12;
    let parts: Vec<Vec<u64>> = (0..40).map(|seed| words(seed, 2 * half)).collect();
    for (name, extended, times) in [("first round", false, 16.0), ("the other rounds", true, 16.0)] {
        let column = |index: usize| match extended {
            false => column::Column::Base(&parts[index]),
            true => column::Column::Extended([&parts[2 * index], &parts[2 * index + 1]]),
        };
        let always = |index: usize| column::Column::Extended([&parts[2 * index], &parts[2 * index + 1]]);
        let mut lookups: Vec<round::Lookup> =
            (0..12).map(|index| round::Lookup::Value { at: [5, 7], column: column(index) }).collect();
        lookups.push(round::Lookup::Table { at: [5, 8], table: always(16), selector: column(17), count: column(12) });
        let chunks = [
            round::Chunk { lookups: &lookups[..7], inverse: always(13) },
            round::Chunk { lookups: &lookups[7..], inverse: always(14) },
        ];
        let eq = [&parts[0][..], &parts[1][..]];
        let data = round::Round { half, eq, chunks: &chunks, relation: always(15), degree: 8 };
        let groups: Vec<[(column::Column, u64); 1]> = (4..12).map(|index| [(column(index), 1)]).collect();
        let groups: Vec<&[(column::Column, u64)]> = groups.iter().map(|group| &group[..]).collect();
        for width in Width::all() {
            let seconds = best_of_parts(16, |i| _ = black_box(round::round(width, &data, i * 256..(i + 1) * 256)));
            row(&format!("{name}: 2^12 pairs of 17 columns (times 16)"), width, half, seconds, times);
            let seconds = best_of_parts(16, |i| {
                _ = black_box(column::squares(width, &groups, 1 << 15, half, i * 256..(i + 1) * 256))
            });
            row(&format!("{name}: squares"), width, half, seconds, times);
            let seconds =
                best_of_parts(1, |_| _ = black_box(column::products(width, always(3), always(4), half, 0..half)));
            row("second sum-check: products (2^15: times 8)", width, half, seconds, 8.0);
            if !extended {
                let mut out = [(); 4].map(|()| vec![0; 512]);
                let [a, b, c, d] = &mut out;
                let seconds = best_of_parts(1, |_| fractions::sums(width, &lookups[6..], 0, [a, b], [c, d]));
                row("fractions of a chunk (2^17 rows of 2: times 512)", width, 512, seconds, 512.0);
            }
        }
    }
}

#[test]
#[ignore = "prints timings"]
fn tables() {
    let length = 1 << 15;
    let parts: Vec<Vec<u64>> = (0..4).map(|seed| words(seed, length)).collect();
    let points = words(7, 151);
    let weights = elements(8, 151);
    for width in Width::all() {
        let (mut a, mut b) = (parts[0].clone(), parts[1].clone());
        let seconds = best(|| fold::fold(width, [&mut a, &mut b], [&parts[2], &parts[3]], [3, 4]));
        row("fold: 2^15 (17 + 4 columns, 2^16: times 42)", width, length, seconds, 42.0);
        let seconds = best(|| fold::fold_base(width, &parts[2], &parts[3], [3, 4], [&mut a, &mut b]));
        row("fold base: 2^15 (13 columns, 2^16: times 26)", width, length, seconds, 26.0);
        let seconds = best(|| inversion::divide(width, [&mut a, &mut b], [&parts[2], &parts[3]]));
        row("division: 2^15 (2 columns of 2^17: times 8)", width, length, seconds, 8.0);
        let seconds = best(|| _ = black_box(tables::eq_table(width, &elements(3, 15))));
        row("eq table of 2^15 (2^17 in all: times 4)", width, length, seconds, 4.0);
        let seconds = best(|| tables::add_powers(width, &points, &weights, [&mut a, &mut b]));
        row("powers: 151 points, 2^15 entries", width, 151 << 15, seconds, 1.0);
        let coefficients = elements(5, 500);
        let seconds = best(|| _ = black_box(tables::evaluate(width, &coefficients, &points)));
        row("values: 151 points, 500 coefficients", width, 151 * 500, seconds, 1.0);
        let seconds = best(|| _ = black_box(tables::dot(width, [&a, &b], [&parts[2], &parts[3]])));
        row("dot of 2^15", width, length, seconds, 1.0);
    }
}
