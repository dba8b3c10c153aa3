//! Content negotiation (spec/api.md 1.1, 5).
//!
//! In: Accept headers. Out: the representation to answer with. Never: a silent change of type: no acceptable clause is 406.

use http::{HeaderMap, header::ACCEPT};
use piecework_api::status::Status;

use crate::failure::Outcome;

/// Most clauses of an Accept header that are looked at; real clients send three.
pub(crate) const MAX_ACCEPT_CLAUSES: usize = 64;

/// What objects are turned into on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    Object,
    /// `as=Table` in `meta.k8s.io/VERSION`.
    Table {
        version: &'static str,
    },
    /// `as=PartialObjectMetadata`, or the List form for a collection.
    Metadata {
        version: &'static str,
    },
}

/// What the answer holds: the list form of metadata is only for collections, the single form for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    List,
    Watch,
}

/// One clause of an Accept header.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    pub(crate) media: String,
    pub(crate) parameters: Vec<(String, String)>,
    quality: u32,
}

impl Clause {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_json(&self) -> bool {
        matches!(self.media.as_str(), "application/json" | "*/*" | "application/*")
    }
}

/// The clauses by falling quality, then position; those with q=0 dropped. No header means anything.
pub(crate) fn clauses(headers: &HeaderMap) -> Vec<Clause> {
    let texts: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let joined = texts.join(",");
    let joined = if joined.trim().is_empty() { "*/*".to_owned() } else { joined };
    let mut clauses: Vec<Clause> = joined.split(',').take(MAX_ACCEPT_CLAUSES).filter_map(clause).collect();
    clauses.retain(|clause| clause.quality > 0);
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.quality));
    clauses
}

fn clause(text: &str) -> Option<Clause> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|media| !media.is_empty())?.to_ascii_lowercase();
    let mut quality = 1000;
    let mut parameters = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if key.eq_ignore_ascii_case("q") {
            let parsed: f64 = value.parse().unwrap_or(1.0);
            quality = (parsed.clamp(0.0, 1.0) * 1000.0) as u32;
        } else {
            parameters.push((key.to_ascii_lowercase(), value.trim_matches('"').to_owned()));
        }
    }
    Some(Clause { media, parameters, quality })
}

/// Chooses the representation of an object answer.
pub(crate) fn representation(headers: &HeaderMap, shape: Shape) -> Outcome<Representation> {
    for clause in clauses(headers).iter().filter(|clause| clause.is_json()) {
        let Some(transform) = clause.parameter("as") else { return Ok(Representation::Object) };
        let version = match (clause.parameter("g"), clause.parameter("v")) {
            (Some("meta.k8s.io"), Some("v1")) => "v1",
            (Some("meta.k8s.io"), Some("v1beta1")) => "v1beta1",
            _ => continue,
        };
        match (transform, shape) {
            ("Table", _) => return Ok(Representation::Table { version }),
            ("PartialObjectMetadata", Shape::One | Shape::Watch) => return Ok(Representation::Metadata { version }),
            ("PartialObjectMetadataList", Shape::List) => return Ok(Representation::Metadata { version }),
            _ => {}
        }
    }
    Err(Status::not_acceptable(&["application/json"]).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chosen(accept: &str, shape: Shape) -> Option<Representation> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        representation(&headers, shape).ok()
    }

    #[test]
    fn table_of_accept_headers() {
        use Representation::{Metadata, Object, Table};
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let cases = [
            ("", Shape::One, Some(Object)),
            ("*/*", Shape::List, Some(Object)),
            ("application/vnd.kubernetes.protobuf,application/json", Shape::One, Some(Object)),
            ("application/vnd.kubernetes.protobuf, */*", Shape::One, Some(Object)),
            ("application/vnd.kubernetes.protobuf", Shape::One, None),
            ("text/html", Shape::One, None),
            ("application/json;q=0", Shape::One, None),
            ("application/json, */*;q=0.8", Shape::One, Some(Object)),
            (kubectl, Shape::List, Some(Table { version: "v1" })),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Shape::Watch, Some(Table { version: "v1beta1" })),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Shape::List, Some(Object)),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Shape::One, Some(Metadata { version: "v1" })),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Shape::List, None),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Shape::List, Some(Metadata { version: "v1" })),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Shape::One, None),
            ("application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io", Shape::One, Some(Table { version: "v1" })),
        ];
        for (accept, shape, expected) in cases {
            assert_eq!(chosen(accept, shape), expected, "{accept} {shape:?}");
        }
    }
}
