//! Rules of a CronJob on creation and on update (spec/jobs.md 7.1). Everything in its spec may change.
//!
//! In: the new CronJob and, on update, the stored one. Out: field errors. Never: a planned time: a schedule that never fires is valid.

use super::{
    job, metadata,
    read::{non_negative, one_of, present, text},
};
use crate::{cron, meta, status::FieldError};
use serde_json::Value;

/// Longest name, in bytes: the names of its Jobs are up to 11 longer and become labels.
pub const NAME_BYTES: usize = 52;
const POLICIES: &[&str] = &["Allow", "Forbid", "Replace"];

/// All rules; `old` is set on update.
pub fn spec(cron_job: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let name = meta::name(cron_job);
    if old.is_none() && name.len() > NAME_BYTES {
        errors.push(FieldError::invalid("metadata.name", name, format!("must be no more than {NAME_BYTES} bytes")));
    }
    let (spec, before) = (&cron_job["spec"], old.map(|old| &old["spec"]));
    schedule(spec, before, errors);
    non_negative(spec, "spec", "startingDeadlineSeconds", errors);
    if before.is_none_or(|before| before["timeZone"] != spec["timeZone"]) {
        time_zone(spec, errors);
    }
    if text(spec, "concurrencyPolicy").is_empty() {
        errors.push(FieldError::required("spec.concurrencyPolicy", "valid values: \"Allow\", \"Forbid\", \"Replace\""));
    }
    one_of(spec, "spec", "concurrencyPolicy", POLICIES, errors);
    job_template(&spec["jobTemplate"], errors);
    non_negative(spec, "spec", "successfulJobsHistoryLimit", errors);
    non_negative(spec, "spec", "failedJobsHistoryLimit", errors);
}

fn schedule(spec: &Value, before: Option<&Value>, errors: &mut Vec<FieldError>) {
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
        return;
    }
    let mut invalid = |why: String| errors.push(FieldError::invalid("spec.schedule", schedule, why));
    if let Err(error) = cron::parse(schedule) {
        invalid(error.to_string());
    }
    if cron::mentions_zone(schedule) {
        if !before.is_some_and(|before| cron::mentions_zone(text(before, "schedule"))) {
            invalid("TZ or CRON_TZ cannot be part of the schedule: set timeZone".into());
        } else if present(spec, "timeZone") {
            invalid("timeZone and a TZ or CRON_TZ in the schedule exclude each other".into());
        }
    }
}

fn time_zone(spec: &Value, errors: &mut Vec<FieldError>) {
    if !present(spec, "timeZone") {
        return;
    }
    let name = text(spec, "timeZone");
    if let Err(why) = cron::zone_name(name) {
        errors.push(FieldError::invalid("spec.timeZone", name, why));
    } else if let Err(error) = cron::find_zone(name) {
        errors.push(FieldError::invalid("spec.timeZone", name, error.to_string()));
    }
}

/// A Job's rules at their place in the template. Its selector is made when a Job is.
fn job_template(template: &Value, errors: &mut Vec<FieldError>) {
    let job_spec = &template["spec"];
    metadata::labels_and_annotations(&template["metadata"], "spec.jobTemplate.metadata", errors);
    let mut inner = vec![];
    job::in_template(job_spec, &mut inner);
    errors.extend(inner.into_iter().map(|error| FieldError { path: format!("spec.jobTemplate.{}", error.path), ..error }));
    if present(job_spec, "selector") {
        let path = "spec.jobTemplate.spec.selector";
        errors.push(FieldError::invalid(path, job_spec["selector"].clone(), "`selector` will be auto-generated"));
    }
    if job_spec["manualSelector"] == true {
        errors.push(FieldError::not_supported("spec.jobTemplate.spec.manualSelector", true, &["nil", "false"]));
    }
}
