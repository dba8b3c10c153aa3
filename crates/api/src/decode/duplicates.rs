//! A JSON parser that notices duplicate keys. In: bytes. Out: a value (the last of several equal keys wins, at the place of the first) and the
//! paths of the repeated keys. Nesting is bounded by the parser's recursion limit; memory by the size of the input.

use std::fmt::Write;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::MAXIMUM_REPORTED_FIELDS;

pub(super) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut context = Context { path: Vec::new(), duplicates: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node(&mut context).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, context.duplicates))
}

enum Step {
    Key(String),
    Index(usize),
}

struct Context {
    path: Vec<Step>,
    duplicates: Vec<String>,
}

impl Context {
    fn report(&mut self, key: &str) {
        if self.duplicates.len() >= MAXIMUM_REPORTED_FIELDS {
            return;
        }
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Step::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(key);
        if !self.duplicates.contains(&text) {
            self.duplicates.push(text);
        }
    }
}

struct Node<'c>(&'c mut Context);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.path.push(Step::Index(list.len()));
            let element = access.next_element_seed(Node(self.0))?;
            self.0.path.pop();
            match element {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                self.0.report(&key);
            }
            self.0.path.push(Step::Key(key));
            let value = access.next_value_seed(Node(self.0))?;
            if let Some(Step::Key(key)) = self.0.path.pop() {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}
