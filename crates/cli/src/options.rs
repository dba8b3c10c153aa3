//! The options of the verbs, spelled as kubectl spells them.
//!
//! In: the command line. Out: values. Never: a default that kubectl does not have.

use clap::{Args, Subcommand};
use std::time::Duration;

/// The everyday verbs.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Show one or many objects.
    Get(GetOptions),
    /// Show the details of an object, with its events.
    Describe(DescribeOptions),
    /// Print the log of a Pod's container.
    Logs(LogsOptions),
    /// Create or change objects from manifests.
    Apply(ApplyOptions),
    /// Delete objects.
    Delete(DeleteOptions),
    /// Wait until objects meet a condition.
    Wait(WaitOptions),
}

/// Where objects are looked for.
#[derive(Debug, Clone, Default, Args)]
pub struct Scope {
    /// Namespace [default: that of the kubeconfig's context].
    #[arg(short, long)]
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct GetOptions {
    /// TYPE[,TYPE] [NAME...] or TYPE/NAME...
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// json, yaml, name, wide, jsonpath=TEMPLATE.
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only objects with these fields.
    #[arg(long, value_name = "FIELDS")]
    pub field_selector: Option<String>,
    /// After the list, show every change.
    #[arg(short, long)]
    pub watch: bool,
    /// No line with column names.
    #[arg(long)]
    pub no_headers: bool,
    /// A column with all labels.
    #[arg(long)]
    pub show_labels: bool,
    /// A missing object is no error.
    #[arg(long)]
    pub ignore_not_found: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DescribeOptions {
    /// TYPE [NAME...] or TYPE/NAME...
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub struct LogsOptions {
    /// POD, pod/NAME or job/NAME.
    #[arg(value_name = "POD | TYPE/NAME", required_unless_present = "selector")]
    pub target: Option<String>,
    /// Container (also: -c).
    #[arg(value_name = "CONTAINER")]
    pub positional_container: Option<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// Container [default: the first one].
    #[arg(short, long)]
    pub container: Option<String>,
    /// Go on until the container ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines; -1 means all.
    #[arg(long, value_name = "LINES", allow_hyphen_values = true)]
    pub tail: Option<i64>,
    /// The container's run before the last restart.
    #[arg(short, long)]
    pub previous: bool,
    /// The time before every line.
    #[arg(long)]
    pub timestamps: bool,
    /// Only lines newer than this, e.g. 5s, 2m, 3h.
    #[arg(long, value_parser = duration, conflicts_with = "since_time")]
    pub since: Option<Duration>,
    /// Only lines since this RFC 3339 time.
    #[arg(long)]
    pub since_time: Option<String>,
    /// At most so many bytes.
    #[arg(long)]
    pub limit_bytes: Option<u64>,
    /// Logs of all Pods with these labels.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "target")]
    pub selector: Option<String>,
    /// All containers of each Pod.
    #[arg(long)]
    pub all_containers: bool,
    /// All Pods of a Job.
    #[arg(long)]
    pub all_pods: bool,
    /// Pod and container before every line.
    #[arg(long)]
    pub prefix: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ApplyOptions {
    /// Manifest, directory of manifests, or - for standard input.
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    pub filenames: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// What to print of each object: name, json or yaml.
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// `server`: ask the server what would happen, store nothing.
    #[arg(long, value_parser = ["none", "server"], default_value = "none")]
    pub dry_run: String,
    /// Unknown fields: strict, warn or ignore.
    #[arg(long, value_parser = ["strict", "warn", "ignore", "true", "false"], num_args = 0..=1, default_missing_value = "strict", default_value = "strict", require_equals = true)]
    pub validate: String,
}

#[derive(Debug, Clone, Args)]
pub struct DeleteOptions {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME]", required_unless_present = "filenames")]
    pub targets: Vec<String>,
    /// The objects of these manifests.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "targets")]
    pub filenames: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// What happens to dependents: background, foreground or orphan.
    #[arg(long, value_parser = ["background", "foreground", "orphan", "true", "false"], num_args = 0..=1, default_missing_value = "background", default_value = "background", require_equals = true)]
    pub cascade: String,
    /// Return only when the objects are gone.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    pub wait: bool,
    /// Seconds that Pods get to end; negative: their own.
    #[arg(long, allow_hyphen_values = true, default_value_t = -1, value_name = "SECONDS")]
    pub grace_period: i64,
    /// Together with --grace-period=0: do not wait for the node.
    #[arg(long)]
    pub force: bool,
    /// The same as --grace-period=1.
    #[arg(long, conflicts_with = "grace_period")]
    pub now: bool,
    /// A missing object is no error.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// All objects of the type.
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How long to wait, e.g. 30s; 0 means as long as it takes.
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub timeout: Duration,
    /// What to print: name.
    #[arg(short, long, value_parser = ["name"])]
    pub output: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct WaitOptions {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME]", required_unless_present = "filenames")]
    pub targets: Vec<String>,
    /// The objects of these manifests.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "targets")]
    pub filenames: Vec<String>,
    #[command(flatten)]
    pub scope: Scope,
    /// condition=NAME[=VALUE], delete, create, or jsonpath={PATH}[=VALUE].
    #[arg(long = "for", value_name = "WHAT", required = true)]
    pub what: String,
    /// How long, e.g. 30s, 5m; 0 checks once, negative waits a week.
    #[arg(long, default_value = "30s", allow_hyphen_values = true)]
    pub timeout: String,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// All objects of the type.
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Go's notation: sums of number and unit (`1h30m`, `1.5s`, `300ms`); a bare `0` is zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a duration like 30s, 5m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ms" => 0.001,
                "us" => 0.000_001,
                "ns" => 0.000_000_001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Command {
        #[command(subcommand)]
        verb: Verb,
    }

    #[test]
    fn definitions_hold_together() {
        Command::command().debug_assert();
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0", Some(0)),
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1500)),
            ("300ms", Some(300)),
            ("", None),
            ("5", None),
            ("5x", None),
            ("-5s", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn kubectl_spellings_are_understood() {
        for line in [
            "get jobs",
            "get pods -A",
            "get jobs,pods -o wide",
            "get job/pi -oyaml",
            "get job pi -w",
            "get pods --selector=job-name=pi --output=jsonpath={.items[*].metadata.name}",
            "get po -l a=b -n x --no-headers",
            "describe jobs/pi",
            "describe job pi",
            "logs pi-x",
            "logs job/pi -f --tail=5",
            "logs -f pi-x -c c --previous --timestamps",
            "logs -l job-name=pi --tail -1",
            "apply -f pi.yaml",
            "apply -f -",
            "apply -f a -f b --validate=false",
            "delete job pi",
            "delete job/pi --cascade=false",
            "delete jobs/pi --cascade",
            "delete -f pi.yaml --ignore-not-found",
            "delete pod x --grace-period=0 --force",
            "delete pod x --grace-period -1 --wait=false",
            "delete pods --all --now",
            "wait --for=condition=complete job/pi",
            "wait --for=condition=complete --timeout=300s job/pi",
            "wait --for=delete pod/x --timeout=-1s",
            "wait --for jsonpath={.status.phase}=Running pod x",
        ] {
            let arguments = std::iter::once("piecework").chain(line.split(' '));
            assert!(
                Command::try_parse_from(arguments).is_ok(),
                "{line}: {:?}",
                Command::try_parse_from(std::iter::once("piecework").chain(line.split(' ')))
            );
        }
        for line in ["get", "logs", "apply", "delete", "wait job/pi", "delete job pi --cascade=maybe", "apply -f x --dry-run=client"] {
            assert!(Command::try_parse_from(std::iter::once("piecework").chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
