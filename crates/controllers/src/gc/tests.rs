//! A decision about owners that came too late, against an API server in this process.
#![allow(clippy::unwrap_used)]

use crate::{
    job::applier_tests::api_server,
    writes::{self, Done},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{PostParams, PropagationPolicy},
};
use piecework_client::patch::is_conflict;
use piecework_reconcile::ownership::ObjectRef;
use serde_json::json;

/// The cache still shows the owner's reference, the owner is gone, and in between the object was orphaned: it must live.
#[tokio::test]
async fn an_object_orphaned_in_the_meantime_lives() {
    let (router, _directory) = api_server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(Client::new(router, "default"));
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "old", "uid": "gone"});
    let owned = json!({"metadata": {"name": "kept", "ownerReferences": [owner]}});
    let cached = api.create(&PostParams::default(), &serde_json::from_value(owned).unwrap()).await.unwrap();
    let cached = ObjectRef::of(&cached.metadata);
    writes::drop_owners(&api, &cached, &["gone".into()], &[]).await.unwrap();
    let refused = writes::delete_as_seen(&api, &cached, PropagationPolicy::Background).await.unwrap_err();
    assert!(is_conflict(&refused), "{refused}");
    let now = ObjectRef::of(&api.get("kept").await.unwrap().metadata);
    assert!(matches!(writes::delete_as_seen(&api, &now, PropagationPolicy::Background).await.unwrap(), Done::Now));
}
