//! The node's Lease: the cheap sign of life (spec/jobs.md 9.7).
//!
//! In: the node's name and uid, the time. Out: a Lease created or renewed. Never: a renewal in the name of another holder's node.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::PostParams;
use piecework_client::patch::{Patch, is_not_found, patch};
use serde_json::json;

use crate::limits::LEASE_SECONDS;
use crate::shell::context::COMPONENT;

const NAMESPACE: &str = "kube-node-lease";

/// Renews; creates it first if it isn't there.
pub async fn renew(client: &kube::Client, node: &Node, now: Timestamp) -> Result<(), kube::Error> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let renewed = Patch::Merge(json!({"spec": {
        "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": MicroTime(now),
    }}));
    match patch(&api, name, COMPONENT, &renewed).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => api.create(&PostParams::default(), &new_lease(node, now)).await.map(drop),
        Err(error) => Err(error),
    }
}

/// Owned by the Node, so that it goes with it.
fn new_lease(node: &Node, now: Timestamp) -> Lease {
    let name = node.metadata.name.clone();
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: name.clone(),
            namespace: Some(NAMESPACE.into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: name,
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}
