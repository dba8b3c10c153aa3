//! Job features that are decided here, and those that are not built: a Job with one of those is left alone and says why.
//!
//! In: the spec. Out: a problem per field. Never: ignores a field silently.

use super::plan::Problem;
use k8s_openapi::api::batch::v1::JobSpec;

pub fn problems(spec: &JobSpec) -> Vec<Problem> {
    let mut fields = Vec::new();
    if spec.scheduling.is_some() {
        fields.push("spec.scheduling");
    }
    fields
        .into_iter()
        .map(|field| Problem { field: field.into(), message: format!("{field}: this version of the Job controller does not implement it") })
        .collect()
}
