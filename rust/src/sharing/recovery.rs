//! The side of whoever has members' answers: the sum of keys, and who lies. Answers are public.

use super::threshold::{Threshold, interpolation};
use crate::field;

/// A member's number, and the words of its answer.
pub struct Answer {
    pub member: u32,
    pub words: Vec<u64>,
}

pub struct Recovered {
    /// Which set of answers it was.
    pub trial: usize,
    pub secret: Vec<u64>,
    /// Members whose answers are not on the polynomials through those of the set.
    pub wrong: Vec<u32>,
}

/// The next set of answers, of the trials from `first` on and before `end`, that gives a secret with no coefficient further
/// from zero than `largest`. Sets come in the order of their last answer, so that a lie in the last answers costs nothing.
/// Answers and their sum are public.
pub fn recover(threshold: Threshold, answers: &[Answer], largest: u64, first: usize, end: usize) -> Option<Recovered> {
    let mut set: Vec<usize> = (0..threshold.recovery()).collect();
    for trial in 0..end {
        if set.last().is_none_or(|&last| last >= answers.len()) {
            return None;
        }
        if trial >= first
            && let Some(secret) = secret_of(threshold, answers, &set, largest)
        {
            return Some(Recovered { trial, secret, wrong: others_wrong(threshold, answers, &set) });
        }
        advance(&mut set);
    }
    None
}

/// The next set of as many indices, in the order of the last, then the one before it, ..
fn advance(set: &mut [usize]) {
    let place =
        (0..set.len()).find(|&at| at + 1 == set.len() || set[at] + 1 < set[at + 1]).expect("a set is not empty");
    set[place] += 1;
    set[..place].iter_mut().enumerate().for_each(|(at, index)| *index = at);
}

fn secret_of(threshold: Threshold, answers: &[Answer], set: &[usize], largest: u64) -> Option<Vec<u64>> {
    let points: Vec<u64> = set.iter().map(|&index| u64::from(answers[index].member)).collect();
    let mut secret = Vec::new();
    for at in &threshold.base_points()[..threshold.packing] {
        let weights = interpolation(&points, *at);
        for index in 0..threshold.words() {
            let coefficient = at_point(&weights, answers, set, index);
            if field::centred(coefficient).unsigned_abs() > largest {
                return None;
            }
            secret.push(coefficient);
        }
    }
    Some(secret)
}

fn at_point(weights: &[u64], answers: &[Answer], set: &[usize], index: usize) -> u64 {
    let terms = weights.iter().zip(set);
    terms.fold(0, |sum, (&weight, &of)| field::add(sum, field::mul(weight, answers[of].words[index])))
}

fn others_wrong(threshold: Threshold, answers: &[Answer], set: &[usize]) -> Vec<u32> {
    let points: Vec<u64> = set.iter().map(|&index| u64::from(answers[index].member)).collect();
    let fits = |answer: &Answer| {
        let weights = interpolation(&points, u64::from(answer.member));
        (0..threshold.words()).all(|index| at_point(&weights, answers, set, index) == answer.words[index])
    };
    let others = answers.iter().enumerate().filter(|(index, _)| !set.contains(index));
    others.filter(|(_, answer)| !fits(answer)).map(|(_, answer)| answer.member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::Polynomials;
    use crate::sharing::adding::add;

    #[test]
    fn sets_come_in_the_order_of_their_last_answer() {
        let (mut set, mut seen) = (vec![0, 1, 2], Vec::new());
        while set[2] < 5 {
            seen.push(set.clone());
            advance(&mut set);
        }
        assert_eq!(seen[..5], [vec![0, 1, 2], vec![0, 1, 3], vec![0, 2, 3], vec![1, 2, 3], vec![0, 1, 4]]);
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn lies_are_found_and_their_authors_named() {
        let threshold = Threshold::new(8, 3, 2).unwrap();
        let dealt = [1, 2, 3].map(|seed| Polynomials::new(threshold, &[seed; 32], &[seed + 9; 32], &[3; 32]));
        let answers: Vec<Answer> = (1..=8)
            .map(|member| {
                let shares: Vec<_> = dealt.iter().map(|dealt| dealt.share(member)).collect();
                Answer { member: member as u32, words: add(threshold, &shares).unwrap() }
            })
            .collect();
        let secret: Vec<u64> =
            (0..4096).map(|index| dealt.iter().fold(0, |sum, dealt| field::add(sum, dealt.values[index]))).collect();
        let largest = 3 * 42;
        let found = recover(threshold, &answers, largest, 0, 100).unwrap();
        assert!(found.trial == 0 && found.secret == secret && found.wrong.is_empty());
        for liar in 0..8 {
            let mut lying: Vec<Answer> =
                answers.iter().map(|one| Answer { member: one.member, words: one.words.clone() }).collect();
            lying[liar].words[77] = field::add(lying[liar].words[77], 0x1234_5678_9ABC_DEF0);
            let found = recover(threshold, &lying, largest, 0, 100).unwrap();
            assert!(found.secret == secret && found.wrong == [liar as u32 + 1]);
            // With just one answer over, and one that lies.
            lying.truncate(6);
            if liar < 6 {
                let found = recover(threshold, &lying, largest, 0, 100).unwrap();
                assert!(found.secret == secret && found.wrong == [liar as u32 + 1]);
                lying.truncate(5);
                assert!(recover(threshold, &lying, largest, 0, 100).is_none() || liar == 5);
            }
        }
    }

    /// The weights of answers are small fractions, so that a small lie may leave small coefficients: those alone are no test.
    #[test]
    fn a_small_lie_passes_for_a_secret_and_the_next_trials_do_not() {
        let threshold = Threshold::new(4, 2, 1).unwrap();
        let dealt = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
        let mut answers: Vec<Answer> = (1..=4)
            .map(|member| Answer { member, words: add(threshold, &[dealt.share(member as usize)]).unwrap() })
            .collect();
        answers[0].words[5] = field::add(answers[0].words[5], 1);
        let found = recover(threshold, &answers, 42, 0, 100).unwrap();
        assert!(found.trial == 0 && found.secret != dealt.values[..4096] && found.wrong == [4]);
        let found = (1..4).filter_map(|trial| recover(threshold, &answers, 42, trial, trial + 1));
        let found = found.filter(|found| found.secret == dealt.values[..4096]).collect::<Vec<_>>();
        assert!(found.len() == 1 && found[0].wrong == [1]);
    }
}
