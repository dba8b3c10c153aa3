//! One field of a schedule: lists of stars, numbers, names and ranges, with steps (spec/jobs.md 7.2).
//!
//! In: the text of the field. Out: a bit per value. Never: another field; what two day fields mean together is the schedule's business.

use super::ScheduleError;

/// A field's place in the schedule: its bounds and the names it knows.
pub(super) struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// The first one stands for `low`.
    names: &'static [&'static str],
}

pub(super) const MINUTES: Field = Field { name: "minute", low: 0, high: 59, names: &[] };
pub(super) const HOURS: Field = Field { name: "hour", low: 0, high: 23, names: &[] };
pub(super) const DAYS_OF_MONTH: Field = Field { name: "day of month", low: 1, high: 31, names: &[] };
pub(super) const MONTHS: Field =
    Field { name: "month", low: 1, high: 12, names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] };
pub(super) const DAYS_OF_WEEK: Field =
    Field { name: "day of week", low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// What matches.
#[derive(Debug, Default)]
pub(super) struct Matches {
    pub bits: u64,
    /// A star without a step above 1 is in the list.
    pub any: bool,
}

impl Field {
    pub fn read(&self, text: &str) -> Result<Matches, ScheduleError> {
        let mut matches = Matches::default();
        // Empty items are passed over, as upstream does: "1,,2" and "1," are in use.
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (bits, any) = self.item(item)?;
            matches.bits |= bits;
            matches.any |= any;
        }
        if matches.bits == 0 {
            return Err(self.error("no value", text));
        }
        Ok(matches)
    }

    fn error(&self, what: impl Into<String>, item: &str) -> ScheduleError {
        ScheduleError::Field { field: self.name, what: what.into(), item: item.to_owned() }
    }

    fn item(&self, item: &str) -> Result<(u64, bool), ScheduleError> {
        let mut parts = item.split('/');
        let range = parts.next().unwrap_or_default();
        let step = parts.next();
        if parts.next().is_some() {
            return Err(self.error("more than one step", item));
        }
        let step_by = match step {
            None => 1,
            Some(text) => number(text).ok_or_else(|| self.error("the step is not a number", item))?,
        };
        if step_by == 0 {
            return Err(self.error("the step must be above 0", item));
        }
        let star = range == "*" || range == "?";
        let (first, last) = if star { (self.low, self.high) } else { self.range(range, step.is_some(), item)? };
        if first < self.low {
            return Err(self.error(format!("{first} is below {}", self.low), item));
        }
        if last > self.high {
            return Err(self.error(format!("{last} is above {}", self.high), item));
        }
        if first > last {
            return Err(self.error("the range ends before it begins", item));
        }
        let step_by = usize::try_from(step_by).unwrap_or(usize::MAX);
        let bits = (first..=last).step_by(step_by).fold(0, |bits, value| bits | 1 << value);
        Ok((bits, star && step_by == 1))
    }

    /// `N`, `A-B`; `N` with a step means from N on.
    fn range(&self, range: &str, stepped: bool, item: &str) -> Result<(u32, u32), ScheduleError> {
        let mut ends = range.split('-').map(|end| self.value(end, item));
        let first = ends.next().unwrap_or_else(|| Err(self.error("no value", item)))?;
        let last = match ends.next() {
            Some(last) => last?,
            None if stepped => self.high,
            None => first,
        };
        if ends.next().is_some() {
            return Err(self.error("more than one hyphen", item));
        }
        Ok((first, last))
    }

    fn value(&self, text: &str, item: &str) -> Result<u32, ScheduleError> {
        match self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            Some(place) => Ok(self.low + place as u32),
            None => number(text).ok_or_else(|| self.error("not a value of this field", item)),
        }
    }
}

/// Digits only.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
