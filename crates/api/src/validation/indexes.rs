//! The text form of index sets, `1,3-5,7` (spec/jobs.md 2.5, "Index-list text format").
//!
//! In: a text and the number of completions. Out: the ranges, or what is wrong. Never: a set expanded into single numbers.

/// Inclusive ranges, strictly ascending. Errors name the offending item.
pub fn parse(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut ranges: Vec<(i64, i64)> = vec![];
    if text.is_empty() {
        return Ok(ranges);
    }
    for item in text.split(',') {
        let bounds: Vec<&str> = item.split('-').collect();
        let (low, high) = match bounds.as_slice() {
            [one] => (number(one, completions)?, number(one, completions)?),
            [low, high] => (number(low, completions)?, number(high, completions)?),
            _ => return Err(format!("cannot parse \"{item}\": more than one hyphen")),
        };
        if bounds.len() == 2 && low >= high {
            return Err(format!("non-increasing order, previous: {low}, current: {high}"));
        }
        if let Some((_, previous)) = ranges.last().filter(|(_, previous)| *previous >= low) {
            return Err(format!("non-increasing order, previous: {previous}, current: {low}"));
        }
        ranges.push((low, high));
    }
    Ok(ranges)
}

fn number(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("cannot convert string to integer for index: \"{text}\""));
    }
    match text.parse::<i64>() {
        Ok(index) if index < completions => Ok(index),
        _ => Err(format!("too large index: \"{text}\"")),
    }
}

/// How many indexes the ranges hold.
pub fn count(ranges: &[(i64, i64)]) -> i64 {
    ranges.iter().map(|(low, high)| high - low + 1).sum()
}

/// Whether two ascending lists of ranges share an index.
pub fn overlap(one: &[(i64, i64)], other: &[(i64, i64)]) -> bool {
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        if a.1 < b.0 {
            left.next();
        } else if b.1 < a.0 {
            right.next();
        } else {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, ranges) in [("", vec![]), ("0", vec![(0, 0)]), ("1,3-5,7", vec![(1, 1), (3, 5), (7, 7)]), ("0-9", vec![(0, 9)])] {
            assert_eq!(parse(text, 10).unwrap(), ranges, "{text}");
        }
        for text in ["a", "1,", ",1", "-1", "1-", "1-2-3", "5-5", "5-3", "3,3", "3-5,5", "4,2", "10", "0-10", " 1", "99999999999999999999"]
        {
            assert!(parse(text, 10).is_err(), "{text}");
        }
        assert_eq!(count(&parse("1,3-5,7", 10).unwrap()), 5);
    }

    #[test]
    fn overlaps() {
        for (one, other, expected) in
            [("1,3-5", "2,6", false), ("1,3-5", "4", true), ("", "1", false), ("0-9", "9", true), ("7", "1,7", true)]
        {
            assert_eq!(overlap(&parse(one, 10).unwrap(), &parse(other, 10).unwrap()), expected, "{one} {other}");
        }
    }
}
