//! `describe`: an object's details in lines for people, with its events.
//!
//! In: a selection. Out: aligned text (spec/jobs.md 10.4, 10.5). Never: a field that the object does not have.

mod events;
mod generic;
mod job;
mod pod;
mod template;
#[cfg(test)]
mod tests;
mod text;

use crate::{
    Context,
    failure::Failure,
    options::DescribeOptions,
    output::align::align,
    resources::Resources,
    verbs::select::{Selected, Selection, select},
    watching::list,
};
use serde_json::Value;

pub async fn describe(context: &Context, options: DescribeOptions) -> Result<(), Failure> {
    let resources = Resources::discover(&context.server).await?;
    let selection = Selection {
        targets: &options.targets,
        selector: options.selector.as_deref(),
        all: options.selector.is_none() && options.targets.len() == 1 && !options.targets[0].contains('/'),
        all_namespaces: options.all_namespaces,
        ..Selection::default()
    };
    let selected = select(context, &resources, &options.scope, selection).await?;
    if selected.is_empty() {
        context.terminal.error("No resources found");
        return Ok(());
    }
    let mut failures = Vec::new();
    let mut texts = Vec::new();
    for object in selected {
        match objects(context, &object).await {
            Ok(found) => {
                for found in found {
                    let events = events::of(&context.server, &found).await?;
                    texts.push(describe_one(context, &found, &events));
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    // Two empty lines between objects, as kubectl has them.
    context.terminal.write(texts.join("\n\n").as_bytes())?;
    Failure::all(failures)
}

/// The object of that name; when there is none, those whose names begin so.
async fn objects(context: &Context, object: &Selected) -> Result<Vec<Value>, Failure> {
    match context.server.get(&object.path()).await {
        Ok(found) => Ok(vec![found]),
        Err(failure) if failure.is_not_found() => {
            let (all, _) = list(&context.server, &object.resource.collection(Some(&object.namespace))).await?;
            let begins = |item: &Value| item["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&object.name));
            let found: Vec<Value> = all.into_iter().filter(begins).collect();
            if found.is_empty() { Err(failure) } else { Ok(found) }
        }
        Err(failure) => Err(failure),
    }
}

fn describe_one(context: &Context, object: &Value, events: &[Value]) -> String {
    let now = context.clock.now();
    let mut out = text::Text::default();
    match (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default()) {
        ("batch/v1", "Job") => job::job(object, &mut out),
        ("batch/v1", "CronJob") => job::cron_job(object, &mut out),
        ("v1", "Pod") => pod::pod(object, &mut out),
        _ => generic::object(object, &mut out),
    }
    events::print(events, now, &mut out);
    align(&out.finish())
}
