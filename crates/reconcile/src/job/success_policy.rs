//! Success policy: an Indexed Job that may end before all its indexes are completed (spec/jobs.md 4.9.4).
//!
//! In: the spec and the completed indexes. Out: the number of the first rule that matches. Never: ends the Job itself (that is `outcome`).

use super::{index_set::IndexSet, indexed::Progress};
use k8s_openapi::api::batch::v1::{JobSpec, SuccessPolicyRule};

/// Index of the first rule that is met; None while no index is completed.
pub fn matched(spec: &JobSpec, progress: &Progress) -> Option<usize> {
    let rules = &spec.success_policy.as_ref()?.rules;
    (!progress.completed.is_empty()).then(|| rules.iter().position(|rule| met(rule, progress)))?
}

fn met(rule: &SuccessPolicyRule, progress: &Progress) -> bool {
    let count = rule.succeeded_count.map(i64::from);
    match (&rule.succeeded_indexes, count) {
        (Some(text), count) => {
            let listed = IndexSet::parse(text, progress.limit);
            let wanted = count.map_or(listed.len(), |count| count.min(listed.len()));
            progress.completed.common(&listed) >= wanted
        }
        (None, Some(count)) => progress.completed.len() >= count,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_is_met() {
        let by_index = json!({"succeededIndexes": "2-4"});
        let two_of = json!({"succeededIndexes": "2-4", "succeededCount": 2});
        let any_three = json!({"succeededCount": 3});
        // (rules, completed, matched)
        let rows = [
            (json!([by_index]), "2,3", None),
            (json!([by_index]), "0,2-4", Some(0)),
            (json!([two_of]), "2", None),
            (json!([two_of]), "0,2,4", Some(0)),
            (json!([any_three]), "0,5", None),
            (json!([any_three]), "0,3,5", Some(0)),
            (json!([by_index, any_three]), "0,3,5", Some(1)),
            (json!([{"succeededCount": 0}]), "", None),
            (json!([{"succeededCount": 0}]), "1", Some(0)),
            (json!([{}]), "0-5", None),
        ];
        for (rules, completed, expected) in rows {
            let spec: JobSpec =
                serde_json::from_value(json!({"completionMode": "Indexed", "completions": 6, "successPolicy": {"rules": rules},
                "template": {}}))
                .unwrap();
            let mut progress = Progress::stored(&spec, &Default::default()).unwrap();
            progress.completed = IndexSet::parse(completed, 6);
            assert_eq!(matched(&spec, &progress), expected, "{rules} {completed}");
        }
    }
}
