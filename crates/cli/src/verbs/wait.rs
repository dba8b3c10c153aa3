//! `wait`: until objects meet a condition, have a value, exist or are gone.
//!
//! In: a selection and `--for`. Out: one line per object. Never: polls.

use super::{
    delete::gone,
    select::{Selected, Selection, select},
};
use crate::{
    Context,
    failure::Failure,
    options::{WaitOptions, duration},
    output::jsonpath::Template,
    resources::Resources,
    watching::{Change, follow},
};
use futures::StreamExt;
use serde_json::Value;
use std::{pin::pin, time::Duration};

/// A negative timeout means a week, as in kubectl.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// Type (any case) and status.
    Condition(String, String),
    /// The path's first value as text; None: any value.
    Path(Template, Option<String>),
    Create,
    Delete,
}

impl Goal {
    pub fn parse(text: &str) -> Result<Self, Failure> {
        match text.split_once('=') {
            None if text.eq_ignore_ascii_case("delete") => Ok(Self::Delete),
            None if text.eq_ignore_ascii_case("create") => Ok(Self::Create),
            Some(("condition", rest)) if !rest.is_empty() => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
                Ok(Self::Condition(name.to_string(), value.to_string()))
            }
            Some(("jsonpath", rest)) if !rest.is_empty() => {
                // The value starts after the path's closing brace, or at the first = outside brackets.
                let end = if rest.starts_with('{') {
                    rest.rfind('}').map(|at| at + 1).ok_or_else(|| Failure::usage(format!("jsonpath {rest:?} is not closed")))?
                } else {
                    rest.find('=').unwrap_or(rest.len())
                };
                let (path, value) = rest.split_at(end);
                let value = match value.strip_prefix('=') {
                    Some("") => return Err(Failure::usage("jsonpath wait condition has an empty value")),
                    Some(value) => Some(value.trim_matches(['\'', '"']).to_string()),
                    None if value.is_empty() => None,
                    None => return Err(Failure::usage(format!("unrecognized condition {text:?}"))),
                };
                Ok(Self::Path(Template::parse_relaxed(path).map_err(Failure::Usage)?, value))
            }
            _ => Err(Failure::usage(format!(
                "unrecognized condition {text:?}: use condition=NAME[=VALUE], delete, create or jsonpath={{PATH}}[=VALUE]"
            ))),
        }
    }

    /// Whether an object that exists meets the goal.
    pub fn met(&self, object: &Value) -> Result<bool, Failure> {
        match self {
            Self::Create => Ok(true),
            Self::Delete => Ok(false),
            Self::Condition(name, wanted) => {
                let generation = object["metadata"]["generation"].as_i64();
                let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                Ok(conditions
                    .filter(|c| c["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(name)))
                    // A condition that was true of an older specification says nothing about this one.
                    .filter(|c| !matches!((c["observedGeneration"].as_i64(), generation), (Some(seen), Some(now)) if seen < now))
                    .any(|c| c["status"].as_str().is_some_and(|s| s.eq_ignore_ascii_case(wanted))))
            }
            Self::Path(template, wanted) => {
                let values =
                    template.values(object).or_else(|e| if e.contains("out of bounds") { Ok(vec![]) } else { Err(Failure::Usage(e)) })?;
                Ok(match (values.first(), wanted) {
                    (None | Some(Value::Null), _) => false,
                    (Some(_), None) => true,
                    (Some(Value::String(text)), Some(wanted)) => text == wanted,
                    (Some(Value::Object(_) | Value::Array(_)), Some(_)) => {
                        return Err(Failure::usage("jsonpath leads to an object or a list, which cannot be compared with a value"));
                    }
                    (Some(value), Some(wanted)) => {
                        *value == **wanted || serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *value)
                    }
                })
            }
        }
    }
}

pub async fn wait(context: &Context, options: WaitOptions) -> Result<(), Failure> {
    let goal = Goal::parse(&options.what)?;
    let limit = if options.timeout.starts_with('-') {
        duration(&options.timeout[1..]).map_err(Failure::Usage)?;
        WEEK
    } else {
        duration(&options.timeout).map_err(Failure::Usage)?
    };
    let resources = Resources::discover(&context.server).await?;
    let selection = Selection {
        targets: &options.targets,
        filenames: &options.filenames,
        selector: options.selector.as_deref(),
        all: options.all,
        all_namespaces: options.all_namespaces,
    };
    let selected = select(context, &resources, &options.scope, selection).await?;
    if selected.is_empty() {
        if goal == Goal::Delete {
            return Ok(());
        }
        return Err(Failure::usage("no matching resources found"));
    }
    let mut failures = Vec::new();
    let deadline = tokio::time::Instant::now() + limit;
    for object in &selected {
        let title = format!("{}/{}", object.resource.plural, object.name);
        let result = if limit.is_zero() {
            check_once(context, object, &goal).await
        } else {
            match tokio::time::timeout_at(deadline, until(context, object, &goal)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::usage(format!("timed out waiting for the condition on {title}"))),
            }
        };
        match result {
            Ok(End::Met) => context.terminal.line(&format!("{} condition met", object.title()))?,
            Ok(End::Absent) => {}
            Ok(End::NotMet) => failures.push(Failure::usage(format!("condition not met for {title}"))),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)
}

/// How waiting for one object ended.
enum End {
    Met,
    NotMet,
    /// It was to be gone, and never was there: kubectl says nothing then.
    Absent,
}

async fn check_once(context: &Context, object: &Selected, goal: &Goal) -> Result<End, Failure> {
    match context.server.get(&object.path()).await {
        Ok(found) => Ok(if goal.met(&found)? { End::Met } else { End::NotMet }),
        Err(failure) if failure.is_not_found() && *goal == Goal::Delete => Ok(End::Absent),
        Err(failure) if failure.is_not_found() && *goal == Goal::Create => Ok(End::NotMet),
        Err(failure) => Err(failure),
    }
}

async fn until(context: &Context, object: &Selected, goal: &Goal) -> Result<End, Failure> {
    if *goal == Goal::Delete {
        return match context.server.get(&object.path()).await {
            Ok(found) => gone(context, object, found["metadata"]["uid"].as_str().unwrap_or_default(), None).await.map(|()| End::Met),
            Err(failure) if failure.is_not_found() => Ok(End::Absent),
            Err(failure) => Err(failure),
        };
    }
    let absent = || async {
        // The server's own words for a missing object.
        match context.server.get(&object.path()).await {
            Err(failure) => Err(failure),
            Ok(_) => Ok(()),
        }
    };
    let mut changes = pin!(follow(&context.server, &object.narrowed()));
    while let Some(change) = changes.next().await {
        let present = match change? {
            Change::Listed(items) => items.into_iter().find(|item| item["metadata"]["name"] == *object.name),
            Change::Changed(item) => Some(item),
            Change::Deleted(_) => None,
        };
        match present {
            Some(item) if goal.met(&item)? => return Ok(End::Met),
            Some(_) => {}
            None if *goal == Goal::Create => {}
            None => absent().await?,
        }
    }
    Ok(End::NotMet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn goals() {
        let job = json!({"metadata": {"generation": 2}, "status": {"succeeded": 1, "conditions": [
            {"type": "Complete", "status": "True"}, {"type": "Suspended", "status": "False"}, {"type": "Old", "status": "True", "observedGeneration": 1}]}});
        for (text, expected) in [
            ("condition=complete", Some(true)),
            ("condition=Complete=true", Some(true)),
            ("condition=suspended", Some(false)),
            ("condition=Suspended=False", Some(true)),
            ("condition=old", Some(false)),
            ("condition=failed", Some(false)),
            ("jsonpath={.status.succeeded}=1", Some(true)),
            ("jsonpath={.status.succeeded}=2", Some(false)),
            ("jsonpath=.status.succeeded=1", Some(true)),
            ("jsonpath={.status.succeeded}", Some(true)),
            ("jsonpath={.status.failed}", Some(false)),
            ("jsonpath={.status.conditions[?(@.type==\"Complete\")].status}=True", Some(true)),
            ("jsonpath={.status.conditions[7].status}=True", Some(false)),
            ("jsonpath={.status.conditions}=x", None),
            ("create", Some(true)),
            ("delete", Some(false)),
            ("", None),
            ("condition=", None),
            ("jsonpath={.a", None),
            ("jsonpath={.a}=", None),
            ("nonsense", None),
        ] {
            let met = Goal::parse(text).and_then(|goal| goal.met(&job)).ok();
            assert_eq!(met, expected, "{text}");
        }
    }
}
