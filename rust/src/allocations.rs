//! Counts the allocations of a thread, for tests: there are none for each block.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocates during `work`.
pub fn during(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn encryption_and_decryption_allocate_as_often_for_many_blocks_as_for_one() {
    use crate::decryption::Decryption;
    use crate::encryption::Encryption;
    use crate::key;
    use crate::layout::{BLOCK_BYTES, Layout};
    use crate::shared::Shared;
    use crate::sum;

    let layout = Layout::new(16, 2, 24, 15).unwrap();
    let seeds = [[1; 32], [2; 32], [3; 32], [4; 32]];
    let round_trip = |blocks: usize| {
        let values = vec![0.25_f32; blocks * layout.block_values()];
        let (mut out, mut total) = (vec![0; blocks * BLOCK_BYTES], vec![0; blocks * BLOCK_BYTES]);
        let mut decrypted = vec![0.0; values.len()];
        let [parameters, context, key_seed, noise_seed] = &seeds;
        let encryption =
            Encryption { layout, parameters, context, clip: 1.0, factor: 32767.0, first: 0, key_seed, noise_seed };
        let decryption = Decryption { layout, parameters, context, count: 1, first: 0, unit: 1.0 / 32767.0 };
        // SAFETY: the vector lives longer, and nobody writes to it.
        let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
        let once = || {
            during(|| {
                encryption.run(values, &mut out, 1).unwrap();
                sum::begin(&mut total, &out).unwrap();
                assert!(decryption.run(&total, key::secret(key_seed, parameters), &mut decrypted, 1).is_ok());
            })
        };
        // What is kept of a round is allocated the first time, and again when another test has taken its place.
        std::iter::repeat_with(once).take(5).min()
    };
    assert_eq!(round_trip(1), round_trip(40));
}
