//! How a run goes, on stderr: a moving line on a terminal, plain lines elsewhere.
//!
//! In: short texts. Out: stderr, and log lines on stdout that do not break the moving line. Never: a decision.

use crate::{failure::Failure, terminal::Terminal};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);

pub struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub fn new(terminal: &Terminal) -> Self {
        let bar = terminal.interactive.then(|| {
            let bar = ProgressBar::new_spinner();
            // Elapsed time and message; the template is a constant, so it cannot be wrong.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { terminal: terminal.clone(), bar, last: String::new() }
    }

    /// The present state; shown when it differs from the last one.
    pub fn state(&mut self, text: String) {
        if text == self.last {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None => self.terminal.error(&text),
        }
        self.last = text;
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.error(text)),
            None => self.terminal.error(text),
        }
    }

    /// Log output.
    pub fn output(&self, bytes: &[u8]) -> Result<(), Failure> {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.write(bytes)),
            None => self.terminal.write(bytes),
        }
    }

    /// The moving line goes away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
