//! The `paths` of a document. In: one registered kind. Out: its paths with one operation per verb, each with the query parameters that the server
//! takes. kubectl decides by the PATCH operation's `fieldValidation` parameter that the server validates fields.

use serde_json::{Map, Value, json};

use super::schemas::{Components, PATCH};
use crate::kinds::{Kind, Subresource};
use crate::schema;

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// (name, type, what it does) of query parameters.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "If 'true', then the output is pretty printed.");
const DRY_RUN: Parameter = ("dryRun", "string", "`All`: every step of the request is done, but nothing is stored.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "The name of the program or person that makes the change; at most 128 printable characters.");
const FIELD_VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What happens with unknown and duplicate fields: `Ignore` drops them, `Warn` (the default) also warns, `Strict` refuses the request.",
);
const FORCE: Parameter = ("force", "boolean", "Apply only: take fields over that another manager owns.");

const LIST: &[Parameter] = &[
    ("allowWatchBookmarks", "boolean", "Watches only: send events of type BOOKMARK from time to time."),
    ("continue", "string", "The token of a previous page."),
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
    ("limit", "integer", "The most objects of one page."),
    ("resourceVersion", "string", "The revision to list at or to watch from."),
    ("resourceVersionMatch", "string", "How `resourceVersion` is meant in a list: `NotOlderThan` or `Exact`."),
    ("sendInitialEvents", "boolean", "Watches only: begin with the objects that exist, then a bookmark."),
    ("timeoutSeconds", "integer", "When the call ends, whatever happens."),
    ("watch", "boolean", "Stream changes instead of listing."),
];

const DELETE: &[Parameter] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds before the object goes; 0 means at once."),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    ("propagationPolicy", "string", "What happens to dependents: `Orphan`, `Background` or `Foreground`."),
];

/// What one operation is about.
struct Target<'k> {
    kind: &'k Kind,
    /// `Status` in `readJobStatus`; empty for the main resource.
    suffix: String,
    definition: String,
    /// group, version, kind of the body.
    body: (String, String, String),
}

/// Adds the paths of a kind. `root` is `/api/v1` or `/apis/batch/v1`.
pub(super) fn of_kind(root: &str, kind: &Kind, components: &mut Components, paths: &mut Map<String, Value>) {
    let main = Target {
        kind,
        suffix: String::new(),
        definition: kind.definition.to_owned(),
        body: (kind.group.to_owned(), kind.version.to_owned(), kind.kind.to_owned()),
    };
    let collection =
        if kind.namespaced() { format!("{root}/namespaces/{{namespace}}/{}", kind.plural) } else { format!("{root}/{}", kind.plural) };
    let named = format!("{collection}/{{name}}");

    let mut operations = Map::new();
    operations.insert("get".into(), list(&main, false, components));
    operations.insert("post".into(), write(&main, "post", components));
    operations.insert("delete".into(), delete(&main, true, components));
    operations.insert("parameters".into(), path_parameters(kind, false));
    paths.insert(collection, Value::Object(operations));

    let mut operations = Map::new();
    operations.insert("get".into(), read(&main, components));
    operations.insert("put".into(), write(&main, "put", components));
    operations.insert("patch".into(), write(&main, "patch", components));
    operations.insert("delete".into(), delete(&main, false, components));
    operations.insert("parameters".into(), path_parameters(kind, true));
    paths.insert(named.clone(), Value::Object(operations));

    for subresource in kind.subresources {
        paths.insert(format!("{named}/{}", subresource.name), subresource_operations(kind, subresource, components));
    }
    if kind.namespaced() {
        let mut operations = Map::new();
        operations.insert("get".into(), list(&main, true, components));
        paths.insert(format!("{root}/{}", kind.plural), Value::Object(operations));
    }
}

fn subresource_operations(kind: &Kind, subresource: &Subresource, components: &mut Components) -> Value {
    let (group, version, body_kind) = subresource.response_kind.unwrap_or((kind.group, kind.version, kind.kind));
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let definition = schema::by_kind(&api_version, body_kind).map_or(kind.definition, |found| found.name.as_str());
    let mut suffix = subresource.name.to_owned();
    if let Some(first) = suffix.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    let target =
        Target { kind, suffix, definition: definition.to_owned(), body: (group.to_owned(), version.to_owned(), body_kind.to_owned()) };
    let mut operations = Map::new();
    for verb in subresource.verbs {
        match *verb {
            "get" if subresource.name == "log" => {
                operations.insert("get".into(), log(&target));
            }
            "get" => {
                operations.insert("get".into(), read(&target, components));
            }
            "create" => {
                operations.insert("post".into(), write(&target, "post", components));
            }
            "update" => {
                operations.insert("put".into(), write(&target, "put", components));
            }
            "patch" => {
                operations.insert("patch".into(), write(&target, "patch", components));
            }
            _ => {}
        }
    }
    operations.insert("parameters".into(), path_parameters(kind, true));
    Value::Object(operations)
}

fn path_parameters(kind: &Kind, named: bool) -> Value {
    let parameter = |name: &str, description: String| json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string"}});
    let mut parameters = Vec::new();
    if named {
        parameters.push(parameter("name", format!("name of the {}", kind.kind)));
    }
    if kind.namespaced() {
        parameters.push(parameter("namespace", "the namespace of the object".to_owned()));
    }
    parameters.push(query(&PRETTY));
    Value::Array(parameters)
}

fn query((name, kind, description): &Parameter) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": kind}})
}

fn queries(parameters: &[Parameter]) -> Value {
    parameters.iter().map(query).collect()
}

/// What every operation says about itself.
fn operation(target: &Target, verb: &str, action: &str, description: &str) -> Map<String, Value> {
    let kind = target.kind;
    let scope = if kind.namespaced() { "Namespaced" } else { "" };
    let mut group = kind.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core").to_owned();
    if let Some(first) = group.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    let version = format!("{}{}", kind.version[..1].to_ascii_uppercase(), &kind.version[1..]);
    let tag = format!("{}_{}", group.to_ascii_lowercase(), kind.version);
    let (body_group, body_version, body_kind) = &target.body;
    let value = json!({
        "tags": [tag],
        "description": description,
        "operationId": format!("{verb}{group}{version}{scope}{}{}", kind.kind, target.suffix),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": body_group, "version": body_version, "kind": body_kind},
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn json_response(schema: &Value) -> Value {
    json!({"description": "OK", "content": {"application/json": {"schema": schema}}})
}

fn read(target: &Target, components: &mut Components) -> Value {
    let mut operation = operation(target, "read", "get", &format!("read the specified {}", target.kind.kind));
    operation.insert("responses".into(), json!({"200": json_response(&components.reference(&target.definition))}));
    Value::Object(operation)
}

fn list(target: &Target, all_namespaces: bool, components: &mut Components) -> Value {
    let mut operation = operation(target, "list", "list", &format!("list or watch objects of kind {}", target.kind.kind));
    if all_namespaces && let Some(Value::String(id)) = operation.get_mut("operationId") {
        *id = id.replacen("Namespaced", "", 1) + "ForAllNamespaces";
    }
    operation.insert("parameters".into(), queries(LIST));
    let name = format!("{}List", target.definition);
    let list = schema::definition(&name).map_or_else(|| json!({"type": "object"}), |found| components.reference(&found.name));
    operation.insert("responses".into(), json!({"200": json_response(&list)}));
    Value::Object(operation)
}

fn write(target: &Target, method: &str, components: &mut Components) -> Value {
    let (verb, description) = match method {
        "post" => ("create", "create"),
        "put" => ("replace", "replace the specified"),
        _ => ("patch", "partially update the specified"),
    };
    let mut operation = operation(target, verb, method, &format!("{description} {}", target.body.2));
    let object = components.reference(&target.definition);
    let mut parameters = vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
    let content = if method == "patch" {
        parameters.push(FORCE);
        let patch = components.reference(PATCH);
        // Only what the server takes: server-side apply is not built yet and answered with 415.
        let types = ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
        Value::Object(types.iter().map(|name| ((*name).to_owned(), json!({"schema": patch}))).collect())
    } else {
        json!({"*/*": {"schema": object}})
    };
    operation.insert("parameters".into(), queries(&parameters));
    operation.insert("requestBody".into(), json!({"required": true, "content": content}));
    let mut responses = Map::new();
    let codes: &[&str] = if method == "post" { &["200", "201", "202"] } else { &["200", "201"] };
    for code in codes {
        responses.insert((*code).to_owned(), json_response(&object));
    }
    operation.insert("responses".into(), Value::Object(responses));
    Value::Object(operation)
}

fn delete(target: &Target, collection: bool, components: &mut Components) -> Value {
    let (verb, action) = if collection { ("deleteCollection", "deletecollection") } else { ("delete", "delete") };
    let what = if collection { "delete collection of" } else { "delete a" };
    let mut operation = operation(target, verb, action, &format!("{what} {}", target.kind.kind));
    let selectors: &[Parameter] = if collection { LIST } else { &[] };
    let parameters: Vec<Parameter> =
        DELETE.iter().chain(selectors.iter().filter(|(name, ..)| !matches!(*name, "watch" | "allowWatchBookmarks"))).copied().collect();
    operation.insert("parameters".into(), queries(&parameters));
    operation.insert("requestBody".into(), json!({"content": {"*/*": {"schema": components.reference(DELETE_OPTIONS)}}}));
    let answer = if target.kind.delete_returns_object && !collection { target.definition.as_str() } else { STATUS };
    let answer = json_response(&components.reference(answer));
    operation.insert("responses".into(), json!({"200": answer, "202": answer}));
    Value::Object(operation)
}

fn log(target: &Target) -> Value {
    let mut operation = operation(target, "read", "get", "read log of the specified Pod");
    operation.insert(
        "parameters".into(),
        queries(&[
            ("container", "string", "The container; may be left out when there is only one."),
            ("follow", "boolean", "Stream until the container ends."),
            ("limitBytes", "integer", "The most bytes to send."),
            ("previous", "boolean", "The log of the previous run."),
            ("sinceSeconds", "integer", "Only lines of the last seconds."),
            ("sinceTime", "string", "Only lines since that RFC 3339 time."),
            ("tailLines", "integer", "Only the last lines."),
            ("timestamps", "boolean", "Begin each line with its time."),
        ]),
    );
    operation.insert("responses".into(), json!({"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}}));
    Value::Object(operation)
}
