//! The manifest's way to the server: everything else is applied, then the Jobs are created.
//!
//! In: a request. Out: the created Jobs, or a refusal with the fields that are wrong. Never: takes over a Job that was there before.

use super::{FAILED, REFUSED, Request, progress::Progress};
use crate::{
    Context,
    failure::Failure,
    manifest,
    options::Scope,
    resources::{Resource, Resources},
    server::with_query,
    verbs::{apply::apply_one, logs::selector_text, select::Selected},
};
use serde_json::{Value, json};

/// A Job that this run made.
#[derive(Debug, Clone)]
pub struct Created {
    pub object: Selected,
    pub uid: String,
    /// The path of its Pods, selected by labels.
    pub pods: String,
    /// As it was answered.
    pub job: Value,
}

/// Why nothing runs.
#[derive(Debug)]
pub struct Refusal {
    pub text: String,
    pub exit_code: u8,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let exit_code = match &failure {
            Failure::Connection(_) | Failure::ClosedPipe => FAILED,
            Failure::Status(_) if failure.code() == 401 || failure.code() == 429 || failure.code() >= 500 => FAILED,
            _ => REFUSED,
        };
        let mut text = failure.to_string();
        // A single cause is in the message already.
        for cause in Some(failure.causes()).filter(|causes| causes.len() > 1).into_iter().flatten() {
            text.push_str("\n  ");
            text.push_str(&cause);
        }
        Self { text, exit_code }
    }
}

/// Jobs are added to `jobs` as soon as they exist, so that an interrupted submission can be undone.
pub async fn submit(context: &Context, request: &Request, jobs: &mut Vec<Created>, progress: &Progress) -> Result<(), Refusal> {
    let objects = manifest::read_all(std::slice::from_ref(&request.file))?;
    let is_job = |object: &Value| object["kind"] == "Job" && object["apiVersion"].as_str().is_some_and(|v| v.starts_with("batch/"));
    if !objects.iter().any(is_job) {
        return Err(Failure::usage(format!("{}: there is no Job in the manifest; run needs at least one", request.file)).into());
    }
    let resources = Resources::discover(&context.server).await?;
    let (wanted, others): (Vec<Value>, Vec<Value>) = objects.into_iter().partition(is_job);
    for object in others {
        let own = object["metadata"]["namespace"].is_string();
        let scope = Scope { namespace: (!own).then(|| request.namespace.clone()) };
        let (resource, outcome, stored) = apply_one(context, &resources, &scope, object, "Strict", "").await?;
        let name = stored["metadata"]["name"].as_str().unwrap_or_default();
        progress.note(&format!("{}/{name} {}", resource.full_singular(), format!("{outcome:?}").to_lowercase()));
    }
    let pods = resources.find("pods")?.clone();
    for object in wanted {
        let resource = resources.of_object(&object)?.clone();
        create(context, &resource, &pods, object, &request.namespace, jobs, progress).await?;
    }
    Ok(())
}

async fn create(
    context: &Context,
    resource: &Resource,
    pods: &Resource,
    mut job: Value,
    default_namespace: &str,
    jobs: &mut Vec<Created>,
    progress: &Progress,
) -> Result<(), Refusal> {
    let namespace = job["metadata"]["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(default_namespace).to_string();
    job["metadata"]["namespace"] = json!(namespace);
    let path = with_query(&resource.collection(Some(&namespace)), &[("fieldManager", "piecework-run"), ("fieldValidation", "Strict")]);
    let stored = context.server.post(&path, &job).await.map_err(|failure| {
        let exists = failure.code() == 409;
        let mut refusal = Refusal::from(failure);
        if exists {
            refusal.text.push_str("; delete it first, or give this one another name");
        }
        refusal
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let object = Selected { resource: resource.clone(), namespace: namespace.clone(), name: text(&stored["metadata"]["name"]) };
    let selector = selector_text(&stored["spec"]["selector"]).unwrap_or_else(|| format!("batch.kubernetes.io/job-name={}", object.name));
    progress.note(&format!("{} created", object.title()));
    jobs.push(Created {
        uid: text(&stored["metadata"]["uid"]),
        pods: with_query(&pods.collection(Some(&namespace)), &[("labelSelector", &selector)]),
        object,
        job: stored,
    });
    Ok(())
}

/// Deletes the Jobs of a manifest that was refused half-way.
pub async fn withdraw(context: &Context, jobs: &[Created]) {
    for created in jobs {
        if let Err(failure) = delete(context, created).await
            && !failure.is_not_found()
        {
            context.terminal.error(&format!("{} could not be deleted: {failure}", created.object.title()));
        }
    }
}

/// Deletes exactly this Job; its Pods go first.
pub async fn delete(context: &Context, created: &Created) -> Result<(), Failure> {
    let options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground", "preconditions": {"uid": created.uid}});
    context.server.delete(&created.object.path(), &options).await.map(drop)
}
