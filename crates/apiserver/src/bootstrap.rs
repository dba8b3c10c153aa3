//! Objects that exist at start (spec/api.md 10).
//!
//! In: the store. Out: the standard namespaces, and in every namespace the ServiceAccount `default` and ConfigMap `kube-root-ca.crt`.
//! Never: a change to an object that is there already, except for the CA's own certificate.

use std::sync::Arc;

use piecework_api::{
    kinds::{self, Kind},
    meta,
};
use serde_json::{Value, json};

use crate::{
    create,
    failure::{Failure, Outcome},
    list::{self},
    list_options::ListOptions,
    namespaces,
    state::State,
    update::{self, Part, Write},
};

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];
const ROOT_CA: &str = "kube-root-ca.crt";

/// Creates what is missing.
pub(crate) async fn at_start(state: &Arc<State>) -> Outcome<()> {
    let Some(kind) = namespaces::kind() else { return Ok(()) };
    for name in NAMESPACES {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
        ensure(state, kind, None, object).await?;
    }
    furnish_all(state).await
}

/// Creates the standard objects of all namespaces.
pub(crate) async fn furnish_all(state: &Arc<State>) -> Outcome<()> {
    let Some(kind) = namespaces::kind() else { return Ok(()) };
    let listed = list::collect(state, kind, None, &ListOptions::default()).await?;
    for namespace in listed.items.iter().filter(|namespace| !meta::deleting(namespace)) {
        furnish(state, meta::name(namespace)).await?;
    }
    Ok(())
}

/// Creates the standard objects of one namespace.
pub(crate) async fn furnish(state: &Arc<State>, namespace: &str) -> Outcome<()> {
    if let Some(kind) = kinds::by_kind("v1", "ServiceAccount") {
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
        ensure(state, kind, Some(namespace), object).await?;
    }
    if let (Some(kind), Some(pem)) = (kinds::by_kind("v1", "ConfigMap"), state.root_ca.get()) {
        root_ca(state, kind, namespace, pem).await?;
    }
    Ok(())
}

/// The CA certificate for Pods; replaced when the CA is another one now.
async fn root_ca(state: &Arc<State>, kind: &'static Kind, namespace: &str, pem: &str) -> Outcome<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA, "namespace": namespace, "annotations": {
            "kubernetes.io/description": "Contains a CA bundle that can be used to verify the API server of this cluster.",
        }},
        "data": {"ca.crt": pem},
    });
    ensure(state, kind, Some(namespace), object).await?;
    let write = Write { kind, namespace: Some(namespace), name: ROOT_CA, part: Part::Main, dry_run: false };
    update::apply(state, &write, |old| {
        let mut new = old.clone();
        new["data"]["ca.crt"] = json!(pem);
        Ok((new, Vec::new()))
    })
    .await?;
    Ok(())
}

async fn ensure(state: &Arc<State>, kind: &'static Kind, namespace: Option<&str>, object: Value) -> Outcome<()> {
    match create::insert(state, kind, namespace, object, false).await {
        Err(Failure::Status(status)) if status.reason == "AlreadyExists" => Ok(()),
        // A namespace that began to go meanwhile needs nothing any more.
        Err(Failure::Status(status)) if status.has_cause("NamespaceTerminating") => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => Ok(()),
    }
}
