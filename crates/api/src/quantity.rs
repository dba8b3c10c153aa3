//! Resource quantities: `100m`, `1.5Gi`, `2e3` (API reference, Quantity). Exact arithmetic, canonical printing.
//!
//! In: the text of a quantity. Out: a number of billionths, or the canonical text. Never: floating point.

use std::fmt;

/// An amount in billionths (nano) of its unit; finer fractions are rounded up (away from zero), magnitudes are capped at 2^63-1 units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    pub nano: i128,
}

const NANO: i128 = 1_000_000_000;
const MICRO: i128 = 1_000_000;
const CAP: i128 = i64::MAX as i128 * NANO;
/// Longest text looked at; more digits could not change a capped value.
const MAX_TEXT_BYTES: usize = 64;

/// How a quantity was spelled; the canonical form keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

const WRONG: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const DECIMAL: &[(&str, i32)] = &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

fn parse(text: &str) -> Result<(Quantity, Family), String> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(WRONG.into());
    }
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(WRONG.into());
    }
    let (exponent, shift, family) = scale(suffix).ok_or(WRONG)?;
    // digits * 10^(exponent - fraction digits + 9) * 2^shift billionths
    let digits = format!("{whole}{fraction}");
    let power = exponent - fraction.len() as i32 + 9;
    let nano = scaled(digits.trim_start_matches('0'), power, shift);
    Ok((Quantity { nano: if negative { -nano } else { nano } }, family))
}

/// (decimal exponent, binary shift, family) of a suffix.
fn scale(suffix: &str) -> Option<(i32, u32, Family)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((*exponent, 0, Family::Decimal));
    }
    if let Some((_, shift)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((0, *shift, Family::Binary));
    }
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // An exponent with many digits saturates; `scaled` caps or rounds it.
    let magnitude = unsigned.parse::<i32>().unwrap_or(i32::MAX / 4).min(i32::MAX / 4);
    Some((if digits.starts_with('-') { -magnitude } else { magnitude }, 0, Family::Exponent))
}

/// `digits * 10^power * 2^shift`, rounded up, capped.
fn scaled(digits: &str, power: i32, shift: u32) -> i128 {
    if digits.is_empty() {
        return 0;
    }
    if power >= 0 {
        let mut value: i128 = match digits.parse::<i128>() {
            Ok(value) => value,
            Err(_) => return CAP,
        };
        for _ in 0..power {
            value = value.saturating_mul(10);
            if value >= CAP {
                return CAP;
            }
        }
        return value.saturating_mul(1 << shift).min(CAP);
    }
    // Digits that stand below one billionth only decide whether to round up; with a shift they may still count, so keep what i128 holds.
    let mut drop = power.unsigned_abs() as usize;
    let mut digits = digits;
    let mut round_up = false;
    while drop > 0 && digits.len() > 20 {
        let (head, last) = digits.split_at(digits.len() - 1);
        round_up |= last != "0";
        digits = head;
        drop -= 1;
    }
    let value = digits.parse::<i128>().unwrap_or(CAP).saturating_mul(1 << shift);
    if drop > 38 {
        return 1;
    }
    let divisor = 10i128.pow(drop as u32);
    let mut nano = value / divisor;
    if value % divisor != 0 || round_up {
        nano += 1;
    }
    nano.min(CAP)
}

impl Quantity {
    /// Reads any spelling. Errors: a text that is no quantity.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text).map(|(quantity, _)| quantity)
    }
    /// From whole units.
    pub fn from_value(value: i64) -> Self {
        Quantity { nano: i128::from(value) * NANO }
    }
    /// From thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Quantity { nano: i128::from(milli) * MICRO }
    }
    /// Thousandths, rounded up, saturating.
    pub fn milli(&self) -> i64 {
        clamp(ceil(self.nano, MICRO))
    }
    /// Whole units, rounded up, saturating.
    pub fn value(&self) -> i64 {
        clamp(ceil(self.nano, NANO))
    }
    /// The sum, saturating at the cap.
    pub fn plus(self, other: Self) -> Self {
        Quantity { nano: self.nano.saturating_add(other.nano).clamp(-CAP, CAP) }
    }
    /// Whether it is below zero.
    pub fn negative(&self) -> bool {
        self.nano < 0
    }
    /// Whether it is a whole number of units (required of every resource but cpu).
    pub fn whole(&self) -> bool {
        self.nano % NANO == 0
    }
}

/// The canonical spelling in the same family: no fraction, largest suffix that keeps it exact (`1024Mi` -> `1Gi`, `0.5` -> `500m`).
pub fn canonical(text: &str) -> Result<String, String> {
    let (quantity, family) = parse(text)?;
    Ok(match family {
        Family::Binary if quantity.whole() && quantity.nano.abs() >= 1024 * NANO => binary(quantity.nano / NANO),
        Family::Binary | Family::Decimal => quantity.to_string(),
        Family::Exponent => decimal(quantity.nano, |exponent| if exponent == 0 { String::new() } else { format!("e{exponent}") }),
    })
}

impl fmt::Display for Quantity {
    /// Decimal SI.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = decimal(self.nano, |exponent| {
            DECIMAL.iter().find(|(_, e)| *e == exponent).map_or_else(|| format!("e{exponent}"), |(name, _)| (*name).to_owned())
        });
        formatter.write_str(&text)
    }
}

fn decimal(nano: i128, suffix: impl Fn(i32) -> String) -> String {
    if nano == 0 {
        return "0".into();
    }
    let (mut mantissa, mut exponent) = (nano, -9);
    while mantissa % 1000 == 0 && exponent < 18 {
        mantissa /= 1000;
        exponent += 3;
    }
    format!("{mantissa}{}", suffix(exponent))
}

fn binary(value: i128) -> String {
    let (mut mantissa, mut step) = (value, 0);
    while mantissa % 1024 == 0 && step < BINARY.len() {
        mantissa /= 1024;
        step += 1;
    }
    let suffix = if step == 0 { "" } else { BINARY[step - 1].0 };
    format!("{mantissa}{suffix}")
}

fn ceil(value: i128, unit: i128) -> i128 {
    value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_and_canonical_texts() {
        for (text, milli, value, canonical_text) in [
            ("0", 0, 0, "0"),
            ("1", 1000, 1, "1"),
            ("100m", 100, 1, "100m"),
            ("0.5", 500, 1, "500m"),
            (".5", 500, 1, "500m"),
            ("2.", 2000, 2, "2"),
            ("1500m", 1500, 2, "1500m"),
            ("1000m", 1000, 1, "1"),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736, "1536Mi"),
            ("1024Mi", 1_073_741_824_000, 1_073_741_824, "1Gi"),
            ("0.5Ki", 512_000, 512, "512"),
            ("2e3", 2_000_000, 2000, "2e3"),
            ("15e2", 1_500_000, 1500, "1500"),
            ("1E3", 1_000_000, 1000, "1e3"),
            ("5E-3", 5, 1, "5e-3"),
            ("128M", 128_000_000_000, 128_000_000, "128M"),
            ("1000k", 1_000_000_000, 1_000_000, "1M"),
            ("+3", 3000, 3, "3"),
            ("-1", -1000, -1, "-1"),
            ("-1500m", -1500, -1, "-1500m"),
            ("1n", 1, 1, "1n"),
            ("0.1n", 1, 1, "1n"),
            ("1u", 1, 1, "1u"),
            ("9223372036854775807", i64::MAX, i64::MAX, "9223372036854775807"),
            ("10E", i64::MAX, i64::MAX, "9223372036854775807"),
            ("1e99999", i64::MAX, i64::MAX, "9223372036854775807"),
            ("1e-99999", 1, 1, "1e-9"),
        ] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!((quantity.milli(), quantity.value()), (milli, value), "{text}");
            assert_eq!(canonical(text).unwrap(), canonical_text, "{text}");
            assert_eq!(Quantity::parse(&canonical(text).unwrap()).unwrap(), quantity, "{text}");
        }
    }

    #[test]
    fn not_quantities() {
        for text in ["", " ", "a", "1x", "1 Gi", "1..2", "1.2.3", "--1", "1ki", "1KI", "e3", ".", "1e", "1e+", "1mi", "ä", "+"] {
            // "1E" alone is exa, "1e" is nothing.
            assert!(Quantity::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Quantity::parse("1E").unwrap().value(), 1_000_000_000_000_000_000);
    }

    #[test]
    fn order_and_sums() {
        let q = |text| Quantity::parse(text).unwrap();
        assert!(q("1Gi") > q("1G") && q("999m") < q("1") && q("1024Ki") == q("1Mi"));
        assert_eq!(q("100m").plus(q("0.9")), q("1"));
        assert_eq!(Quantity::from_milli(250).to_string(), "250m");
        assert_eq!(Quantity::from_value(3_000).to_string(), "3k");
        assert!(q("-1").negative() && q("1").whole() && !q("1m").whole());
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(text in "[-+]?[0-9]{1,12}(\\.[0-9]{0,6})?(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|e[0-9]|E-[0-9])?") {
            let once = canonical(&text).unwrap();
            prop_assert_eq!(canonical(&once).unwrap(), once.clone());
            prop_assert_eq!(Quantity::parse(&once).unwrap(), Quantity::parse(&text).unwrap());
        }
        #[test]
        fn never_panics(text in ".{0,80}") { let _ = canonical(&text); }
    }
}
