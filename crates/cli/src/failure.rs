//! What went wrong, in the words kubectl's users know.
//!
//! In: errors of the client, Statuses of the server, wrong usage. Out: one line (or more, for several causes). Never: a panic, a debug dump.

use serde_json::Value;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A `metav1.Status` of the server.
    #[error("Error from server ({}): {}", reason(.0), message(.0))]
    Status(Value),
    /// The server could not be reached or answered nonsense.
    #[error("Unable to connect to the server: {0}")]
    Connection(String),
    /// Everything that the user or the object is to blame for.
    #[error("error: {0}")]
    Usage(String),
    /// Several failures, one line each.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Failure>),
    /// The reader of our output went away.
    #[error("the output was closed")]
    ClosedPipe,
}

fn reason(status: &Value) -> &str {
    match status["reason"].as_str() {
        Some(reason) if !reason.is_empty() => reason,
        _ => "Unknown",
    }
}

fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or("the server gave no reason")
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// One failure as itself, several as a list; none is success.
    pub fn all(mut failures: Vec<Failure>) -> Result<(), Failure> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Failure::Several(failures)),
        }
    }

    /// The HTTP code of a Status; 0 for everything else.
    pub fn code(&self) -> u64 {
        match self {
            Self::Status(status) => status["code"].as_u64().unwrap_or(0),
            _ => 0,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// `field: message` of every cause, for a refused object.
    pub fn causes(&self) -> Vec<String> {
        let Self::Status(status) = self else { return vec![] };
        status["details"]["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|cause| match (cause["field"].as_str().unwrap_or(""), cause["message"].as_str().unwrap_or("")) {
                ("", message) => message.to_string(),
                (field, message) => format!("{field}: {message}"),
            })
            .collect()
    }
}

/// An error of kube and everything that caused it, as a connection failure.
impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error {
            return Self::Status(serde_json::to_value(status).unwrap_or_default());
        }
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            next = cause.source();
        }
        Self::Connection(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines() {
        let status = |value: Value| Failure::Status(value);
        for (failure, expected) in [
            (
                status(json!({"reason": "NotFound", "message": "jobs.batch \"pi\" not found", "code": 404})),
                "Error from server (NotFound): jobs.batch \"pi\" not found",
            ),
            (status(json!({})), "Error from server (Unknown): the server gave no reason"),
            (Failure::usage("x"), "error: x"),
            (Failure::Several(vec![Failure::usage("a"), Failure::usage("b")]), "error: a\nerror: b"),
        ] {
            assert_eq!(failure.to_string(), expected);
        }
        let refused =
            status(json!({"details": {"causes": [{"field": "spec.parallelism", "message": "Invalid value: -1"}, {"message": "m"}]}}));
        assert_eq!(refused.causes(), ["spec.parallelism: Invalid value: -1", "m"]);
    }
}
