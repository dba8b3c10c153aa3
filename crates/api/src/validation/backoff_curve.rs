//! Rules of the annotations that shape a Job's back-off (`crate::backoff_curve`).
//!
//! In: the metadata of a Job, or of a CronJob's template. Out: field errors that name the annotation. Never: a rule of annotations in general.

use crate::{
    backoff_curve::{BASE_ANNOTATION, CAP_ANNOTATION, EXPECTED, delay},
    status::FieldError,
};
use serde_json::Value;

pub fn annotations(metadata: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in [BASE_ANNOTATION, CAP_ANNOTATION] {
        if let Some(text) = metadata["annotations"][name].as_str()
            && delay(text).is_none()
        {
            errors.push(FieldError::invalid(format!("{path}.annotations[{name}]"), text, EXPECTED));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::{
        kinds,
        validation::{create, samples, update},
    };
    use serde_json::{Value, json};

    fn found(errors: Vec<crate::status::FieldError>) -> Vec<String> {
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.body())).collect()
    }

    #[test]
    fn what_is_no_delay_is_refused_on_create_and_update() {
        let kind = kinds::by_kind("batch/v1", "Job").unwrap();
        let job = |annotations: Value| {
            let mut job = samples::job();
            job["metadata"]["annotations"] = annotations;
            job
        };
        let detail = "must be a duration above zero, such as 500ms, 10s, 6m or 1h30m";
        let base = |text: &str| format!("metadata.annotations[piecework.dev/backoff-base]: Invalid value: \"{text}\": {detail}");
        let cap = |text: &str| format!("metadata.annotations[piecework.dev/backoff-cap]: Invalid value: \"{text}\": {detail}");
        let rows = [
            (json!({}), vec![]),
            (json!({"piecework.dev/backoff-base": "500ms"}), vec![]),
            (json!({"piecework.dev/backoff-base": "10s", "piecework.dev/backoff-cap": "1s"}), vec![]),
            (json!({"piecework.dev/backoff-base": "soon"}), vec![base("soon")]),
            (json!({"piecework.dev/backoff-base": "", "piecework.dev/backoff-cap": "0s"}), vec![base(""), cap("0s")]),
            (json!({"example.com/backoff-cap": "soon"}), vec![]),
        ];
        for (annotations, expected) in rows {
            assert_eq!(found(create(kind, &job(annotations.clone()))), expected, "create {annotations}");
            assert_eq!(found(update(kind, &job(annotations.clone()), &job(json!({})))), expected, "update {annotations}");
        }
    }

    #[test]
    fn a_cron_job_is_told_before_its_jobs_are() {
        let kind = kinds::by_kind("batch/v1", "CronJob").unwrap();
        let mut cron_job = samples::cron_job();
        cron_job["spec"]["jobTemplate"]["metadata"]["annotations"] = json!({"piecework.dev/backoff-cap": "6"});
        let path = "spec.jobTemplate.metadata.annotations[piecework.dev/backoff-cap]";
        let expected = format!("{path}: Invalid value: \"6\": must be a duration above zero, such as 500ms, 10s, 6m or 1h30m");
        assert_eq!(found(create(kind, &cron_job)), [expected]);
        cron_job["spec"]["jobTemplate"]["metadata"]["annotations"] = json!({"piecework.dev/backoff-cap": "6m"});
        assert_eq!(found(create(kind, &cron_job)), [""; 0]);
    }
}
