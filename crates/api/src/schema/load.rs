//! The embedded data file to typed definitions, once per process. The file is part of the build, so a fault in it is a fault of the build
//! and is found by every test. Server start waits for it, so
//! the file holds no descriptions and rows are read without an intermediate tree.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Definition, DefinitionId, Field, ListType, Number, PatchStrategy, Schema, Type};

const DATA: &str = include_str!("../../schema/kubernetes.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DefinitionRow<'a> {
    #[serde(borrow)]
    fields: BTreeMap<&'a str, FieldRow<'a>>,
    #[serde(default, borrow)]
    kinds: Vec<(&'a str, &'a str, &'a str)>,
    #[serde(default)]
    map_type: Option<&'a str>,
    #[serde(default)]
    unions: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FieldRow<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    zero_is_absent: bool,
    #[serde(default)]
    wrapped: bool,
    #[serde(default)]
    number: Vec<u32>,
    #[serde(default)]
    list_type: Option<&'a str>,
    #[serde(default)]
    list_map_keys: Vec<String>,
    #[serde(default)]
    map_type: Option<&'a str>,
    #[serde(default)]
    patch_strategy: Option<&'a str>,
    #[serde(default)]
    patch_merge_key: Option<String>,
}

pub(super) fn load() -> Schema {
    let rows: BTreeMap<&str, DefinitionRow> = serde_json::from_str(DATA).expect("the embedded schema is written by `cargo xtask schema`");
    let by_name: BTreeMap<String, usize> = rows.keys().enumerate().map(|(index, name)| ((*name).to_owned(), index)).collect();
    let mut by_kind = BTreeMap::new();
    let mut definitions = Vec::with_capacity(rows.len());
    for (index, (name, row)) in rows.into_iter().enumerate() {
        let mut numbers = BTreeMap::new();
        let mut fields = Vec::with_capacity(row.fields.len());
        for (place, (field, row)) in row.fields.into_iter().enumerate() {
            insert_number(&mut numbers, &row.number, place);
            fields.push(typed_field(field, row, &by_name));
        }
        let kinds: Vec<_> = row.kinds.iter().map(|(g, v, k)| ((*g).to_owned(), (*v).to_owned(), (*k).to_owned())).collect();
        for kind in &kinds {
            by_kind.insert(kind.clone(), index);
        }
        let atomic = row.map_type == Some("atomic");
        definitions.push(Definition { name: name.to_owned(), fields, kinds, atomic, unions: row.unions, numbers });
    }
    Schema { definitions, by_name, by_kind }
}

fn typed_field(name: &str, row: FieldRow, by_name: &BTreeMap<String, usize>) -> Field {
    let strategies: Vec<&str> = row.patch_strategy.unwrap_or_default().split(',').collect();
    Field {
        name: name.to_owned(),
        field_type: parse_type(row.type_name, by_name),
        required: row.required,
        zero_is_absent: row.zero_is_absent,
        wrapped: row.wrapped,
        list_type: match row.list_type {
            Some("map") => ListType::Map(row.list_map_keys),
            Some("set") => ListType::Set,
            _ => ListType::Atomic,
        },
        list_type_declared: row.list_type.is_some(),
        atomic_map: row.map_type == Some("atomic"),
        map_type_declared: row.map_type.is_some(),
        patch: PatchStrategy {
            merge: strategies.contains(&"merge"),
            replace: strategies.contains(&"replace"),
            retain_keys: strategies.contains(&"retainKeys"),
            merge_key: row.patch_merge_key,
        },
    }
}

fn parse_type(text: &str, by_name: &BTreeMap<String, usize>) -> Type {
    if let Some(element) = text.strip_prefix("[]") {
        return Type::List(Box::new(parse_type(element, by_name)));
    }
    if let Some(value) = text.strip_prefix("{}") {
        return Type::Map(Box::new(parse_type(value, by_name)));
    }
    if let Some(name) = text.strip_prefix('#') {
        return Type::Object(DefinitionId(*by_name.get(name).expect("the xtask writes every referenced definition")));
    }
    match text {
        "string" => Type::String,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "double" => Type::Double,
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "int-or-string" => Type::IntOrString,
        "any" => Type::Any,
        other => panic!("the embedded schema has a type that the code does not know: {other}"),
    }
}

fn insert_number(numbers: &mut BTreeMap<u32, Number>, path: &[u32], field: usize) {
    match path {
        [] => {}
        [last] => {
            numbers.insert(*last, Number::Field(field));
        }
        [first, rest @ ..] => {
            if let Number::Flattened(inner) = numbers.entry(*first).or_insert_with(|| Number::Flattened(BTreeMap::new())) {
                insert_number(inner, rest, field);
            }
        }
    }
}
