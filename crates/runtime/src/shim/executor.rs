//! The last steps inside the container: find the program, restore signals, apply the seccomp filter, exec.
//!
//! In: called by libcontainer after namespaces, mounts, user and capabilities are in place. Out: the container's program, or a report why not.
//! Never: relies on libcontainer's seccomp: without its libseccomp feature a profile in the OCI specification is silently ignored.

use std::{cell::RefCell, collections::HashMap, ffi::CString, io, os::fd::RawFd, os::unix::ffi::OsStrExt, rc::Rc};

use libcontainer::{
    oci_spec::runtime::Spec,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use seccompiler::BpfProgram;

use super::{capabilities, command, seccomp};
use crate::{ContainerSpec, Error};

/// Executes the container's program with our own filter.
#[derive(Clone)]
pub struct PieceworkExecutor {
    report: RawFd,
    /// Installed in this order; `None`: unconfined was asked for.
    filters: Option<Rc<Vec<BpfProgram>>>,
    program: Rc<RefCell<Option<CString>>>,
}

impl PieceworkExecutor {
    /// Compiles the filter while errors can still be told easily. `report`: write end of the start report.
    pub fn new(container: &ContainerSpec, _spec: &Spec, report: RawFd) -> Result<Self, Error> {
        let filters = if container.security.seccomp_unconfined {
            None
        } else {
            let capabilities = capabilities::of(&container.security)?;
            Some(Rc::new(seccomp::default_filters(&capabilities)?))
        };
        Ok(PieceworkExecutor { report, filters, program: Rc::default() })
    }
}

impl Executor for PieceworkExecutor {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let (arguments, environment) = words(spec);
        let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(command::DEFAULT_PATH);
        let program = arguments.first().map_or("", String::as_str);
        match command::find(program, path) {
            Ok(found) => {
                *self.program.borrow_mut() = CString::new(found.as_os_str().as_bytes()).ok();
                Ok(())
            }
            Err(text) => {
                command::report(self.report, &text);
                Err(ExecutorValidationError::ArgValidationError(text))
            }
        }
    }

    fn setup_envs(&self, _environment: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment goes to execve directly, in the specification's order.
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let (arguments, environment) = words(spec);
        let error = match self.program.borrow().clone() {
            None => "exec: no program was found".to_owned(),
            Some(program) => match terminated(arguments).and_then(|arguments| Ok((arguments, terminated(environment)?))) {
                Err(error) => error,
                Ok((arguments, environment)) => match self.confine() {
                    Err(error) => error,
                    Ok(()) => {
                        let error = match nix::unistd::execve(&program, &arguments, &environment) {
                            Ok(never) => match never {},
                            Err(errno) => io::Error::from(errno),
                        };
                        format!("exec {program:?}: {}", command::plain(&error))
                    }
                },
            },
        };
        command::report(self.report, &error);
        Err(ExecutorError::Other(error))
    }
}

impl PieceworkExecutor {
    fn confine(&self) -> Result<(), String> {
        reset_signals();
        // Without its shim nobody would record how it ends: it ends then, also while no agent is there to see to it.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(|error| format!("tie the container to its shim: {error}"))?;
        for filter in self.filters.iter().flat_map(|filters| filters.iter()) {
            seccompiler::apply_filter(filter).map_err(|error| format!("apply the seccomp filter: {error}"))?;
        }
        Ok(())
    }
}

/// The shim ignores signals, and ignored signals survive exec: a container starts with none ignored and none blocked.
fn reset_signals() {
    // The kernel's own structure, all zero: default action, no flags, empty mask. libc would refuse to touch signals 32 and 33.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads 32 bytes from `default` and installs no handler; SIGKILL and SIGSTOP are refused harmlessly.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), size_of::<u64>()) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

fn words(spec: &Spec) -> (&[String], &[String]) {
    let process = spec.process().as_ref();
    let arguments = process.and_then(|process| process.args().as_deref()).unwrap_or_default();
    let environment = process.and_then(|process| process.env().as_deref()).unwrap_or_default();
    (arguments, environment)
}

fn terminated(words: &[String]) -> Result<Vec<CString>, String> {
    words.iter().map(|word| CString::new(word.as_str()).map_err(|_| format!("exec: {word:?} contains a NUL byte"))).collect()
}
