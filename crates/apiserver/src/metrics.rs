//! Counters of requests in the Prometheus text format (spec/api.md 8).
//!
//! In: one observation per finished request. Out: the text of `/metrics`. Never: a label with unbounded values (names, paths, users).

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{path::Target, verb::Verb};

/// Upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    verb: Verb,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: String,
    scope: &'static str,
}

#[derive(Debug, Clone, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Observed {
    requests: BTreeMap<(Labels, u16), u64>,
    durations: BTreeMap<Labels, Histogram>,
}

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Observed>);

fn labels(target: &Target, verb: Verb) -> Labels {
    match target {
        Target::Resource(path) => Labels {
            verb,
            group: path.kind.group,
            version: path.kind.version,
            resource: path.kind.plural,
            // Only registered subresources get this far, so the label is bounded.
            subresource: path.subresource.clone().unwrap_or_default(),
            scope: match (&path.name, &path.namespace) {
                (Some(_), _) => "resource",
                (None, Some(_)) => "namespace",
                (None, None) => "cluster",
            },
        },
        Target::Virtual { resource, .. } => Labels {
            verb,
            group: resource.group,
            version: resource.version,
            resource: resource.plural,
            subresource: String::new(),
            scope: "resource",
        },
        _ => Labels { verb, group: "", version: "", resource: "", subresource: String::new(), scope: "" },
    }
}

impl Metrics {
    pub(crate) fn observe(&self, target: &Target, verb: Verb, code: u16, elapsed: Duration) {
        let labels = labels(target, verb);
        let mut observed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *observed.requests.entry((labels.clone(), code)).or_default() += 1;
        let histogram = observed.durations.entry(labels).or_default();
        let seconds = elapsed.as_secs_f64();
        histogram.count += 1;
        histogram.seconds += seconds;
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// The exposition text.
    pub(crate) fn text(&self, revision: Option<u64>) -> String {
        let observed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        out.push_str("# HELP apiserver_request_total Requests by verb, resource and code.\n# TYPE apiserver_request_total counter\n");
        for ((labels, code), count) in &observed.requests {
            let _ = writeln!(out, "apiserver_request_total{{{},code=\"{code}\"}} {count}", labels.text());
        }
        out.push_str("# HELP apiserver_request_duration_seconds Time until the response head, by verb and resource.\n");
        out.push_str("# TYPE apiserver_request_duration_seconds histogram\n");
        for (labels, histogram) in &observed.durations {
            let labels = labels.text();
            for (bucket, bound) in histogram.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(out, "apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {bucket}");
            }
            let _ = writeln!(out, "apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count);
            let _ = writeln!(out, "apiserver_request_duration_seconds_sum{{{labels}}} {}", histogram.seconds);
            let _ = writeln!(out, "apiserver_request_duration_seconds_count{{{labels}}} {}", histogram.count);
        }
        if let Some(revision) = revision {
            out.push_str(
                "# HELP piecework_store_revision Revision of the newest committed transaction.\n# TYPE piecework_store_revision gauge\n",
            );
            let _ = writeln!(out, "piecework_store_revision {revision}");
        }
        out
    }
}

impl Labels {
    fn text(&self) -> String {
        format!(
            "verb=\"{}\",group=\"{}\",version=\"{}\",resource=\"{}\",subresource=\"{}\",scope=\"{}\"",
            self.verb.name().to_ascii_uppercase(),
            self.group,
            self.version,
            self.resource,
            self.subresource,
            self.scope
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_show_up() {
        let metrics = Metrics::default();
        let target = crate::path::parse("/apis/batch/v1/namespaces/n/jobs/pi");
        metrics.observe(&target, Verb::Get, 200, Duration::from_millis(2));
        metrics.observe(&target, Verb::Get, 404, Duration::from_millis(3));
        let text = metrics.text(Some(9));
        let labels = r#"verb="GET",group="batch",version="v1",resource="jobs",subresource="",scope="resource""#;
        for line in [
            format!("apiserver_request_total{{{labels},code=\"200\"}} 1"),
            format!("apiserver_request_duration_seconds_bucket{{{labels},le=\"0.0025\"}} 1"),
            format!("apiserver_request_duration_seconds_count{{{labels}}} 2"),
            "piecework_store_revision 9".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
