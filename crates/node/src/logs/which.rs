//! Which log file answers a request, or why none does (texts of spec/api.md 4.4).
//!
//! In: the Pod's status, the attempts that have a file. Out: an attempt, or status code and text. Never: I/O.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::pod::spec;

/// An answer without a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoLog {
    pub code: u16,
    pub message: String,
}

/// The attempt whose log is wanted. `files`: attempts with a log file, ascending.
pub fn attempt(pod: &Pod, container: &str, previous: bool, files: &[u32]) -> Result<u32, NoLog> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let bad = |message: String| Err(NoLog { code: 400, message });
    if spec::find_container(pod, container).is_none() {
        return bad(format!("container {container} is not valid for pod {name}"));
    }
    let status = pod.status.as_ref();
    let statuses = status
        .into_iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten()));
    let known = statuses.into_iter().find(|status| status.name == container);
    if previous {
        // While it waits for a restart, the newest run is the previous one.
        let wanted = if has_run(known) { files.iter().rev().nth(1) } else { files.last() };
        return match wanted {
            Some(attempt) => Ok(*attempt),
            None => bad(format!("previous terminated container {container:?} in pod {name:?} not found")),
        };
    }
    if let Some(newest) = files.last() {
        return Ok(*newest);
    }
    let reason = known.and_then(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let why = match reason.as_deref() {
        Some("ErrImagePull") => "image can't be pulled".to_owned(),
        Some("ImagePullBackOff") => "trying and failing to pull image".to_owned(),
        Some(reason) => reason.to_owned(),
        // The status is not written yet, or the log went with an earlier data directory.
        None if known.is_some_and(|status| status.container_id.is_some()) => {
            return Err(NoLog { code: 404, message: format!("the log of container {container:?} in pod {name:?} is not on this node") });
        }
        None => "ContainerCreating".to_owned(),
    };
    bad(format!("container {container:?} in pod {name:?} is waiting to start: {why}"))
}

/// Its state is that of its newest run, so the run before is the previous one.
fn has_run(status: Option<&ContainerStatus>) -> bool {
    status.and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    /// State of container a, container asked for, previous, files, answer.
    type Case = (Value, &'static str, bool, &'static [u32], Result<u32, &'static str>);

    #[test]
    fn attempts_and_refusals() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let running = json!({"running": {}});
        let cases: Vec<Case> = vec![
            (running.clone(), "a", false, &[0], Ok(0)),
            (running.clone(), "a", false, &[0, 1, 2], Ok(2)),
            (running.clone(), "a", true, &[0, 1, 2], Ok(1)),
            (running.clone(), "a", true, &[0], Err("previous terminated container \"a\" in pod \"p\" not found")),
            (waiting("CrashLoopBackOff"), "a", false, &[0, 1], Ok(1)),
            (waiting("CrashLoopBackOff"), "a", true, &[0, 1], Ok(1)),
            (waiting("ContainerCreating"), "a", false, &[], Err("container \"a\" in pod \"p\" is waiting to start: ContainerCreating")),
            (waiting("ErrImagePull"), "a", false, &[], Err("container \"a\" in pod \"p\" is waiting to start: image can't be pulled")),
            (
                waiting("ImagePullBackOff"),
                "a",
                false,
                &[],
                Err("container \"a\" in pod \"p\" is waiting to start: trying and failing to pull image"),
            ),
            (running, "b", false, &[0], Err("container b is not valid for pod p")),
        ];
        for (state, container, previous, files, wanted) in cases {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]},
                "status": {"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}
            }))
            .unwrap();
            let got = attempt(&pod, container, previous, files);
            assert_eq!(got.as_ref().map_err(|error| error.message.as_str()).copied(), wanted, "{state} {container} {previous} {files:?}");
        }
    }
}
