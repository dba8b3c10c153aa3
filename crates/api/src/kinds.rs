//! The one registry of kinds. Routes, codecs, tables, field selectors, discovery and OpenAPI are driven by it: adding a kind is one place.
//!
//! In: nothing. Out: static rows that describe each served kind. Never: a kind whose controller or store does not exist yet
//! (a published resource that does nothing would be a silent promise).

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Inside one namespace.
    Namespaced,
    /// Beside the namespaces.
    Cluster,
}

/// What DELETE does when no propagation policy is given (spec/api.md 6.6, point 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents stay and lose their owner reference.
    Orphan,
    /// The object goes at once, dependents afterwards.
    Background,
    /// Dependents go first.
    Foreground,
}

/// One served kind.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// "" for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `Job`.
    pub kind: &'static str,
    /// `jobs`: the resource name in URLs.
    pub plural: &'static str,
    /// `job`.
    pub singular: &'static str,
    /// `po` for pods.
    pub short_names: &'static [&'static str],
    /// `all` where `kubectl get all` shows the kind.
    pub categories: &'static [&'static str],
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// Name in the schema, e.g. `io.k8s.api.batch.v1.Job`.
    pub definition: &'static str,
    /// Paths below one object.
    pub subresources: &'static [Subresource],
    /// DELETE without a policy.
    pub default_propagation: Propagation,
    /// DELETE is graceful (Pods only).
    pub graceful: bool,
    /// PUT without resourceVersion is allowed (not for Leases).
    pub unconditional_update: bool,
    /// DELETE answers with the object instead of a Status (pods, services, serviceaccounts, namespaces, ...).
    pub delete_returns_object: bool,
    /// Field labels beside metadata.name and metadata.namespace: (label, JSON pointer into the object).
    pub field_labels: &'static [(&'static str, &'static str)],
    /// metadata.generation is kept.
    pub has_generation: bool,
}

/// A path below one object, such as `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `log`, `binding`, `eviction`, ...
    pub name: &'static str,
    /// Verbs as discovery prints them.
    pub verbs: &'static [&'static str],
    /// (group, version, kind) in discovery when it differs from the parent's.
    pub response_kind: Option<(&'static str, &'static str, &'static str)>,
}

/// Verbs of every served kind's main resource, in discovery order (spec/api.md 3.3).
pub const STANDARD_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Kind {
    /// `v1` or `batch/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }
    /// `jobs.batch`, `pods`: how messages name the resource.
    pub fn qualified_resource(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }
    /// `Job.batch`, `Pod`: how messages name the kind.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }
    /// Whether objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
    /// The subresource of that name, if the kind has it.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
    /// Verbs of the main resource.
    pub fn verbs(&self) -> &'static [&'static str] {
        STANDARD_VERBS
    }
}

const STATUS: Subresource = Subresource { name: "status", verbs: &["get", "patch", "update"], response_kind: None };

/// What most kinds share; each row overrides what differs.
const PLAIN: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    definition: "",
    subresources: &[],
    default_propagation: Propagation::Background,
    graceful: false,
    unconditional_update: true,
    delete_returns_object: false,
    field_labels: &[],
    has_generation: false,
};

/// Field labels as in spec/api.md 6.5.
static KINDS: &[Kind] = &[
    Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        definition: "io.k8s.api.core.v1.ConfigMap",
        ..PLAIN
    },
    Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        definition: "io.k8s.api.core.v1.Event",
        field_labels: &[
            ("involvedObject.kind", "/involvedObject/kind"),
            ("involvedObject.namespace", "/involvedObject/namespace"),
            ("involvedObject.name", "/involvedObject/name"),
            ("involvedObject.uid", "/involvedObject/uid"),
            ("involvedObject.apiVersion", "/involvedObject/apiVersion"),
            ("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
            ("involvedObject.fieldPath", "/involvedObject/fieldPath"),
            ("reason", "/reason"),
            ("reportingComponent", "/reportingComponent"),
            ("source", "/source/component"),
            ("type", "/type"),
        ],
        ..PLAIN
    },
    Kind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        scope: Scope::Cluster,
        definition: "io.k8s.api.core.v1.Namespace",
        subresources: &[STATUS, Subresource { name: "finalize", verbs: &["update"], response_kind: None }],
        delete_returns_object: true,
        field_labels: &[("status.phase", "/status/phase")],
        ..PLAIN
    },
    Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        scope: Scope::Cluster,
        definition: "io.k8s.api.core.v1.Node",
        subresources: &[STATUS],
        field_labels: &[("spec.unschedulable", "/spec/unschedulable")],
        ..PLAIN
    },
    Kind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        definition: "io.k8s.api.core.v1.Pod",
        subresources: &[
            STATUS,
            Subresource { name: "log", verbs: &["get"], response_kind: None },
            Subresource { name: "binding", verbs: &["create"], response_kind: Some(("", "v1", "Binding")) },
        ],
        graceful: true,
        delete_returns_object: true,
        field_labels: &[
            ("spec.nodeName", "/spec/nodeName"),
            ("spec.host", "/spec/nodeName"),
            ("spec.restartPolicy", "/spec/restartPolicy"),
            ("spec.schedulerName", "/spec/schedulerName"),
            ("spec.serviceAccountName", "/spec/serviceAccountName"),
            ("spec.hostNetwork", "/spec/hostNetwork"),
            ("status.phase", "/status/phase"),
            ("status.podIP", "/status/podIP"),
            ("status.podIPs", "/status/podIPs"),
            ("status.nominatedNodeName", "/status/nominatedNodeName"),
        ],
        has_generation: true,
        ..PLAIN
    },
    Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        definition: "io.k8s.api.core.v1.Secret",
        field_labels: &[("type", "/type")],
        ..PLAIN
    },
    Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        definition: "io.k8s.api.core.v1.ServiceAccount",
        delete_returns_object: true,
        ..PLAIN
    },
    Kind {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        singular: "job",
        categories: &["all"],
        definition: "io.k8s.api.batch.v1.Job",
        subresources: &[STATUS],
        default_propagation: Propagation::Orphan,
        field_labels: &[("status.successful", "/status/succeeded")],
        has_generation: true,
        ..PLAIN
    },
    Kind {
        group: "batch",
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short_names: &["cj"],
        categories: &["all"],
        definition: "io.k8s.api.batch.v1.CronJob",
        subresources: &[STATUS],
        has_generation: true,
        ..PLAIN
    },
    Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        definition: "io.k8s.api.coordination.v1.Lease",
        unconditional_update: false,
        ..PLAIN
    },
];

/// All kinds in discovery order (core first).
pub fn kinds() -> &'static [Kind] {
    KINDS
}
/// By URL: group, version, plural.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    kinds().iter().find(|k| k.group == group && k.version == version && k.plural == plural)
}
/// By what a manifest says: apiVersion and kind.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    kinds().iter().find(|k| k.kind == kind && k.api_version() == api_version)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_unique_and_found_both_ways() {
        let mut seen = BTreeSet::new();
        for kind in kinds() {
            assert!(seen.insert((kind.group, kind.version, kind.plural)), "{} twice", kind.plural);
            assert_eq!(by_resource(kind.group, kind.version, kind.plural).unwrap().kind, kind.kind);
            assert_eq!(by_kind(&kind.api_version(), kind.kind).unwrap().plural, kind.plural);
            assert!(kind.definition.ends_with(&format!(".{}", kind.kind)));
            assert_eq!(kind.singular, kind.kind.to_lowercase());
        }
        assert!(by_kind("batch/v1beta1", "CronJob").is_none(), "only what is served");
    }

    #[test]
    fn core_comes_first() {
        let first_other = kinds().iter().position(|k| !k.group.is_empty()).unwrap();
        assert!(kinds()[first_other..].iter().all(|k| !k.group.is_empty()));
    }

    #[test]
    fn names_in_messages() {
        let job = by_kind("batch/v1", "Job").unwrap();
        assert_eq!((job.qualified_resource().as_str(), job.qualified_kind().as_str()), ("jobs.batch", "Job.batch"));
        assert_eq!(job.default_propagation, Propagation::Orphan);
        let cron_job = by_kind("batch/v1", "CronJob").unwrap();
        assert_eq!((cron_job.short_names, cron_job.default_propagation), (&["cj"][..], Propagation::Background));
        let pod = by_kind("v1", "Pod").unwrap();
        assert_eq!((pod.qualified_resource().as_str(), pod.qualified_kind().as_str()), ("pods", "Pod"));
        assert!(pod.graceful && pod.subresource("log").is_some() && pod.subresource("exec").is_none());
        assert!(!by_kind("coordination.k8s.io/v1", "Lease").unwrap().unconditional_update);
    }
}
