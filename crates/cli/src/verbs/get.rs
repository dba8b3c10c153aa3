//! `get`: Tables as the server makes them, or whole objects; with `-w` every change after that.
//!
//! In: types, names, selectors. Out: printed lists. Never: computes a cell.

use super::select::namespace;
use crate::{
    Context,
    failure::Failure,
    limits::{LIST_PAGE, RECONNECT_PAUSE},
    options::GetOptions,
    output::{
        Format, json,
        table::{Style, Table, from_objects},
        yaml,
    },
    resources::{Resource, Resources},
    server::{Event, JSON, TABLE, with_query},
    target, watching,
};
use futures::StreamExt;
use serde_json::Value;

/// One resource and the names wanted of it.
struct Wanted<'a> {
    resource: &'a Resource,
    names: Vec<String>,
}

pub async fn get(context: &Context, options: GetOptions) -> Result<(), Failure> {
    let format = Format::parse(options.output.as_deref())?;
    let targets = target::parse(&options.targets)?;
    let resources = Resources::discover(&context.server).await?;
    let mut wanted = Vec::new();
    for target in &targets {
        for resource in resources.find_all(&target.kind)? {
            if options.all_namespaces && resource.namespaced && !target.names.is_empty() {
                return Err(Failure::usage("a resource cannot be retrieved by name across all namespaces"));
            }
            if !target.names.is_empty() && options.selector.is_some() {
                return Err(Failure::usage("selectors and names cannot be combined"));
            }
            wanted.push(Wanted { resource, names: target.names.clone() });
        }
    }
    if options.watch && (wanted.len() != 1 || wanted[0].names.len() > 1) {
        return Err(Failure::usage("--watch follows one resource type, or one object of it"));
    }
    match &format {
        Format::Table { wide } => tables(context, &options, &wanted, *wide).await,
        format => objects(context, &options, &wanted, format).await,
    }
}

fn collection(context: &Context, options: &GetOptions, resource: &Resource) -> String {
    let namespace = if options.all_namespaces { None } else { Some(namespace(context, &options.scope)) };
    with_query(
        &resource.collection(namespace),
        &[
            ("labelSelector", options.selector.as_deref().unwrap_or_default()),
            ("fieldSelector", options.field_selector.as_deref().unwrap_or_default()),
        ],
    )
}

fn tolerated(options: &GetOptions, failure: &Failure) -> bool {
    options.ignore_not_found && failure.is_not_found()
}

async fn tables(context: &Context, options: &GetOptions, wanted: &[Wanted<'_>], wide: bool) -> Result<(), Failure> {
    let mut failures = Vec::new();
    let mut printed = false;
    for Wanted { resource, names } in wanted {
        let style = Style {
            wide,
            namespaces: options.all_namespaces && resource.namespaced,
            name_prefix: (wanted.len() > 1).then(|| resource.full_singular()),
            no_headers: options.no_headers,
            labels: options.show_labels,
        };
        let mut table = Table::default();
        let mut version = String::new();
        let mut rows = false;
        let mut answers = Vec::new();
        if names.is_empty() {
            let path = collection(context, options, resource);
            let mut next = String::new();
            loop {
                let answer =
                    context.server.get_as(&with_query(&path, &[("limit", &LIST_PAGE.to_string()), ("continue", &next)]), TABLE).await?;
                next = answer["metadata"]["continue"].as_str().unwrap_or_default().to_string();
                answers.push(answer);
                if next.is_empty() {
                    break;
                }
            }
        } else {
            for name in names {
                match context.server.get_as(&resource.object(namespace(context, &options.scope), name), TABLE).await {
                    Ok(answer) => answers.push(answer),
                    Err(failure) if tolerated(options, &failure) => {}
                    Err(failure) => failures.push(failure),
                }
            }
        }
        for answer in answers {
            if let Some(found) = answer["metadata"]["resourceVersion"].as_str() {
                version = found.to_string();
            }
            let answer = as_table(answer, context);
            if answer["rows"].as_array().is_some_and(|r| !r.is_empty()) {
                table.add(&answer, &style);
                rows = true;
            }
        }
        if rows {
            if printed {
                context.terminal.line("")?;
            }
            context.terminal.write(table.print().as_bytes())?;
            printed = true;
        }
        if options.watch && failures.is_empty() {
            let path = match names.first() {
                Some(name) => {
                    let all = resource.collection(Some(namespace(context, &options.scope)));
                    with_query(&all, &[("fieldSelector", &format!("metadata.name={name}"))])
                }
                None => collection(context, options, resource),
            };
            return watch_table(context, &path, version, table, &style).await;
        }
    }
    if !printed && failures.is_empty() && !(options.ignore_not_found && wanted.iter().any(|w| !w.names.is_empty())) {
        let everywhere = options.all_namespaces || wanted.iter().all(|w| !w.resource.namespaced);
        context.terminal.error(&if everywhere {
            "No resources found".to_string()
        } else {
            format!("No resources found in {} namespace.", namespace(context, &options.scope))
        });
    }
    Failure::all(failures)
}

/// The answer as a Table, whatever the server made of the Accept header.
fn as_table(answer: Value, context: &Context) -> Value {
    if answer["kind"] == "Table" {
        return answer;
    }
    let now = context.clock.now();
    match answer["items"].as_array() {
        Some(items) => from_objects(items, now),
        None => from_objects(std::slice::from_ref(&answer), now),
    }
}

async fn watch_table(context: &Context, path: &str, version: String, mut table: Table, style: &Style) -> Result<(), Failure> {
    watch(context, path, version, TABLE, async |object| {
        table.add(&as_table(object, context), style);
        context.terminal.write(table.print().as_bytes())
    })
    .await
}

/// Hands over every change until the watch fails for good or the output is closed.
async fn watch(
    context: &Context,
    path: &str,
    mut version: String,
    accept: &str,
    mut show: impl AsyncFnMut(Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let path = with_query(path, &[("watch", "true"), ("resourceVersion", &version)]);
        let mut events = context.server.watch(&path, accept).await?;
        let mut fruitful = false;
        while let Some(event) = events.next().await {
            fruitful = true;
            let (Event::Added(object) | Event::Modified(object) | Event::Deleted(object) | Event::Bookmark(object)) = event?;
            let newest =
                object["rows"][0]["object"]["metadata"]["resourceVersion"].as_str().or(object["metadata"]["resourceVersion"].as_str());
            if let Some(newest) = newest {
                version = newest.to_string();
            }
            show(object).await?;
        }
        if !fruitful {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

async fn objects(context: &Context, options: &GetOptions, wanted: &[Wanted<'_>], format: &Format) -> Result<(), Failure> {
    let mut failures = Vec::new();
    let mut found: Vec<(&Resource, Value)> = Vec::new();
    let mut version = String::new();
    for Wanted { resource, names } in wanted {
        if names.is_empty() {
            let (items, at) = watching::list(&context.server, &collection(context, options, resource)).await?;
            version = at;
            found.extend(items.into_iter().map(|item| (*resource, watching::typed(item, &resource.api_version(), &resource.kind))));
            continue;
        }
        for name in names {
            match context.server.get(&resource.object(namespace(context, &options.scope), name)).await {
                Ok(object) => {
                    version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_string();
                    found.push((resource, object));
                }
                Err(failure) if tolerated(options, &failure) => {}
                Err(failure) => failures.push(failure),
            }
        }
    }
    let single = wanted.len() == 1 && wanted[0].names.len() == 1;
    if *format == Format::Name {
        for (resource, object) in &found {
            context.terminal.line(&title(resource, object))?;
        }
    } else if options.watch {
        for (resource, object) in &found {
            show(context, format, resource, object, true)?;
        }
    } else if single {
        if let Some((resource, object)) = found.first() {
            show(context, format, resource, object, false)?;
        }
    } else if failures.is_empty() || !found.is_empty() {
        let items: Vec<Value> = found.iter().map(|(_, object)| object.clone()).collect();
        let list = serde_json::json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}});
        if let Some(first) = wanted.first() {
            show(context, format, first.resource, &list, false)?;
        }
    }
    if options.watch && failures.is_empty() {
        let resource = wanted[0].resource;
        let path = match wanted[0].names.first() {
            Some(name) => {
                let all = resource.collection(Some(namespace(context, &options.scope)));
                with_query(&all, &[("fieldSelector", &format!("metadata.name={name}"))])
            }
            None => collection(context, options, resource),
        };
        return watch(context, &path, version, JSON, async |object| show(context, format, resource, &object, true)).await;
    }
    Failure::all(failures)
}

fn title(resource: &Resource, object: &Value) -> String {
    format!("{}/{}", resource.full_singular(), object["metadata"]["name"].as_str().unwrap_or_default())
}

/// `stream`: one of many documents.
fn show(context: &Context, format: &Format, resource: &Resource, object: &Value, stream: bool) -> Result<(), Failure> {
    match format {
        Format::Yaml if stream => context.terminal.write(format!("---\n{}", yaml::print(object)).as_bytes()),
        Format::Yaml => context.terminal.write(yaml::print(object).as_bytes()),
        Format::Json => context.terminal.write(json::pretty(object).as_bytes()),
        Format::JsonPath(template) => {
            let text = template.print(object).map_err(Failure::Usage)?;
            if stream { context.terminal.line(&text) } else { context.terminal.write(text.as_bytes()) }
        }
        Format::Name | Format::Table { .. } => context.terminal.line(&title(resource, object)),
    }
}
