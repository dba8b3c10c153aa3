//! Tables of schedules and zones that are taken and refused. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn bits(values: impl IntoIterator<Item = u32>) -> u64 {
    values.into_iter().fold(0, |bits, value| bits | 1 << value)
}

fn parsed(text: &str) -> Fields {
    match parse(text).unwrap().pattern {
        Pattern::Fields(fields) => fields,
        every => panic!("{text}: {every:?}"),
    }
}

#[test]
fn fields_that_are_taken() {
    type Read = fn(&Fields) -> u64;
    let rows: &[(&str, Read, Vec<u32>)] = &[
        ("* * * * *", |f| f.minutes, (0..60).collect()),
        ("5 * * * *", |f| f.minutes, vec![5]),
        ("05 * * * *", |f| f.minutes, vec![5]),
        ("1,2,40 * * * *", |f| f.minutes, vec![1, 2, 40]),
        ("1,,2, * * * *", |f| f.minutes, vec![1, 2]),
        ("*/15 * * * *", |f| f.minutes, vec![0, 15, 30, 45]),
        ("?/20 * * * *", |f| f.minutes, vec![0, 20, 40]),
        ("7/20 * * * *", |f| f.minutes, vec![7, 27, 47]),
        ("10-20/5 * * * *", |f| f.minutes, vec![10, 15, 20]),
        ("10-19/5,58-59 * * * *", |f| f.minutes, vec![10, 15, 58, 59]),
        ("30/100 * * * *", |f| f.minutes, vec![30]),
        ("0 9-17 * * *", |f| f.hours, (9..=17).collect()),
        ("0 23 * * *", |f| f.hours, vec![23]),
        ("0 0 31 * *", |f| f.days_of_month, vec![31]),
        ("0 0 ? * *", |f| f.days_of_month, (1..32).collect()),
        ("0 0 1 JAN-mar *", |f| f.months, vec![1, 2, 3]),
        ("0 0 1 dec *", |f| f.months, vec![12]),
        ("0 0 * * Sun", |f| f.days_of_week, vec![0]),
        ("0 0 * * MON-FRI", |f| f.days_of_week, vec![1, 2, 3, 4, 5]),
        ("0 0 * * MON-6/2", |f| f.days_of_week, vec![1, 3, 5]),
        ("0 0 * * fri/1", |f| f.days_of_week, vec![5, 6]),
        (" 3  4\t* * * ", |f| f.minutes, vec![3]),
    ];
    for (text, field, expected) in rows {
        assert_eq!(field(&parsed(text)), bits(expected.iter().copied()), "{text}");
    }
}

#[test]
fn either_day_is_enough_unless_one_is_a_star() {
    for (text, any) in [
        ("0 0 13 * 5", false),
        ("0 0 13 * *", true),
        ("0 0 13 * ?", true),
        ("0 0 * * 5", true),
        ("0 0 */1 * 5", true),
        ("0 0 */2 * 5", false),
        ("0 0 1,* * 5", true),
        ("0 0 1-31 * 5", false),
    ] {
        assert_eq!(parsed(text).any_day, any, "{text}");
    }
    let either = parsed("0 0 13 * 5");
    for (day, weekday, matches) in [(13, 1, true), (12, 5, true), (13, 5, true), (12, 1, false)] {
        assert_eq!(either.day_matches(day, weekday), matches, "{day} {weekday}");
    }
    assert!(!parsed("0 0 13 * *").day_matches(12, 5) && parsed("0 0 13 * *").day_matches(13, 2));
}

#[test]
fn macros_and_intervals() {
    for (text, same) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(parse(text).unwrap(), parse(same).unwrap(), "{text}");
    }
    for (text, seconds) in [
        ("@every 5s", 5),
        ("@every 1h30m", 5400),
        ("@every 1.5h", 5400),
        ("@every .5m", 30),
        ("@every 1h0m0.5s", 3600),
        ("@every 1m999ms", 60),
        ("@every +90s", 90),
        ("@every 100\u{b5}s", 1),
        ("@every 1ms", 1),
        ("@every 0", 1),
        ("@every -5s", 1),
        ("@every 2562047h", 9_223_369_200),
    ] {
        assert_eq!(parse(text).unwrap().pattern, Pattern::Every(seconds), "{text}");
    }
}

#[test]
fn schedules_that_are_refused() {
    for (text, why) in [
        ("", "the schedule is empty"),
        (" ", "expected exactly 5 fields (minute, hour, day of month, month, day of week), found 0:  "),
        ("* * * *", "expected exactly 5 fields (minute, hour, day of month, month, day of week), found 4: * * * *"),
        ("0 0 0 * * *", "expected exactly 5 fields (minute, hour, day of month, month, day of week), found 6: 0 0 0 * * *"),
        ("60 * * * *", "minute: 60 is above 59: 60"),
        ("0-60 * * * *", "minute: 60 is above 59: 0-60"),
        ("* 24 * * *", "hour: 24 is above 23: 24"),
        ("* * 0 * *", "day of month: 0 is below 1: 0"),
        ("* * 32 * *", "day of month: 32 is above 31: 32"),
        ("* * * 0 *", "month: 0 is below 1: 0"),
        ("* * * 13 *", "month: 13 is above 12: 13"),
        ("* * * * 7", "day of week: 7 is above 6: 7"),
        ("* * * * sun-7", "day of week: 7 is above 6: sun-7"),
        ("20-10 * * * *", "minute: the range ends before it begins: 20-10"),
        ("1-2-3 * * * *", "minute: more than one hyphen: 1-2-3"),
        ("1/2/3 * * * *", "minute: more than one step: 1/2/3"),
        ("*/0 * * * *", "minute: the step must be above 0: */0"),
        ("*/x * * * *", "minute: the step is not a number: */x"),
        ("*/-5 * * * *", "minute: the step is not a number: */-5"),
        ("-1 * * * *", "minute: not a value of this field: -1"),
        ("*-5 * * * *", "minute: not a value of this field: *-5"),
        (", * * * *", "minute: no value: ,"),
        ("a * * * *", "minute: not a value of this field: a"),
        ("0 0 L * *", "day of month: not a value of this field: L"),
        ("0 0 15W * *", "day of month: not a value of this field: 15W"),
        ("0 0 * * 5#3", "day of week: not a value of this field: 5#3"),
        ("0 0 * * 5L", "day of week: not a value of this field: 5L"),
        ("0 0 * January *", "month: not a value of this field: January"),
        ("0 0 mon * *", "day of month: not a value of this field: mon"),
        ("@Daily", "unknown macro: @Daily"),
        ("@daily ", "unknown macro: @daily "),
        ("@reboot", "unknown macro: @reboot"),
        ("@every", "unknown macro: @every"),
        ("@every ", "not a duration: "),
        ("@every 5", "not a duration: 5"),
        ("@every 5d", "not a duration: 5d"),
        ("@every 5 s", "not a duration: 5 s"),
        ("@every s", "not a duration: s"),
        ("@every .s", "not a duration: .s"),
        ("@every 1h-5m", "not a duration: 1h-5m"),
        ("@every 2562048h", "not a duration: 2562048h"),
        ("TZ=Europe/Paris", "a time zone without a schedule: TZ=Europe/Paris"),
        ("TZ=Nowhere 0 0 * * *", "unknown time zone Nowhere"),
        ("CRON_TZ=Europe/Paris 0 0 * *", "expected exactly 5 fields (minute, hour, day of month, month, day of week), found 4: 0 0 * *"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), why, "{text:?}");
    }
}

#[test]
fn zones_in_front_are_noticed() {
    for text in ["TZ=Europe/Paris 0 5 * * *", "CRON_TZ=Europe/Paris   0 5 * * *"] {
        let schedule = parse(text).unwrap();
        assert_eq!((schedule.zone.as_deref(), schedule.pattern), (Some("Europe/Paris"), parse("0 5 * * *").unwrap().pattern));
        assert!(mentions_zone(text));
    }
    assert_eq!(parse("TZ=UTC @every 2m").unwrap().pattern, Pattern::Every(120));
    assert!(!mentions_zone("0 5 * * *"));
}

#[test]
fn zones() {
    for name in [
        "UTC",
        "Etc/UTC",
        "Europe/Paris",
        "America/Argentina/ComodRivadavia",
        "Etc/GMT+5",
        "Etc/GMT-14",
        "GMT",
        "EST5EDT",
        "Asia/Kathmandu",
    ] {
        assert_eq!(zone_name(name), Ok(()), "{name}");
        assert_eq!(find_zone(name).unwrap().iana_name(), Some(name));
    }
    for name in
        ["", "local", "Local", "LOCAL", "../etc/passwd", ".", "a/./b", "-5", "a//b", "Europe/", "a b", "+02:00", "abcdefghijklmno", "é"]
    {
        assert!(zone_name(name).is_err(), "{name}");
    }
    for name in ["Europe/Atlantis", "europe/paris", "Utc", "Etc", "Zulu1"] {
        assert_eq!(zone_name(name), Ok(()), "{name}");
        assert_eq!(find_zone(name).unwrap_err().to_string(), format!("unknown time zone {name}"));
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".*", fields in "[-0-9*?/,a-zA-Z ]{0,40}", duration in "@every [-+0-9.a-zµ]{0,24}") {
        for text in [&text, &fields, &duration] {
            let _ = parse(text);
            let _ = zone_name(text);
        }
    }

    #[test]
    fn durations_in_whole_units_are_exact(hours in 0_i64..1000, minutes in 0_i64..1000, seconds in 1_i64..1000) {
        let text = format!("@every {hours}h{minutes}m{seconds}s");
        prop_assert_eq!(parse(&text).unwrap().pattern, Pattern::Every(hours * 3600 + minutes * 60 + seconds));
    }
}
