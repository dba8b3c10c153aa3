//! The schema of every served type: fields, types, list and patch strategies, protobuf numbers.
//! In: the data file that `cargo xtask schema` writes (`schema/kubernetes.json`, embedded; its origin is in NOTICE). Out: typed, static look-ups.
//! Never: a look-up that depends on which kinds are registered, and no descriptions (only `openapi` pays for those).

mod load;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

/// One object type, e.g. `io.k8s.api.batch.v1.JobSpec`.
#[derive(Debug)]
pub struct Definition {
    /// Full name.
    pub name: String,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// The (group, version, kind) triples that name this type in `apiVersion` and `kind`.
    pub kinds: Vec<(String, String, String)>,
    /// `x-kubernetes-map-type: atomic`: server-side apply replaces the whole object.
    pub atomic: bool,
    /// `x-kubernetes-unions`, as published; null when there are none.
    pub unions: Value,
    /// What each protobuf field number of this message is.
    pub numbers: BTreeMap<u32, Number>,
}

impl Definition {
    /// The field of that exact JSON name (names are case-sensitive).
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok().map(|index| &self.fields[index])
    }

    /// `JobSpec`: the last part of the name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// `v1.JobSpec`: how error messages name the type.
    pub fn type_name(&self) -> String {
        let mut parts = self.name.rsplit('.');
        let short = parts.next().unwrap_or_default();
        format!("{}.{short}", parts.next().unwrap_or_default())
    }
}

/// What a protobuf field number stands for.
#[derive(Debug)]
pub enum Number {
    /// An index into [`Definition::fields`].
    Field(usize),
    /// A nested message whose fields the JSON form shows in the parent (`Volume.volumeSource`).
    Flattened(BTreeMap<u32, Number>),
}

/// One field of a definition.
#[derive(Debug)]
pub struct Field {
    /// JSON name.
    pub name: String,
    pub field_type: Type,
    /// Always present in a valid object.
    pub required: bool,
    /// A zero (`""`, `0`, `false`) in a protobuf body means "not set".
    pub zero_is_absent: bool,
    /// Protobuf: map values are wrapped in a message with one repeated field.
    pub wrapped: bool,
    /// How server-side apply treats a list; `Atomic` when nothing is declared.
    pub list_type: ListType,
    /// `x-kubernetes-map-type: atomic` on the field itself.
    pub atomic_map: bool,
    /// True when the data declares a list type (OpenAPI repeats only what is declared).
    pub list_type_declared: bool,
    /// True when the data declares a map type on the field.
    pub map_type_declared: bool,
    /// Strategic merge patch.
    pub patch: PatchStrategy,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType {
    Atomic,
    Set,
    /// With the keys that identify an element.
    Map(Vec<String>),
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged by `merge_key`, or as sets of scalars without one.
    pub merge: bool,
    /// Maps are replaced instead of merged.
    pub replace: bool,
    /// Clients send `$retainKeys` for this object or for the elements of this list.
    pub retain_keys: bool,
    pub merge_key: Option<String>,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    String,
    Int32,
    Int64,
    Double,
    Bool,
    /// Base64 text in JSON.
    Bytes,
    /// RFC 3339, whole seconds.
    Time,
    /// RFC 3339, microseconds.
    MicroTime,
    Quantity,
    IntOrString,
    /// Any JSON value (managed fields, embedded objects).
    Any,
    Object(DefinitionId),
    List(Box<Type>),
    /// Keys are strings.
    Map(Box<Type>),
}

/// A definition by its place in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinitionId(usize);

impl DefinitionId {
    /// The definition itself.
    pub fn get(self) -> &'static Definition {
        &schema().definitions[self.0]
    }
}

struct Schema {
    definitions: Vec<Definition>,
    by_name: BTreeMap<String, usize>,
    by_kind: BTreeMap<(String, String, String), usize>,
}

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(load::load)
}

/// The definition of that full name.
pub fn definition(name: &str) -> Option<&'static Definition> {
    let schema = schema();
    schema.by_name.get(name).map(|index| &schema.definitions[*index])
}

/// The definition that `apiVersion` and `kind` name, registered or not (`v1`/`DeleteOptions`, `policy/v1`/`Eviction`).
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Definition> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let schema = schema();
    let key = (group.to_owned(), version.to_owned(), kind.to_owned());
    schema.by_kind.get(&key).map(|index| &schema.definitions[*index])
}

/// All definitions in alphabetical order.
pub fn definitions() -> &'static [Definition] {
    &schema().definitions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Definition, field, merge key, list keys.
    type Row = (&'static str, &'static str, Option<&'static str>, Option<&'static [&'static str]>);

    /// Rows of the table in spec/api.md 6.9.
    const STRATEGIES: &[Row] = &[
        ("io.k8s.api.core.v1.PodSpec", "containers", Some("name"), Some(&["name"])),
        ("io.k8s.api.core.v1.Container", "ports", Some("containerPort"), Some(&["containerPort", "protocol"])),
        ("io.k8s.api.core.v1.Container", "volumeMounts", Some("mountPath"), Some(&["mountPath"])),
        ("io.k8s.api.core.v1.PodSpec", "volumes", Some("name"), Some(&["name"])),
        ("io.k8s.api.batch.v1.JobStatus", "conditions", Some("type"), None),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", Some("uid"), Some(&["uid"])),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", None, None),
    ];

    #[test]
    fn strategies_match_the_specification() {
        for (name, field, merge_key, list_keys) in STRATEGIES {
            let field = definition(name).unwrap().field(field).unwrap();
            assert!(field.patch.merge, "{name}.{}", field.name);
            assert_eq!(field.patch.merge_key.as_deref(), *merge_key, "{name}.{}", field.name);
            match (list_keys, &field.list_type) {
                (Some(expected), ListType::Map(keys)) => assert_eq!(keys, expected),
                (None, ListType::Atomic | ListType::Set) => {}
                other => panic!("{name}.{}: {other:?}", field.name),
            }
        }
        assert!(definition("io.k8s.api.core.v1.PodSpec").unwrap().field("volumes").unwrap().patch.retain_keys);
        assert!(definition("io.k8s.api.core.v1.ObjectReference").unwrap().atomic);
    }

    #[test]
    fn every_registered_kind_has_a_definition_that_knows_its_kind() {
        for kind in crate::kinds::kinds() {
            let found = by_kind(&kind.api_version(), kind.kind).unwrap_or_else(|| panic!("no definition for {}", kind.kind));
            assert_eq!(found.name, kind.definition);
        }
        assert_eq!(by_kind("v1", "DeleteOptions").unwrap().short_name(), "DeleteOptions");
        assert!(by_kind("batch/v1", "Nothing").is_none());
    }

    #[test]
    fn zeros_that_are_wishes_are_told_from_zeros_that_are_not() {
        let zero = |name: &str, field: &str| definition(name).unwrap().field(field).unwrap().zero_is_absent;
        assert!(!zero("io.k8s.api.batch.v1.JobSpec", "backoffLimit"));
        assert!(!zero("io.k8s.api.batch.v1.JobSpec", "suspend"));
        assert!(zero("io.k8s.api.batch.v1.JobStatus", "active"));
        assert!(zero("io.k8s.api.core.v1.ContainerPort", "hostPort"));
        assert!(!zero("io.k8s.api.core.v1.ContainerPort", "containerPort"));
    }
}
