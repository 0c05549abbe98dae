//! Counts the allocations of a thread, for tests: there are none for each block. And looks for secrets in memory that a
//! thread gives back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static SEARCHED: Cell<bool> = const { Cell::new(false) };
    static SEARCH: RefCell<Option<Search>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Search {
    secrets: HashSet<u64>,
    found: usize,
}

impl Search {
    /// Nothing here allocates.
    fn look_at(&mut self, memory: *const u64, words: usize) {
        for index in 0..words {
            // SAFETY: the memory is still there, and was zero where nothing was written to it.
            self.found += usize::from(self.secrets.contains(&unsafe { memory.add(index).read_volatile() }));
        }
    }
}

struct Counting;

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // What a search finds was written to this memory, not left there by whoever had it before: the search itself, for
        // one, or a test beside it.
        if SEARCHED.get() { unsafe { System.alloc_zeroed(layout) } } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // Not while the search itself is changed, and not when the thread ends.
        if SEARCHED.get() && layout.align() >= 8 {
            let _ = SEARCH.try_with(|search| {
                if let Ok(mut search) = search.try_borrow_mut()
                    && let Some(search) = &mut *search
                {
                    search.look_at(memory.cast(), layout.size() / 8);
                }
            });
        }
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

/// Look for these words in what this thread gives back, if it is searched. Small numbers are everywhere.
pub fn hide(words: impl IntoIterator<Item = u64>) {
    SEARCH.with_borrow_mut(|search| {
        if let Some(search) = search {
            search.secrets.extend(words.into_iter().filter(|word| word >> 32 != 0));
        }
    });
}

/// How many words are hidden by this thread during `work`, and how often one of them is in memory that it gives back. `work`
/// is done twice, alike: memory may be given back before its words are hidden, so they are looked for the second time.
pub fn left_behind(work: impl Fn()) -> (usize, usize) {
    SEARCH.set(Some(Search::default()));
    work();
    SEARCHED.set(true);
    work();
    SEARCHED.set(false);
    let search = SEARCH.take().expect("it has begun");
    (search.secrets.len(), search.found)
}

#[test]
fn what_is_left_behind_is_found() {
    use zeroize::Zeroizing;

    let secret = 77 << 40;
    let (hidden, found) = left_behind(|| {
        drop(vec![3, secret]);
        hide([secret, 3]);
        drop(Zeroizing::new(vec![secret]));
        // A vector that is outgrown leaves one behind.
        let mut outgrown = vec![secret];
        outgrown.reserve_exact(10_000);
        outgrown.fill(0);
    });
    assert_eq!((hidden, found), (1, 2));
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
