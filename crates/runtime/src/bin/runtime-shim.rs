//! The shim alone, for this crate's tests: the real binary dispatches to the same code.
//!
//! In: `shim container DIR`. Out: the exit code of the shim. Never: starts a thread.

fn main() {
    match piecework_runtime::shim::dispatch(&std::env::args_os().collect::<Vec<_>>()) {
        Some(code) => std::process::exit(code.into()),
        None => {
            eprintln!("runtime-shim: expected `shim container DIR`");
            std::process::exit(2);
        }
    }
}
