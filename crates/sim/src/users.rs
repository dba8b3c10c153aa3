//! The users' client: plain requests, without faults (but a server that is down refuses them too).
//!
//! In: actions. Out: requests. Never: a retry; whoever acts decides.

use http::{Method, Request, header};
use serde_json::{Value, json};

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";

pub struct Users {
    client: kube::Client,
}

impl Users {
    pub fn new(client: kube::Client) -> Self {
        Users { client }
    }

    async fn ask(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value, kube::Error> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type).body(body);
        self.client.request(request.map_err(kube::Error::HttpError)?).await
    }

    pub async fn create(&self, manifest: &Value) -> Result<(), kube::Error> {
        self.ask(Method::POST, JOBS, "application/json", manifest).await.map(drop)
    }

    pub async fn delete_job(&self, name: &str, policy: &str) -> Result<(), kube::Error> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
        self.ask(Method::DELETE, &format!("{JOBS}/{name}"), "application/json", &options).await.map(drop)
    }

    pub async fn parallelism(&self, name: &str, parallelism: u64) -> Result<(), kube::Error> {
        let patch = json!({"spec": {"parallelism": parallelism}});
        self.ask(Method::PATCH, &format!("{JOBS}/{name}"), "application/merge-patch+json", &patch).await.map(drop)
    }

    /// Deletes the Pod of the Job that the number chooses, if there is one.
    pub async fn delete_pod(&self, job: &str, choice: u64, grace: Option<u64>) -> Result<(), kube::Error> {
        let pods = self.ask(Method::GET, &format!("{PODS}?labelSelector=job-name%3D{job}"), "application/json", &Value::Null).await?;
        let names: Vec<&str> = pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let name = names[(choice % names.len() as u64) as usize];
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        self.ask(Method::DELETE, &format!("{PODS}/{name}"), "application/json", &options).await.map(drop)
    }
}
