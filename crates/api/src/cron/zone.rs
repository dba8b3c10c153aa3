//! Names of time zones: their shape (spec/jobs.md 7.1) and the IANA database that this binary carries.
//!
//! In: a name. Out: its zone. Never: the machine's zone files, so that a name means the same everywhere.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::sync::LazyLock;

/// Longest part of a name between slashes.
const PART_CHARACTERS: usize = 14;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0}")]
pub struct ZoneError(pub String);

/// What is wrong with a name before it is looked up.
pub fn zone_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("must be unset or not empty");
    }
    let part_fits = |part: &str| {
        (1..=PART_CHARACTERS).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
            && part != "."
            && part != ".."
            && !part.starts_with('-')
    };
    if !name.split('/').all(part_fits) {
        return Err("not the name of a time zone, such as \"Europe/Paris\"");
    }
    if name.eq_ignore_ascii_case("local") {
        return Err("must name a zone of the IANA time zone database, which \"Local\" does not");
    }
    Ok(())
}

/// The zone of that name, spelt exactly so.
pub fn find_zone(name: &str) -> Result<TimeZone, ZoneError> {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    let unknown = || ZoneError(name.to_owned());
    let zone = DATABASE.get(name).map_err(|_| unknown())?;
    // The look-up ignores case; zone files, which other implementations read, do not.
    if zone.iana_name() == Some(name) { Ok(zone) } else { Err(unknown()) }
}
