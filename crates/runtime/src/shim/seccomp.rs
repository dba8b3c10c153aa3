//! The default seccomp filter: what containers may ask of the kernel.
//!
//! In: the table of system calls and the container's capabilities. Out: BPF programs, compiled by seccompiler.
//! Never: allows by default; an unlisted call is refused with EPERM, one newer than the table with ENOSYS so that programs fall back.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::seccomp_table as table;
use crate::Error;

/// clone(2) flags that make namespaces: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
/// personality(2) values that harm nobody: Linux, Linux32, their no-randomization variants, and the query.
const PERSONALITIES: &[u64] = &[0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// socket(2) family for talking to the hypervisor.
const AF_VSOCK: u64 = 40;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: (TargetArch, u32) = (TargetArch::x86_64, 0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: (TargetArch, u32) = (TargetArch::aarch64, 0xc000_00b7);

/// The programs to install, in this order.
pub fn default_filters(capabilities: &BTreeSet<&'static str>) -> Result<Vec<BpfProgram>, Error> {
    let wrap = |error: &dyn std::fmt::Display| Error::Failed(format!("compile the seccomp filter: {error}"));
    let privileged = capabilities.contains("SYS_ADMIN");
    let rules = rules(capabilities).map_err(|error| wrap(&error))?;
    let (always, conditional): (BTreeMap<_, _>, BTreeMap<_, _>) = rules.into_iter().partition(|(_, conditions)| conditions.is_empty());
    let filter = SeccompFilter::new(conditional, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, ARCHITECTURE.0)
        .map_err(|error| wrap(&error))?;
    let allowed: BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| wrap(&error))?;
    let mut program = allow_ranges(always.keys().filter_map(|number| u32::try_from(*number).ok()));
    program.extend(allowed);
    Ok(vec![program, unknown_calls(privileged)])
}

// Classic BPF as seccomp knows it.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_ABOVE: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0000;
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// The beginning of a program: allows these (ascending) system calls, leaves all others and other architectures to what follows it. Most
/// numbers are neighbours, so this is a tenth of what one comparison for each takes, and with it the kernel's work to check, translate and
/// evaluate the program at each container's start (measured: 5 % of its processor time).
fn allow_ranges(numbers: impl Iterator<Item = u32>) -> BpfProgram {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let mut body = vec![step(LOAD, 0, 0, NUMBER_OFFSET)];
    for (first, last) in ranges {
        body.extend([step(IF_AT_LEAST, 0, 2, first), step(IF_ABOVE, 1, 0, last), step(RETURN, 0, 0, ALLOW)]);
    }
    let mut program =
        vec![step(LOAD, 0, 0, ARCHITECTURE_OFFSET), step(IF_EQUAL, 1, 0, ARCHITECTURE.1), step(JUMP, 0, 0, body.len() as u32)];
    program.extend(body);
    program
}

fn rules(capabilities: &BTreeSet<&'static str>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = table::ALWAYS.iter().map(|number| (*number, Vec::new())).collect();
    rules.extend(table::LEGACY.iter().map(|number| (*number, Vec::new())));
    let one =
        |argument, operator, value| SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)?]);
    let mut personalities = Vec::new();
    for value in PERSONALITIES {
        personalities.push(one(0, SeccompCmpOp::Eq, *value)?);
    }
    rules.insert(libc::SYS_personality, personalities);
    rules.insert(libc::SYS_socket, vec![one(0, SeccompCmpOp::Ne, AF_VSOCK)?]);
    rules.insert(libc::SYS_clone, vec![one(0, SeccompCmpOp::MaskedEq(CLONE_NAMESPACES), 0)?]);
    for (capability, calls) in table::BY_CAPABILITY {
        if capabilities.contains(capability) {
            // An empty list of conditions allows the call whatever its arguments, `clone` and `socket` included.
            rules.extend(calls.iter().map(|number| (*number, Vec::new())));
        }
    }
    Ok(rules)
}

/// ENOSYS for calls newer than the table and for clone3, whose flags a filter cannot see: glibc then uses clone.
fn unknown_calls(privileged: bool) -> BpfProgram {
    // Where clone3 is allowed, the comparison is with a number that does not exist.
    let clone3 = if privileged { u32::MAX } else { libc::SYS_clone3 as u32 };
    vec![
        step(LOAD, 0, 0, ARCHITECTURE_OFFSET),
        // Another architecture is the first filter's business: it kills.
        step(IF_EQUAL, 0, 3, ARCHITECTURE.1),
        step(LOAD, 0, 0, NUMBER_OFFSET),
        step(IF_EQUAL, 2, 0, clone3),
        step(IF_AT_LEAST, 1, 0, table::NEWEST as u32 + 1),
        step(RETURN, 0, 0, ALLOW),
        step(RETURN, 0, 0, REFUSE | libc::ENOSYS as u32),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_table_allows() {
        let none = rules(&BTreeSet::new()).unwrap();
        let admin = rules(&BTreeSet::from(["SYS_ADMIN"])).unwrap();
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_futex, libc::SYS_ptrace, libc::SYS_seccomp] {
            assert_eq!(none.get(&call).map(Vec::len), Some(0), "{call}");
        }
        for call in [
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_reboot,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_userfaultfd,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_pivot_root,
            libc::SYS_open_by_handle_at,
            libc::SYS_swapon,
            libc::SYS_settimeofday,
        ] {
            assert!(!none.contains_key(&call), "{call}");
        }
        assert_eq!(none.get(&libc::SYS_clone).map(Vec::len), Some(1));
        assert_eq!(admin.get(&libc::SYS_clone).map(Vec::len), Some(0));
        assert!(admin.contains_key(&libc::SYS_mount));
        assert!(!admin.contains_key(&libc::SYS_kexec_load));
    }

    /// What a program answers to one call.
    fn answer(program: &[sock_filter], architecture: u32, number: u32, argument: u64) -> u32 {
        let mut data = [number, architecture, 0, 0].to_vec();
        data.extend((0..6).flat_map(|_| [argument as u32, (argument >> 32) as u32]));
        let (mut accumulator, mut at) = (0u32, 0usize);
        loop {
            let instruction = &program[at];
            let k = instruction.k;
            let jump = |condition: bool| usize::from(if condition { instruction.jt } else { instruction.jf });
            at += 1 + match instruction.code {
                LOAD => {
                    accumulator = data[k as usize / 4];
                    0
                }
                // Bitwise and with a constant.
                0x54 => {
                    accumulator &= k;
                    0
                }
                JUMP => k as usize,
                IF_EQUAL => jump(accumulator == k),
                IF_ABOVE => jump(accumulator > k),
                IF_AT_LEAST => jump(accumulator >= k),
                RETURN => return k,
                other => panic!("instruction {other:#x}"),
            };
        }
    }

    #[test]
    fn ranges_answer_as_one_rule_for_each_call_does() {
        for names in [vec![], vec!["SYS_ADMIN", "SYS_PTRACE"]] {
            let capabilities = BTreeSet::from_iter(names);
            let refuse = SeccompAction::Errno(libc::EPERM as u32);
            let plain = SeccompFilter::new(rules(&capabilities).unwrap(), refuse, SeccompAction::Allow, ARCHITECTURE.0).unwrap();
            let plain: BpfProgram = plain.try_into().unwrap();
            let ours = &default_filters(&capabilities).unwrap()[0];
            assert!(ours.len() * 4 < plain.len(), "{} of {}", ours.len(), plain.len());
            let newest = table::NEWEST as u32;
            let x32 = 0x4000_0000u32;
            for number in (0..newest + 99).chain(x32..x32 + newest).chain([u32::MAX - 1, u32::MAX]) {
                for argument in [0, 0x20_0008, 40, CLONE_NAMESPACES, u64::MAX] {
                    for architecture in [ARCHITECTURE.1, 0x4000_0003] {
                        let (expected, got) =
                            (answer(&plain, architecture, number, argument), answer(ours, architecture, number, argument));
                        assert_eq!(got, expected, "call {number:#x} {argument:#x} on {architecture:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn programs_compile() {
        let programs = default_filters(&BTreeSet::from(["SYS_ADMIN", "SYS_PTRACE"])).unwrap();
        assert_eq!(programs.len(), 2);
        assert!(programs.iter().all(|program| !program.is_empty()));
    }
}
