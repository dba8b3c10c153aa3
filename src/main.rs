//! The one binary: shim mode first (before any thread exists), then the command line.
//!
//! In: arguments, environment, signals. Out: exit codes and one-line errors. Never: a rule of the API or of a controller.

mod arguments;
mod controllers_only;
mod data_directory;
mod ephemeral;
mod house;
mod image;
mod run;
mod server;
mod signals;
mod verbs;

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    // A shim must stay single-threaded: libcontainer deadlocks in a process with threads. So this comes before everything else.
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(code) = piecework_runtime::shim::dispatch(&arguments) {
        return ExitCode::from(code);
    }
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout with 0; a wrong command line is the user's to correct: 2.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    init_tracing(arguments.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("piecework: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("piecework: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: arguments::Command) -> anyhow::Result<ExitCode> {
    use arguments::Command;
    match command {
        Command::Server(options) => server::main(options).await.map(|()| ExitCode::SUCCESS),
        Command::Controllers(options) => controllers_only::main(options).await.map(|()| ExitCode::SUCCESS),
        Command::Run(options) => run::main(options).await,
        Command::Image(options) => image::main(options).await.map(|()| ExitCode::SUCCESS),
        Command::Verb(verb) => verbs::main(verb).await,
    }
}

/// Logs go to stderr; `RUST_LOG` overrides what `-v` chooses.
fn init_tracing(verbose: u8) {
    let default = match verbose {
        // kube logs each failed request, which the verbs report themselves.
        0 => "warn,piecework=info,kube_client=off",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).with_target(false).init();
}
