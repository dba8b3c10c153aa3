//! What the server serves: discovery documents -> the resource a word of the command line means.
//!
//! In: `/api/v1`, `/apis` and the groups' documents. Out: `Resource` values and their paths. Never: a built-in list of kinds.

use crate::{
    failure::Failure,
    server::{Server, escape},
};
use serde_json::Value;

/// One resource as published by discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub namespaced: bool,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub verbs: Vec<String>,
}

impl Resource {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The collection's path; `namespace` None means all namespaces.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        match namespace {
            Some(namespace) if self.namespaced => format!("{root}/namespaces/{}/{}", escape(namespace), self.plural),
            _ => format!("{root}/{}", self.plural),
        }
    }

    /// One object's path.
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(Some(namespace)), escape(name))
    }

    /// `job.batch`, `pod`: how kubectl writes a type before `/NAME`.
    pub fn full_singular(&self) -> String {
        if self.group.is_empty() { self.singular.clone() } else { format!("{}.{}", self.singular, self.group) }
    }

    /// `jobs.batch`, `pods`.
    pub fn full_plural(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn is_called(&self, word: &str) -> bool {
        let word = word.to_ascii_lowercase();
        word == self.plural || word == self.singular || word == self.kind.to_ascii_lowercase() || self.short_names.contains(&word)
    }
}

/// Everything the server publishes, core group first, then in the server's order.
#[derive(Debug, Clone, Default)]
pub struct Resources(pub Vec<Resource>);

impl Resources {
    /// Reads the discovery documents. A group that cannot be read is left out: others still work.
    pub async fn discover(server: &Server) -> Result<Self, Failure> {
        let mut all = parse("", "v1", &server.get("/api/v1").await?);
        let groups = server.get("/apis").await?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            let name = group["name"].as_str().unwrap_or_default();
            let preferred = group["preferredVersion"]["version"].as_str();
            let version = preferred.or_else(|| group["versions"][0]["version"].as_str()).unwrap_or_default();
            if let Ok(document) = server.get(&format!("/apis/{}/{}", escape(name), escape(version))).await {
                all.extend(parse(name, version, &document));
            }
        }
        Ok(Self(all))
    }

    /// `jobs`, `job`, `po`, `jobs.batch`, `jobs.v1.batch`.
    pub fn find(&self, word: &str) -> Result<&Resource, Failure> {
        let (name, group) = word.split_once('.').map_or((word, None), |(name, group)| (name, Some(group)));
        let in_group = |resource: &&Resource| match group {
            None => true,
            Some(group) => resource.group == group || format!("{}.{}", resource.version, resource.group).trim_end_matches('.') == group,
        };
        self.0
            .iter()
            .filter(in_group)
            .find(|resource| resource.is_called(name))
            .ok_or_else(|| Failure::usage(format!("the server doesn't have a resource type {word:?}")))
    }

    /// The resources of a category (`all`), or the one resource the word means.
    pub fn find_all(&self, word: &str) -> Result<Vec<&Resource>, Failure> {
        let category: Vec<_> =
            self.0.iter().filter(|r| r.categories.iter().any(|c| c == word) && r.verbs.iter().any(|v| v == "list")).collect();
        if category.is_empty() { Ok(vec![self.find(word)?]) } else { Ok(category) }
    }

    /// By the `apiVersion` and `kind` of a manifest.
    pub fn of_object(&self, object: &Value) -> Result<&Resource, Failure> {
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        self.0
            .iter()
            .find(|r| r.api_version() == api_version && r.kind == kind)
            .ok_or_else(|| Failure::usage(format!("no matches for kind {kind:?} in version {api_version:?}: the server does not serve it")))
    }
}

fn parse(group: &str, version: &str, document: &Value) -> Vec<Resource> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let mut found = Vec::new();
    for entry in document["resources"].as_array().into_iter().flatten() {
        let plural = text(&entry["name"]);
        // Sub-resources are reached through their objects.
        if plural.is_empty() || plural.contains('/') {
            continue;
        }
        let kind = text(&entry["kind"]);
        let singular = Some(text(&entry["singularName"])).filter(|s| !s.is_empty()).unwrap_or_else(|| kind.to_ascii_lowercase());
        found.push(Resource {
            group: group.to_string(),
            version: version.to_string(),
            plural,
            singular,
            kind,
            namespaced: entry["namespaced"].as_bool().unwrap_or(false),
            short_names: texts(&entry["shortNames"]),
            categories: texts(&entry["categories"]),
            verbs: texts(&entry["verbs"]),
        });
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn some() -> Resources {
        let core = json!({"resources": [
            {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": true, "shortNames": ["po"], "categories": ["all"], "verbs": ["list"]},
            {"name": "pods/log", "singularName": "", "kind": "Pod", "namespaced": true},
            {"name": "events", "singularName": "event", "kind": "Event", "namespaced": true, "shortNames": ["ev"]},
            {"name": "nodes", "singularName": "", "kind": "Node", "namespaced": false, "shortNames": ["no"]},
        ]});
        let batch = json!({"resources": [
            {"name": "jobs", "singularName": "job", "kind": "Job", "namespaced": true, "categories": ["all"], "verbs": ["list", "get"]},
        ]});
        let mut all = parse("", "v1", &core);
        all.extend(parse("batch", "v1", &batch));
        Resources(all)
    }

    #[test]
    fn words() {
        let resources = some();
        for (word, expected) in [
            ("jobs", Some("jobs.batch")),
            ("job", Some("jobs.batch")),
            ("Job", Some("jobs.batch")),
            ("jobs.batch", Some("jobs.batch")),
            ("job.v1.batch", Some("jobs.batch")),
            ("jobs.v2.batch", None),
            ("jobs.apps", None),
            ("po", Some("pods")),
            ("pods.v1", Some("pods")),
            ("node", Some("nodes")),
            ("pods/log", None),
            ("", None),
            ("nonsense", None),
        ] {
            assert_eq!(resources.find(word).ok().map(Resource::full_plural).as_deref(), expected, "{word}");
        }
        let names: Vec<_> = resources.find_all("all").ok().into_iter().flatten().map(|r| r.plural.clone()).collect();
        assert_eq!(names, ["pods", "jobs"]);
    }

    #[test]
    fn paths() {
        let resources = some();
        for (word, namespace, expected) in [
            ("job", Some("a"), "/apis/batch/v1/namespaces/a/jobs"),
            ("job", None, "/apis/batch/v1/jobs"),
            ("pod", Some("a"), "/api/v1/namespaces/a/pods"),
            ("node", Some("a"), "/api/v1/nodes"),
        ] {
            assert_eq!(resources.find(word).map(|r| r.collection(namespace)).ok().as_deref(), Some(expected));
        }
    }
}
