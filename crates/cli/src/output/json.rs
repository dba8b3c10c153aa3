//! Objects as JSON in kubectl's spelling: keys sorted, `<`, `>` and `&` escaped.
//!
//! In: values. Out: text. Never: a value's order of lists.

use crate::three_way::sorted;
use serde::Serialize;
use serde_json::Value;

/// One line, as the last-applied annotation holds it.
pub fn compact(value: &Value) -> String {
    escaped(&sorted(value).to_string())
}

/// Four spaces a level, with a newline at the end.
pub fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing a Value into memory cannot fail: its keys are strings.
    let text = match sorted(value).serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    };
    escaped(&text) + "\n"
}

/// These characters occur only inside strings, so the text can be treated as a whole.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings() {
        let value = json!({"b": ["a > b && c", {}], "a": "<\u{2028}é\""});
        assert_eq!(compact(&value), r#"{"a":"\u003c\u2028é\"","b":["a \u003e b \u0026\u0026 c",{}]}"#);
        assert_eq!(
            pretty(&value),
            "{\n    \"a\": \"\\u003c\\u2028é\\\"\",\n    \"b\": [\n        \"a \\u003e b \\u0026\\u0026 c\",\n        {}\n    ]\n}\n"
        );
        for text in [compact(&value), pretty(&value)] {
            assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value.clone()));
        }
    }
}
