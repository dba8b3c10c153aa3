//! `/version` (spec/api.md 8).
//!
//! In: nothing. Out: the version document. Never: a version that is not semver with a leading v; clients parse it.

use serde_json::{Value, json};

/// Kubernetes API version that is spoken. 1.33 is the newest kubectl that is tested; kubectl warns when minors differ by more than one.
pub const GIT_VERSION: &str = concat!("v1.33.0+piecework.", env!("CARGO_PKG_VERSION"));

pub(crate) fn document() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "emulationMajor": "1",
        "emulationMinor": "33",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "32",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", platform()),
    })
}

/// Architecture names as the field uses them.
fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
