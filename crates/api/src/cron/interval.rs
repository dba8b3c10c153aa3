//! Durations after `@every`, in Go's spelling: `1h30m`, `90s`, `1.5h`, `500ms` (spec/jobs.md 7.2).
//!
//! In: text. Out: whole seconds, rounded down. Never: a float; a rule about how short an interval may be.

const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOSECONDS),
    ("m", 60 * NANOSECONDS),
    ("h", 3600 * NANOSECONDS),
];
const NANOSECONDS: i128 = 1_000_000_000;
/// Digits of a fraction beyond these are below a nanosecond of any unit that matters.
const FRACTION_DIGITS: usize = 18;

/// None for anything but a duration that fits 64 bits of nanoseconds.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let size = UNITS.iter().find(|(name, _)| *name == &after[..end])?.1;
        total = total.checked_add(amount(whole, fraction, size)?)?;
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = &after[end..];
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed.div_euclid(NANOSECONDS)).ok()
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn amount(whole: &str, fraction: &str, size: i128) -> Option<i128> {
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    Some(i128::from(whole) * size + part * size / scale)
}
