//! Lines of a description: `Name:<tab>value`, with depth. In: names and values. Out: text with tabs for `align`. Never: JSON shapes of a kind.

use serde_json::Value;

/// Values of annotations are cut after so many characters, as in the Jobs page.
const ANNOTATION_CHARACTERS: usize = 138;

#[derive(Default)]
pub struct Text(String);

impl Text {
    /// `  Name:<tab>value` at a depth of two spaces each.
    pub fn line(&mut self, depth: usize, name: &str, value: impl AsRef<str>) {
        let value = value.as_ref();
        self.raw(depth, &if value.is_empty() && !name.is_empty() { format!("{name}:") } else { format!("{name}:\t{value}") });
    }

    /// A line of its own.
    pub fn raw(&mut self, depth: usize, text: &str) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// `Labels:<tab>a=b` and the others below it.
    pub fn map(&mut self, depth: usize, name: &str, map: &Value) {
        self.entries(depth, name, pairs(map).into_iter().map(|(k, v)| format!("{k}={v}")).collect());
    }

    /// Like `map`, with `key: value`, long values shortened and on a line of their own.
    pub fn annotations(&mut self, depth: usize, map: &Value) {
        let lines = pairs(map).into_iter().map(|(key, value)| {
            let value = value.trim_end();
            let short: String = value.chars().take(ANNOTATION_CHARACTERS).collect();
            let cut = if short.len() < value.len() { "..." } else { "" };
            if value.chars().count() + key.len() > ANNOTATION_CHARACTERS || value.contains('\n') {
                format!("{key}:\n{}\t  {short}{cut}", "  ".repeat(depth))
            } else {
                format!("{key}: {value}")
            }
        });
        self.entries(depth, "Annotations", lines.collect());
    }

    /// A name and several values below each other; `<none>` without any.
    pub fn entries(&mut self, depth: usize, name: &str, values: Vec<String>) {
        if values.is_empty() {
            return self.line(depth, name, "<none>");
        }
        for (at, value) in values.iter().enumerate() {
            if at == 0 {
                self.line(depth, name, value);
            } else {
                self.raw(depth, &format!("\t{value}"));
            }
        }
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Entries in alphabetical order.
pub fn pairs(map: &Value) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_string)))
        .collect();
    pairs.sort();
    pairs
}

/// A scalar as text; empty when absent.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 3339 -> RFC 1123 with a numeric zone (`Mon, 02 Dec 2019 15:20:11 +0000`); other text stays.
pub fn time(value: &Value) -> String {
    let text = scalar(value);
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        Err(_) => text,
    }
}

/// Seconds between two RFC 3339 times, in short form.
pub fn between(from: &Value, to: &Value) -> Option<String> {
    let parse = |value: &Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
    Some(piecework_api::duration::human(parse(to)?.as_second() - parse(from)?.as_second()))
}

/// `Job/pi` for the controlling owner.
pub fn controlled_by(object: &Value) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{}/{}", scalar(&owner["kind"]), scalar(&owner["name"])))
}
