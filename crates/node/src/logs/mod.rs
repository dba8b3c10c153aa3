//! Container logs: reading files in the CRI format, following them, and the server that hands them out.
//!
//! In: log files that shims write. Out: text. Never: writes to a log file.

pub mod cri;
pub mod notify;
pub mod options;
pub mod server;
pub mod stream;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod which;

pub use stream::last_bytes;
