//! Pod failure policy: what the end of one Pod means for its Job (spec/jobs.md 4.9.3).
//!
//! In: the Job's spec and a Pod that passed the failed test. Out: the action of the first rule that matches. Never: counts, deletes.
//! `FailIndex` needs a back-off limit per index; without one such a rule is skipped like any action that is not known.

use k8s_openapi::api::{
    batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern},
    core::v1::Pod,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A failure like any other; also when no rule matches.
    Count,
    /// Not counted, not held against any limit.
    Ignore,
    /// A failure that ends the retries of its index.
    FailIndex,
    /// The whole Job fails, with this message.
    FailJob(String),
}

pub fn verdict(spec: &JobSpec, pod: &Pod) -> Verdict {
    let Some(policy) = spec.pod_failure_policy.as_ref() else { return Verdict::Count };
    for (index, rule) in policy.rules.iter().enumerate() {
        let exit = rule.on_exit_codes.as_ref().and_then(|wanted| matching_exit(wanted, pod));
        let condition = matching_condition(rule.on_pod_conditions.as_deref().unwrap_or_default(), pod);
        let (namespace, name) = (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default());
        let message = match (exit, condition) {
            (Some((container, code)), _) => {
                format!(
                    "Container {container} for pod {namespace}/{name} failed with exit code {code} matching FailJob rule at index {index}"
                )
            }
            (None, Some(condition)) => format!("Pod {namespace}/{name} has condition {condition} matching FailJob rule at index {index}"),
            (None, None) => continue,
        };
        match rule.action.as_str() {
            "Count" => return Verdict::Count,
            "Ignore" => return Verdict::Ignore,
            "FailIndex" if spec.backoff_limit_per_index.is_some() => return Verdict::FailIndex,
            "FailJob" => return Verdict::FailJob(message),
            _ => {}
        }
    }
    Verdict::Count
}

/// The first container, app before init, that ended non-zero as the rule wants.
fn matching_exit<'a>(wanted: &PodFailurePolicyOnExitCodesRequirement, pod: &'a Pod) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let app = status.container_statuses.iter().flatten();
    app.chain(status.init_container_statuses.iter().flatten())
        .filter(|container| wanted.container_name.as_ref().is_none_or(|name| *name == container.name))
        .filter_map(|container| Some((container.name.as_str(), container.state.as_ref()?.terminated.as_ref()?.exit_code)))
        .find(|(_, code)| match wanted.operator.as_str() {
            "In" => *code != 0 && wanted.values.contains(code),
            "NotIn" => *code != 0 && !wanted.values.contains(code),
            _ => false,
        })
}

fn matching_condition<'a>(patterns: &[PodFailurePolicyOnPodConditionsPattern], pod: &'a Pod) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    let matches = |pattern: &PodFailurePolicyOnPodConditionsPattern, type_: &str, status: &str| {
        pattern.type_ == type_ && pattern.status.as_deref().unwrap_or("True") == status
    };
    conditions
        .iter()
        .find(|condition| patterns.iter().any(|pattern| matches(pattern, &condition.type_, &condition.status)))
        .map(|condition| condition.type_.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn first_matching_rule_decides() {
        let exit = |action: &str, operator: &str, values: &[i32]| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
        let disrupted = |action: &str| json!({"action": action, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
        const FAIL: &str = "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index";
        // (rules, expected for a Pod that ended with 42 and was disrupted)
        let rows = [
            (json!([]), Verdict::Count),
            (json!([exit("Ignore", "In", &[1, 42])]), Verdict::Ignore),
            (json!([exit("Ignore", "In", &[1])]), Verdict::Count),
            (json!([exit("FailJob", "NotIn", &[1])]), Verdict::FailJob(format!("{FAIL} 0"))),
            (json!([exit("Ignore", "NotIn", &[42])]), Verdict::Count),
            (json!([exit("Ignore", "Near", &[42])]), Verdict::Count),
            (json!([exit("Explode", "In", &[42]), exit("FailJob", "In", &[42])]), Verdict::FailJob(format!("{FAIL} 1"))),
            (json!([exit("Count", "In", &[42]), exit("FailJob", "In", &[42])]), Verdict::Count),
            (json!([disrupted("Ignore"), exit("FailJob", "In", &[42])]), Verdict::Ignore),
            (
                json!([disrupted("FailJob")]),
                Verdict::FailJob("Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0".into()),
            ),
        ];
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"}, "status": {"phase": "Failed",
            "conditions": [{"type": "Ready", "status": "False"}, {"type": "DisruptionTarget", "status": "True"}],
            "containerStatuses": [
                {"name": "side", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}},
                {"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 42}}}]}}))
        .unwrap();
        for (rules, expected) in rows {
            let policy = serde_json::from_value(json!({"rules": rules})).unwrap();
            let spec = JobSpec { pod_failure_policy: Some(policy), ..JobSpec::default() };
            assert_eq!(verdict(&spec, &pod), expected, "{rules}");
        }
    }

    #[test]
    fn a_container_name_restricts_the_rule() {
        let rule =
            |name: &str| json!({"rules": [{"action": "Ignore", "onExitCodes": {"containerName": name, "operator": "In", "values": [1]}}]});
        let pod: Pod = serde_json::from_value(json!({"status": {"initContainerStatuses": [
            {"name": "prepare", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}]}}))
        .unwrap();
        for (name, expected) in [("prepare", Verdict::Ignore), ("main", Verdict::Count)] {
            let policy = serde_json::from_value(rule(name)).unwrap();
            let spec = JobSpec { pod_failure_policy: Some(policy), ..JobSpec::default() };
            assert_eq!(verdict(&spec, &pod), expected, "{name}");
        }
    }
}
