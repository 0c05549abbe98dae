//! Whether any branch or address depends on a secret: secrets are marked as undefined memory, and valgrind's memcheck
//! follows them through every instruction (the method of Langley's ctgrind, 2010). `make constant-time` runs it.
//!
//! Memcheck has no AVX-512, so this covers the portable and the AVX2 copies; `tests/constant_time` reads the machine code
//! of all three. It says nothing about instructions whose own time depends on what they work on.

use crate::encryption::Encryption;
use crate::field_hash::FieldHash;
use crate::key::{self, Secrets};
use crate::layout::{BLOCK_BYTES, Layout};
use crate::ntt;
use crate::processor::{self, Level};
use crate::ring::{N, Polynomial};
use crate::sampling::{self, Noise, TILE};
use crate::shared::Shared;
use crate::stream::{Purpose, Stream};

/// Requests to valgrind, as its public header numbers them.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const COUNT_ERRORS: usize = 0x1201;
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
const MAKE_MEM_DEFINED: usize = 0x4d43_0002;

/// A request to valgrind, or 0 where the program runs without it: rotations of a register by 128 bits in all.
fn request(number: usize, first: usize, second: usize) -> usize {
    let arguments = [number, first, second, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: no register keeps another value but `rdx`, and without valgrind not even that.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(), inout("rdx") answer, options(nostack),
        );
    }
    answer
}

/// These are public from here on.
pub fn publish<T>(values: &[T]) {
    mark(MAKE_MEM_DEFINED, values);
}

/// The value, public from here on.
pub fn published<T: Copy>(value: T) -> T {
    let cell = std::hint::black_box([value]);
    publish(&cell);
    // SAFETY: it is there. The compiler is not to take what it has in a register.
    unsafe { std::ptr::read_volatile(&cell[0]) }
}

fn mark<T>(number: usize, values: &[T]) {
    request(number, values.as_ptr() as usize, size_of_val(values));
}

/// The values, with memcheck told that they are not known.
pub fn secret<T: Clone>(values: &[T]) -> Vec<T> {
    let copy = values.to_vec();
    mark(MAKE_MEM_UNDEFINED, &copy);
    copy
}

pub fn secret_seed(byte: u8) -> [u8; 32] {
    let seed = [byte; 32];
    mark(MAKE_MEM_UNDEFINED, &seed);
    seed
}

/// How many branches and addresses in `work` depended on a secret.
pub fn dependent(work: impl FnOnce()) -> usize {
    assert_ne!(request(RUNNING_ON_VALGRIND, 0, 0), 0, "run this by `make constant-time`");
    let before = request(COUNT_ERRORS, 0, 0);
    work();
    request(COUNT_ERRORS, 0, 0) - before
}

pub fn at_each_level(work: impl Fn()) {
    for level in Level::ALL.into_iter().filter(|level| level.is_here()) {
        processor::limit(level);
        work();
    }
    processor::limit(Level::Avx512);
}

const SETS: [(u32, usize, u32, u32); 3] = [(16, 2, 24, 15), (32, 1, 43, 20), (12, 3, 17, 12)];

fn encrypt(values: &[f32], key_seed: &[u8; 32], noise_seed: &[u8; 32], layout: Layout) {
    let encryption = Encryption {
        layout,
        parameters: &[1; 32],
        context: &[2; 32],
        clip: 1.0,
        factor: layout.largest() as f64 * 0.5,
        first: 0,
        key_seed,
        noise_seed,
    };
    let mut out = vec![0; layout.blocks(values.len()) * BLOCK_BYTES];
    // SAFETY: the slice is there as long as the call.
    let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
    encryption.run(values, &mut out, 1).expect("they are within the clip bound");
}

fn values(layout: Layout) -> Vec<f32> {
    (0..layout.block_values() + 100).map(|index| ((index * 37) % 2001) as f32 / 1000.0 - 1.0).collect()
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn the_marks_are_seen_where_they_should_be() {
    at_each_level(|| println!("under valgrind: the {} copy", processor::level().name()));
    let choice = secret(&[3usize, 200]);
    let table = [7u8; 256];
    let branches = dependent(|| {
        if std::hint::black_box(choice[0]) == 3 {
            std::hint::black_box(table[0]);
        }
    });
    assert_eq!(branches, 1, "a branch on a secret");
    let looked_up = || _ = std::hint::black_box(table[choice[1] & 255]);
    assert_eq!(dependent(looked_up), 1, "an index that is a secret");
    let product = || _ = std::hint::black_box(choice[0] * choice[1]);
    assert_eq!(dependent(product), 0, "a product of secrets");
    mark(MAKE_MEM_DEFINED, &choice);
    assert_eq!(dependent(|| assert!(std::hint::black_box(choice[1]) == 200)), 0, "what is secret no more");
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn no_branch_or_address_depends_on_a_key() {
    at_each_level(|| {
        let found = dependent(|| {
            let mut secret = key::secret(&secret_seed(3), &[1; 32]);
            ntt::forward(&mut secret);
            ntt::divide_by_degree(&mut secret);
            let (mut mask, mut product) = (Polynomial::zero(), Polynomial::zero());
            sampling::uniform(&mut Stream::new(&[4; 32], Purpose::Mask, &[]).reader(), 0, &mut mask);
            ntt::multiply_and_invert(&mask, &secret, &mut product);
        });
        assert_eq!(found, 0);
    });
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn none_depends_on_the_keys_that_are_summed() {
    at_each_level(|| {
        let found = dependent(|| {
            let mut sum = Polynomial::zero();
            let mut secrets = Secrets::new(&[1; 32]);
            (5..8).for_each(|byte| secrets.add(&secret_seed(byte), &mut sum));
        });
        assert_eq!(found, 0);
    });
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn none_depends_on_the_noise() {
    at_each_level(|| {
        let found = dependent(|| {
            let reader = Stream::new(&secret_seed(9), Purpose::Noise, &[]).reader();
            Noise::new(reader).polynomial(5, &mut [0; N]);
        });
        assert_eq!(found, 0);
    });
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn none_of_an_encryption_depends_on_its_seeds() {
    for (value_bits, slots, slot_width, delta) in SETS {
        let layout = Layout::new(value_bits, slots, slot_width, delta).unwrap();
        let values = values(layout);
        at_each_level(|| {
            let (key_seed, noise_seed) = (secret_seed(10), secret_seed(11));
            assert_eq!(dependent(|| encrypt(&values, &key_seed, &noise_seed, layout)), 0);
        });
    }
}

/// One branch for each tile of a slot: whether any value in it is refused. It is taken alike for all that are accepted.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_the_values_only_whether_one_is_refused() {
    for (value_bits, slots, slot_width, delta) in SETS {
        let layout = Layout::new(value_bits, slots, slot_width, delta).unwrap();
        let values = secret(&values(layout));
        at_each_level(|| {
            let (key_seed, noise_seed) = (secret_seed(10), secret_seed(11));
            let found = dependent(|| encrypt(&values, &key_seed, &noise_seed, layout));
            assert_eq!(found, values.len().div_ceil(TILE));
        });
    }
}

/// One branch: whether any input is out of its range. It is taken alike for all that are accepted.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_a_field_hash_only_whether_an_input_is_refused() {
    for (low, high) in [(-128, 127), (0, 255), (-32768, 32767)] {
        let hash = FieldHash::new(300, low, high).expect("it is a size and a range");
        at_each_level(|| {
            let (inputs, rho) = (secret(&[low + 3; 300]), secret(&vec![7u8; hash.blind_bytes()]));
            let found = dependent(|| _ = std::hint::black_box(hash.hash(&inputs, &rho)));
            assert_eq!(found, 1);
        });
    }
}
