//! Label selectors and field selectors (spec/api.md 6.5): parse, match, print.
//!
//! In: the text of a query parameter or the object form. Out: a value that matches objects. Never: a lookup of other objects.

use crate::{kinds::Kind, names, status::Status};
use serde_json::{Map, Value};
use std::fmt;

/// All requirements must hold; none means every object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
}
/// One demand on a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}
/// `=` is In with one value, `!=` NotIn with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// The query form: `a=b,c in (d,e),!f`. 400 when it does not parse.
    pub fn parse(text: &str) -> Result<Self, Status> {
        parse_requirements(text)
            .map(|requirements| LabelSelector { requirements })
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))
    }

    /// The object form (`matchLabels`, `matchExpressions`). An absent selector (null) matches nothing, an empty one everything.
    pub fn from_object(selector: &Value) -> Result<Self, String> {
        if selector.is_null() {
            let never = Requirement { key: String::new(), operator: Operator::In, values: vec![] };
            return Ok(LabelSelector { requirements: vec![never] });
        }
        let mut requirements = vec![];
        if let Some(labels) = selector["matchLabels"].as_object() {
            let mut pairs: Vec<_> = labels.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in pairs {
                let value = value.as_str().ok_or_else(|| format!("value of label {key} is not a string"))?;
                requirements.push(checked(key, Operator::In, vec![value.to_owned()])?);
            }
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default();
            let values = texts(&expression["values"]);
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("\"{other}\" is not a valid label selector operator")),
            };
            requirements.push(checked(key, operator, values)?);
        }
        Ok(LabelSelector { requirements })
    }

    /// Whether labels fulfil every requirement. Absent labels are an empty map.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|r| r.matches(labels.and_then(|l| l.get(&r.key)).and_then(Value::as_str)))
    }

    /// Whether every object matches.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    /// Whether the value of the label (None: absent) fulfils this.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let limit = || self.values.first().and_then(|v| number(v));
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.iter().any(|w| w == v)),
            Operator::NotIn => value.is_none_or(|v| self.values.iter().all(|w| w != v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => value.and_then(number).zip(limit()).is_some_and(|(v, l)| v > l),
            Operator::LessThan => value.and_then(number).zip(limit()).is_some_and(|(v, l)| v < l),
        }
    }
}

impl fmt::Display for LabelSelector {
    /// The query form; parses back to the same selector.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            let (key, values) = (&requirement.key, requirement.values.join(","));
            match (requirement.operator, requirement.values.len()) {
                (Operator::In, 1) => write!(formatter, "{key}={values}"),
                (Operator::NotIn, 1) => write!(formatter, "{key}!={values}"),
                (Operator::In, _) => write!(formatter, "{key} in ({values})"),
                (Operator::NotIn, _) => write!(formatter, "{key} notin ({values})"),
                (Operator::Exists, _) => write!(formatter, "{key}"),
                (Operator::DoesNotExist, _) => write!(formatter, "!{key}"),
                (Operator::GreaterThan, _) => write!(formatter, "{key}>{values}"),
                (Operator::LessThan, _) => write!(formatter, "{key}<{values}"),
            }?;
        }
        Ok(())
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A requirement whose key, values and number of values fit.
fn checked(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
    if let Some(wrong) = names::qualified_name(key).into_iter().next() {
        return Err(format!("key: Invalid value: \"{key}\": {wrong}"));
    }
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            return Err("values: for 'in', 'notin' operators, values set can't be empty".into());
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            return Err("values: values set must be empty for exists and does not exist".into());
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 || values[0].parse::<i64>().is_err() => {
            return Err("values: for 'Gt', 'Lt' operators, the value must be an integer".into());
        }
        _ => {}
    }
    for value in &values {
        if let Some(wrong) = names::label_value(value).into_iter().next() {
            return Err(format!("values: Invalid value: \"{value}\": {wrong}"));
        }
    }
    Ok(Requirement { key: key.into(), operator, values })
}

#[derive(Debug, Clone, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Mark(&'a str),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Token::Word(text) | Token::Mark(text)) = self;
        write!(formatter, "'{text}'")
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    const MARKS: &str = "=!(),><";
    let mut list = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if MARKS.contains(first) {
            if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { 1 }
        } else {
            rest.find(|c: char| c.is_whitespace() || MARKS.contains(c)).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        list.push(if MARKS.contains(first) { Token::Mark(token) } else { Token::Word(token) });
        rest = after.trim_start();
    }
    list
}

fn parse_requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut requirements = vec![];
    let mut at = 0;
    while at < tokens.len() {
        let (requirement, next) = parse_one(&tokens, at)?;
        requirements.push(requirement);
        at = next;
        match tokens.get(at) {
            None => break,
            Some(Token::Mark(",")) if at + 1 < tokens.len() => at += 1,
            Some(Token::Mark(",")) => return Err("found '', expected: identifier after ','".into()),
            Some(other) => return Err(format!("found {other}, expected: ',' or the end")),
        }
    }
    Ok(requirements)
}

/// One requirement starting at `at`; also the index of the token after it.
fn parse_one(tokens: &[Token<'_>], at: usize) -> Result<(Requirement, usize), String> {
    if tokens[at] == Token::Mark("!") {
        return match tokens.get(at + 1) {
            Some(Token::Word(key)) => Ok((checked(key, Operator::DoesNotExist, vec![])?, at + 2)),
            _ => Err("found no identifier after '!'".into()),
        };
    }
    let Token::Word(key) = tokens[at] else {
        return Err(format!("found {}, expected: !, identifier, or the end", tokens[at]));
    };
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => (Some((*word).to_owned()), at + 1),
        _ => (None, at),
    };
    match tokens.get(at + 1) {
        None | Some(Token::Mark(",")) => Ok((checked(key, Operator::Exists, vec![])?, at + 1)),
        Some(Token::Mark(mark @ ("=" | "==" | "!=" | ">" | "<"))) => {
            let (value, next) = word(at + 2);
            let operator = match *mark {
                "!=" => Operator::NotIn,
                ">" => Operator::GreaterThan,
                "<" => Operator::LessThan,
                _ => Operator::In,
            };
            Ok((checked(key, operator, vec![value.unwrap_or_default()])?, next))
        }
        Some(Token::Word(name @ ("in" | "notin"))) => {
            let operator = if *name == "in" { Operator::In } else { Operator::NotIn };
            let (values, next) = parse_set(tokens, at + 2)?;
            Ok((checked(key, operator, values)?, next))
        }
        Some(other) => Err(format!("found {other}, expected: in, notin, =, ==, !=, gt, lt")),
    }
}

/// `(a,b)`; an empty place between commas is the empty value, `()` is refused.
fn parse_set(tokens: &[Token<'_>], at: usize) -> Result<(Vec<String>, usize), String> {
    if tokens.get(at) != Some(&Token::Mark("(")) {
        return Err("expected: '('".into());
    }
    let mut values: Vec<String> = vec![];
    let mut current: Option<&str> = None;
    let mut commas = 0;
    for (offset, token) in tokens[at + 1..].iter().enumerate() {
        match token {
            Token::Word(word) if current.is_none() => current = Some(*word),
            Token::Mark(",") => {
                values.push(current.take().unwrap_or_default().to_owned());
                commas += 1;
            }
            Token::Mark(")") => {
                if current.is_some() || commas > 0 {
                    values.push(current.unwrap_or_default().to_owned());
                }
                values.sort();
                values.dedup();
                return Ok((values, at + offset + 2));
            }
            other => return Err(format!("found {other}, expected: ',' or ')'")),
        }
    }
    Err("expected: ')'".into())
}

/// Terms over fields: (label, equals?, value). All must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldSelector {
    pub terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Parses and checks the labels against the kind's list. 400 when unsupported or malformed. Terms are (label, equals?, value).
    pub fn parse(kind: &Kind, text: &str) -> Result<Self, Status> {
        let mut terms = vec![];
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let malformed = || Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
            let (label, equals, value) = split_term(term).ok_or_else(malformed)?;
            let value = unescape(value).ok_or_else(malformed)?;
            let label = label.trim();
            if pointer(kind, label).is_none() {
                return Err(Status::bad_request(match kind.kind {
                    "Job" => format!("field label \"{label}\" not supported for Job"),
                    _ => format!("field label not supported: {label}"),
                }));
            }
            terms.push((label.to_owned(), equals, value));
        }
        Ok(FieldSelector { terms })
    }

    /// Whether the object fulfils every term. Absent fields are "" (false and 0 where upstream prints them so).
    pub fn matches(&self, kind: &Kind, object: &Value) -> bool {
        self.terms.iter().all(|(label, equals, value)| field_is(kind, object, label, value) == *equals)
    }

    /// The value demanded by `metadata.name=`, if any (single-object lists and watches).
    pub fn name(&self) -> Option<&str> {
        self.terms.iter().find(|(label, equals, _)| label == "metadata.name" && *equals).map(|(_, _, value)| value.as_str())
    }

    /// Whether every object matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

fn pointer(kind: &Kind, label: &str) -> Option<&'static str> {
    match label {
        "metadata.name" => Some("/metadata/name"),
        "metadata.namespace" => Some("/metadata/namespace"),
        label => kind.field_labels.iter().find(|(name, _)| *name == label).map(|(_, pointer)| *pointer),
    }
}

fn field_is(kind: &Kind, object: &Value, label: &str, wanted: &str) -> bool {
    let found = pointer(kind, label).and_then(|p| object.pointer(p)).unwrap_or(&Value::Null);
    match found {
        Value::String(text) if !text.is_empty() => text == wanted,
        Value::Bool(true) => wanted == "true",
        Value::Bool(false) => wanted == "false",
        Value::Number(number) => number.to_string().as_str() == wanted,
        Value::Array(items) if !items.is_empty() => items.iter().any(|item| item["ip"] == wanted),
        // An Event without source names its reporter there (spec/api.md 6.5; upstream's selectable fields do the same).
        _ if label == "source" => object["reportingComponent"].as_str().unwrap_or("") == wanted,
        _ => wanted == absent(label),
    }
}

/// What upstream prints for a field that is not set.
fn absent(label: &str) -> &'static str {
    match label {
        "spec.hostNetwork" | "spec.unschedulable" => "false",
        "status.successful" => "0",
        _ => "",
    }
}

/// Pieces between commas that are not escaped.
fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut escaped) = (vec![], 0, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b',' if !escaped => {
                pieces.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    pieces.push(&text[start..]);
    pieces
}

/// At the first operator: `!=`, `==` or `=`.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find('=')?;
    if let Some(label) = term[..at].strip_suffix('!') {
        return Some((label, false, &term[at + 1..]));
    }
    let value = &term[at + 1..];
    Some((&term[..at], true, value.strip_prefix('=').unwrap_or(value)))
}

/// `\\`, `\,` and `\=` stand for themselves; a bare `=` or another escape is malformed.
fn unescape(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                escaped @ ('\\' | ',' | '=') => text.push(escaped),
                _ => return None,
            },
            ',' | '=' => return None,
            plain => text.push(plain),
        }
    }
    Some(text)
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
