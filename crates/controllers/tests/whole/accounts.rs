//! A Job whose ServiceAccount comes late.

use crate::cluster::{Cluster, finished, job};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, api::PostParams};
use serde_json::json;

#[tokio::test]
async fn creation_fails_loudly_and_resumes_when_the_account_exists() {
    let cluster = Cluster::with_node().await;
    let mut late = job("late", Some(0), json!({}));
    late["spec"]["template"]["spec"]["serviceAccountName"] = json!("builder");
    cluster.create_job(late).await;
    let message = cluster.told("FailedCreate").await;
    assert_eq!(
        message,
        "Error creating: pods \"late-\" is forbidden: error looking up service account default/builder: serviceaccount \"builder\" not found"
    );
    assert!(cluster.pods_when(|_| true).await.is_empty());
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "builder"}})).unwrap();
    Api::default_namespaced(cluster.client.clone()).create(&PostParams::default(), &account).await.unwrap();
    let done = cluster.job_when("late", finished).await;
    assert_eq!(done.status.unwrap().succeeded, Some(1));
    let failures = "job_controller_job_pods_creation_total{reason=\"new\",status=\"failed\"}";
    let text = cluster.metrics.text();
    assert!(text.contains(failures) && text.contains("{reason=\"new\",status=\"succeeded\"} 1\n"), "{text}");
}
