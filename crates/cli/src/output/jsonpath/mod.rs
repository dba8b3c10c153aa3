//! JSONPath templates as kubectl's users type them: `{.items[*].metadata.name}`, filters, ranges, slices, quoted text.
//!
//! In: a template and a value. Out: text or the values found. Never: functions, scripts, unbounded recursion.

mod evaluate;
mod parse;

#[cfg(test)]
mod tests;

use serde_json::Value;

/// Nesting of ranges and length of a path beyond which a template is refused.
pub const MAX_STEPS: usize = 64;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    /// `{range PATH} … {end}`.
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// `$`: the whole value.
    Root,
    /// `.name` or `['name']`.
    Field(String),
    /// `[3]`, negative from the end.
    Index(i64),
    /// `[from:to:by]`.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `[*]` or `.*`.
    All,
    /// `..`: this value and everything in it.
    Descend,
    /// `[0,2]` or `['a','b']`.
    Union(Vec<Step>),
    /// `[?(@.a=="b")]`; without comparison: exists.
    Filter(Operand, Option<(Comparison, Operand)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// From the element (`@`), or with a leading `Root` from the whole value.
    Path(Vec<Step>),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// Parses `text {path} text …`.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map(|nodes| Self { nodes })
    }

    /// Like `parse`, but braces and the first dot may be left out, as `kubectl wait --for=jsonpath=` allows.
    pub fn parse_relaxed(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let dotted = if inner.starts_with(['.', '[', '$', '@']) { inner.to_string() } else { format!(".{inner}") };
        Self::parse(&format!("{{{dotted}}}"))
    }

    /// The text that the template makes of a value. Missing fields are empty; an index out of range is an error.
    pub fn print(&self, value: &Value) -> Result<String, String> {
        evaluate::print(&self.nodes, value)
    }

    /// The values that the template's first path finds.
    pub fn values(&self, value: &Value) -> Result<Vec<Value>, String> {
        match self.nodes.iter().find_map(|node| if let Node::Path(steps) = node { Some(steps) } else { None }) {
            Some(steps) => Ok(evaluate::find(steps, value, value)?.into_iter().cloned().collect()),
            None => Ok(vec![]),
        }
    }
}
