//! Named limits of the command line: page sizes, timeouts, buffers.
//!
//! In: nothing. Out: constants. Never: a decision.

use std::time::Duration;

/// Objects asked for in one list request; more come in further pages.
pub const LIST_PAGE: usize = 500;
/// Pause before a watch that ended without an event is opened again.
pub const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Consecutive failures of a watch after which the verb gives up.
pub const RECONNECT_ATTEMPTS: u32 = 10;
/// How long `logs job/NAME` waits for the Job's first Pod (kubectl's `--pod-running-timeout`).
pub const FIRST_POD_TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts of `apply` when someone else changes the object between its read and its write.
pub const APPLY_ATTEMPTS: u32 = 5;
/// Bytes of a manifest read from a file or from standard input.
pub const MAX_MANIFEST_BYTES: u64 = 32 << 20;
/// Log lines waiting to be printed by `run`; a full queue slows the readers, nothing is dropped.
pub const LOG_QUEUE_LINES: usize = 1024;
/// Log lines that `run` prints before it looks at changes of Jobs and Pods again.
pub const LOG_LINES_PER_TURN: usize = 64;
/// Longest log line printed as one; longer ones are printed in parts.
pub const MAX_LOG_LINE_BYTES: usize = 64 << 10;
/// Last lines of a failed Pod that `run` repeats on stderr.
pub const FAILED_POD_LINES: usize = 20;
/// How long `run` goes on reading logs after its Jobs have ended.
pub const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often `run` asks again for a log that the server could not give yet.
pub const LOG_ATTEMPTS: u32 = 5;
/// Pause between these attempts.
pub const LOG_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long `run` waits for its Jobs' Pods to go after Ctrl-C.
pub const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Parallel log streams of one `logs -f` or `run`.
pub const MAX_LOG_STREAMS: usize = 64;
