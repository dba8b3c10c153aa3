//! Planned times: tables, daylight saving in several zones, and a naive reference that tries every minute.
#![allow(clippy::unwrap_used)]

use super::{
    missed::{Due, due},
    planned::Times,
};
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};
use piecework_api::cron::{find_zone, parse};
use proptest::prelude::*;

fn times(schedule: &str, zone: &str, anchor: &str) -> Times {
    Times { pattern: parse(schedule).unwrap().pattern, zone: find_zone(zone).unwrap(), anchor: anchor.parse().unwrap() }
}

/// The planned times after a moment, in UTC.
fn following(times: &Times, after: &str, count: usize) -> Vec<String> {
    let mut at: Timestamp = after.parse().unwrap();
    (0..count)
        .map_while(|_| {
            at = times.next(at)?;
            Some(at.to_string())
        })
        .collect()
}

fn assert_following(schedule: &str, zone: &str, after: &str, expected: &[&str]) {
    let found = following(&times(schedule, zone, after), after, expected.len());
    assert_eq!(found, expected, "{schedule} in {zone} after {after}");
}

#[test]
fn next_times() {
    for (schedule, after, expected) in [
        ("* * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"]),
        ("* * * * *", "2026-01-01T00:00:59.999Z", ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"]),
        ("* * * * *", "2025-12-31T23:59:30.5Z", ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]),
        ("*/15 * * * *", "2026-07-09T14:45:00Z", ["2026-07-09T15:00:00Z", "2026-07-09T15:15:00Z"]),
        ("20-35/15 * * * *", "2026-07-09T14:35:00Z", ["2026-07-09T15:20:00Z", "2026-07-09T15:35:00Z"]),
        ("0 0 * * *", "2026-07-09T00:00:00Z", ["2026-07-10T00:00:00Z", "2026-07-11T00:00:00Z"]),
        ("30 4 1,15 * *", "2026-02-20T00:00:00Z", ["2026-03-01T04:30:00Z", "2026-03-15T04:30:00Z"]),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("0 0 29 2 *", "2025-03-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 * FEB Mon", "2026-02-22T00:00:00Z", ["2026-02-23T00:00:00Z", "2027-02-01T00:00:00Z"]),
        // A Friday, or the 13th.
        ("0 0 13 * FRI", "2026-07-08T00:00:00Z", ["2026-07-10T00:00:00Z", "2026-07-13T00:00:00Z"]),
        // A step takes the star away: an odd day, or a Monday.
        ("0 0 */2 * 1", "2026-07-04T00:00:00Z", ["2026-07-05T00:00:00Z", "2026-07-06T00:00:00Z"]),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", ["2027-12-31T23:59:00Z", "2028-12-31T23:59:00Z"]),
        ("@weekly", "2026-07-09T00:00:00Z", ["2026-07-12T00:00:00Z", "2026-07-19T00:00:00Z"]),
        ("@monthly", "2026-12-09T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]),
        ("@yearly", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@hourly", "1969-12-31T23:30:00Z", ["1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z"]),
    ] {
        assert_following(schedule, "UTC", after, &expected);
    }
}

#[test]
fn some_schedules_never_fire() {
    for schedule in ["0 0 31 2 *", "0 0 30 2 ?", "0 0 31 4,6,9,11 *"] {
        assert_eq!(following(&times(schedule, "Europe/Paris", "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z", 1), Vec::<String>::new());
    }
    // No leap day in 2100, and eight years are beyond the search.
    assert_eq!(following(&times("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z"), "2096-03-01T00:00:00Z", 1), Vec::<String>::new());
    // The end of time is no error.
    assert_eq!(following(&times("0 0 * * *", "UTC", "9999-12-30T00:00:00Z"), "9999-12-30T00:00:00Z", 1), Vec::<String>::new());
}

#[test]
fn the_wall_clock_of_the_zone_decides() {
    for (schedule, zone, after, expected) in [
        ("0 9 * * *", "America/New_York", "2026-07-09T00:00:00Z", "2026-07-09T13:00:00Z"),
        ("0 9 * * *", "America/New_York", "2026-12-09T00:00:00Z", "2026-12-09T14:00:00Z"),
        ("0 9 * * *", "Asia/Kathmandu", "2026-07-09T00:00:00Z", "2026-07-09T03:15:00Z"),
        ("0 0 1 * *", "Pacific/Kiritimati", "2026-07-09T00:00:00Z", "2026-07-31T10:00:00Z"),
        ("0 0 * * MON", "Pacific/Pago_Pago", "2026-07-09T00:00:00Z", "2026-07-13T11:00:00Z"),
        ("30 12 * * *", "Etc/GMT+5", "2026-07-09T00:00:00Z", "2026-07-09T17:30:00Z"),
        // A day that did not exist.
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-12-29T22:00:00Z"),
    ] {
        let found = times(schedule, zone, after).next(after.parse().unwrap()).unwrap();
        assert_eq!(found.to_string(), expected, "{schedule} in {zone}");
    }
    // An offset with seconds, before standard time: the local minute is whole.
    let old = times("0 0 * * *", "Europe/Paris", "1890-07-09T12:00:00Z");
    let found = old.next(old.anchor).unwrap();
    assert_eq!(old.zone.to_datetime(found).to_string(), "1890-07-10T00:00:00");
    assert_ne!(found.as_second() % 60, 0);
}

/// What is skipped does not run that day; what is repeated runs twice (spec/jobs.md 7.2).
#[test]
fn daylight_saving() {
    for (schedule, zone, after, expected) in [
        // Gaps of an hour: New York 2026-03-08 02:00, Paris 2026-03-29 02:00.
        ("30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", &["2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z"][..]),
        ("0 3 * * *", "America/New_York", "2026-03-07T10:00:00Z", &["2026-03-08T07:00:00Z", "2026-03-09T07:00:00Z"]),
        (
            "0 * * * *",
            "America/New_York",
            "2026-03-08T05:30:00Z",
            &["2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"],
        ),
        ("*/30 2 * * *", "Europe/Paris", "2026-03-28T00:00:00Z", &["2026-03-28T01:00:00Z", "2026-03-28T01:30:00Z", "2026-03-30T00:00:00Z"]),
        ("59 1 * * *", "Europe/Paris", "2026-03-28T12:00:00Z", &["2026-03-29T00:59:00Z", "2026-03-29T23:59:00Z"]),
        // Overlaps of an hour: New York 2026-11-01 02:00, Paris 2026-10-25 03:00.
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        (
            "0 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            &["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-02T06:00:00Z"],
        ),
        ("0 2 * * *", "America/New_York", "2026-11-01T00:00:00Z", &["2026-11-01T07:00:00Z", "2026-11-02T07:00:00Z"]),
        ("0 * * * *", "Europe/Paris", "2026-10-24T23:30:00Z", &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]),
        ("30 2 * * SUN", "Europe/Paris", "2026-10-24T00:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-11-01T01:30:00Z"]),
        // Half an hour: Lord Howe 2026-10-04 02:00 to 02:30, 2026-04-05 02:00 to 01:30.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", &["2026-10-04T15:15:00Z", "2026-10-05T15:15:00Z"]),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-05T15:15:00Z"],
        ),
        ("15 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", &["2026-04-04T14:15:00Z", "2026-04-05T14:45:00Z"]),
        // Midnight itself: Sao Paulo 2018-11-04, Cairo 2026-04-24; it is repeated in Havana, 2024-11-03 01:00.
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00:00Z", &["2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z"]),
        ("30 0 * * *", "Africa/Cairo", "2026-04-22T23:00:00Z", &["2026-04-24T21:30:00Z", "2026-04-25T21:30:00Z"]),
        ("0 0 * * *", "America/Havana", "2024-11-03T00:00:00Z", &["2024-11-03T04:00:00Z", "2024-11-03T05:00:00Z", "2024-11-04T05:00:00Z"]),
        // The southern half of the year: Sydney 2026-10-04 02:00, 2026-04-05 03:00.
        ("30 2 * * *", "Australia/Sydney", "2026-10-02T20:00:00Z", &["2026-10-04T15:30:00Z"]),
        ("30 2 * * *", "Australia/Sydney", "2026-04-04T00:00:00Z", &["2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"]),
        // An interval does not know of clocks.
        ("@every 1h", "Europe/Paris", "2026-03-29T00:30:00Z", &["2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]),
    ] {
        assert_following(schedule, zone, after, expected);
    }
}

#[test]
fn intervals_are_counted_from_the_anchor() {
    let every = times("@every 90s", "UTC", "2026-01-01T00:00:07Z");
    for (after, next, latest) in [
        ("2025-12-31T00:00:00Z", "2026-01-01T00:01:37Z", None),
        ("2026-01-01T00:00:07Z", "2026-01-01T00:01:37Z", None),
        ("2026-01-01T00:01:36.9Z", "2026-01-01T00:01:37Z", None),
        ("2026-01-01T00:01:37Z", "2026-01-01T00:03:07Z", Some("2026-01-01T00:01:37Z")),
        ("2026-01-01T01:00:00Z", "2026-01-01T01:00:07Z", Some("2026-01-01T00:58:37Z")),
    ] {
        let at: Timestamp = after.parse().unwrap();
        assert_eq!(every.next(at).unwrap().to_string(), next, "{after}");
        assert_eq!(every.latest(Timestamp::MIN, at).map(|time| time.to_string()).as_deref(), latest, "{after}");
    }
    assert_eq!(times("@every 2562047h", "UTC", "9900-01-01T00:00:00Z").next("9901-01-01T00:00:00Z".parse().unwrap()), None);
}

/// (schedule, since, deadline, now, what is due); minutes of 2026-01-01 after midnight UTC are written as such.
#[test]
fn missed_runs() {
    let at = |minutes: f64| "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs((minutes * 60.0) as i64);
    let run = |planned: f64, missed: i64| Due::Run { planned: at(planned), missed };
    for (schedule, since, deadline, now, expected) in [
        ("*/5 * * * *", 0.0, None, 4.9, Due::Nothing),
        ("*/5 * * * *", 0.0, None, 5.0, run(5.0, 0)),
        ("*/5 * * * *", 0.0, None, 9.9, run(5.0, 0)),
        ("*/5 * * * *", 0.0, None, 10.0, run(10.0, 2)),
        ("*/5 * * * *", 5.0, None, 10.0, run(10.0, 0)),
        ("*/5 * * * *", 2.0, None, 121.0, run(120.0, 24)),
        // More than a hundred are told, and the latest still runs.
        ("* * * * *", 0.0, None, 100.5, run(100.0, 100)),
        ("* * * * *", 0.0, None, 101.5, run(101.0, 101)),
        ("* * * * *", 0.0, None, 525_600.0, run(525_600.0, 525_600)),
        // The deadline cuts what counts as missed.
        ("* * * * *", 0.0, Some(200), 200.0, run(200.0, 4)),
        ("0 * * * *", 0.0, Some(600), 65.0, run(60.0, 0)),
        ("0 * * * *", 0.0, Some(600), 70.5, Due::TooLate { planned: at(60.0) }),
        ("0 * * * *", 60.0, Some(600), 71.0, Due::Nothing),
        ("0 * * * *", 0.0, Some(0), 60.5, Due::TooLate { planned: at(60.0) }),
        ("0 * * * *", 0.0, Some(i64::MAX), 65.0, run(60.0, 0)),
        // Irregular: two runs a day, minutes apart, and a long wait between.
        ("0,1 0 * * *", 2.0, None, 1441.5, run(1441.0, 2)),
        ("0,1 0 * * *", 2.0, None, 2879.0, run(1441.0, 1440)),
        ("0 0 1 1 *", 0.0, None, 500_000.0, Due::Nothing),
        ("0 0 31 2 *", 0.0, None, 1.0, Due::Never),
        // The clock was set back.
        ("* * * * *", 60.0, None, 10.0, Due::Nothing),
        ("@every 30s", 0.25, None, 0.5, Due::Nothing),
        ("@every 30s", 0.25, None, 0.75, run(0.75, 0)),
        ("@every 30s", 0.25, None, 10.0, run(9.75, 19)),
        // Counted from the last run, also when the deadline is shorter than the interval.
        ("@every 1h", 0.0, Some(10), 60.1, run(60.0, 0)),
        ("@every 1h", 0.0, Some(10), 61.0, Due::TooLate { planned: at(60.0) }),
    ] {
        let times = Times { pattern: parse(schedule).unwrap().pattern, zone: TimeZone::UTC, anchor: at(since) };
        assert_eq!(due(&times, at(since), deadline, at(now)), expected, "{schedule} since {since}, deadline {deadline:?}, now {now}");
    }
}

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
    "Africa/Casablanca",
    "Antarctica/Troll",
];

/// One item of a list: first value, last value, step; the way it is written is chosen from what it means.
#[derive(Debug, Clone)]
struct Item {
    text: String,
    values: Vec<u32>,
    star: bool,
}

fn item(low: u32, high: u32) -> impl Strategy<Value = Item> {
    let step = prop_oneof![3 => Just(None), 1 => (1..=high).prop_map(Some)];
    (0..6_u8, low..=high, low..=high, step).prop_map(move |(form, a, b, step)| {
        let (first, last, text) = match form {
            0 => (low, high, "*".to_owned()),
            1 => (low, high, "?".to_owned()),
            2 | 3 => (a, if step.is_some() { high } else { a }, a.to_string()),
            _ => (a.min(b), a.max(b), format!("{}-{}", a.min(b), a.max(b))),
        };
        let every = step.unwrap_or(1);
        let values = (first..=last).filter(|value| (value - first) % every == 0).collect();
        Item { text: step.map_or(text.clone(), |step| format!("{text}/{step}")), values, star: form < 2 && every == 1 }
    })
}

#[derive(Debug, Clone)]
struct Naive {
    text: String,
    fields: Vec<(Vec<u32>, bool)>,
}

impl Naive {
    fn matches(&self, at: Timestamp, zone: &TimeZone) -> bool {
        let local = zone.to_datetime(at);
        let has = |field: usize, value: i8| self.fields[field].0.contains(&u32::try_from(value).unwrap());
        let (day, weekday) = (has(2, local.day()), has(4, local.weekday().to_sunday_zero_offset()));
        let days = if self.fields[2].1 || self.fields[4].1 { day && weekday } else { day || weekday };
        local.second() == 0 && has(0, local.minute()) && has(1, local.hour()) && has(3, local.month()) && days
    }
}

fn schedule() -> impl Strategy<Value = Naive> {
    let field = |low, high| prop_oneof![2 => prop::collection::vec(item(low, high), 1), 1 => prop::collection::vec(item(low, high), 1..4)];
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).prop_map(|(a, b, c, d, e)| {
        let fields = [a, b, c, d, e];
        let joined = |items: &Vec<Item>| items.iter().map(|item| item.text.clone()).collect::<Vec<_>>().join(",");
        Naive {
            text: fields.iter().map(joined).collect::<Vec<_>>().join(" "),
            fields: fields
                .iter()
                .map(|items| (items.iter().flat_map(|item| item.values.clone()).collect(), items.iter().any(|item| item.star)))
                .collect(),
        }
    })
}

/// Any second of 2025 to 2027, often just before a transition.
fn moment(zone: TimeZone) -> impl Strategy<Value = Timestamp> {
    let start: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    (0..3 * 365 * 86_400_i64, any::<bool>(), 0..10 * 3600_i64).prop_map(move |(seconds, near, before)| {
        let at = start + seconds.seconds();
        match zone.following(at).next().filter(|_| near) {
            Some(transition) => transition.timestamp() - before.seconds(),
            None => at,
        }
    })
}

/// How far the reference looks, in minutes.
const HORIZON: i64 = 3 * 24 * 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn as_the_reference_that_tries_every_minute(
        naive in schedule(),
        (zone, after) in prop::sample::select(ZONES).prop_flat_map(|name| {
            let zone = find_zone(name).unwrap();
            (Just(zone.clone()), moment(zone))
        }),
    ) {
        let times = Times { pattern: parse(&naive.text).unwrap().pattern, zone: zone.clone(), anchor: after };
        let first = Timestamp::from_second(after.as_second().div_euclid(60) * 60 + 60).unwrap();
        let expected: Vec<Timestamp> = (0..HORIZON).map(|minute| first + minute.minutes()).filter(|at| naive.matches(*at, &zone)).collect();
        let horizon = first + HORIZON.minutes();
        let mut at = after;
        for expected in expected.iter().take(50) {
            at = times.next(at).unwrap();
            prop_assert_eq!(at, *expected, "{} in {:?}", naive.text, zone.iana_name());
        }
        if expected.len() <= 50 {
            prop_assert!(times.next(at).is_none_or(|next| next >= horizon), "{} in {:?}", naive.text, zone.iana_name());
        }
        let until = horizon - 1.second();
        prop_assert_eq!(times.latest(after, until), expected.last().copied(), "{} in {:?}", naive.text, zone.iana_name());
    }

    #[test]
    fn only_the_latest_missed_run_is_due(naive in schedule(), after in moment(TimeZone::UTC), minutes in 0..HORIZON, deadline in prop::option::of(0..20_000_i64)) {
        let times = Times { pattern: parse(&naive.text).unwrap().pattern, zone: TimeZone::UTC, anchor: after };
        let now = after + minutes.minutes() + 1.second();
        let found = due(&times, after, deadline, now);
        let first = Timestamp::from_second(after.as_second().div_euclid(60) * 60 + 60).unwrap();
        let latest = (0..HORIZON).map(|minute| first + minute.minutes()).take_while(|at| *at <= now).filter(|at| naive.matches(*at, &TimeZone::UTC)).last();
        match (found, latest) {
            (Due::Run { planned, .. }, Some(latest)) => {
                prop_assert_eq!(planned, latest);
                prop_assert!(deadline.is_none_or(|seconds| planned + seconds.seconds() >= now));
            }
            (Due::TooLate { planned }, Some(latest)) => {
                prop_assert_eq!(planned, latest);
                prop_assert!(deadline.is_some_and(|seconds| planned + seconds.seconds() <= now));
            }
            (Due::Nothing | Due::Never, None) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
