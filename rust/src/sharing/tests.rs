//! What shares are made from leaves no trace: in freed memory, in branches, in addresses.

use super::{Polynomials, Threshold};
use crate::allocations::left_behind;

#[test]
fn nothing_of_a_dealt_key_is_left_in_freed_memory() {
    let threshold = Threshold::new(8, 3, 2).unwrap();
    let (hidden, found) = left_behind(|| {
        let polynomials = Polynomials::new(threshold, &[41; 32], &[42; 32], &[43; 32]);
        let shares: Vec<_> = (1..=8).map(|member| polynomials.share(member)).collect();
        assert_eq!(polynomials.commitments().len(), shares.len());
    });
    assert!(hidden > 3 * threshold.words(), "{hidden}");
    assert_eq!(found, 0);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod taint {
    use zeroize::Zeroizing;

    use super::{Polynomials, Threshold};
    use crate::sharing::adding::add;
    use crate::taint::{at_each_level, dependent, secret, secret_seed};

    #[test]
    #[ignore = "under valgrind: make constant-time"]
    fn no_branch_or_address_depends_on_a_dealt_key_or_its_randomness() {
        let threshold = Threshold::new(8, 3, 2).unwrap();
        at_each_level(|| {
            let found = dependent(|| {
                let polynomials = Polynomials::new(threshold, &secret_seed(1), &secret_seed(2), &[3; 32]);
                assert_eq!(polynomials.commitments().len(), 8);
            });
            assert_eq!(found, 0);
        });
    }

    /// Whether a word is not below p is told.
    #[test]
    #[ignore = "under valgrind: make constant-time"]
    fn none_depends_on_the_shares_that_are_added() {
        let threshold = Threshold::new(8, 3, 2).unwrap();
        let plain = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
        at_each_level(|| {
            let shares: Vec<_> = (1..=3).map(|member| Zeroizing::new(secret(&plain.share(member)))).collect();
            assert_eq!(dependent(|| assert!(add(threshold, &shares).is_ok())), 0);
        });
    }
}
