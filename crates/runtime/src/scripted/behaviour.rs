//! What a scripted container does.
//!
//! In: chosen by the test. Out: exits. Pure. Never: more than the real runtime could report.

use std::time::Duration;

use jiff::Timestamp;

use crate::Exit;

/// How a scripted container ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code, 0-255.
    Code(i32),
    /// Exit code and termination message.
    Message(i32, String),
    Signal(i32),
    OutOfMemory,
    /// The process never ran; only meaningful at time zero.
    StartError(String),
    /// Nobody saw the end.
    Lost,
}

impl Outcome {
    pub(super) fn exit(&self, started_at: Option<Timestamp>, finished_at: Timestamp) -> Exit {
        let mut exit = Exit {
            exit_code: 0,
            signal: None,
            oom_killed: false,
            start_error: None,
            lost: false,
            started_at,
            finished_at,
            termination_message: String::new(),
        };
        match self {
            Outcome::Code(code) => exit.exit_code = *code,
            Outcome::Message(code, message) => {
                exit.exit_code = *code;
                exit.termination_message = message.clone();
            }
            Outcome::Signal(signal) => {
                exit.exit_code = 128 + signal;
                exit.signal = Some(*signal);
            }
            Outcome::OutOfMemory => {
                exit.exit_code = 128 + libc::SIGKILL;
                exit.signal = Some(libc::SIGKILL);
                exit.oom_killed = true;
            }
            Outcome::StartError(text) => return Exit::start_error(text.clone(), finished_at),
            Outcome::Lost => return Exit::lost(started_at, finished_at),
        }
        exit
    }
}

/// A script for containers.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// When it ends by itself; `None`: when the test says so or a signal comes.
    pub(super) end: Option<(Duration, Outcome)>,
    /// What SIGTERM does after which time; `None`: it is ignored. SIGKILL always kills at once.
    pub(super) on_term: Option<(Duration, Outcome)>,
}

impl Default for Behaviour {
    /// Exits 0 at once.
    fn default() -> Self {
        Behaviour::ends(Duration::ZERO, Outcome::Code(0))
    }
}

impl Behaviour {
    /// Ends after a time; dies of SIGTERM at once.
    pub fn ends(after: Duration, outcome: Outcome) -> Self {
        Behaviour { end: Some((after, outcome)), on_term: Some((Duration::ZERO, Outcome::Signal(libc::SIGTERM))) }
    }

    /// Runs until the test or a signal ends it.
    pub fn runs() -> Self {
        Behaviour { end: None, on_term: Some((Duration::ZERO, Outcome::Signal(libc::SIGTERM))) }
    }

    /// Reacts to SIGTERM after a time in its own way.
    pub fn on_term(mut self, after: Duration, outcome: Outcome) -> Self {
        self.on_term = Some((after, outcome));
        self
    }

    /// Lets SIGTERM pass.
    pub fn ignores_term(mut self) -> Self {
        self.on_term = None;
        self
    }

    pub(super) fn reaction(&self, signal: i32) -> Option<(Duration, Outcome)> {
        match signal {
            libc::SIGKILL => Some((Duration::ZERO, Outcome::Signal(libc::SIGKILL))),
            libc::SIGTERM => self.on_term.clone(),
            _ => None,
        }
    }
}
