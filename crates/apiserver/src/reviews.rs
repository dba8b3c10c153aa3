//! Resources that are created but never stored: questions about oneself, and bindings (spec/api.md 4.8, 7).
//!
//! In: a review. Out: the same review with a status. Never: an answer about somebody else.

use axum::body::Body;
use piecework_api::status::Status;
use serde_json::{Value, json};

use crate::{
    authentication::Identity,
    authorization, binding, body,
    failure::{Failure, Outcome},
    respond::Answer,
    state::Exchange,
};

/// A create-only resource without storage.
#[derive(Debug)]
pub(crate) struct VirtualResource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) namespaced: bool,
    /// Asks only about the caller, so every known caller may.
    pub(crate) about_oneself: bool,
}

const REVIEW: VirtualResource = VirtualResource {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "SelfSubjectReview",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    namespaced: false,
    about_oneself: true,
};

static VIRTUAL: &[VirtualResource] = &[
    VirtualResource {
        group: "",
        kind: "Binding",
        plural: "bindings",
        singular: "binding",
        namespaced: true,
        about_oneself: false,
        ..REVIEW
    },
    REVIEW,
    // kubectl 1.27 asks only for this version.
    VirtualResource { version: "v1beta1", ..REVIEW },
    VirtualResource {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        ..REVIEW
    },
    VirtualResource {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        ..REVIEW
    },
];

pub(crate) fn all() -> &'static [VirtualResource] {
    VIRTUAL
}

pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static VirtualResource> {
    VIRTUAL.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// POST of a virtual resource.
pub(crate) async fn create(exchange: &Exchange, resource: &VirtualResource, namespace: Option<&str>, content: Body) -> Outcome<Answer> {
    if resource.kind == "Binding" {
        return binding::bind(exchange, namespace.unwrap_or_default(), None, content).await;
    }
    let Some(caller) = &exchange.caller else { return Err(Status::unauthorized().into()) };
    let api_version = format!("{}/{}", resource.group, resource.version);
    if resource.kind == "SelfSubjectReview" {
        // The body says nothing: its only field is metadata.
        body::read(content).await?;
        return Ok(Answer::created(json!({
            "kind": resource.kind, "apiVersion": api_version, "metadata": {"creationTimestamp": null},
            "status": {"userInfo": user_info(caller)},
        })));
    }
    let bytes = body::read(content).await?;
    let (review, _) = body::parse(&exchange.headers, &bytes)?;
    if resource.kind == "SelfSubjectRulesReview" {
        return rules(caller, resource, &api_version, &review);
    }
    access(caller, resource, &api_version, &review)
}

fn rules(caller: &Identity, resource: &VirtualResource, api_version: &str, review: &Value) -> Result<Answer, Failure> {
    if review["spec"]["namespace"].as_str().unwrap_or("").is_empty() {
        return Err(Status::bad_request("no namespace on request").into());
    }
    let status = if authorization::all_powerful(caller) {
        json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        })
    } else {
        let paths =
            ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"];
        let reviews: Vec<Value> = VIRTUAL
            .iter()
            .filter(|resource| resource.about_oneself)
            .map(|resource| json!({"verbs": ["create"], "apiGroups": [resource.group], "resources": [resource.plural]}))
            .collect();
        json!({"resourceRules": reviews, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}], "incomplete": false})
    };
    Ok(Answer::created(json!({
        "kind": resource.kind, "apiVersion": api_version, "metadata": {"creationTimestamp": null}, "spec": review["spec"], "status": status,
    })))
}

fn user_info(caller: &Identity) -> Value {
    let mut groups = caller.groups.clone();
    groups.push("system:authenticated".to_owned());
    json!({"username": caller.user, "groups": groups})
}

fn access(caller: &Identity, resource: &VirtualResource, api_version: &str, review: &Value) -> Result<Answer, Failure> {
    let spec = &review["spec"];
    if spec["resourceAttributes"].is_object() == spec["nonResourceAttributes"].is_object() {
        let why = "exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be set";
        return Err(Status::bad_request(why).into());
    }
    let mut status = json!({"allowed": authorization::all_powerful(caller)});
    if !authorization::all_powerful(caller) {
        status["reason"] = json!("the caller is in none of the groups that may do this");
    }
    Ok(Answer::created(json!({
        "kind": resource.kind, "apiVersion": api_version, "metadata": {"creationTimestamp": null}, "spec": spec, "status": status,
    })))
}
