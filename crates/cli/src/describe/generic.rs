//! Any other object: its metadata and then all fields as a tree. In: the object. Out: lines. Never: secret values.

use super::text::{Text, scalar};
use serde_json::Value;

/// Metadata that is printed on its own or means nothing to people.
const SKIPPED: [&str; 8] = ["name", "namespace", "labels", "annotations", "managedFields", "uid", "resourceVersion", "generation"];

pub fn object(object: &Value, out: &mut Text) {
    let metadata = &object["metadata"];
    out.line(0, "Name", scalar(&metadata["name"]));
    if !metadata["namespace"].is_null() {
        out.line(0, "Namespace", scalar(&metadata["namespace"]));
    }
    out.map(0, "Labels", &metadata["labels"]);
    out.annotations(0, &metadata["annotations"]);
    out.line(0, "API Version", scalar(&object["apiVersion"]));
    out.line(0, "Kind", scalar(&object["kind"]));
    let mut rest: Vec<_> = metadata.as_object().into_iter().flatten().filter(|(key, _)| !SKIPPED.contains(&key.as_str())).collect();
    rest.sort_by(|a, b| a.0.cmp(b.0));
    if !rest.is_empty() {
        out.raw(0, "Metadata:");
        for (key, value) in rest {
            field(1, key, value, out);
        }
    }
    let secret = object["kind"] == "Secret";
    let mut fields: Vec<_> =
        object.as_object().into_iter().flatten().filter(|(key, _)| !["apiVersion", "kind", "metadata"].contains(&key.as_str())).collect();
    fields.sort_by(|a, b| a.0.cmp(b.0));
    for (key, value) in fields {
        if secret && (key == "data" || key == "stringData") {
            out.raw(0, "Data:");
            for (name, value) in value.as_object().into_iter().flatten() {
                // Base64 without padding: three bytes in four characters.
                let text = scalar(value);
                let bytes = text.trim_end_matches('=').len() * 3 / 4;
                out.line(1, name, format!("{bytes} bytes"));
            }
        } else {
            field(0, key, value, out);
        }
    }
}

/// `creationTimestamp` -> `Creation Timestamp`.
fn title(key: &str) -> String {
    let mut out = String::new();
    for (at, c) in key.chars().enumerate() {
        if at == 0 {
            out.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && !out.ends_with(|before: char| before.is_uppercase()) {
                out.push(' ');
            }
            out.push(c);
        }
    }
    out
}

fn field(depth: usize, key: &str, value: &Value, out: &mut Text) {
    match value {
        Value::Object(map) => {
            out.raw(depth, &format!("{}:", title(key)));
            for (key, value) in map {
                field(depth + 1, key, value, out);
            }
        }
        Value::Array(items) => {
            out.raw(depth, &format!("{}:", title(key)));
            for item in items {
                match item {
                    Value::Object(map) => {
                        for (key, value) in map {
                            field(depth + 1, key, value, out);
                        }
                    }
                    other => out.raw(depth + 1, &scalar(other)),
                }
            }
        }
        other => {
            let text = scalar(other);
            if text.contains('\n') {
                out.raw(depth, &format!("{}:", title(key)));
                for line in text.lines() {
                    out.raw(depth + 1, line);
                }
            } else {
                out.line(depth, &title(key), text);
            }
        }
    }
}
