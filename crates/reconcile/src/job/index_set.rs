//! Sets of completion indexes and their text, `1,3-5,7` (spec/jobs.md 2.5 "Index-list text format", 3.1).
//!
//! In: texts of a status or a policy, single indexes. Out: texts, answers, counts. Never: one entry per index; a set is its ascending ranges.

/// Inclusive ranges, ascending, with at least one index missing between two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSet {
    ranges: Vec<(i32, i32)>,
}

impl IndexSet {
    /// The readable items of a text below `limit`; others are left out, as a status may hold anything (4.9.1).
    pub fn parse(text: &str, limit: i32) -> Self {
        text.split(',')
            .filter_map(|item| match item.split_once('-') {
                None => number(item).map(|index| (index, index)),
                Some((low, high)) => Some((number(low)?, number(high)?)),
            })
            .map(|(low, high)| (low, high.min(limit.saturating_sub(1))))
            .collect()
    }

    /// Ranges of three and more with a hyphen, two neighbours with a comma.
    pub fn text(&self) -> String {
        let items: Vec<String> = self
            .ranges
            .iter()
            .map(|(low, high)| match high - low {
                0 => low.to_string(),
                1 => format!("{low},{high}"),
                _ => format!("{low}-{high}"),
            })
            .collect();
        items.join(",")
    }

    pub fn len(&self) -> i64 {
        self.ranges.iter().map(|(low, high)| i64::from(*high) - i64::from(*low) + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn contains(&self, index: i32) -> bool {
        self.run_end(index).is_some()
    }

    /// The last index of the range that holds `index`.
    pub fn run_end(&self, index: i32) -> Option<i32> {
        let at = self.ranges.partition_point(|(_, high)| *high < index);
        self.ranges.get(at).filter(|(low, _)| *low <= index).map(|(_, high)| *high)
    }

    /// This set and more indexes, in one pass over both.
    pub fn with(&self, more: impl IntoIterator<Item = i32>) -> Self {
        self.ranges.iter().copied().chain(more.into_iter().map(|index| (index, index))).collect()
    }

    /// How many indexes both sets hold.
    pub fn common(&self, other: &IndexSet) -> i64 {
        let (mut left, mut right) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut count = 0;
        while let (Some((a, b)), Some((c, d))) = (left.peek(), right.peek()) {
            count += (i64::from(*b.min(d)) - i64::from(*a.max(c)) + 1).max(0);
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        count
    }
}

fn number(text: &str) -> Option<i32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// From ranges in any order that may overlap; those that end before they begin are left out.
impl FromIterator<(i32, i32)> for IndexSet {
    fn from_iter<I: IntoIterator<Item = (i32, i32)>>(items: I) -> Self {
        let mut given: Vec<(i32, i32)> = items.into_iter().filter(|(low, high)| low <= high).collect();
        given.sort_unstable();
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for (low, high) in given {
            match ranges.last_mut() {
                Some((_, end)) if low <= end.saturating_add(1) => *end = (*end).max(high),
                _ => ranges.push((low, high)),
            }
        }
        IndexSet { ranges }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn texts() {
        // (text, limit, its normal form, count)
        let rows = [
            ("", 9, "", 0),
            ("0", 9, "0", 1),
            ("1,3-5,7", 9, "1,3-5,7", 5),
            ("0,1", 9, "0,1", 2),
            ("0-1", 9, "0,1", 2),
            ("0,1,2", 9, "0-2", 3),
            ("1,3-5,7", 5, "1,3,4", 3),
            ("1,x,3-,-4,+5,6-5,7", 9, "1,7", 2),
            ("7,1", 9, "1,7", 2),
            ("0-99999999999,3", 9, "3", 1),
            ("0-2147483647", i32::MAX, "0-2147483646", 2_147_483_647),
            ("4", 0, "", 0),
        ];
        for (text, limit, normal, count) in rows {
            let set = IndexSet::parse(text, limit);
            assert_eq!((set.text().as_str(), set.len()), (normal, count), "{text}");
        }
    }

    /// One index at a time: the plainest thing that can be right.
    fn naive_text(set: &BTreeSet<i32>) -> String {
        let mut text = String::new();
        for index in set.iter().copied() {
            let (before, after) = (set.contains(&(index - 1)), set.contains(&(index + 1)));
            if before && after {
                continue;
            }
            let inside = before && set.contains(&(index - 2));
            let separator = if text.is_empty() {
                ""
            } else if inside {
                "-"
            } else {
                ","
            };
            text.push_str(&format!("{separator}{index}"));
        }
        text
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_set(one in prop::collection::btree_set(0i32..60, 0..40), other in prop::collection::btree_set(0i32..60, 0..40), limit in 0i32..70) {
            let set = IndexSet::default().with(one.iter().copied());
            prop_assert_eq!(set.text(), naive_text(&one));
            let cut: BTreeSet<i32> = one.iter().copied().filter(|index| *index < limit).collect();
            prop_assert_eq!(IndexSet::parse(&set.text(), limit).text(), naive_text(&cut));
            prop_assert_eq!(set.len(), one.len() as i64);
            let union: BTreeSet<i32> = one.union(&other).copied().collect();
            let both = set.with(other.iter().copied());
            prop_assert_eq!(both.text(), naive_text(&union));
            prop_assert_eq!(set.common(&IndexSet::default().with(other.iter().copied())), one.intersection(&other).count() as i64);
            for index in 0..70 {
                prop_assert_eq!(both.contains(index), union.contains(&index));
                let end = union.contains(&index).then(|| (index..).take_while(|i| union.contains(i)).last().unwrap());
                prop_assert_eq!(both.run_end(index), end);
            }
            // What the API server accepts.
            prop_assert!(both.text().is_empty() || piecework_api::validation::indexes::parse(&both.text(), 60).is_ok());
        }
    }
}
