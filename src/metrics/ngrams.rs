//! Counting n-grams.

/// The n-grams of one order: key and how often it occurs, sorted by key.
pub type Counts = Vec<(u128, u64)>;

/// The longest n-gram of words whose key fits: four numbers of 32 bits.
pub const MAX_WORDS: usize = 4;

/// The n-grams of `order` words, which are named by their numbers; at most [`MAX_WORDS`] words.
pub fn of_words(words: &[u32], order: usize) -> Counts {
    debug_assert!((1..=MAX_WORDS).contains(&order));
    let key = |window: &[u32]| window.iter().fold(0u128, |key, &word| key << 32 | u128::from(word));
    let mut keys: Vec<u128> = words.windows(order).map(key).collect();
    keys.sort_unstable();
    count_sorted(keys.into_iter())
}

/// Counts keys that come in order.
pub fn count_sorted(keys: impl Iterator<Item = u128>) -> Counts {
    let mut counts = Counts::with_capacity(keys.size_hint().0);
    for key in keys {
        match counts.last_mut() {
            Some((last, count)) if *last == key => *count += 1,
            _ => counts.push((key, 1)),
        }
    }
    counts
}

/// How many n-grams there are, repeated ones included.
pub fn total(counts: &Counts) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// How many n-grams both have, repeated ones as often as the one that has fewer.
pub fn matches(left: &Counts, right: &Counts) -> u64 {
    let (mut i, mut j, mut sum) = (0, 0, 0);
    while let (Some((a, count)), Some((b, other))) = (left.get(i), right.get(j)) {
        if a == b {
            sum += count.min(other);
        }
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    sum
}

/// Every n-gram of either as often as in the one that has more.
pub fn union(left: &Counts, right: &Counts) -> Counts {
    let (mut i, mut j) = (0, 0);
    let mut union = Counts::with_capacity(left.len() + right.len());
    loop {
        match (left.get(i), right.get(j)) {
            (Some(&(a, count)), Some(&(b, other))) => {
                union.push((
                    a.min(b),
                    if a == b {
                        count.max(other)
                    } else if a < b {
                        count
                    } else {
                        other
                    },
                ));
                i += usize::from(a <= b);
                j += usize::from(b <= a);
            }
            (Some(_), None) => {
                union.extend_from_slice(&left[i..]);
                return union;
            }
            _ => {
                union.extend_from_slice(&right[j..]);
                return union;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_compared_by_key() {
        let left = of_words(&[1, 2, 1, 2, 3], 2);
        assert_eq!(left.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 1]);
        let right = of_words(&[1, 2, 3, 4], 2);
        assert_eq!((total(&left), total(&right), matches(&left, &right)), (4, 3, 2));
        assert_eq!(total(&union(&left, &right)), 5);
        assert_eq!(union(&left, &Counts::new()), left);
        assert_eq!(union(&Counts::new(), &left), left);
        assert!(of_words(&[1], 2).is_empty());
    }
}
