//! Template and value -> text. In: nodes. Out: what they find, in the value's order. Never: a copy of the value.

use super::{Comparison, Node, Operand, Step};
use serde_json::Value;
use std::cmp::Ordering;

/// Bytes of output beyond which a template is stopped: nested ranges can multiply.
const MAX_OUTPUT_BYTES: usize = 256 << 20;

pub fn print(nodes: &[Node], value: &Value) -> Result<String, String> {
    let mut out = String::new();
    print_into(nodes, value, value, &mut out)?;
    Ok(out)
}

fn print_into(nodes: &[Node], root: &Value, current: &Value, out: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(steps) => {
                for (at, found) in find(steps, root, current)?.into_iter().enumerate() {
                    if at > 0 {
                        out.push(' ');
                    }
                    match found {
                        Value::String(text) => out.push_str(text),
                        Value::Null => {}
                        other => out.push_str(&other.to_string()),
                    }
                }
            }
            Node::Range(steps, body) => {
                for found in find(steps, root, current)? {
                    // `{range .items}` without [*] goes over the elements too.
                    match found {
                        Value::Array(items) => {
                            for item in items {
                                print_into(body, root, item, out)?;
                            }
                        }
                        other => print_into(body, root, other, out)?,
                    }
                }
            }
        }
        if out.len() > MAX_OUTPUT_BYTES {
            return Err(format!("the jsonpath template produces more than {MAX_OUTPUT_BYTES} bytes"));
        }
    }
    Ok(())
}

/// The values a path leads to.
pub fn find<'a>(steps: &[Step], root: &'a Value, current: &'a Value) -> Result<Vec<&'a Value>, String> {
    let mut found = vec![current];
    let mut descended = false;
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            apply(step, root, value, descended, &mut next)?;
        }
        found = next;
        descended = matches!(step, Step::Descend);
    }
    Ok(found)
}

/// `lenient`: after `..` an index that does not fit is no error.
fn apply<'a>(step: &Step, root: &'a Value, value: &'a Value, lenient: bool, out: &mut Vec<&'a Value>) -> Result<(), String> {
    match step {
        Step::Root => out.push(root),
        Step::Field(name) => out.extend(value.get(name.as_str())),
        Step::Index(index) => {
            let Some(items) = value.as_array() else { return Ok(()) };
            let at = if *index < 0 { items.len() as i64 + index } else { *index };
            match usize::try_from(at).ok().and_then(|at| items.get(at)) {
                Some(item) => out.push(item),
                None if lenient => {}
                None => return Err(format!("array index out of bounds: index {index}, length {}", items.len())),
            }
        }
        Step::Slice(from, to, by) => {
            let Some(items) = value.as_array() else { return Ok(()) };
            let length = items.len() as i64;
            let place = |index: i64| if index < 0 { (length + index).max(0) } else { index.min(length) };
            let by = by.unwrap_or(1);
            if by <= 0 {
                return Err("the step of a slice must be positive".into());
            }
            let mut at = place(from.unwrap_or(0));
            let end = place(to.unwrap_or(length));
            while at < end {
                out.push(&items[at as usize]);
                at = at.saturating_add(by);
            }
        }
        Step::All => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(map) => out.extend(map.values()),
            _ => {}
        },
        Step::Descend => descend(value, out),
        Step::Union(steps) => {
            for step in steps {
                apply(step, root, value, lenient, out)?;
            }
        }
        Step::Filter(left, comparison) => {
            let items: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                _ => vec![],
            };
            for item in items {
                if matches(left, comparison.as_ref(), root, item)? {
                    out.push(item);
                }
            }
        }
    }
    Ok(())
}

fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, out)),
        Value::Object(map) => map.values().for_each(|item| descend(item, out)),
        _ => {}
    }
}

fn matches(left: &Operand, comparison: Option<&(Comparison, Operand)>, root: &Value, item: &Value) -> Result<bool, String> {
    let left = operand(left, root, item)?;
    let Some((comparison, right)) = comparison else { return Ok(!left.is_empty()) };
    let right = operand(right, root, item)?;
    let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(false) };
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => (a == b).then_some(Ordering::Equal),
    };
    Ok(match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn operand<'a>(operand: &'a Operand, root: &'a Value, item: &'a Value) -> Result<Vec<&'a Value>, String> {
    match operand {
        Operand::Literal(value) => Ok(vec![value]),
        Operand::Path(steps) => find(steps, root, item),
    }
}
