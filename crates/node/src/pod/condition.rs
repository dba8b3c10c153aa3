//! Pod conditions that the agent owns, merged with those of others.
//!
//! In: the conditions of the Pod as the API has them, the agent's verdicts. Out: the new list.
//! Never: touches a condition of someone else (PodScheduled, DisruptionTarget); moves a transition time without a transition.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::spec::whole_seconds;

/// What the agent says about one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub type_: &'static str,
    pub holds: bool,
    pub reason: Option<&'static str>,
    pub message: Option<String>,
}

impl Verdict {
    pub fn holds(type_: &'static str) -> Self {
        Verdict { type_, holds: true, reason: None, message: None }
    }

    pub fn fails(type_: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Verdict { type_, holds: false, reason: Some(reason), message }
    }
}

/// The list with the verdicts put in; the order of known conditions stays, new ones follow.
pub fn merge(known: &[PodCondition], verdicts: Vec<Verdict>, generation: Option<i64>, now: Timestamp) -> Vec<PodCondition> {
    let mut merged = known.to_vec();
    for verdict in verdicts {
        let status = if verdict.holds { "True" } else { "False" };
        let old = merged.iter().position(|condition| condition.type_ == verdict.type_);
        let transition = old
            .map(|index| &merged[index])
            .filter(|condition| condition.status == status)
            .and_then(|condition| condition.last_transition_time.clone())
            .unwrap_or_else(|| Time(whole_seconds(now)));
        let condition = PodCondition {
            type_: verdict.type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.map(str::to_owned),
            message: verdict.message,
            last_transition_time: Some(transition),
            last_probe_time: None,
            observed_generation: generation,
        };
        match old {
            Some(index) => merged[index] = condition,
            None => merged.push(condition),
        }
    }
    merged
}
