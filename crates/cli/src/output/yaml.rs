//! Objects as YAML in kubectl's shape: keys sorted, lists not indented, strings quoted only where another reader could mistake them.
//!
//! In: JSON values. Out: YAML text. Never: aliases, tags, folded text.

use serde_json::Value;

/// The whole document, ending with a newline.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(map, 0, false, &mut out),
        Value::Array(items) if !items.is_empty() => array(items, 0, &mut out),
        other => {
            scalar(other, 0, &mut out);
        }
    }
    out
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// `inline`: the first key continues a line (after `- `).
fn object(map: &serde_json::Map<String, Value>, depth: usize, mut inline: bool, out: &mut String) {
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_by(|a, b| a.0.cmp(b.0));
    for (key, value) in keys {
        if !std::mem::take(&mut inline) {
            indent(depth, out);
        }
        out.push_str(&word(key));
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                object(map, depth + 1, false, out);
            }
            // Lists stand at the depth of their key.
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                array(items, depth, out);
            }
            other => {
                out.push(' ');
                scalar(other, depth + 1, out);
            }
        }
    }
}

fn array(items: &[Value], depth: usize, out: &mut String) {
    for item in items {
        indent(depth, out);
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => object(map, depth + 1, true, out),
            Value::Array(inner) if !inner.is_empty() => {
                let mut nested = String::new();
                array(inner, depth + 1, &mut nested);
                out.push_str(nested.trim_start_matches(' '));
            }
            other => scalar(other, depth + 1, out),
        }
    }
}

fn scalar(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::String(text) if is_block(text) => block(text, depth, out),
        Value::String(text) => {
            out.push_str(&word(text));
            out.push('\n');
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        other => {
            out.push_str(&other.to_string());
            out.push('\n');
        }
    }
}

/// Several lines of ordinary characters are printed as a literal block.
fn is_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    text.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\n', '\t'])
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || (!c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')))
        && body.lines().all(|line| !line.trim().is_empty() || line.is_empty())
}

fn block(text: &str, depth: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    out.push('\n');
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(depth, out);
            out.push_str(line);
        }
        out.push('\n');
    }
    out.extend(std::iter::repeat_n('\n', (text.len() - body.len()).saturating_sub(1)));
}

/// A string as it is where that is safe for YAML 1.1 and 1.2 readers, else in double quotes.
fn word(text: &str) -> String {
    if is_plain(text) { text.to_string() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let Some(first) = text.chars().next() else { return false };
    let second = text.chars().nth(1);
    let first_ok = first.is_ascii_alphabetic()
        || first == '_'
        || first == '/'
        || (first == '.' && text.len() > 1 && text.contains('/'))
        || (first == '-' && second.is_some_and(|c| c.is_ascii_alphabetic()));
    let inner_ok = |c: char| c.is_ascii_alphanumeric() || "_-./@+=,()$ <>;~^'\"\\:#*&!|{}[]%?".contains(c);
    first_ok
        && text.chars().all(inner_ok)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
        // .inf, .nan
        && !text.starts_with('.')
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => match c as u32 {
                code @ 0..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code => out.push_str(&format!("\\u{code:04x}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn shapes() {
        for (value, expected) in [
            (json!({"b": 1, "a": "x"}), "a: x\nb: 1\n"),
            (json!({"m": {"k": [1, {"x": "a", "z": []}]}, "e": {}}), "e: {}\nm:\n  k:\n  - 1\n  - x: a\n    z: []\n"),
            (json!({"l": [[1, 2], []]}), "l:\n- - 1\n  - 2\n- []\n"),
            (json!({"t": "one\ntwo\n", "u": "one\n\ntwo", "v": "a\n\n"}), "t: |\n  one\n  two\nu: |-\n  one\n\n  two\nv: |+\n  a\n\n"),
            (json!({"z": null, "t": true, "f": 1.5}), "f: 1.5\nt: true\nz: null\n"),
            (
                json!({"s": ["5", "true", "", "-x", "-5", "- x", "a: b", "a #b", "2024-01-01T00:00:00Z", "No", "y", "job-name", "print bpi(2000)", "perl:5"]}),
                "s:\n- \"5\"\n- \"true\"\n- \"\"\n- -x\n- \"-5\"\n- \"- x\"\n- \"a: b\"\n- \"a #b\"\n- \"2024-01-01T00:00:00Z\"\n- \"No\"\n- \"y\"\n- job-name\n- print bpi(2000)\n- perl:5\n",
            ),
            (json!([]), "[]\n"),
            (json!("x"), "x\n"),
        ] {
            assert_eq!(print(&value), expected);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~\n\t]{0,12}",
            "\\PC{0,6}",
            "(true|no|0x1f|1e3|~|null|1_000|1:30|\\.inf|=|<<|---|\\.\\.\\.|- a|\\? b|\\[|&a|\\*a|!x|%|@|`)"
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(value in value()) {
            let text = print(&json!({"x": value}));
            let read: Value = serde_saphyr::from_str(&text).map_err(|e| TestCaseError::fail(format!("{text}\n{e}")))?;
            prop_assert_eq!(read, json!({"x": value}), "{}", text);
        }
    }
}
