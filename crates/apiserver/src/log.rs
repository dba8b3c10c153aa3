//! `pods/log` (spec/api.md 4.4).
//!
//! In: log options. Out: the container's bytes as text/plain. Never: a container other than the one asked for; buffering of a followed log.

use axum::body::Body;
use futures::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use piecework_api::{
    kinds::{self, Kind},
    status::{FieldError, Status},
};
use serde_json::Value;

use crate::{
    failure::{Failure, Outcome},
    get,
    query::Query,
    respond,
    state::Exchange,
};

/// Characters that stay as they are inside a path segment or query value.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Checked options, as the query of the call to the node agent.
#[derive(Debug, Default)]
struct LogOptions {
    query: Vec<(&'static str, String)>,
    previous: bool,
}

pub(crate) async fn log(exchange: &Exchange, kind: &Kind, namespace: &str, name: &str) -> Outcome<Response<Body>> {
    let options = options(&exchange.query)?;
    let pod = get::stored(&exchange.state, kind, Some(namespace), name).await?;
    let container = container(&pod, name, exchange.query.text("container"))?;
    let node_name = pod["spec"]["nodeName"].as_str().unwrap_or("");
    if node_name.is_empty() {
        // Not scheduled yet: nothing was written, nothing is wrong.
        return Ok(plain(Body::empty()));
    }
    ready_to_log(&pod, name, &container, options.previous)?;
    let nodes = kinds::by_kind("v1", "Node").ok_or(Failure::PageNotFound)?;
    let node = get::stored(&exchange.state, nodes, None, node_name).await?;
    let mut path = format!("/containerLogs/{}/{}/{}", quote(namespace), quote(name), quote(&container));
    let pairs: Vec<String> = options.query.iter().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    if !pairs.is_empty() {
        path = format!("{path}?{}", pairs.join("&"));
    }
    let answer = exchange.state.node_logs.fetch(&node, &path).await?;
    Ok(plain(match exchange.stop.clone() {
        // A followed log must not hold up the server's shutdown.
        Some(mut stop) => {
            Body::from_stream(answer.into_body().into_data_stream().take_until(Box::pin(async move { stop.stopped().await })))
        }
        None => answer.into_body(),
    }))
}

fn quote(text: &str) -> String {
    utf8_percent_encode(text, QUOTED).to_string()
}

fn plain(body: Body) -> Response<Body> {
    let mut response = respond::with_type(StatusCode::OK, "text/plain", bytes::Bytes::new());
    *response.body_mut() = body;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn options(query: &Query) -> Outcome<LogOptions> {
    let mut options = LogOptions { previous: query.flag("previous"), ..LogOptions::default() };
    let mut errors = Vec::new();
    for flag in ["follow", "previous", "timestamps"] {
        if query.flag(flag) {
            options.query.push((flag, "true".to_owned()));
        }
    }
    let since_seconds = query.integer("sinceSeconds")?;
    let since_time = query.text("sinceTime");
    for (field, value, least) in
        [("tailLines", query.integer("tailLines")?, 0), ("limitBytes", query.integer("limitBytes")?, 1), ("sinceSeconds", since_seconds, 1)]
    {
        let Some(value) = value else { continue };
        if value < least {
            let detail = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(FieldError::invalid(field, value, detail));
        }
        options.query.push((field, value.to_string()));
    }
    if let Some(text) = since_time {
        if since_seconds.is_some() {
            errors.push(FieldError::forbidden("sinceTime", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
        }
        if text.parse::<jiff::Timestamp>().is_err() {
            return Err(Status::bad_request(format!("query parameter sinceTime: {text:?} is not an RFC 3339 time")).into());
        }
        options.query.push(("sinceTime", text.to_owned()));
    }
    match query.text("stream") {
        None | Some("All") => {}
        Some(stream @ ("Stdout" | "Stderr")) => {
            if query.text("tailLines").is_some() {
                errors.push(FieldError::forbidden("tailLines", "`tailLines` and specific `stream` are mutually exclusive for now"));
            }
            options.query.push(("stream", stream.to_owned()));
        }
        Some(other) => errors.push(FieldError::not_supported("stream", other, &["All", "Stderr", "Stdout"])),
    }
    if errors.is_empty() { Ok(options) } else { Err(Status::invalid_options("PodLogOptions", errors).into()) }
}

/// All containers of a Pod with the list of their statuses, in the order they are looked through.
const CONTAINER_LISTS: [(&str, &str); 3] = [
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
];

fn names(pod: &Value, list: &str) -> Vec<String> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
}

fn container(pod: &Value, pod_name: &str, wanted: Option<&str>) -> Outcome<String> {
    let main = names(pod, "containers");
    let Some(wanted) = wanted else {
        return match main.as_slice() {
            [one] => Ok(one.clone()),
            several => {
                let init = names(pod, "initContainers");
                let mut text = format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", several.join(" "));
                if !init.is_empty() {
                    text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
                }
                Err(Status::bad_request(text).into())
            }
        };
    };
    if CONTAINER_LISTS.iter().any(|(list, _)| names(pod, list).iter().any(|name| name == wanted)) {
        return Ok(wanted.to_owned());
    }
    Err(Status::bad_request(format!("container {wanted} is not valid for pod {pod_name}")).into())
}

/// Refuses a log that cannot exist yet.
fn ready_to_log(pod: &Value, pod_name: &str, container: &str, previous: bool) -> Outcome<()> {
    let status = CONTAINER_LISTS
        .iter()
        .flat_map(|(_, statuses)| pod["status"][*statuses].as_array().into_iter().flatten())
        .find(|status| status["name"] == container);
    let Some(status) = status else {
        if previous {
            return Err(no_previous(pod_name, container));
        }
        return Err(waiting(pod_name, container, "ContainerCreating"));
    };
    if previous {
        return if status["lastState"]["terminated"].is_object() { Ok(()) } else { Err(no_previous(pod_name, container)) };
    }
    // A container that waits for its next run still shows what the last one wrote.
    match status["state"]["waiting"].as_object() {
        Some(state) if !status["lastState"]["terminated"].is_object() => {
            Err(waiting(pod_name, container, state.get("reason").and_then(Value::as_str).unwrap_or("ContainerCreating")))
        }
        _ => Ok(()),
    }
}

fn no_previous(pod: &str, container: &str) -> Failure {
    Status::bad_request(format!("previous terminated container {container:?} in pod {pod:?} not found")).into()
}

fn waiting(pod: &str, container: &str, reason: &str) -> Failure {
    let why = match reason {
        "ErrImagePull" => "image can't be pulled".to_owned(),
        "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        other => other.to_owned(),
    };
    let subject = format!("container {container:?} in pod {pod:?} is waiting to start");
    Status::bad_request(format!("{subject}: {why}")).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_checked() {
        let cases = [
            ("", Ok("")),
            (
                "follow=true&tailLines=0&timestamps=1&pretty=true&insecureSkipTLSVerifyBackend=true",
                Ok("follow=true timestamps=true tailLines=0"),
            ),
            ("follow=false&previous=true", Ok("previous=true")),
            ("sinceSeconds=5&limitBytes=3", Ok("limitBytes=3 sinceSeconds=5")),
            ("sinceTime=2026-01-01T00:00:00Z", Ok("sinceTime=2026-01-01T00:00:00Z")),
            ("stream=Stdout", Ok("stream=Stdout")),
            ("stream=All", Ok("")),
            ("tailLines=-1", Err(422)),
            ("limitBytes=0", Err(422)),
            ("sinceSeconds=0", Err(422)),
            ("sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", Err(422)),
            ("sinceTime=yesterday", Err(400)),
            ("tailLines=many", Err(400)),
            ("stream=Both", Err(422)),
        ];
        for (query, expected) in cases {
            let got = match options(&Query::parse(Some(query))) {
                Ok(options) => Ok(options.query.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")),
                Err(Failure::Status(status)) => Err(status.code),
                Err(Failure::PageNotFound) => Err(404),
            };
            assert_eq!(got, expected.map(str::to_owned), "{query}");
        }
    }

    #[test]
    fn containers_are_chosen_and_must_have_run() {
        let pod = |statuses: Value| json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}, "status": {"containerStatuses": statuses}});
        let message = |failure: Failure| match failure {
            Failure::Status(status) => status.message,
            Failure::PageNotFound => String::new(),
        };
        let plain = pod(json!([]));
        assert_eq!(
            message(container(&plain, "p", None).unwrap_err()),
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(message(container(&plain, "p", Some("z")).unwrap_err()), "container z is not valid for pod p");
        assert_eq!(container(&plain, "p", Some("i")).unwrap(), "i");
        let cases = [
            (json!([]), false, "container \"a\" in pod \"p\" is waiting to start: ContainerCreating"),
            (
                json!([{"name": "a", "state": {"waiting": {"reason": "ErrImagePull"}}}]),
                false,
                "container \"a\" in pod \"p\" is waiting to start: image can't be pulled",
            ),
            (
                json!([{"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]),
                false,
                "container \"a\" in pod \"p\" is waiting to start: trying and failing to pull image",
            ),
            (json!([{"name": "a", "state": {"running": {}}}]), false, ""),
            (json!([{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {}}}]), false, ""),
            (json!([{"name": "a", "state": {"running": {}}}]), true, "previous terminated container \"a\" in pod \"p\" not found"),
            (json!([{"name": "a", "state": {"running": {}}, "lastState": {"terminated": {}}}]), true, ""),
        ];
        for (statuses, previous, expected) in cases {
            let got = ready_to_log(&pod(statuses.clone()), "p", "a", previous).map_or_else(message, |()| String::new());
            assert_eq!(got, expected, "{statuses}");
        }
    }
}
