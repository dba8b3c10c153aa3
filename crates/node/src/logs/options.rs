//! What a reader of a log asked for (API reference, PodLogOptions).
//!
//! In: the query of a request. Out: options, or the field that is wrong. Never: a clock (`sinceSeconds` is turned into a time by the caller).

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::cri::Stream;

/// The query as it is sent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    pub follow: Option<String>,
    pub tail_lines: Option<u64>,
    pub since_seconds: Option<i64>,
    pub since_time: Option<String>,
    pub timestamps: Option<String>,
    pub previous: Option<String>,
    pub limit_bytes: Option<u64>,
    pub stream: Option<String>,
}

/// How to read one log file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    pub tail_lines: Option<u64>,
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
    /// None: both.
    pub stream: Option<Stream>,
}

impl Query {
    pub fn wants_previous(&self) -> bool {
        is_true(self.previous.as_deref())
    }

    /// Errors name the parameter.
    pub fn options(&self, now: Timestamp) -> Result<LogOptions, String> {
        let since = match (self.since_seconds, self.since_time.as_deref().filter(|text| !text.is_empty())) {
            (Some(_), Some(_)) => return Err("at most one of sinceTime or sinceSeconds may be specified".into()),
            (Some(seconds), None) => {
                if seconds < 1 {
                    return Err("sinceSeconds must be greater than 0".into());
                }
                now.saturating_sub(SignedDuration::from_secs(seconds)).ok()
            }
            (None, Some(text)) => Some(text.parse().map_err(|error| format!("sinceTime {text:?}: {error}"))?),
            (None, None) => None,
        };
        if self.limit_bytes == Some(0) {
            return Err("limitBytes must be greater than 0".into());
        }
        let stream = match self.stream.as_deref().unwrap_or_default() {
            "" | "All" => None,
            "Stdout" => Some(Stream::Stdout),
            "Stderr" => Some(Stream::Stderr),
            other => return Err(format!("stream {other:?} is not one of All, Stdout, Stderr")),
        };
        Ok(LogOptions {
            follow: is_true(self.follow.as_deref()),
            tail_lines: self.tail_lines,
            since,
            timestamps: is_true(self.timestamps.as_deref()),
            limit_bytes: self.limit_bytes,
            stream,
        })
    }
}

/// A parameter without a value counts as given.
fn is_true(text: Option<&str>) -> bool {
    matches!(text, Some("" | "1" | "t" | "T" | "true" | "True" | "TRUE"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn queries() {
        let now: Timestamp = "2024-01-01T01:00:00Z".parse().unwrap();
        let options = Query { follow: Some("true".into()), since_seconds: Some(3600), timestamps: Some("1".into()), ..Query::default() };
        let got = options.options(now).unwrap();
        assert!(got.follow && got.timestamps);
        assert_eq!(got.since.unwrap().to_string(), "2024-01-01T00:00:00Z");
        let wrong = [
            Query { since_seconds: Some(0), ..Query::default() },
            Query { since_seconds: Some(1), since_time: Some("2024-01-01T00:00:00Z".into()), ..Query::default() },
            Query { since_time: Some("yesterday".into()), ..Query::default() },
            Query { limit_bytes: Some(0), ..Query::default() },
            Query { stream: Some("stdin".into()), ..Query::default() },
        ];
        for query in wrong {
            assert!(query.options(now).is_err(), "{query:?}");
        }
    }
}
