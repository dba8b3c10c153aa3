//! Planned times of a schedule (spec/jobs.md 7.2): the wall clock of a zone decides.
//!
//! In: a pattern, a zone, where `@every` counts from. Out: the next planned time, or the latest one. Never: a step minute by minute.
//! A zone's time is cut at its transitions into stretches of one offset, in which local time is plain arithmetic. So a local time that a
//! transition skips does not exist, and one that it repeats comes twice.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};
use piecework_api::cron::{Fields, Pattern};

/// The search for a planned time ends with this many further years (spec/jobs.md 7.2).
pub const SEARCH_YEARS: i16 = 5;

const MINUTE: i64 = 60;
const DAY_MINUTES: i64 = 24 * 60;

/// All planned times of one CronJob.
#[derive(Debug, Clone)]
pub struct Times {
    pub pattern: Pattern,
    pub zone: TimeZone,
    /// `@every` is counted from here: the last planned time or the creation.
    pub anchor: Timestamp,
}

impl Times {
    /// The first planned time after `after`. None: there is none within five years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self.pattern {
            Pattern::Fields(fields) => next(&fields, &self.zone, after),
            Pattern::Every(seconds) => self.step(seconds, after, 1),
        }
    }

    /// The last planned time that is after `after` and not after `until`.
    pub fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self.pattern {
            Pattern::Fields(fields) => latest(&fields, &self.zone, after, until),
            Pattern::Every(seconds) => self.step(seconds, until, 0).filter(|planned| *planned > after && *planned > self.anchor),
        }
    }

    /// Anchor plus so many whole intervals as fit until `at`, and `more`.
    fn step(&self, seconds: i64, at: Timestamp, more: i64) -> Option<Timestamp> {
        let anchor = self.anchor.as_second();
        let passed = at.as_second().max(anchor) - anchor;
        let intervals = (passed / seconds).checked_add(more)?;
        Timestamp::from_second(anchor.checked_add(intervals.checked_mul(seconds)?)?).ok()
    }
}

/// The first minute after `after` whose wall-clock time matches.
fn next(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let last_year = zone.to_offset(after).to_datetime(after).year().checked_add(SEARCH_YEARS)?;
    let last_day = day_number(Date::new(last_year, 12, 31).ok()?);
    // The first whole second that counts; planned times have no fractions.
    let mut start = after.as_second() + 1;
    loop {
        let at = Timestamp::from_second(start).ok()?;
        let offset = i64::from(zone.to_offset(at).seconds());
        let end = zone.following(at).next().map(|transition| transition.timestamp().as_second());
        let local_minute = (start + offset + MINUTE - 1).div_euclid(MINUTE);
        let before = end.map(|end| (end + offset + MINUTE - 1).div_euclid(MINUTE));
        let last_minute = (last_day + 1) * DAY_MINUTES;
        match next_local(fields, local_minute, before.map_or(last_minute, |before| before.min(last_minute))) {
            Some(minute) => return Timestamp::from_second(minute * MINUTE - offset).ok(),
            None if before.is_none_or(|before| before >= last_minute) => return None,
            None => start = end?,
        }
    }
}

/// The first matching minute of local time, counted from 1970, at or after `from` and before `before`.
fn next_local(fields: &Fields, from: i64, before: i64) -> Option<i64> {
    let epoch = date(1970, 1, 1);
    let (mut number, mut minute) = (from.div_euclid(DAY_MINUTES), from.rem_euclid(DAY_MINUTES));
    let mut day = epoch.checked_add(number.days()).ok()?;
    while number * DAY_MINUTES < before {
        let next_day = if fields.months >> day.month() & 1 == 0 {
            day.last_of_month().tomorrow().ok()?
        } else {
            let weekday = day.weekday().to_sunday_zero_offset();
            if fields.day_matches(day.day().unsigned_abs().into(), weekday.unsigned_abs().into())
                && let Some(found) = in_day(fields, minute)
            {
                return Some(number * DAY_MINUTES + found).filter(|found| *found < before);
            }
            day.tomorrow().ok()?
        };
        (day, number, minute) = (next_day, day_number(next_day), 0);
    }
    None
}

/// The first matching minute of a day, at or after `from`.
fn in_day(fields: &Fields, from: i64) -> Option<i64> {
    let (mut hour, minute) = ((from / 60) as u32, (from % 60) as u32);
    if fields.hours >> hour & 1 == 1
        && let Some(minute) = first_from(fields.minutes, minute)
    {
        return Some(i64::from(hour) * 60 + i64::from(minute));
    }
    hour = first_from(fields.hours, hour + 1)?;
    Some(i64::from(hour) * 60 + i64::from(first_from(fields.minutes, 0)?))
}

/// The lowest bit that is set, at or above `from`.
fn first_from(bits: u64, from: u32) -> Option<u32> {
    let rest = bits.checked_shr(from)?;
    (rest != 0).then(|| from + rest.trailing_zeros())
}

/// Days since 1970.
fn day_number(day: Date) -> i64 {
    day.duration_since(date(1970, 1, 1)).as_hours() / 24
}

/// Halves the time in which the latest one must lie, until it is found.
fn latest(fields: &Fields, zone: &TimeZone, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let within = |from: Timestamp, to: Timestamp| next(fields, zone, from).filter(|planned| *planned <= to);
    // `found` is planned; nothing is planned after `end` and up to `until`.
    let mut found = within(after, until)?;
    let mut end = until;
    while found < end {
        let middle = Timestamp::from_second(found.as_second() + (end.as_second() - found.as_second()) / 2).ok()?;
        match within(middle, end) {
            Some(later) => found = later,
            None if middle == found => return Some(found),
            None => end = middle,
        }
    }
    Some(found)
}
