//! `delete`: objects by name, manifest or label, with a choice for their dependents; returns when they are gone.
//!
//! In: a selection. Out: one line per object. Never: waits by asking again and again: it watches.

use super::select::{Selected, Selection, select};
use crate::{
    Context,
    failure::Failure,
    options::DeleteOptions,
    resources::Resources,
    watching::{Change, follow},
};
use futures::StreamExt;
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};

pub async fn delete(context: &Context, options: DeleteOptions) -> Result<(), Failure> {
    let body = delete_options(&options)?;
    let resources = Resources::discover(&context.server).await?;
    let selection = Selection {
        targets: &options.targets,
        filenames: &options.filenames,
        selector: options.selector.as_deref(),
        all: options.all,
        all_namespaces: options.all_namespaces,
    };
    let selected = select(context, &resources, &options.scope, selection).await?;
    if matches!(options.cascade.as_str(), "true" | "false") {
        let instead = if options.cascade == "true" { "background" } else { "orphan" };
        context.terminal.error(&format!(
            "warning: --cascade={} is deprecated (boolean value) and can be replaced with --cascade={instead}.",
            options.cascade
        ));
    }
    if options.force && options.grace_period == 0 {
        context.terminal.error(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.",
        );
    }
    if selected.is_empty() {
        context.terminal.error("No resources found");
        return Ok(());
    }
    let mut failures = Vec::new();
    let mut pending = Vec::new();
    for object in selected {
        match context.server.delete(&object.path(), &body).await {
            Ok(answer) => {
                let forced = if options.force && options.grace_period == 0 { "force deleted" } else { "deleted" };
                match options.output.as_deref() {
                    Some(_) => context.terminal.line(&object.title())?,
                    None => context.terminal.line(&format!("{} \"{}\" {forced}", object.resource.full_singular(), object.name))?,
                }
                let uid = answer["details"]["uid"].as_str().or(answer["metadata"]["uid"].as_str()).unwrap_or_default().to_string();
                pending.push((object, uid));
            }
            // From a manifest, a selector or --all: gone already is as good as deleted only when asked for.
            Err(failure) if failure.is_not_found() && (options.ignore_not_found || options.all || options.selector.is_some()) => {}
            Err(failure) => failures.push(failure),
        }
    }
    if options.wait {
        let limit = if options.timeout.is_zero() { None } else { Some(options.timeout) };
        for (object, uid) in &pending {
            if let Err(failure) = gone(context, object, uid, limit).await {
                failures.push(failure);
            }
        }
    }
    Failure::all(failures)
}

/// The body of the DELETE (spec/api.md 4.5).
fn delete_options(options: &DeleteOptions) -> Result<Value, Failure> {
    let policy = match options.cascade.as_str() {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        _ => "Orphan",
    };
    let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
    let grace = if options.now { 1 } else { options.grace_period };
    if grace == 0 && !options.force {
        // As kubectl: without --force zero means as soon as the node has confirmed.
        body["gracePeriodSeconds"] = json!(1);
    } else if grace >= 0 {
        body["gracePeriodSeconds"] = json!(grace);
    }
    if options.force && grace > 0 {
        return Err(Failure::usage("--force and --grace-period greater than 0 cannot be specified together"));
    }
    if options.force && grace < 0 {
        body["gracePeriodSeconds"] = json!(0);
    }
    Ok(body)
}

/// Resolves when the object with this uid is no longer there.
pub async fn gone(context: &Context, object: &Selected, uid: &str, limit: Option<Duration>) -> Result<(), Failure> {
    let waiting = async {
        let mut changes = pin!(follow(&context.server, &object.narrowed()));
        let is_it = |item: &Value| item["metadata"]["name"] == *object.name && (uid.is_empty() || item["metadata"]["uid"] == *uid);
        while let Some(change) = changes.next().await {
            let over = match change? {
                Change::Listed(items) => !items.iter().any(is_it),
                Change::Deleted(item) => is_it(&item),
                // The same name with another uid: it was deleted and made anew.
                Change::Changed(item) => item["metadata"]["name"] == *object.name && !is_it(&item),
            };
            if over {
                return Ok(());
            }
        }
        Ok(())
    };
    match limit {
        None => waiting.await,
        Some(limit) => match tokio::time::timeout(limit, waiting).await {
            Ok(result) => result,
            Err(_) => Err(Failure::usage(format!("timed out waiting for the deletion of {}", object.title()))),
        },
    }
}
