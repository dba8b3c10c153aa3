//! The dialect of CronJob schedules and the names of time zones (spec/jobs.md 7.1, 7.2): one parser for validation and for the controller.
//!
//! In: text. Out: which wall-clock minutes match, or how many seconds lie between runs; a time zone of the bundled database.
//! Never: a planned time (that is `piecework-reconcile`), the machine's own zone or zone files.

mod field;
mod interval;
mod zone;

#[cfg(test)]
mod tests;

use field::{DAYS_OF_MONTH, DAYS_OF_WEEK, HOURS, MINUTES, MONTHS};
pub use zone::{ZoneError, find_zone, zone_name};

/// Shorter intervals of `@every` become this many seconds (spec/jobs.md 7.2).
pub const SHORTEST_INTERVAL_SECONDS: i64 = 1;

/// What a schedule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// From a `TZ=` or `CRON_TZ=` in front: not official, so it is only taken where it was stored before (spec/jobs.md 7.1).
    pub zone: Option<String>,
    pub pattern: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Minutes of the wall clock.
    Fields(Fields),
    /// `@every`: whole seconds between runs.
    Every(i64),
}

/// One bit per value that matches: bit 0 of `minutes` is minute 0, bit 1 of `months` is January, bit 0 of `days_of_week` is Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub minutes: u64,
    pub hours: u64,
    pub days_of_month: u64,
    pub months: u64,
    pub days_of_week: u64,
    /// A day field is `*` or `?`, so a day has to match both; otherwise either is enough.
    pub any_day: bool,
}

impl Fields {
    /// `day` 1-31, `weekday` 0-6 from Sunday.
    pub fn day_matches(&self, day: u32, weekday: u32) -> bool {
        let by_month = self.days_of_month >> day & 1 == 1;
        let by_week = self.days_of_week >> weekday & 1 == 1;
        if self.any_day { by_month && by_week } else { by_month || by_week }
    }
}

/// What is wrong with a schedule, as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("the schedule is empty")]
    Empty,
    #[error("expected exactly 5 fields (minute, hour, day of month, month, day of week), found {0}: {1}")]
    Count(usize, String),
    #[error("{field}: {what}: {item}")]
    Field { field: &'static str, what: String, item: String },
    #[error("unknown macro: {0}")]
    Macro(String),
    #[error("not a duration: {0}")]
    Interval(String),
    #[error("a time zone without a schedule: {0}")]
    OnlyZone(String),
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

/// Macros and the five fields they stand for.
const MACROS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Whether the text names a zone itself, or looks as if it did (spec/jobs.md 7.1).
pub fn mentions_zone(schedule: &str) -> bool {
    schedule.contains("TZ")
}

/// Reads a schedule.
pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
    if text.is_empty() {
        return Err(ScheduleError::Empty);
    }
    let Some(zoned) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok(Schedule { zone: None, pattern: pattern(text)? });
    };
    let (name, rest) = zoned.split_once(' ').ok_or_else(|| ScheduleError::OnlyZone(text.to_owned()))?;
    find_zone(name)?;
    Ok(Schedule { zone: Some(name.to_owned()), pattern: pattern(rest.trim())? })
}

fn pattern(text: &str) -> Result<Pattern, ScheduleError> {
    if let Some(duration) = text.strip_prefix("@every ") {
        let seconds = interval::seconds(duration).ok_or_else(|| ScheduleError::Interval(duration.to_owned()))?;
        return Ok(Pattern::Every(seconds.max(SHORTEST_INTERVAL_SECONDS)));
    }
    if text.starts_with('@') {
        let meaning = MACROS.iter().find(|(name, _)| *name == text).ok_or_else(|| ScheduleError::Macro(text.to_owned()))?.1;
        return fields(meaning).map(Pattern::Fields);
    }
    fields(text).map(Pattern::Fields)
}

fn fields(text: &str) -> Result<Fields, ScheduleError> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else {
        return Err(ScheduleError::Count(parts.len(), text.to_owned()));
    };
    let minutes = MINUTES.read(minute)?.bits;
    let hours = HOURS.read(hour)?.bits;
    let days_of_month = DAYS_OF_MONTH.read(day)?;
    let months = MONTHS.read(month)?.bits;
    let days_of_week = DAYS_OF_WEEK.read(weekday)?;
    let any_day = days_of_month.any || days_of_week.any;
    Ok(Fields { minutes, hours, days_of_month: days_of_month.bits, months, days_of_week: days_of_week.bits, any_day })
}
