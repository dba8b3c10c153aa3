//! Query strings.
//!
//! In: the raw query of a URL. Out: decoded pairs and typed look-ups. Never: an error for a parameter nobody knows (spec/api.md 1).

use percent_encoding::percent_decode_str;
use piecework_api::status::Status;

use crate::failure::Outcome;

/// Decoded `key=value` pairs in the order they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or("").split('&').filter(|part| !part.is_empty()).map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        });
        Query(pairs.collect())
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The first value unless it is empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// Every value of a repeated parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A boolean: absent is None; `0` and `false` are false, everything else (also the bare key) is true.
    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| !(value == "0" || value.eq_ignore_ascii_case("false")))
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.boolean(key).unwrap_or(false)
    }

    /// An integer; 400 when the text is none.
    pub(crate) fn integer(&self, key: &str) -> Outcome<Option<i64>> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| Status::bad_request(format!("query parameter {key}: {text:?} is not a whole number")).into()),
        }
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = Query::parse(Some("labelSelector=job-name+in+%28pi%2Cz%29&watch&limit=5&a=1&a=2&x=false&y=0&bad=z"));
        assert_eq!(query.get("labelSelector"), Some("job-name in (pi,z)"));
        assert!(query.flag("watch") && !query.flag("x") && !query.flag("y") && !query.flag("absent"));
        assert_eq!(query.integer("limit").ok().flatten(), Some(5));
        assert!(query.integer("bad").is_err());
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(Query::parse(None).get("a"), None);
    }
}
