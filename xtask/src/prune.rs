//! From the published definitions to the two data files of crate `api`. In: all definitions and the protobuf messages. Out: the definitions
//! reachable from the kinds below, one line each, in alphabetical order (so that a diff shows what changed), and their descriptions apart,
//! because only OpenAPI needs those. Deterministic: the same input gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::wire_numbers::{Messages, plain};
use crate::zero_values::zero_is_absent;

/// (definition prefix, kinds): what a Jobs control plane serves now or soon. Lists of them are taken where they exist.
const ROOTS: &[(&str, &[&str])] = &[
    (
        "io.k8s.api.core.v1.",
        &[
            "Pod",
            "Event",
            "Namespace",
            "Node",
            "ConfigMap",
            "Secret",
            "ServiceAccount",
            "Service",
            "Endpoints",
            "Binding",
            "PodTemplate",
            "ResourceQuota",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "ReplicationController",
            "ComponentStatus",
        ],
    ),
    ("io.k8s.api.batch.v1.", &["Job", "CronJob"]),
    ("io.k8s.api.coordination.v1.", &["Lease"]),
    ("io.k8s.api.events.v1.", &["Event"]),
    ("io.k8s.api.rbac.v1.", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("io.k8s.api.scheduling.v1.", &["PriorityClass"]),
    ("io.k8s.api.policy.v1.", &["Eviction", "PodDisruptionBudget"]),
    ("io.k8s.api.authentication.v1.", &["TokenRequest", "TokenReview", "SelfSubjectReview"]),
    (
        "io.k8s.api.authorization.v1.",
        &["SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview"],
    ),
    ("io.k8s.api.autoscaling.v1.", &["Scale"]),
    ("io.k8s.api.discovery.v1.", &["EndpointSlice"]),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.", &["DeleteOptions", "Status", "LabelSelector", "APIGroup", "APIGroupList", "APIResourceList"]),
];

/// Definitions that are values on the wire rather than messages with fields of their own.
const VALUES: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "any"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "microtime"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "any"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "int-or-string"),
];

pub struct Output {
    pub structure: String,
    pub descriptions: String,
    pub definitions: usize,
    /// `Definition.field` for each field that the protobuf messages do not know.
    pub without_number: Vec<String>,
}

pub fn run(definitions: &Value, messages: &Messages) -> Result<Output> {
    let names = reachable(definitions)?;
    let groups: BTreeSet<String> = ROOTS
        .iter()
        .flat_map(|(prefix, kinds)| kinds.iter().map(move |k| format!("{prefix}{k}")))
        .collect::<BTreeSet<_>>()
        .iter()
        .filter(|name| !name.ends_with("DeleteOptions"))
        .flat_map(|name| group_versions(&definitions[name.as_str()]))
        .collect();
    let mut without_number = Vec::new();
    let mut structure = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let mut text_index: BTreeMap<String, usize> = BTreeMap::new();
    let mut described = Map::new();
    for name in &names {
        let source = &definitions[name.as_str()];
        let mut number = |text: &Value| {
            let text = text.as_str().unwrap_or_default().to_owned();
            *text_index.entry(text.clone()).or_insert_with(|| {
                texts.push(text);
                texts.len() - 1
            })
        };
        let own = number(&source["description"]);
        let mut fields = Map::new();
        for (field, property) in sorted(&source["properties"]) {
            fields.insert(field.clone(), json!(number(&property["description"])));
        }
        described.insert(name.clone(), json!([own, fields]));
        if VALUES.iter().any(|(value, _)| value == name) {
            continue;
        }
        let definition = definition(name, source, messages, &groups, &mut without_number)?;
        structure.push(format!("{}:{}", json!(name), definition));
    }
    let rows: Vec<String> = described.iter().map(|(name, row)| format!("{}:{row}", json!(name))).collect();
    let text_rows: Vec<String> = texts.iter().map(|t| json!(t).to_string()).collect();
    Ok(Output {
        definitions: structure.len(),
        structure: format!("{{\n{}\n}}\n", structure.join(",\n")),
        descriptions: format!("{{\"definitions\":{{\n{}\n}},\"texts\":[\n{}\n]}}\n", rows.join(",\n"), text_rows.join(",\n")),
        without_number,
    })
}

fn sorted(object: &Value) -> BTreeMap<&String, &Value> {
    object.as_object().into_iter().flatten().collect()
}

fn group_versions(definition: &Value) -> Vec<String> {
    definition["x-kubernetes-group-version-kind"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|k| format!("{}/{}", k["group"], k["version"]))
        .collect()
}

fn reachable(definitions: &Value) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    for (prefix, kinds) in ROOTS {
        for kind in *kinds {
            let name = format!("{prefix}{kind}");
            if definitions[name.as_str()].is_null() {
                bail!("no definition {name}");
            }
            if !definitions[format!("{name}List").as_str()].is_null() {
                open.push(format!("{name}List"));
            }
            open.push(name);
        }
    }
    while let Some(name) = open.pop() {
        if !found.insert(name.clone()) {
            continue;
        }
        let mut visit = |value: &Value| {
            if let Some(reference) = value["$ref"].as_str() {
                open.push(reference.trim_start_matches("#/$defs/").to_owned());
            }
        };
        for property in sorted(&definitions[name.as_str()]["properties"]).values() {
            visit(property);
            visit(&property["items"]);
            visit(&property["additionalProperties"]);
        }
    }
    Ok(found)
}

fn definition(
    name: &str,
    source: &Value,
    messages: &Messages,
    groups: &BTreeSet<String>,
    without_number: &mut Vec<String>,
) -> Result<Value> {
    let mut fields = Map::new();
    let required: Vec<&str> = source["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (field, property) in sorted(&source["properties"]) {
        let kind = type_name(property).with_context(|| format!("{name}.{field}"))?;
        let mut row = Map::new();
        row.insert("type".into(), json!(kind));
        let is_required = required.contains(&field.as_str());
        if is_required {
            row.insert("required".into(), json!(true));
        }
        for (key, extension) in [
            ("listType", "x-kubernetes-list-type"),
            ("listMapKeys", "x-kubernetes-list-map-keys"),
            ("mapType", "x-kubernetes-map-type"),
            ("patchStrategy", "x-kubernetes-patch-strategy"),
            ("patchMergeKey", "x-kubernetes-patch-merge-key"),
        ] {
            if !property[extension].is_null() {
                row.insert(key.into(), property[extension].clone());
            }
        }
        let mut visited = Vec::new();
        match number_path(name, field, messages, &mut visited) {
            Some((path, message)) => {
                row.insert("number".into(), json!(path));
                // A list as a map value needs a message around it on the wire.
                if kind.starts_with("{}[]") && message.is_some() {
                    row.insert("wrapped".into(), json!(true));
                }
            }
            None if field != "apiVersion" && field != "kind" => without_number.push(format!("{name}.{field}")),
            None => {}
        }
        if !is_required && zero_is_absent(name, field, &kind) {
            row.insert("zeroIsAbsent".into(), json!(true));
        }
        fields.insert(field.clone(), Value::Object(row));
    }
    let mut row = Map::new();
    row.insert("fields".into(), Value::Object(fields));
    let kinds: Vec<Value> = source["x-kubernetes-group-version-kind"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|k| groups.contains(&format!("{}/{}", k["group"], k["version"])))
        .map(|k| json!([k["group"], k["version"], k["kind"]]))
        .collect();
    if !kinds.is_empty() {
        row.insert("kinds".into(), Value::Array(kinds));
    }
    for (key, extension) in [("mapType", "x-kubernetes-map-type"), ("unions", "x-kubernetes-unions")] {
        if !source[extension].is_null() {
            row.insert(key.into(), source[extension].clone());
        }
    }
    Ok(Value::Object(row))
}

/// The type in the notation of the data file: a scalar, `#Definition`, `[]` before the element type, `{}` before the value type.
fn type_name(property: &Value) -> Result<String> {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        return Ok(VALUES.iter().find(|(value, _)| *value == name).map_or_else(|| format!("#{name}"), |(_, kind)| (*kind).to_owned()));
    }
    let plain_type = property["type"].as_str().or_else(|| property["type"][0].as_str()).context("no type")?;
    Ok(match (plain_type, property["format"].as_str()) {
        ("string", Some("byte")) => "bytes".to_owned(),
        ("string", None) => "string".to_owned(),
        ("boolean", None) => "bool".to_owned(),
        ("integer", Some(format @ ("int32" | "int64"))) => format.to_owned(),
        ("number", Some("double")) => "double".to_owned(),
        ("array", None) => format!("[]{}", type_name(&property["items"])?),
        ("object", None) if property["additionalProperties"].is_object() => {
            format!("{{}}{}", type_name(&property["additionalProperties"])?)
        }
        other => bail!("a type that is not known: {other:?}"),
    })
}

/// The numbers that lead to a field: one, or more when the JSON form flattens a message that the protobuf form nests (`Volume.volumeSource`).
fn number_path(message: &str, field: &str, messages: &Messages, visited: &mut Vec<String>) -> Option<(Vec<u32>, Option<String>)> {
    let message = &message.to_ascii_lowercase();
    if visited.contains(message) {
        return None;
    }
    visited.push(message.clone());
    let fields = messages.get(message)?;
    let wanted = plain(field);
    if let Some(found) = fields.iter().find(|f| f.plain_name == wanted) {
        return Some((vec![found.number], found.message.clone()));
    }
    for nested in fields.iter().filter(|f| FLATTENED.contains(&f.plain_name.as_str())) {
        let inner = nested.message.as_ref()?;
        if let Some((mut path, value)) = number_path(inner, field, messages, visited) {
            path.insert(0, nested.number);
            return Some((path, value));
        }
    }
    None
}

/// Nested messages whose fields the JSON form shows in the parent (names in the form of `wire_numbers::plain`).
const FLATTENED: &[&str] = &["volumesource", "persistentvolumesource", "handler", "ephemeralcontainercommon", "localobjectreference"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire_numbers::WireField;

    #[test]
    fn types_in_the_notation_of_the_data_file() {
        let rows = [
            (json!({"type": ["string", "null"]}), "string"),
            (json!({"type": "string", "format": "byte"}), "bytes"),
            (json!({"type": "array", "items": {"$ref": "#/$defs/io.k8s.A"}}), "[]#io.k8s.A"),
            (json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}), "{}[]string"),
            (json!({"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.Time"}), "time"),
        ];
        for (property, expected) in rows {
            assert_eq!(type_name(&property).unwrap(), expected);
        }
        assert!(type_name(&json!({"type": "integer"})).is_err());
    }

    #[test]
    fn a_field_of_a_flattened_message_has_a_path() {
        let field =
            |name: &str, number, message: Option<&str>| WireField { plain_name: name.into(), number, message: message.map(Into::into) };
        let messages = Messages::from([
            ("io.k8s.volume".to_owned(), vec![field("name", 1, None), field("volumesource", 2, Some("io.k8s.volumesource"))]),
            ("io.k8s.volumesource".to_owned(), vec![field("emptydir", 7, Some("io.k8s.emptydir"))]),
        ]);
        let path = |name: &str| number_path("io.k8s.Volume", name, &messages, &mut Vec::new()).map(|(path, _)| path);
        assert_eq!(path("name"), Some(vec![1]));
        assert_eq!(path("emptyDir"), Some(vec![2, 7]));
        assert_eq!(path("other"), None);
    }
}
