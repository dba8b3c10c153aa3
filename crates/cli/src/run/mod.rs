//! `piecework run`: a manifest in, its Jobs' logs out, their outcome as exit code.
//!
//! In: a manifest, an API server, a future that means "stop". Out: logs on stdout, progress on stderr; 0 complete, 1 failed, 2 refused, 130 interrupted.
//! Never: leaves a Job behind after an interrupt; polls; drops a log line that the server delivered.

mod follow;
mod interrupt;
mod logs;
mod outcome;
mod progress;
mod submit;

use crate::{Context, failure::Failure};
use progress::Progress;
use std::{future::Future, pin::pin};

/// All Jobs completed.
pub const COMPLETE: u8 = 0;
/// A Job failed, or the server could not be reached.
pub const FAILED: u8 = 1;
/// The manifest cannot be read or is not accepted.
pub const REFUSED: u8 = 2;
/// 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

/// What to run.
#[derive(Debug, Clone)]
pub struct Request {
    /// A manifest's path, or `-` for standard input.
    pub file: String,
    /// For objects that name none.
    pub namespace: String,
}

/// Runs the manifest to its end. `interrupted` resolves when the user wants to stop.
pub async fn run<F: Future>(client: kube::Client, request: Request, interrupted: F) -> u8 {
    run_in(&Context::new(client), request, interrupted).await
}

/// Like `run` with given streams.
pub async fn run_in<F: Future>(context: &Context, request: Request, interrupted: F) -> u8 {
    let mut interrupted = pin!(interrupted);
    let mut progress = Progress::new(&context.terminal);
    let mut jobs = Vec::new();
    let submitted = tokio::select! {
        biased;
        _ = &mut interrupted => None,
        result = submit::submit(context, &request, &mut jobs, &progress) => Some(result),
    };
    match submitted {
        None => return interrupt::stop(context, &jobs, None, &mut progress).await,
        Some(Ok(())) => {}
        Some(Err(refusal)) => {
            submit::withdraw(context, &jobs).await;
            progress.note(&refusal.text);
            return refusal.exit_code;
        }
    }
    let mut follower = follow::Follower::new(context, &jobs);
    let followed = tokio::select! {
        biased;
        _ = &mut interrupted => None,
        result = follower.until_finished(&mut progress) => Some(result),
    };
    match followed {
        None => interrupt::stop(context, &jobs, Some(follower), &mut progress).await,
        Some(Ok(())) => {
            let drained = tokio::select! {
                biased;
                _ = &mut interrupted => Ok(()),
                result = follower.drain(&mut progress) => result,
            };
            match drained {
                Err(failure) if !matches!(failure, Failure::ClosedPipe) => broken(&mut progress, &failure),
                _ => follower.report(&mut progress),
            }
        }
        // Nobody reads the log any more: stop as if interrupted, as other programs do in a pipe.
        Some(Err(Failure::ClosedPipe)) => {
            interrupt::stop(context, &jobs, Some(follower), &mut progress).await;
            FAILED
        }
        Some(Err(failure)) => broken(&mut progress, &failure),
    }
}

fn broken(progress: &mut Progress, failure: &Failure) -> u8 {
    progress.finish();
    progress.note(&failure.to_string());
    FAILED
}
