//! `logs`: the log of a Pod's container, of a Job's Pod, or of all Pods with given labels.
//!
//! In: a target and options. Out: raw bytes, or lines with a prefix. Never: interprets a log line.

use super::select::namespace;
use crate::{
    Context,
    failure::Failure,
    limits::{FIRST_POD_TIMEOUT, MAX_LOG_LINE_BYTES, MAX_LOG_STREAMS},
    options::LogsOptions,
    resources::{Resource, Resources},
    server::{Server, escape, with_query},
    watching::{Change, follow, list},
};
use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::pin::pin;

/// The annotation that names the container people mean.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// Lines per container when logs of several Pods are asked for by label (kubectl's default).
const SELECTOR_TAIL: i64 = 10;

pub async fn logs(context: &Context, options: LogsOptions) -> Result<(), Failure> {
    let namespace = namespace(context, &options.scope).to_string();
    let resources = Resources::discover(&context.server).await?;
    let pods = pods(context, &resources, &options, &namespace).await?;
    let mut streams = Vec::new();
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        for container in containers(context, &options, pod)? {
            let path = log_path(&namespace, name, &container, &options);
            streams.push((format!("[pod/{name}/{container}] "), path));
        }
    }
    if streams.len() > MAX_LOG_STREAMS && options.follow {
        return Err(Failure::usage(format!("{} logs to follow at once are more than {MAX_LOG_STREAMS}: select fewer Pods", streams.len())));
    }
    if let [(_, path)] = &streams[..]
        && !options.prefix
    {
        return copy(context, path).await;
    }
    let at_once = if options.follow { streams.len().max(1) } else { 1 };
    let with_prefix = options.prefix || (options.follow && options.selector.is_some());
    stream::iter(streams.into_iter().map(Ok))
        .try_for_each_concurrent(at_once, async |(prefix, path)| {
            let prefix = if with_prefix { prefix } else { String::new() };
            let mut lines = Lines::open(&context.server, &path).await?;
            while let Some(line) = lines.next().await? {
                context.terminal.write(&[prefix.as_bytes(), &line, b"\n"].concat())?;
            }
            Ok(())
        })
        .await
}

/// Raw bytes: what the container wrote, with or without a last newline.
async fn copy(context: &Context, path: &str) -> Result<(), Failure> {
    let mut source = context.server.stream(path).await?;
    let mut buffer = vec![0; MAX_LOG_LINE_BYTES];
    loop {
        let count = source.read(&mut buffer).await.map_err(|e| Failure::Connection(format!("the log broke off: {e}")))?;
        if count == 0 {
            return Ok(());
        }
        context.terminal.write(&buffer[..count])?;
    }
}

/// Lines of a log stream, without their ends; over-long ones in parts.
pub struct Lines {
    source: Box<dyn AsyncBufRead + Send + Unpin>,
}

impl Lines {
    pub async fn open(server: &Server, path: &str) -> Result<Self, Failure> {
        Ok(Self { source: Box::new(server.stream(path).await?) })
    }

    /// None at the end of the log.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        read_line(&mut self.source).await.map_err(|e| Failure::Connection(format!("the log broke off: {e}")))
    }
}

async fn read_line(source: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let count = source.take(MAX_LOG_LINE_BYTES as u64).read_until(b'\n', &mut line).await?;
    if count == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// The log's path with the options as query parameters (spec/api.md 4.4).
pub fn log_path(namespace: &str, pod: &str, container: &str, options: &LogsOptions) -> String {
    let number = |value: Option<i64>| value.map(|v| v.to_string()).unwrap_or_default();
    let flag = |value: bool| if value { "true" } else { "" };
    let default_tail = (options.selector.is_some() && !options.all_pods).then_some(SELECTOR_TAIL);
    let tail = options.tail.or(default_tail).filter(|tail| *tail >= 0);
    let since = options.since.map(|since| i64::try_from(since.as_secs_f64().ceil() as u64).unwrap_or(i64::MAX));
    with_query(
        &format!("/api/v1/namespaces/{}/pods/{}/log", escape(namespace), escape(pod)),
        &[
            ("container", container),
            ("follow", flag(options.follow)),
            ("previous", flag(options.previous)),
            ("tailLines", &number(tail)),
            ("timestamps", flag(options.timestamps)),
            ("sinceSeconds", &number(since)),
            ("sinceTime", options.since_time.as_deref().unwrap_or_default()),
            ("limitBytes", &options.limit_bytes.map(|b| b.to_string()).unwrap_or_default()),
        ],
    )
}

async fn pods(context: &Context, resources: &Resources, options: &LogsOptions, namespace: &str) -> Result<Vec<Value>, Failure> {
    let pod = resources.find("pods")?;
    if let Some(selector) = &options.selector {
        let (found, _) = list(&context.server, &with_query(&pod.collection(Some(namespace)), &[("labelSelector", selector)])).await?;
        if found.is_empty() {
            context.terminal.error(&format!("No resources found in {namespace} namespace."));
        }
        return Ok(found);
    }
    let target = options.target.as_deref().unwrap_or_default();
    let (kind, name) = target.split_once('/').unwrap_or(("pod", target));
    let resource = resources.find(kind)?;
    let object = context.server.get(&resource.object(namespace, name)).await?;
    if resource.kind == "Pod" {
        return Ok(vec![object]);
    }
    let selector = selector_text(&object["spec"]["selector"])
        .ok_or_else(|| Failure::usage(format!("cannot get the logs from {}/{name}: it has no Pods", resource.full_singular())))?;
    let path = with_query(&pod.collection(Some(namespace)), &[("labelSelector", &selector)]);
    let mut found = first_pods(context, resource, name, &path).await?;
    if options.all_pods {
        return Ok(found);
    }
    found.sort_by_key(usefulness);
    if found.len() > 1 {
        context.terminal.error(&format!(
            "Found {} pods, using pod/{}",
            found.len(),
            found[0]["metadata"]["name"].as_str().unwrap_or_default()
        ));
    }
    found.truncate(1);
    Ok(found)
}

/// The Pods there are, or the first one that comes.
async fn first_pods(context: &Context, resource: &Resource, name: &str, path: &str) -> Result<Vec<Value>, Failure> {
    let waiting = async {
        let mut changes = pin!(follow(&context.server, path));
        while let Some(change) = changes.next().await {
            match change? {
                Change::Listed(items) if !items.is_empty() => return Ok(items),
                Change::Changed(item) => return Ok(vec![item]),
                _ => {}
            }
        }
        Ok(vec![])
    };
    match tokio::time::timeout(FIRST_POD_TIMEOUT, waiting).await {
        Ok(result) => result,
        Err(_) => Err(Failure::usage(format!("{}/{name} has had no Pod for {} s", resource.full_singular(), FIRST_POD_TIMEOUT.as_secs()))),
    }
}

/// Smaller is better: running Pods, then finished ones, then those that wait; among equals the newest.
fn usefulness(pod: &Value) -> (u8, std::cmp::Reverse<String>) {
    let phase = match pod["status"]["phase"].as_str() {
        Some("Running") => 0,
        Some("Succeeded" | "Failed") => 1,
        _ => 2,
    };
    (phase, std::cmp::Reverse(pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_string()))
}

/// A LabelSelector as the text of a query; None when it selects nothing.
pub fn selector_text(selector: &Value) -> Option<String> {
    let mut terms: Vec<String> =
        selector["matchLabels"].as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_string(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

fn containers(context: &Context, options: &LogsOptions, pod: &Value) -> Result<Vec<String>, Failure> {
    let names = |field: &str| -> Vec<String> {
        pod["spec"][field].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_string)).collect()
    };
    if let Some(container) = options.container.as_ref().or(options.positional_container.as_ref()) {
        return Ok(vec![container.clone()]);
    }
    let mut all = names("containers");
    if options.all_containers {
        let mut every = names("initContainers");
        every.append(&mut all);
        return Ok(every);
    }
    let chosen =
        pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str().filter(|name| all.iter().any(|c| c == name)).map(str::to_string);
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let chosen = chosen.or_else(|| all.first().cloned()).ok_or_else(|| Failure::usage(format!("pod/{name} has no containers")))?;
    if all.len() > 1 && options.selector.is_none() {
        context.terminal.error(&format!("Defaulted container \"{chosen}\" out of: {}", all.join(", ")));
    }
    Ok(vec![chosen])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn paths() {
        let base = LogsOptions { target: Some("p".into()), ..LogsOptions::default() };
        for (options, expected) in [
            (base.clone(), "?container=c"),
            (LogsOptions { follow: true, tail: Some(0), ..base.clone() }, "?container=c&follow=true&tailLines=0"),
            (LogsOptions { tail: Some(-1), timestamps: true, ..base.clone() }, "?container=c&timestamps=true"),
            (
                LogsOptions { previous: true, since: Some(Duration::from_millis(1500)), ..base.clone() },
                "?container=c&previous=true&sinceSeconds=2",
            ),
            (LogsOptions { selector: Some("a=b".into()), limit_bytes: Some(9), ..base.clone() }, "?container=c&tailLines=10&limitBytes=9"),
        ] {
            assert_eq!(log_path("n", "p", "c", &options), format!("/api/v1/namespaces/n/pods/p/log{expected}"));
        }
    }

    #[test]
    fn selectors() {
        for (selector, expected) in [
            (json!({"matchLabels": {"a": "b", "c": "d"}}), Some("a=b,c=d")),
            (
                json!({"matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}, {"key": "e", "operator": "Exists"}, {"key": "g", "operator": "DoesNotExist"}]}),
                Some("k in (x,y),e,!g"),
            ),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(selector_text(&selector).as_deref(), expected);
        }
    }

    #[tokio::test]
    async fn long_lines_come_in_parts_and_the_last_needs_no_end() {
        let text = [vec![b'x'; MAX_LOG_LINE_BYTES + 1], b"\n\nlast".to_vec()].concat();
        let mut source = futures::io::Cursor::new(text);
        let mut lengths = Vec::new();
        while let Ok(Some(line)) = read_line(&mut source).await {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [MAX_LOG_LINE_BYTES, 1, 0, 4]);
    }

    #[test]
    fn the_most_useful_pod_is_chosen() {
        let pod = |name: &str, phase: &str, time: &str| json!({"metadata": {"name": name, "creationTimestamp": time}, "status": {"phase": phase}});
        let mut pods =
            [pod("waiting", "Pending", "3"), pod("failed", "Failed", "1"), pod("newer", "Failed", "2"), pod("runs", "Running", "0")];
        pods.sort_by_key(usefulness);
        let names: Vec<_> = pods.iter().map(|p| p["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["runs", "newer", "failed", "waiting"]);
    }
}
