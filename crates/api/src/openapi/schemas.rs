//! `components.schemas`. In: definition names that paths refer to. Out: their OpenAPI schemas and those of everything they refer to, with
//! descriptions and the `x-kubernetes-*` extensions that clients read.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::descriptions;
use crate::schema::{self, Definition, Field, ListType, Type};

/// The name of a definition and its schema without the description.
type ValueDefinition = (&'static str, fn() -> Value);

/// Definitions that are values.
const VALUES: &[ValueDefinition] = &[
    (QUANTITY, || json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
    (FIELDS_V1, || json!({"type": "object"})),
    (MICRO_TIME, || json!({"type": "string", "format": "date-time"})),
    (TIME, || json!({"type": "string", "format": "date-time"})),
    (INT_OR_STRING, || json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})),
    (
        PATCH,
        || json!({"type": "object", "description": "Patch is provided to give a concrete name and type to the body of a PATCH request."}),
    ),
];

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const FIELDS_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
/// The body of a PATCH.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The schemas that a document needs.
#[derive(Default)]
pub(super) struct Components {
    used: BTreeSet<String>,
}

impl Components {
    /// `{"$ref": …}`, and the definition becomes part of the document.
    pub(super) fn reference(&mut self, definition: &str) -> Value {
        if self.used.insert(definition.to_owned())
            && let Some(found) = schema::definition(definition)
        {
            for field in &found.fields {
                self.visit(&field.field_type);
            }
        }
        json!({"$ref": format!("#/components/schemas/{definition}")})
    }

    fn visit(&mut self, field_type: &Type) {
        match field_type {
            Type::Object(id) => {
                self.reference(&id.get().name);
            }
            Type::List(inner) | Type::Map(inner) => self.visit(inner),
            scalar => {
                if let Some(name) = value_definition(scalar) {
                    self.reference(name);
                }
            }
        }
    }

    /// All schemas by name, in alphabetical order.
    pub(super) fn finish(self) -> Map<String, Value> {
        self.used.into_iter().filter_map(|name| schema_of(&name).map(|schema| (name, schema))).collect()
    }
}

fn schema_of(name: &str) -> Option<Value> {
    if let Some((_, value)) = VALUES.iter().find(|(value, _)| *value == name) {
        let mut schema = value();
        let description = descriptions::of_definition(name);
        if !description.is_empty() {
            schema["description"] = json!(description);
        }
        return Some(schema);
    }
    schema::definition(name).map(object_schema)
}

fn object_schema(definition: &Definition) -> Value {
    let mut schema = Map::new();
    let description = descriptions::of_definition(&definition.name);
    if !description.is_empty() {
        schema.insert("description".into(), json!(description));
    }
    schema.insert("type".into(), json!("object"));
    let required: Vec<&str> = definition.fields.iter().filter(|f| f.required).map(|f| f.name.as_str()).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    if !definition.fields.is_empty() {
        let properties: Map<String, Value> =
            definition.fields.iter().map(|field| (field.name.clone(), property(definition, field))).collect();
        schema.insert("properties".into(), Value::Object(properties));
    }
    if !definition.kinds.is_empty() {
        let kinds: Vec<Value> =
            definition.kinds.iter().map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind})).collect();
        schema.insert("x-kubernetes-group-version-kind".into(), json!(kinds));
    }
    if definition.atomic {
        schema.insert("x-kubernetes-map-type".into(), json!("atomic"));
    }
    if !definition.unions.is_null() {
        schema.insert("x-kubernetes-unions".into(), definition.unions.clone());
    }
    Value::Object(schema)
}

fn property(definition: &Definition, field: &Field) -> Value {
    let mut schema = match type_schema(&field.field_type) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut siblings = Map::new();
    let description = descriptions::of_field(&definition.name, &field.name);
    if !description.is_empty() {
        siblings.insert("description".into(), json!(description));
    }
    if field.list_type_declared {
        let (list_type, keys) = match &field.list_type {
            ListType::Atomic => ("atomic", None),
            ListType::Set => ("set", None),
            ListType::Map(keys) => ("map", Some(keys)),
        };
        siblings.insert("x-kubernetes-list-type".into(), json!(list_type));
        if let Some(keys) = keys {
            siblings.insert("x-kubernetes-list-map-keys".into(), json!(keys));
        }
    }
    if field.map_type_declared {
        siblings.insert("x-kubernetes-map-type".into(), json!(if field.atomic_map { "atomic" } else { "granular" }));
    }
    if let Some(key) = &field.patch.merge_key {
        siblings.insert("x-kubernetes-patch-merge-key".into(), json!(key));
    }
    let strategies: Vec<&str> = [(field.patch.merge, "merge"), (field.patch.replace, "replace"), (field.patch.retain_keys, "retainKeys")]
        .iter()
        .filter_map(|(set, name)| set.then_some(*name))
        .collect();
    if !strategies.is_empty() {
        siblings.insert("x-kubernetes-patch-strategy".into(), json!(strategies.join(",")));
    }
    // In OpenAPI 3.0 everything beside `$ref` is ignored, so it is wrapped.
    if !siblings.is_empty() && schema.contains_key("$ref") {
        schema = Map::from_iter([("allOf".to_owned(), json!([schema]))]);
    }
    schema.extend(siblings);
    Value::Object(schema)
}

/// The definition that a scalar with a form of its own refers to.
fn value_definition(scalar: &Type) -> Option<&'static str> {
    match scalar {
        Type::Quantity => Some(QUANTITY),
        Type::Any => Some(FIELDS_V1),
        Type::MicroTime => Some(MICRO_TIME),
        Type::Time => Some(TIME),
        Type::IntOrString => Some(INT_OR_STRING),
        _ => None,
    }
}

fn type_schema(field_type: &Type) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    match field_type {
        Type::String => json!({"type": "string"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Double => json!({"type": "number", "format": "double"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Object(id) => reference(&id.get().name),
        Type::List(element) => json!({"type": "array", "items": type_schema(element)}),
        Type::Map(element) => json!({"type": "object", "additionalProperties": type_schema(element)}),
        Type::Quantity => reference(QUANTITY),
        Type::Any => reference(FIELDS_V1),
        Type::MicroTime => reference(MICRO_TIME),
        Type::Time => reference(TIME),
        Type::IntOrString => reference(INT_OR_STRING),
    }
}
