//! The command line. Its names are promises (docs/compat.md): scripts type them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

/// Kubernetes Jobs without the cluster.
#[derive(Debug, Parser)]
#[command(name = "piecework", version, propagate_version = true)]
pub struct Arguments {
    /// More log lines on stderr (repeat for more).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// API server, store, controllers, scheduler and a node agent in this process.
    Server(ServerOptions),
    /// Only the controllers, against any Kubernetes API server.
    Controllers(ControllersOptions),
    /// Run a manifest's Job to its end without a server: logs on stdout, the Job's outcome as exit code.
    Run(RunOptions),
    /// The local image store.
    Image(ImageOptions),
    #[command(flatten)]
    Verb(piecework_cli::Verb),
}

#[derive(Debug, Clone, Args)]
pub struct ServerOptions {
    /// Where state lives [default: /var/lib/piecework as root, else $XDG_DATA_HOME/piecework].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to serve on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,
    /// Where objects are stored.
    #[arg(long, default_value = "embedded", value_parser = parse_store)]
    pub store: StoreChoice,
    /// Run no containers on this machine.
    #[arg(long)]
    pub no_agent: bool,
    /// Run no controllers and no scheduler.
    #[arg(long)]
    pub no_controllers: bool,
    #[command(flatten)]
    pub jobs: JobOptions,
    /// Name of this machine's Node [default: the host name].
    #[arg(long)]
    pub node_name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct JobOptions {
    /// Longest delay between retries of a Job's failed Pods (the Jobs page says six minutes; current upstream uses 10m).
    #[arg(long, value_name = "DURATION", default_value = "6m", value_parser = parse_duration)]
    pub job_backoff_cap: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreChoice {
    Embedded,
}

#[derive(Debug, Clone, Args)]
pub struct ControllersOptions {
    /// How to reach the API server.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    #[command(flatten)]
    pub jobs: JobOptions,
}

#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// Manifest file, or - for standard input.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Use the server of $KUBECONFIG instead of an ephemeral one.
    #[arg(long)]
    pub attach: bool,
    /// Namespace for objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Where images are kept and the ephemeral server works [default: as for `server`].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub jobs: JobOptions,
}

#[derive(Debug, Clone, Args)]
pub struct ImageOptions {
    /// Data directory whose image store is meant [default: as for `server`].
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: piecework_cli::image::ImageCommand,
}

fn parse_store(text: &str) -> Result<StoreChoice, String> {
    match text {
        "embedded" => Ok(StoreChoice::Embedded),
        _ if text.starts_with("etcd=") => Err("etcd is not built yet; use embedded".into()),
        _ => Err("expected embedded".into()),
    }
}

/// Sums of a number and a unit (`ms`, `s`, `m`, `h`), as Go and kubectl write durations: `90s`, `6m`, `1h30m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a duration: write 90s, 6m or 1h30m");
    let (mut total, mut rest) = (Duration::ZERO, text);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let part = match &rest[..unit] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = &rest[unit..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("6m", 360.0), ("10m", 600.0), ("1h30m", 5400.0), ("90s", 90.0), ("250ms", 0.25), ("0s", 0.0)] {
            assert_eq!(parse_duration(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "6", "m", "6x", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
