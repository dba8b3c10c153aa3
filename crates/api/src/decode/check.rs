//! A value against a type of the schema. In: a value of any shape. Out: the value with only declared fields, normalised scalars and no nulls, and
//! the paths of unknown fields; or the first mismatch with its path. Recursion follows the schema, so its depth is bounded by the schema.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{MAXIMUM_REPORTED_FIELDS, scalars};
use crate::schema::{Definition, DefinitionId, Type};

pub(super) struct Checker {
    root: &'static Definition,
    /// The path of the value at hand: names with dots before them, indices in brackets.
    path: String,
    unknown: Vec<String>,
}

impl Checker {
    pub(super) fn new(root: &'static Definition) -> Self {
        Checker { root, path: String::new(), unknown: Vec::new() }
    }

    pub(super) fn into_unknown(self) -> Vec<String> {
        self.unknown
    }

    pub(super) fn object(&mut self, value: Value) -> Result<Value, String> {
        match value {
            Value::Object(map) => self.fields(self.root, map),
            other => Err(format!("json: cannot unmarshal {} into Go value of type {}", scalars::json_kind(&other), self.root.type_name())),
        }
    }

    fn fields(&mut self, definition: &'static Definition, map: Map<String, Value>) -> Result<Value, String> {
        let mut result = Map::with_capacity(map.len());
        for (name, value) in map {
            let length = self.enter(&name);
            match definition.field(&name) {
                Some(field) => {
                    if let Some(value) = self.value(definition, &field.field_type, value)?
                        && (field.required || !empty_collection(&field.field_type, &value))
                    {
                        result.insert(name, value);
                    }
                }
                None if self.unknown.len() < MAXIMUM_REPORTED_FIELDS => self.unknown.push(self.path.clone()),
                None => {}
            }
            self.path.truncate(length);
        }
        Ok(Value::Object(result))
    }

    /// `parent` is the object that the path's field belongs to: messages name it. None stands for null.
    fn value(&mut self, parent: &'static Definition, expected: &Type, value: Value) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        match (expected, value) {
            (Type::Object(id), Value::Object(map)) => self.fields(id.get(), map).map(Some),
            (Type::List(element), Value::Array(list)) => {
                let mut result = Vec::with_capacity(list.len());
                for (index, item) in list.into_iter().enumerate() {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{index}]");
                    let item = self.value(parent, element, item)?;
                    result.push(item.unwrap_or_else(|| empty(element)));
                    self.path.truncate(length);
                }
                Ok(Some(Value::Array(result)))
            }
            (Type::Map(element), Value::Object(map)) => {
                let mut result = Map::with_capacity(map.len());
                for (key, item) in map {
                    let length = self.enter(&key);
                    let item = self.value(parent, element, item)?;
                    result.insert(key, item.unwrap_or_else(|| empty(element)));
                    self.path.truncate(length);
                }
                Ok(Some(Value::Object(result)))
            }
            (Type::Object(_) | Type::List(_) | Type::Map(_), other) => Err(self.mismatch(parent, scalars::json_kind(&other), expected)),
            (scalar, value) => scalars::check(scalar, value).map_err(|fault| match fault {
                scalars::Fault::Mismatch(found) => self.mismatch(parent, &found, scalar),
                scalars::Fault::Malformed(why) => format!("{}: {why}", self.path),
            }),
        }
    }

    fn mismatch(&self, parent: &Definition, found: &str, expected: &Type) -> String {
        format!("json: cannot unmarshal {found} into Go struct field {}.{} of type {}", parent.short_name(), self.path, type_name(expected))
    }

    /// Extends the path by a name; out: the length to cut it back to.
    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }
}

/// An optional list or map without elements means the same as none, and servers do not keep the difference (a patch may empty one).
fn empty_collection(expected: &Type, value: &Value) -> bool {
    match (expected, value) {
        (Type::List(_), Value::Array(list)) => list.is_empty(),
        (Type::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// What a null element of a list or map stands for.
fn empty(element: &Type) -> Value {
    match element {
        Type::String | Type::Bytes => Value::String(String::new()),
        Type::Quantity => Value::String("0".to_owned()),
        Type::Int32 | Type::Int64 | Type::Double | Type::IntOrString => 0.into(),
        Type::Bool => Value::Bool(false),
        Type::Object(_) | Type::Map(_) => Value::Object(Map::new()),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Time | Type::MicroTime | Type::Any => Value::Null,
    }
}

fn type_name(expected: &Type) -> String {
    let name = |id: &DefinitionId| id.get().type_name();
    match expected {
        Type::String => "string".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Double => "float64".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::Time => "v1.Time".to_owned(),
        Type::MicroTime => "v1.MicroTime".to_owned(),
        Type::Quantity => "resource.Quantity".to_owned(),
        Type::IntOrString => "intstr.IntOrString".to_owned(),
        Type::Any => "interface {}".to_owned(),
        Type::Object(id) => name(id),
        Type::List(element) => format!("[]{}", type_name(element)),
        Type::Map(element) => format!("map[string]{}", type_name(element)),
    }
}
