//! What a Job's and a Pod's status say, in words. In: objects. Out: texts and outcomes. Never: I/O.

use serde_json::Value;

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// Reason and message of the condition.
    Failed(String, String),
    /// It was deleted by someone while we followed it.
    Deleted,
}

/// None while the Job goes on.
pub fn outcome(job: &Value) -> Option<Outcome> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    job["status"]["conditions"].as_array()?.iter().filter(|c| c["status"] == "True").find_map(|condition| {
        match condition["type"].as_str()? {
            "Complete" => Some(Outcome::Complete),
            "Failed" => Some(Outcome::Failed(text(&condition["reason"]), text(&condition["message"]))),
            _ => None,
        }
    })
}

/// `1 active, 0/1 succeeded, 0 failed`.
pub fn summary(job: &Value) -> String {
    let status = |field: &str| job["status"][field].as_i64().unwrap_or(0);
    let goal = match job["spec"]["completions"].as_i64() {
        Some(completions) => format!("{}/{completions} succeeded", status("succeeded")),
        None => format!("{} succeeded", status("succeeded")),
    };
    let suspended = if job["spec"]["suspend"] == true { "suspended, " } else { "" };
    format!("{suspended}{} active, {goal}, {} failed", status("active"), status("failed"))
}

/// Whether more than one Pod may run, so that log lines need a name.
pub fn is_parallel(job: &Value) -> bool {
    let spec = &job["spec"];
    spec["parallelism"].as_i64().unwrap_or(1) > 1 || spec["completions"].as_i64().unwrap_or(1) > 1
}

/// One container of a Pod as its status describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    pub name: String,
    /// Which run of it: the number of restarts before.
    pub attempt: i64,
    /// It has begun, so there is a log.
    pub started: bool,
    /// The run before the present one ended and its log may still be had.
    pub has_previous: bool,
    /// Why it does not start: reason and message.
    pub waiting: Option<(String, String)>,
    /// How the last ended run failed: exit code and reason.
    pub failed: Option<(i64, String)>,
}

/// Init containers first.
pub fn containers(pod: &Value) -> Vec<ContainerView> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let lists = ["initContainerStatuses", "containerStatuses"].into_iter().filter_map(|field| pod["status"][field].as_array());
    lists
        .flatten()
        .map(|status| {
            let (state, last) = (&status["state"], &status["lastState"]["terminated"]);
            let ended = if state["terminated"].is_object() { &state["terminated"] } else { last };
            let failed = ended["exitCode"].as_i64().filter(|code| *code != 0).map(|code| (code, text(&ended["reason"])));
            let waiting = &state["waiting"];
            let attempt = status["restartCount"].as_i64().unwrap_or(0);
            let between_runs = waiting.is_object() && last.is_object();
            ContainerView {
                name: text(&status["name"]),
                attempt: if between_runs { attempt.max(1) } else { attempt },
                started: state["running"].is_object() || state["terminated"].is_object(),
                has_previous: last.is_object(),
                waiting: waiting
                    .is_object()
                    .then(|| (text(&waiting["reason"]), text(&waiting["message"])))
                    .filter(|(reason, _)| !reason.is_empty()),
                failed,
            }
        })
        .collect()
}

/// Reasons that mean the container will not start by itself soon. Others (`ContainerCreating`, `PodInitializing`) pass.
const OBSTACLES: [&str; 9] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
];

/// What keeps a Pod from running: a key that tells obstacles apart, and a line for people.
pub fn obstacles(pod: &Value) -> Vec<(String, String)> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for container in containers(pod) {
        if let Some((reason, message)) = container.waiting.filter(|(reason, _)| OBSTACLES.contains(&reason.as_str())) {
            // The first failure and the waiting after it are one obstacle.
            let kind = if reason.contains("Image") { "image" } else { reason.as_str() };
            let colon = if message.is_empty() { "" } else { ": " };
            found.push((
                format!("{}/{kind}", container.name),
                format!("pod/{name}: container {} cannot start: {reason}{colon}{message}", container.name),
            ));
        }
    }
    for condition in pod["status"]["conditions"].as_array().into_iter().flatten() {
        if condition["type"] == "PodScheduled" && condition["status"] == "False" && condition["reason"] == "Unschedulable" {
            let message = condition["message"].as_str().unwrap_or("no node has room");
            found.push(("unschedulable".into(), format!("pod/{name} cannot be scheduled yet: {message}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outcomes() {
        let with =
            |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "reason": "R", "message": "m"}]}});
        for (job, expected) in [
            (with("Complete", "True"), Some(Outcome::Complete)),
            (with("Failed", "True"), Some(Outcome::Failed("R".into(), "m".into()))),
            (with("Failed", "False"), None),
            // Interim conditions are not the end.
            (with("FailureTarget", "True"), None),
            (with("SuccessCriteriaMet", "True"), None),
            (json!({}), None),
        ] {
            assert_eq!(outcome(&job), expected, "{job}");
        }
    }

    #[test]
    fn summaries() {
        for (job, expected) in [
            (json!({"spec": {"completions": 3}, "status": {"active": 2, "succeeded": 1}}), "2 active, 1/3 succeeded, 0 failed"),
            (json!({"spec": {"suspend": true}, "status": {"failed": 1}}), "suspended, 0 active, 0 succeeded, 1 failed"),
        ] {
            assert_eq!(summary(&job), expected);
        }
    }

    #[test]
    fn containers_of_a_pod() {
        let pod = |state: Value, last: Value, restarts: i64| json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "c", "restartCount": restarts, "state": state, "lastState": last}]}});
        let none = json!({});
        let ended = |code: i64| json!({"terminated": {"exitCode": code, "reason": "Error"}});
        for (name, object, attempt, started, previous, failed) in [
            ("running", pod(json!({"running": {}}), none.clone(), 0), 0, true, false, None),
            ("succeeded", pod(ended(0), none.clone(), 0), 0, true, false, None),
            ("failed", pod(ended(3), none.clone(), 0), 0, true, false, Some(3)),
            ("restarted", pod(json!({"running": {}}), ended(2), 1), 1, true, true, Some(2)),
            ("waits to restart", pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended(2), 0), 1, false, true, Some(2)),
            ("creating", pod(json!({"waiting": {"reason": "ContainerCreating"}}), none, 0), 0, false, false, None),
        ] {
            let view = &containers(&object)[0];
            assert_eq!(
                (view.attempt, view.started, view.has_previous, view.failed.as_ref().map(|f| f.0)),
                (attempt, started, previous, failed),
                "{name}"
            );
            assert!(obstacles(&object).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_image_that_cannot_be_had_is_one_obstacle() {
        let pod = |reason: &str| json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason, "message": "no"}}}]}});
        let (first, second) = (obstacles(&pod("ErrImagePull")), obstacles(&pod("ImagePullBackOff")));
        assert_eq!(first[0].0, second[0].0);
        assert_eq!(first[0].1, "pod/p: container c cannot start: ErrImagePull: no");
        let pending = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}]}});
        assert_eq!(obstacles(&pending)[0].1, "pod/p cannot be scheduled yet: 0/1");
    }
}
