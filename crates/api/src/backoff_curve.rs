//! A Job's own back-off curve: two annotations of piecework that change the first delay between retries and the longest one (docs/compat.md).
//!
//! In: an annotation's text. Out: a duration, or why it is none. Never: a default (those belong to the controller), a rounding.

use jiff::SignedDuration;

/// First delay after a failure; each further one doubles it.
pub const BASE_ANNOTATION: &str = "piecework.dev/backoff-base";
/// Longest delay. A cap below the base counts: every delay is the cap then.
pub const CAP_ANNOTATION: &str = "piecework.dev/backoff-cap";

/// Why a text is no delay, to go after the annotation's name.
pub const EXPECTED: &str = "must be a duration above zero, such as 500ms, 10s, 6m or 1h30m";

/// Reads sums of whole numbers and units (`ms`, `s`, `m`, `h`); None for anything else, and for zero, which would be no back-off at all.
pub fn delay(text: &str) -> Option<SignedDuration> {
    let (mut total, mut rest) = (SignedDuration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let milliseconds = match &rest[..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            _ => return None,
        };
        total = total.checked_add(SignedDuration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = &rest[unit..];
    }
    Some(total).filter(|total| total.is_positive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        let rows =
            [("500ms", 500), ("10s", 10_000), ("6m", 360_000), ("1h30m", 5_400_000), ("1m500ms", 60_500), ("0s1ms", 1), ("010s", 10_000)];
        for (text, milliseconds) in rows {
            assert_eq!(delay(text), Some(SignedDuration::from_millis(milliseconds)), "{text}");
        }
        let none = [
            "",
            "0",
            "0s",
            "0ms",
            "10",
            "s",
            "10 s",
            " 10s",
            "10s ",
            "-1s",
            "+1s",
            "1.5s",
            "1d",
            "10S",
            "tens",
            "1s2",
            "9223372036854775807h",
            "99999999999999999999s",
            "1µs",
            "٣s",
        ];
        for text in none {
            assert_eq!(delay(text), None, "{text}");
        }
    }
}
