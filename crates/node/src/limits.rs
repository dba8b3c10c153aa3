//! Every delay, limit and buffer of the node agent, as named constants (listed in docs/limits.md).
//!
//! In: nothing. Out: constants. Never: a value that a Pod or an option decides.

use std::time::Duration;

/// First delay before a failed container, image pull or container configuration is tried again, seconds (spec/jobs.md 9.3).
pub const BACKOFF_BASE_SECONDS: i64 = 10;
/// Longest such delay, seconds (spec/jobs.md 9.3).
pub const BACKOFF_CAP_SECONDS: i64 = 300;
/// A container that ran this long before it ended starts again without delay, seconds (spec/jobs.md 9.3).
pub const BACKOFF_RESET_SECONDS: i64 = 600;
/// First delay before a sandbox is created or removed again after a failure, seconds.
pub const SANDBOX_BACKOFF_BASE_SECONDS: i64 = 1;
/// Longest such delay, seconds.
pub const SANDBOX_BACKOFF_CAP_SECONDS: i64 = 60;
/// Attempts of one container that are remembered. The back-off cap is reached after 6, so 16 decide every delay exactly.
pub const ATTEMPTS_REMEMBERED: usize = 16;

/// First delay before a refused API write (status, final DELETE) or a failed signal is tried again.
pub const WRITE_RETRY_BASE: Duration = Duration::from_millis(200);
/// Longest such delay.
pub const WRITE_RETRY_CAP: Duration = Duration::from_secs(30);

/// Sandboxes and containers being created at one time on this node; more wait their turn.
pub const CONCURRENT_STARTS: usize = 16;
/// Images being pulled at one time on this node.
pub const CONCURRENT_PULLS: usize = 4;

/// Grace period when neither the Pod nor the DELETE names one, seconds.
pub const DEFAULT_GRACE_SECONDS: i64 = 30;
/// Processes and threads of one Pod (cgroup `pids.max`).
pub const POD_PIDS_LIMIT: i64 = 16_384;
/// Pods that one node announces as its capacity. Upstream announces 110; one machine of many short Jobs needs more.
pub const DEFAULT_MAX_PODS: u32 = 1000;

/// Lines of the log used as termination message (`FallbackToLogsOnError`, spec/jobs.md 9.2).
pub const FALLBACK_LOG_LINES: u64 = 80;
/// Bytes of the log used as termination message (spec/jobs.md 9.2).
pub const FALLBACK_LOG_BYTES: usize = 2048;

/// How often the Lease is renewed (spec/jobs.md 9.7).
pub const LEASE_RENEW: Duration = Duration::from_secs(10);
/// How long a renewed Lease is good, seconds (spec/jobs.md 9.7).
pub const LEASE_SECONDS: i32 = 40;
/// How often node conditions are written although nothing changed.
pub const NODE_STATUS_PERIOD: Duration = Duration::from_secs(300);
/// First delay before a failed write of the Node object or the Lease is tried again.
pub const NODE_RETRY_BASE: Duration = Duration::from_millis(200);
/// Longest such delay; shorter than `LEASE_SECONDS` so that one outage does not outlast the lease by much.
pub const NODE_RETRY_CAP: Duration = Duration::from_secs(5);

/// Bytes read from a log file at a time.
pub const LOG_READ_BYTES: usize = 64 * 1024;
/// Chunks of a log answer that wait for a slow reader before reading the file pauses.
pub const LOG_CHUNKS_QUEUED: usize = 16;
/// A rejoined log line is passed on in pieces when it gets longer than this, bytes.
pub const LOG_LINE_BYTES: usize = 1024 * 1024;
/// A client must finish its TLS handshake with the logs server within this time.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
