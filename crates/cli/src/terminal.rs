//! Standard output and standard error as values, so that tests can read what a user would see.
//!
//! In: text. Out: bytes on two streams. Never: decides what is said.

use crate::failure::Failure;
use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

type Stream = Arc<Mutex<dyn Write + Send>>;

/// Two output streams; clones write to the same ones.
#[derive(Clone)]
pub struct Terminal {
    out: Stream,
    err: Stream,
    /// Whether stderr is a person's terminal (progress bars) or a file.
    pub interactive: bool,
}

impl Terminal {
    /// This process's streams.
    pub fn standard() -> Self {
        Self { out: Arc::new(Mutex::new(io::stdout())), err: Arc::new(Mutex::new(io::stderr())), interactive: io::stderr().is_terminal() }
    }

    /// Any two streams; not interactive.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self { out: Arc::new(Mutex::new(out)), err: Arc::new(Mutex::new(err)), interactive: false }
    }

    /// Writes to stdout as it is.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::usage(format!("cannot write to standard output: {error}")),
        })
    }

    /// One line on stdout.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// One line on stderr. A closed stderr is no reason to stop.
    pub fn error(&self, text: &str) {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(err, "{text}");
        let _ = err.flush();
    }
}
