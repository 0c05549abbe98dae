//! Programs that are refused, with the numbers.

use super::models::{Builder, clip, of_every_kind, window};
use crate::proof::inference::program::Program;

fn refused(bytes: &[u8], reason: &str) {
    match Program::parse(bytes) {
        Ok(_) => panic!("not refused: {reason}"),
        Err(found) => assert!(found.contains(reason), "{found:?} is not {reason:?}"),
    }
}

fn dense() -> Builder {
    Builder::new(&[4], -3, 9, 5).dense(0, 3, clip(2, 0, 7, 6))
}

fn image() -> Builder {
    Builder::new(&[2, 5, 4], 0, 15, 5).conv(0, 2, window([2, 2], [1, 1], [0; 4]), clip(2, 0, 7, 9))
}

#[test]
fn a_program_is_what_its_bytes_say() {
    let program = of_every_kind().program;
    let shapes: Vec<&[usize]> = (0..=8).map(|value| program.value(value).shape.as_slice()).collect();
    let expected: [&[usize]; 9] =
        [&[2, 7, 6], &[3, 4, 6], &[3, 4, 3], &[3, 4, 3], &[3, 4, 3], &[3, 3, 2], &[18], &[5], &[4]];
    assert_eq!(shapes, expected);
    assert_eq!((program.value(0).low, program.value(2).high, program.value(3).low), (-3, 15, -8));
    assert_eq!(program.layers().collect::<Vec<_>>(), [0, 2, 6, 7]);
    assert!(program.ends_in_sums() && !dense().program().ends_in_sums());
    let twice = Builder::new(&[1, 2, 3], 0, 1, 1).flatten(0).flatten(1).dense(2, 1, None).program();
    assert!(twice.is_input(2) && !twice.is_input(3));
}

#[test]
fn edges_of_what_is_allowed_are_taken() {
    let largest = (1 << 16) - 1;
    for builder in [
        // K w x = 2^18 (2^16 - 1)^2, just below 2^50.
        Builder::new(&[1 << 18], 0, largest, largest).dense(0, 1, None),
        Builder::new(&[2], -(1 << 16) + 1, 0, 1).dense(0, 1, clip(16, 0, 0, 15)),
        Builder::new(&[1 << 24], 0, 1, 1).dense(0, 1, clip(16, -1, 0, 1)),
        Builder::new(&[1, 64, 64], 0, 1, 1).largest(0, window([64, 64], [1, 1], [0; 4])).conv(
            0,
            1,
            window([1, 2], [u32::MAX as usize; 2], [0; 4]),
            None,
        ),
        // Of sums any digits will do.
        dense().dense(1, 5, None).argmax(2, true, 16, 16),
        dense().dense(1, 5, None).argmax(2, false, 0, 1),
        // 0 to 7
        dense().argmax(1, false, 0, 3),
        dense().argmax(1, false, 1, 2),
        Builder::new(&[4], -3, 9, 5).dense(0, 1, clip(2, 0, (1 << 16) - 1, 6)).argmax(1, false, 0, 16),
        image().flatten(1).argmax(2, false, 0, 3),
        image().sum([1, 1], [24, 24], clip(16, 0, 1, 15)).average(
            2,
            window([1, 1], [9, 9], [0; 4]),
            1,
            clip(0, 0, 1, 1),
        ),
    ] {
        Program::parse(&builder.bytes()).unwrap();
    }
}

#[test]
fn bytes_that_are_no_program_are_refused() {
    let bytes = image().average(1, window([2, 2], [1, 1], [0; 4]), 3, clip(1, 0, 1, 8)).bytes();
    for length in 0..bytes.len() {
        refused(&bytes[..length], "the program ends after");
    }
    refused(&[bytes.as_slice(), &[0]].concat(), "1 bytes follow the last step");
    refused(&[b"QFPROG02", &bytes[8..]].concat(), "do not begin as a program");
    let with = |place: usize, number: u32| {
        let mut changed = dense().bytes();
        changed[place..place + 4].copy_from_slice(&number.to_le_bytes());
        changed
    };
    // Rank, size, low, high, w_max, number of steps; kind, source, outputs, flag.
    refused(&with(8, 2), "the input has 2 sizes, not 1 or 3");
    refused(&with(8, 0), "the input has 0 sizes");
    refused(&with(12, 0), "the input has 0 for its size");
    refused(&with(24, 0), "weights of magnitude at most 0, not 1");
    refused(&with(24, 1 << 16), "weights of magnitude at most 65536, not 1 to 2^16 - 1");
    refused(&with(28, 0), "0 steps, not 1 to 1024");
    refused(&with(28, 1025), "1025 steps, not 1 to 1024");
    refused(&with(32, 7), "step 1 is of kind 7, not 0 to 6");
    refused(&with(36, 1), "step 1 takes value 1, which is not there yet");
    refused(&with(40, 0), "step 1 has 0 for its outputs");
    refused(&with(44, 2), "step 1 has 2 where 0 or 1 says whether it is rounded");
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let rounded = |round| Builder::new(&[4], -3, 9, 5).dense(0, 3, round).bytes();
    refused(&rounded(clip(17, 0, 7, 6)), "step 1 rounds by 17 bits, 16 are the most");
    refused(&rounded(clip(2, 1, 7, 6)), "a range of 1 to 7");
    refused(&rounded(clip(2, -7, -1, 6)), "a range of -7 to -1");
    refused(&rounded(clip(2, -1, 65535, 6)), "a range of -1 to 65535");
    refused(&rounded(clip(2, 0, 7, 0)), "rounded sums of 0 bits, not 1 to 15");
    refused(&rounded(clip(2, 0, 7, 16)), "rounded sums of 16 bits, not 1 to 15");
    refused(&Builder::new(&[4], 1, 2, 5).dense(0, 3, None).bytes(), "the input has a range of 1 to 2");
    refused(&Builder::new(&[4], 0, 1 << 16, 5).dense(0, 3, None).bytes(), "a range of 0 to 65536");
    refused(&Builder::new(&[(1 << 24) + 1], 0, 1, 1).dense(0, 1, None).bytes(), "16777217 features");
    refused(&Builder::new(&[1 << 31, 1 << 31, 1 << 31], 0, 1, 1).flatten(0).bytes(), "features, 16777216 are the most");
    refused(&dense().dense(1, (1 << 24) + 1, None).bytes(), "step 2 has 16777217 features");
    refused(&dense().sum([1, 1], [25, 0], clip(0, 0, 1, 1)).bytes(), "shifts by 25 bits to the left, 24 are the most");
    let largest = Builder::new(&[1 << 19], 0, (1 << 16) - 1, 65535).dense(0, 1, None);
    refused(&largest.bytes(), "524288 products of weights up to 65535 and values up to 65535");
    let pool = |multiplier| image().average(1, window([4, 3], [1, 1], [0; 4]), multiplier, clip(0, 0, 1, 1)).bytes();
    refused(&pool(0), "0 for its multiplier");
    let wide = Builder::new(&[1, 8192, 2048], 0, 65535, 1).average(
        0,
        window([8192, 2048], [1, 1], [0; 4]),
        1 << 20,
        clip(0, 0, 1, 1),
    );
    refused(&wide.bytes(), "16777216 products of weights up to 1048576 and values up to 65535");
}

#[test]
fn programs_that_would_hold_up_a_verifier_are_refused() {
    // Windows of 2^9 by 2^9, 2^9 by 2^9 of them: 2^36 products.
    let at_once =
        |builder: Builder, source| builder.average(source, window([512, 512], [1, 1], [0; 4]), 1, clip(16, 0, 1, 15));
    let image = || Builder::new(&[1, 1023, 1023], 0, 1, 1);
    let dense = |builder: Builder, source| builder.flatten(source).dense(source + 1, 1, None).bytes();
    Program::parse(&dense(at_once(image(), 0), 1)).unwrap();
    let one_more = image().average(0, window([1, 1], [1023, 1023], [0; 4]), 1, clip(16, 0, 1, 15));
    refused(&dense(at_once(one_more, 0), 2), "up to step 2 have 68719476737 products, 2^36 are the most");
    let conv = image().conv(0, 2, window([512, 512], [1, 1], [0; 4]), clip(16, 0, 1, 15));
    refused(&dense(conv, 1), "up to step 1 have 137438953472 products, 2^36 are the most");
}

#[test]
fn programs_whose_steps_take_more_than_a_verifier_can_hold_are_refused() {
    // Pools of one place make no cells, and each has a convolution that takes all of it: 2^27 features, and what is taken else.
    let chain = |pools: usize, side: usize| {
        let mut builder = Builder::new(&[2, 1, 1], 0, 1, 1).conv(
            0,
            1,
            window([1, 1], [1, 1], [0, 0, side - 1, side - 1]),
            clip(4, 0, 1, 4),
        );
        let mut source = 1;
        for pool in 0..pools {
            builder = builder.largest(source, window([1, 1], [1, 1], [0; 4]));
            source = 2 + 2 * pool as i64;
            builder = builder.conv(source, 1, window([1, 1], [side, side], [0; 4]), clip(4, 0, 1, 4));
        }
        builder.bytes()
    };
    Program::parse(&chain(3, 1 << 12)).unwrap();
    refused(&chain(4, 1 << 12), "steps up to step 9 take 134217730 features, 2^27 are the most");
    refused(&chain(511, 1 << 12), "2^27 are the most");
}

#[test]
fn steps_that_do_not_fit_their_sources_are_refused() {
    refused(&image().dense(1, 3, None).bytes(), "step 2 takes a vector, not a value of shape [2, 4, 3]");
    refused(
        &dense().conv(1, 1, window([1, 1], [1, 1], [0; 4]), None).bytes(),
        "takes an image, not a value of shape [3]",
    );
    refused(&dense().largest(1, window([1, 1], [1, 1], [0; 4])).bytes(), "takes an image");
    refused(&dense().average(1, window([1, 1], [1, 1], [0; 4]), 1, clip(0, 0, 1, 1)).bytes(), "takes an image");
    refused(&dense().sum([0, 1], [0, 0], clip(0, 0, 1, 1)).bytes(), "adds values of shapes [4] and [3]");
    refused(&Builder::new(&[1], 0, 1, 1).dense(0, 1, None).bytes(), "takes 1 feature, at least 2 are needed");
    let conv = |kernel, strides, pads| image().conv(1, 1, window(kernel, strides, pads), None).bytes();
    refused(&conv([5, 1], [1, 1], [0; 4]), "windows of 5 by 1 on 4 by 3 with pads [0, 0, 0, 0]");
    refused(&conv([1, 5], [1, 1], [0, 1, 0, 0]), "windows of 1 by 5 on 4 by 3 with pads [0, 1, 0, 0]");
    refused(&conv([0, 1], [1, 1], [0; 4]), "0 for its kernel height");
    refused(&conv([1, 1], [1, 0], [0; 4]), "0 for its stride");
    let huge = u32::MAX as usize;
    refused(&conv([1, 1], [1, 1], [huge; 4]), "features, 16777216 are the most");
    refused(&conv([huge, huge], [1, 1], [huge, huge, 0, 0]), "36893488130239234050 products, not below 2^50");
    let largest = |kernel, pads| image().largest(1, window(kernel, [1, 1], pads)).bytes();
    refused(&largest([2, 2], [2, 0, 0, 0]), "has pads [2, 0, 0, 0] around windows of 2 by 2");
    refused(&largest([2, 2], [0, 0, 0, 2]), "has pads [0, 0, 0, 2] around windows of 2 by 2");
    let apart = |high| Builder::new(&[1, 2, 2], -1, high, 1).largest(0, window([2, 2], [1, 1], [0; 4])).flatten(1);
    refused(&apart((1 << 15) - 1).bytes(), "compares values of -1 to 32767, which are 2^15 or more apart");
    refused(&apart((1 << 15) - 2).bytes(), "no step is a Dense or a Conv");
    let large = Builder::new(&[1, 65, 64], 0, 1, 1).largest(0, window([65, 64], [1, 1], [0; 4]));
    refused(&large.bytes(), "takes the largest of 4160 places, 4096 are the most");
}

#[test]
fn places_of_what_is_not_compared_so_are_refused() {
    let of_sums = |shift, q_bits| dense().dense(1, 5, None).argmax(2, false, shift, q_bits).bytes();
    refused(&of_sums(17, 4), "step 3 compares digits of 4 and 17 bits, not 1 to 16 and 0 to 16");
    refused(&of_sums(4, 0), "step 3 compares digits of 0 and 4 bits");
    refused(&of_sums(4, 17), "step 3 compares digits of 17 and 4 bits");
    let of_value = |shift, q_bits| dense().argmax(1, false, shift, q_bits).bytes();
    refused(&of_value(0, 2), "step 2 compares values of 0 to 7 by 2 and 0 bits, which do not hold them");
    refused(&of_value(1, 1), "step 2 compares values of 0 to 7 by 1 and 1 bits, which do not hold them");
    refused(&image().argmax(1, false, 0, 3).bytes(), "step 2 takes a vector, not a value of shape [2, 4, 3]");
    refused(&dense().argmax(1, false, 0, 3).dense(2, 1, None).bytes(), "step 2 is an ArgMax, and not the last step");
    refused(&dense().argmax(1, false, 0, 3).argmax(2, false, 0, 1).bytes(), "step 2 is an ArgMax, and not the last");
    let sums = || dense().dense(1, 5, None);
    for not_of_the_sums in [sums().argmax(1, false, 0, 3), sums().argmax(0, false, 0, 4), sums().flatten(2)] {
        refused(&not_of_the_sums.bytes(), "step 3 does not take the largest of the sums of the step before it");
    }
    refused(&sums().sum([2, 2], [0, 0], clip(0, 0, 1, 1)).bytes(), "step 3 does not take the largest of the sums");
    refused(&sums().flatten(2).argmax(3, false, 3, 3).bytes(), "step 2 is not rounded");
    let conv = image().conv(1, 1, window([4, 3], [1, 1], [0; 4]), None);
    refused(&conv.argmax(2, false, 3, 3).bytes(), "step 2 is not rounded");
    let mut twice = dense().argmax(1, false, 0, 3).bytes();
    let last = twice.len() - 12;
    twice[last] = 2;
    refused(&twice, "step 2 has 2 where 0 or 1 says which place of several is taken");
    refused(&dense().argmax(2, false, 0, 3).bytes(), "step 2 takes value 2, which is not there yet");
    refused(&Builder::new(&[4], 0, 3, 5).argmax(0, false, 0, 2).bytes(), "no step is a Dense or a Conv");
}

#[test]
fn only_the_last_step_gives_sums_and_it_gives_something_of_weights() {
    refused(&dense().dense(1, 3, None).dense(2, 3, None).dense(3, 3, None).bytes(), "step 2 is not rounded");
    refused(&dense().dense(1, 3, None).dense(2, 3, None).bytes(), "step 3 does not take the largest of the sums");
    refused(&dense().sum([1, 1], [0, 0], None).bytes(), "step 2 is not rounded");
    refused(&image().average(1, window([1, 1], [1, 1], [0; 4]), 1, None).bytes(), "step 2 is not rounded");
    let input = Builder::new(&[1, 2, 2], 0, 1, 1);
    refused(&input.clone().flatten(0).bytes(), "no step is a Dense or a Conv");
    refused(&input.clone().flatten(0).dense(1, 2, clip(0, 0, 1, 9)).flatten(0).bytes(), "gives the input back");
    refused(&input.clone().largest(0, window([2, 2], [1, 1], [0; 4])).bytes(), "no step is a Dense or a Conv");
    refused(&input.sum([0, 0], [0, 0], clip(0, 0, 1, 2)).bytes(), "no step is a Dense or a Conv");
}
