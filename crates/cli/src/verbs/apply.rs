//! `apply`: client-side apply with the last-applied annotation and a three-way merge.
//!
//! In: manifests. Out: created, configured or unchanged for each. Never: overwrites what others own; forces a conflict.

use super::select::{check_namespace, namespace};
use crate::{
    Context,
    failure::Failure,
    limits::APPLY_ATTEMPTS,
    manifest,
    options::{ApplyOptions, Scope},
    output::{Format, json, yaml},
    resources::{Resource, Resources},
    server::with_query,
    three_way::{LAST_APPLIED, last_applied_text, patch},
};
use serde_json::Value;

/// The field manager that kubectl uses for the same thing.
const MANAGER: &str = "kubectl-client-side-apply";

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Configured,
    Unchanged,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

pub async fn apply(context: &Context, options: ApplyOptions) -> Result<(), Failure> {
    let format = Format::parse(options.output.as_deref())?;
    if !matches!(format, Format::Table { wide: false } | Format::Name | Format::Json | Format::Yaml) {
        return Err(Failure::usage("apply prints with -o name, json or yaml"));
    }
    let objects = manifest::read_all(&options.filenames)?;
    let resources = Resources::discover(&context.server).await?;
    let validation = match options.validate.as_str() {
        "warn" => "Warn",
        "ignore" | "false" => "Ignore",
        _ => "Strict",
    };
    let dry_run = if options.dry_run == "server" { "All" } else { "" };
    let mut failures = Vec::new();
    for object in objects {
        match apply_one(context, &resources, &options.scope, object, validation, dry_run).await {
            Ok((resource, outcome, stored)) => {
                let title = format!("{}/{}", resource.full_singular(), stored["metadata"]["name"].as_str().unwrap_or_default());
                let suffix = if dry_run.is_empty() { "" } else { " (server dry run)" };
                match format {
                    Format::Json => context.terminal.write(json::pretty(&stored).as_bytes())?,
                    Format::Yaml => context.terminal.write(format!("---\n{}", yaml::print(&stored)).as_bytes())?,
                    Format::Name => context.terminal.line(&title)?,
                    _ => context.terminal.line(&format!("{title} {}{suffix}", outcome.word()))?,
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)
}

/// Applies one object; also used by `run` for everything that is not a Job.
pub async fn apply_one(
    context: &Context,
    resources: &Resources,
    scope: &Scope,
    mut wanted: Value,
    validation: &str,
    dry_run: &str,
) -> Result<(Resource, Outcome, Value), Failure> {
    let resource = resources.of_object(&wanted)?.clone();
    let Some(name) = wanted["metadata"]["name"].as_str().map(str::to_string) else {
        let prefix = wanted["metadata"]["generateName"].as_str().unwrap_or_default();
        return Err(Failure::usage(format!("from {prefix}: cannot use generate name with apply")));
    };
    let own = wanted["metadata"]["namespace"].as_str().filter(|n| !n.is_empty()).map(str::to_string);
    check_namespace(scope, own.as_deref())?;
    let namespace = own.unwrap_or_else(|| namespace(context, scope).to_string());
    if resource.namespaced {
        wanted["metadata"]["namespace"] = serde_json::json!(namespace);
    }
    let text = last_applied_text(&wanted);
    if !wanted["metadata"]["annotations"].is_object() {
        wanted["metadata"]["annotations"] = serde_json::json!({});
    }
    wanted["metadata"]["annotations"][LAST_APPLIED] = serde_json::json!(text);
    let query = [("fieldManager", MANAGER), ("fieldValidation", validation), ("dryRun", dry_run)];
    let path = resource.object(&namespace, &name);
    for attempt in 1.. {
        let live = match context.server.get(&path).await {
            Ok(live) => live,
            Err(failure) if failure.is_not_found() => {
                match context.server.post(&with_query(&resource.collection(Some(&namespace)), &query), &wanted).await {
                    Ok(stored) => return Ok((resource, Outcome::Created, stored)),
                    // Someone else was faster: now it is a change.
                    Err(failure) if failure.code() == 409 && attempt < APPLY_ATTEMPTS && is_reason(&failure, "AlreadyExists") => continue,
                    Err(failure) => return Err(failure),
                }
            }
            Err(failure) => return Err(failure),
        };
        let last: Value = match live["metadata"]["annotations"][LAST_APPLIED].as_str() {
            Some(text) => serde_json::from_str(text).map_err(|e| {
                Failure::usage(format!("{}/{name}: the annotation {LAST_APPLIED} is not JSON: {e}", resource.full_singular()))
            })?,
            None => {
                context.terminal.error(&format!(
                    "Warning: resource {}/{name} is missing the {LAST_APPLIED} annotation which is required by apply. It will be patched automatically.",
                    resource.plural
                ));
                serde_json::json!({})
            }
        };
        let mut change = patch(&comparable(last), &comparable(wanted.clone()), &live);
        if change.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok((resource, Outcome::Unchanged, live));
        }
        // Lists are replaced as a whole: only on top of the very object that was read.
        change["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        match context.server.merge_patch(&with_query(&path, &query), &change).await {
            Ok(stored) => {
                let same = stored["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"];
                let outcome = if same && dry_run.is_empty() { Outcome::Unchanged } else { Outcome::Configured };
                return Ok((resource, outcome, stored));
            }
            Err(failure) if failure.code() == 409 && attempt < APPLY_ATTEMPTS => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::usage(format!("{}/{name} is changed all the time by someone else; try again", resource.full_singular())))
}

fn is_reason(failure: &Failure, reason: &str) -> bool {
    matches!(failure, Failure::Status(status) if status["reason"] == reason)
}

/// A manifest without what only the server may say, so that re-applying `get -o yaml` output is no conflict with itself.
fn comparable(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["creationTimestamp", "generation", "managedFields", "selfLink"] {
            metadata.remove(field);
        }
    }
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    object
}
