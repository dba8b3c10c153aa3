//! The everyday verbs as kubectl spells them, `piecework run` and `piecework image`: parsing of options, requests, printing.
//!
//! In: clap options and a `kube::Client` (a socket or the router in this process). Out: text on stdout and stderr, an exit code.
//! Never: reads the store, starts a server, decides what the API decides; polls.

pub mod failure;
pub mod image;
pub mod limits;
pub mod manifest;
pub mod options;
pub mod output;
pub mod resources;
pub mod run;
pub mod server;
pub mod terminal;
pub mod three_way;
pub mod watching;

mod describe;
mod target;
#[cfg(test)]
mod tests;
mod verbs;

pub use options::Verb;

use failure::Failure;
use piecework_client::clock::{Clock, SystemClock};
use server::Server;
use std::sync::Arc;
use terminal::Terminal;

/// What every verb works with.
pub struct Context {
    pub server: Server,
    pub terminal: Terminal,
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// A context on this process's standard streams and clock.
    pub fn new(client: kube::Client) -> Self {
        let terminal = Terminal::standard();
        Self { server: Server::new(client, terminal.clone()), terminal, clock: Arc::new(SystemClock) }
    }
}

/// Runs one verb to its end and returns the process's exit code: 0 done, 1 failed. Errors are printed to stderr.
pub async fn run_verb(client: kube::Client, verb: Verb) -> u8 {
    run_in(&Context::new(client), verb).await
}

/// Like `run_verb` with given streams and clock.
pub async fn run_in(context: &Context, verb: Verb) -> u8 {
    let result = match verb {
        Verb::Get(options) => verbs::get::get(context, options).await,
        Verb::Describe(options) => describe::describe(context, options).await,
        Verb::Logs(options) => verbs::logs::logs(context, options).await,
        Verb::Apply(options) => verbs::apply::apply(context, options).await,
        Verb::Delete(options) => verbs::delete::delete(context, options).await,
        Verb::Wait(options) => verbs::wait::wait(context, options).await,
    };
    match result {
        Ok(()) => 0,
        // Nobody reads any more: not an error worth words.
        Err(Failure::ClosedPipe) => 0,
        Err(failure) => {
            context.terminal.error(&failure.to_string());
            1
        }
    }
}
