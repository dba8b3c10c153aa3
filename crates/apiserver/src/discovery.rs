//! Discovery (spec/api.md 3): which groups, versions and resources there are.
//!
//! In: the registry of kinds. Out: legacy and aggregated documents, made once at start. Never: a resource that is not served.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use piecework_api::{
    kinds::{self, Kind},
    status::Status,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    failure::{Failure, Outcome},
    negotiation, respond,
    reviews::{self, VirtualResource},
};

const AGGREGATED_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// A document with its ETag.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    content_type: &'static str,
    body: Bytes,
    etag: HeaderValue,
}

/// All discovery documents of one server.
#[derive(Debug)]
pub(crate) struct Documents {
    core: Family,
    groups: Family,
}

/// One path in its three forms.
#[derive(Debug)]
struct Family {
    legacy: Document,
    v2: Document,
    v2beta1: Document,
}

impl Document {
    pub(crate) fn new(content_type: &'static str, body: Vec<u8>) -> Self {
        let digest = hex::encode_upper(&Sha256::digest(&body)[..]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
        Document { content_type, body: Bytes::from(body), etag }
    }

    fn json(content_type: &'static str, value: &Value) -> Self {
        Document::new(content_type, value.to_string().into_bytes())
    }

    /// 200, or 304 when the client has this very document.
    pub(crate) fn response(&self, headers: &HeaderMap) -> Response<Body> {
        let same = headers.get(header::IF_NONE_MATCH).is_some_and(|sent| sent == self.etag);
        let (code, body) = if same { (StatusCode::NOT_MODIFIED, Bytes::new()) } else { (StatusCode::OK, self.body.clone()) };
        let mut response = respond::with_type(code, self.content_type, body);
        response.headers_mut().insert(header::ETAG, self.etag.clone());
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        response
    }
}

impl Documents {
    pub(crate) fn new(advertise: &str) -> Self {
        let versions = json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": advertise}],
        });
        let groups: Vec<Value> = group_names().into_iter().map(|group| group_value(group, false)).collect();
        let groups = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
        Documents { core: Family::new(&versions, &[""]), groups: Family::new(&groups, &group_names()) }
    }

    /// `/api`
    pub(crate) fn core(&self, headers: &HeaderMap) -> Outcome<Response<Body>> {
        self.core.choose(headers)
    }

    /// `/apis`
    pub(crate) fn groups(&self, headers: &HeaderMap) -> Outcome<Response<Body>> {
        self.groups.choose(headers)
    }
}

impl Family {
    fn new(legacy: &Value, groups: &[&str]) -> Self {
        let aggregated = |version: &str| {
            let items: Vec<Value> = groups.iter().map(|group| aggregated_group(group)).collect();
            json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items})
        };
        Family {
            legacy: Document::json("application/json", legacy),
            v2: Document::json(AGGREGATED_V2, &aggregated("v2")),
            v2beta1: Document::json(AGGREGATED_V2BETA1, &aggregated("v2beta1")),
        }
    }

    fn choose(&self, headers: &HeaderMap) -> Outcome<Response<Body>> {
        for clause in negotiation::clauses(headers).iter().filter(|clause| clause.is_json()) {
            let aggregated =
                clause.parameter("as") == Some("APIGroupDiscoveryList") && clause.parameter("g") == Some("apidiscovery.k8s.io");
            let document = match (clause.parameter("as"), clause.parameter("v")) {
                (None, _) => &self.legacy,
                // A profile names a variant that is not served; the next clause decides.
                (Some(_), Some("v2")) if aggregated && clause.parameter("profile").is_none() => &self.v2,
                (Some(_), Some("v2beta1")) if aggregated => &self.v2beta1,
                _ => continue,
            };
            return Ok(document.response(headers));
        }
        Err(Status::not_acceptable(&["application/json"]).into())
    }
}

/// `/apis/GROUP`
pub(crate) fn group(name: &str) -> Outcome<Response<Body>> {
    if !group_names().contains(&name) {
        return Err(Failure::PageNotFound);
    }
    Ok(respond::json(StatusCode::OK, &group_value(name, true)))
}

/// `/api/v1`, `/apis/GROUP/VERSION`
pub(crate) fn resources(group: &str, version: &str) -> Outcome<Response<Body>> {
    if !versions(group).contains(&version) {
        return Err(Failure::PageNotFound);
    }
    let mut resources = Vec::new();
    for kind in kinds::kinds().iter().filter(|kind| kind.group == group && kind.version == version) {
        resources.extend(legacy_resources(kind));
    }
    for resource in virtual_resources(group, version) {
        resources.push(json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind,
            "verbs": ["create"],
        }));
    }
    let list =
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version), "resources": resources});
    Ok(respond::json(StatusCode::OK, &list))
}

fn legacy_resources(kind: &Kind) -> Vec<Value> {
    let mut main = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced(), "kind": kind.kind, "verbs": kind.verbs(),
    });
    if !kind.short_names.is_empty() {
        main["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        main["categories"] = json!(kind.categories);
    }
    main["storageVersionHash"] = json!(storage_version_hash(kind));
    let mut all = vec![main];
    for subresource in kind.subresources {
        let mut entry = json!({
            "name": format!("{}/{}", kind.plural, subresource.name), "singularName": "", "namespaced": kind.namespaced(),
            "kind": kind.kind, "verbs": subresource.verbs,
        });
        if let Some((group, version, response_kind)) = subresource.response_kind {
            entry["kind"] = json!(response_kind);
            if (group, version) != (kind.group, kind.version) {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
        }
        all.push(entry);
    }
    all
}

/// Changes only when the stored form does.
fn storage_version_hash(kind: &Kind) -> String {
    use base64::Engine;
    let digest = Sha256::digest(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

fn aggregated_group(group: &str) -> Value {
    let versions: Vec<Value> = versions(group)
        .into_iter()
        .map(|version| {
            let mut resources: Vec<Value> =
                kinds::kinds().iter().filter(|kind| kind.group == group && kind.version == version).map(aggregated_resource).collect();
            resources.extend(virtual_resources(group, version).map(|resource| {
                json!({
                    "resource": resource.plural, "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
                    "scope": scope(resource.namespaced), "singularResource": resource.singular, "verbs": ["create"],
                })
            }));
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let mut metadata = Map::new();
    if !group.is_empty() {
        metadata.insert("name".to_owned(), json!(group));
    }
    metadata.insert("creationTimestamp".to_owned(), Value::Null);
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(kind: &Kind) -> Value {
    let mut resource = json!({
        "resource": kind.plural, "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": scope(kind.namespaced()), "singularResource": kind.singular, "verbs": kind.verbs(),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|sub| {
            let (group, version, response_kind) = sub.response_kind.unwrap_or((kind.group, kind.version, kind.kind));
            let response_kind = json!({"group": group, "version": version, "kind": response_kind});
            json!({"subresource": sub.name, "responseKind": response_kind, "verbs": sub.verbs})
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = Value::Array(subresources);
    }
    resource
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

fn virtual_resources<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static VirtualResource> + 'a {
    reviews::all().iter().filter(move |resource| resource.group == group && resource.version == version)
}

/// All groups but the core group, in the order of the registry.
fn group_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in kinds::kinds().iter().map(|kind| kind.group).chain(reviews::all().iter().map(|resource| resource.group)) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Versions of a group, preferred first.
fn versions(group: &str) -> Vec<&'static str> {
    let stored = kinds::kinds().iter().filter(|kind| kind.group == group).map(|kind| kind.version);
    let unstored = reviews::all().iter().filter(|resource| resource.group == group).map(|resource| resource.version);
    let mut versions = Vec::new();
    for version in stored.chain(unstored) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn group_value(group: &str, standalone: bool) -> Value {
    let versions: Vec<Value> =
        versions(group).into_iter().map(|version| json!({"groupVersion": group_version(group, version), "version": version})).collect();
    let preferred = versions.first().cloned().unwrap_or(Value::Null);
    if standalone {
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions, "preferredVersion": preferred})
    } else {
        json!({"name": group, "versions": versions, "preferredVersion": preferred})
    }
}
