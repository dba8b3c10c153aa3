//! The server's Tables as kubectl prints them.
//!
//! In: `meta.k8s.io/v1` Tables. Out: aligned lines. Never: computes a cell (except the age column of a server without Tables).

use serde_json::Value;

/// How tables are shown.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// Columns of lower priority too.
    pub wide: bool,
    /// A NAMESPACE column first.
    pub namespaces: bool,
    /// `job.batch/` before every name.
    pub name_prefix: Option<String>,
    pub no_headers: bool,
    /// A LABELS column last.
    pub labels: bool,
}

/// Lines of cells, padded by the widest cell each column ever had; a watch adds lines to the same columns.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(usize, String)>,
    lines: Vec<Vec<String>>,
    widths: Vec<usize>,
    headed: bool,
}

/// kubectl's distance between columns.
const PADDING: usize = 3;

impl Table {
    /// Takes over a Table's rows; column definitions may be missing in later Tables of a watch.
    pub fn add(&mut self, table: &Value, style: &Style) {
        if let Some(definitions) = table["columnDefinitions"].as_array()
            && !definitions.is_empty()
            && self.columns.is_empty()
        {
            self.columns = definitions
                .iter()
                .enumerate()
                .filter(|(_, c)| style.wide || c["priority"].as_i64().unwrap_or(0) == 0)
                .map(|(at, c)| (at, c["name"].as_str().unwrap_or_default().to_uppercase()))
                .collect();
            if !style.no_headers && !self.headed {
                let mut header: Vec<String> = self.columns.iter().map(|(_, name)| name.clone()).collect();
                if style.namespaces {
                    header.insert(0, "NAMESPACE".into());
                }
                if style.labels {
                    header.push("LABELS".into());
                }
                self.lines.push(header);
                self.headed = true;
            }
        }
        for row in table["rows"].as_array().into_iter().flatten() {
            let metadata = &row["object"]["metadata"];
            let mut cells: Vec<String> = self.columns.iter().map(|(at, _)| cell(&row["cells"][*at])).collect();
            if let (Some(prefix), Some(name)) = (&style.name_prefix, cells.first_mut()) {
                *name = format!("{prefix}/{name}");
            }
            if style.namespaces {
                cells.insert(0, metadata["namespace"].as_str().unwrap_or_default().to_string());
            }
            if style.labels {
                cells.push(labels(&metadata["labels"]));
            }
            self.lines.push(cells);
        }
    }

    /// Rows that were added and not yet printed, header lines included.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines since the last call.
    pub fn print(&mut self) -> String {
        let lines = std::mem::take(&mut self.lines);
        for line in &lines {
            self.widths.resize(self.widths.len().max(line.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut out = String::new();
        for line in lines {
            for (at, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if at + 1 < line.len() {
                    out.extend(std::iter::repeat_n(' ', self.widths[at] + PADDING - cell.chars().count()));
                }
            }
            out.push('\n');
        }
        out
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(['\n', '\t'], " "),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    }
}

/// `a=b,c=d` in alphabetical order, or `<none>`.
pub fn labels(labels: &Value) -> String {
    let mut pairs: Vec<String> =
        labels.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    pairs.sort();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

/// A Table made of plain objects, for servers that answer with a list: names and ages only.
pub fn from_objects(objects: &[Value], now: jiff::Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let metadata = &object["metadata"];
            serde_json::json!({"cells": [metadata["name"], age(&metadata["creationTimestamp"], now)], "object": {"metadata": metadata}})
        })
        .collect();
    serde_json::json!({"columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Age", "priority": 0}], "rows": rows})
}

/// The time since an RFC 3339 text, in short form; `<unknown>` when it is none.
pub fn age(time: &Value, now: jiff::Timestamp) -> String {
    match time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) {
        Some(time) => piecework_api::duration::human(now.as_second() - time.as_second()),
        None => "<unknown>".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jobs() -> Value {
        json!({"kind": "Table", "columnDefinitions": [
            {"name": "Name", "priority": 0}, {"name": "Status", "priority": 0}, {"name": "Completions", "priority": 0}, {"name": "Suspended", "priority": 0}, {"name": "Images", "priority": 1}],
            "rows": [
            {"cells": ["pi", "Complete", "1/1", false, "perl"], "object": {"metadata": {"namespace": "default", "labels": {"b": "2", "a": "1"}}}},
            {"cells": ["a-longer-name", "Running", "0/1", true, "x,y"], "object": {"metadata": {"namespace": "n"}}}]})
    }

    #[test]
    fn styles() {
        for (style, expected) in [
            (
                Style::default(),
                "NAME            STATUS     COMPLETIONS   SUSPENDED\npi              Complete   1/1           False\na-longer-name   Running    0/1           True\n",
            ),
            (
                Style { wide: true, no_headers: true, ..Style::default() },
                "pi              Complete   1/1   False   perl\na-longer-name   Running    0/1   True    x,y\n",
            ),
            (
                Style { namespaces: true, labels: true, name_prefix: Some("job.batch".into()), ..Style::default() },
                "NAMESPACE   NAME                      STATUS     COMPLETIONS   SUSPENDED   LABELS\ndefault     job.batch/pi              Complete   1/1           False       a=1,b=2\nn           job.batch/a-longer-name   Running    0/1           True        <none>\n",
            ),
        ] {
            let mut table = Table::default();
            table.add(&jobs(), &style);
            assert_eq!(table.print(), expected);
        }
    }

    #[test]
    fn a_watch_goes_on_in_the_same_columns() {
        let mut table = Table::default();
        table.add(&jobs(), &Style::default());
        table.print();
        table.add(&json!({"columnDefinitions": null, "rows": [{"cells": ["pi", "Failed", "1/1", false, "p"]}]}), &Style::default());
        assert_eq!(table.print(), "pi              Failed     1/1           False\n");
        assert!(table.is_empty());
    }

    #[test]
    fn ages() {
        let now: jiff::Timestamp = "2024-01-02T00:00:00Z".parse().expect("a time");
        for (time, expected) in [(json!("2024-01-01T23:58:55Z"), "65s"), (json!(null), "<unknown>"), (json!("x"), "<unknown>")] {
            assert_eq!(age(&time, now), expected);
        }
    }
}
