//! What containers can see and do, looked at from inside and out.
//!
//! In: busybox containers. Out: users, capabilities, seccomp, namespaces, paths, limits. Never: trusts the specification; reads /proc.
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use piecework_runtime::{Mount, Resources, Runtime};
use support::{Node, sandbox, unable};

macro_rules! needs_root {
    () => {
        if let Some(why) = unable() {
            eprintln!("skipped: {why}");
            return;
        }
    };
}

fn fields(status: &str) -> BTreeMap<&str, &str> {
    status.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim())).collect()
}

#[tokio::test]
async fn capabilities_seccomp_and_no_new_privileges() {
    needs_root!();
    let node = Node::new("caps");
    node.sandbox("p", false).await;
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let available = u64::from_str_radix(fields(&own)["CapBnd"], 16).unwrap();
    let mut drop_all = node.container("p", "drop", &["cat", "/proc/self/status"]);
    drop_all.security.drop_capabilities = vec!["ALL".into()];
    drop_all.security.add_capabilities = vec!["CAP_CHOWN".into()];
    let mut user = node.container("p", "user", &["cat", "/proc/self/status"]);
    user.user = "app".into();
    let mut unconfined = node.container("p", "unconfined", &["cat", "/proc/self/status"]);
    unconfined.security.seccomp_unconfined = true;
    let default = 0xa804_25fb & available;
    let rows = [
        (node.container("p", "default", &["cat", "/proc/self/status"]), default, default, "2"),
        (drop_all, 1, 1, "2"),
        (user, 0, default, "2"),
        (unconfined, default, default, "0"),
    ];
    for (spec, effective, bounding, seccomp) in rows {
        let (exit, log) = node.run(&spec).await;
        assert_eq!(exit.exit_code, 0, "{exit:?} {log}");
        let status = fields(&log);
        let mask = |name: &str| u64::from_str_radix(status[name], 16).unwrap();
        assert_eq!((mask("CapEff"), mask("CapPrm"), mask("CapBnd")), (effective, effective, bounding), "{}", spec.name);
        assert_eq!((mask("CapInh"), mask("CapAmb")), (0, 0), "{}", spec.name);
        assert_eq!((status["Seccomp"], status["NoNewPrivs"]), (seccomp, "1"), "{}", spec.name);
        assert_eq!(mask("SigIgn") | mask("SigBlk"), 0, "signals are as a program expects them");
    }
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn refused_system_calls() {
    needs_root!();
    let node = Node::new("calls");
    node.sandbox("p", false).await;
    let mut admin = node.container("p", "admin", &["sh", "-c", "mount -t tmpfs t /tmp && echo mounted; unshare -m true && echo unshared"]);
    admin.security.add_capabilities = vec!["SYS_ADMIN".into()];
    let (_, log) = node.run(&admin).await;
    assert_eq!(log, "mounted\nunshared\n");
    let script =
        "mount -t tmpfs t /tmp; unshare -m true; unshare -U true; hostname x; swapoff -a; mknod /d b 254 0 && cat /d; date -s @0; true";
    let (exit, log) = node.shell("p", "plain", script).await;
    assert_eq!(exit.exit_code, 0);
    let refused = log.lines().filter(|line| line.contains("not permitted") || line.contains("ermission denied")).count();
    assert!(refused >= 6, "{log}");
    let (_, log) = node.shell("p", "threads", "(sleep 0; echo forked) & wait; date +%Y | grep -c 20").await;
    assert_eq!(log, "forked\n1\n");
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn any_user_can_open_its_output() {
    needs_root!();
    let node = Node::new("stdio");
    node.sandbox("p", false).await;
    let mut spec = node.container("p", "out", &["sh", "-c", "echo a > /dev/stdout; echo b > /dev/stderr; echo c >> /proc/self/fd/1"]);
    spec.user = "app".into();
    let (exit, log) = node.run(&spec).await;
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c"], "{exit:?}");
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn namespaces_and_paths() {
    needs_root!();
    let node = Node::new("paths");
    node.sandbox("own", true).await;
    node.sandbox("host", false).await;
    let links = "for n in mnt pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done";
    let here: Vec<String> = ["mnt", "pid", "ipc", "uts", "net", "cgroup"]
        .iter()
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string())
        .collect();
    let (_, first) = node.shell("own", "a", links).await;
    let (_, second) = node.shell("own", "b", links).await;
    let (_, host) = node.shell("host", "a", links).await;
    let [first, second, host] = [&first, &second, &host].map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
    for index in 0..6 {
        assert_ne!(first[index], here[index]);
        // The others get new ones, but perhaps with the number of one that is gone.
        if (2..5).contains(&index) {
            assert_eq!(first[index], second[index], "ipc, uts and net belong to the Pod");
        }
        assert_eq!(host[index] == here[index], index == 4, "{}", host[index]);
    }
    let script = "hostname; cat /etc/hostname; echo $HOSTNAME $HOME $PATH; echo $$; cat /proc/keys /proc/interrupts /proc/timer_list 2>/dev/null | wc -c; ls /sys/firmware | wc -l; \
        echo 1 2>/dev/null > /proc/sys/kernel/pid_max || echo ro-sys; touch /sys/x 2>/dev/null || echo ro-sysfs; \
        echo 1 2>/dev/null > /proc/sysrq-trigger || echo ro-sysrq; touch /sys/fs/cgroup/memory/x 2>/dev/null || echo ro-cgroup; \
        echo -1 2>/dev/null > /sys/fs/cgroup/pids/pids.max || echo ro-limit; ls /dev | tr '\\n' ' '; echo; \
        for m in /proc /sys /dev/shm /dev/mqueue /dev/pts; do grep -c \" $m \" /proc/mounts; done; cat /proc/self/cgroup | grep -c piecework";
    let (exit, log) = node.shell("own", "see", script).await;
    let expected = "host-own\nhost-own\nhost-own /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n1\n0\n0\nro-sys\nro-sysfs\nro-sysrq\nro-cgroup\nro-limit\n\
        fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n1\n1\n1\n1\n1\n0\n";
    assert_eq!(log, expected, "{exit:?}");
    node.finish(&["own", "host"]).await;
}

#[tokio::test]
async fn environment_user_directory_and_mounts() {
    needs_root!();
    let node = Node::new("env");
    node.sandbox("p", false).await;
    let volume = node.root.join("volume");
    fs::create_dir_all(volume.join("sub")).unwrap();
    fs::write(volume.join("sub/file"), "content\n").unwrap();
    let mut spec = node.container("p", "all", &["sh", "-c", "pwd; id; echo $A:$HOME:$PATH; cat /v/sub/file; echo w > /v/w || echo read-only; touch /root-file && echo rw; ls -ld /work/new | cut -c1-10"]);
    spec.user = "app".into();
    spec.supplemental_groups = vec![4242];
    spec.working_dir = "/work/new".into();
    spec.env = vec![("A".into(), "1 2".into()), ("PATH".into(), "/bin".into())];
    spec.mounts = vec![Mount { source: volume.clone(), target: "/v".into(), read_only: true }];
    let (exit, log) = node.run(&spec).await;
    assert_eq!(exit.exit_code, 0, "{log}");
    let has = |text: &str| assert!(log.contains(text), "{text} in {log}");
    has("/work/new\nuid=1000(app) gid=1001(app) groups=29(audio),1001(app),4242\n1 2:/home/app:/bin\n");
    has("content\n");
    has("/v/w: Read-only file system\n");
    has("read-only\n");
    has("drwxr-xr-x\n");
    assert!(!log.contains("rw\n"), "{log}");

    let mut spec = node.container(
        "p",
        "ro",
        &["sh", "-c", "touch /x || echo refused; touch /tmpfs/y && echo fine; echo -n last words > /dev/termination-log"],
    );
    spec.security.read_only_root = true;
    spec.termination_message_path = Some("/dev/termination-log".into());
    spec.mounts = vec![Mount { source: volume.clone(), target: "/tmpfs".into(), read_only: false }];
    let (exit, log) = node.run(&spec).await;
    assert!(log.contains("refused\nfine\n"), "{log}");
    assert_eq!(exit.termination_message, "last words");
    let mut spec = node.container(
        "p",
        "escape",
        &["sh", "-c", "rm -f /etc/message; ln -s /etc/shadow /etc/message; head -c 9000 /dev/zero | tr '\\0' m > /m/essage"],
    );
    spec.termination_message_path = Some("/m/essage".into());
    let (exit, _) = node.run(&spec).await;
    assert_eq!(exit.termination_message, "m".repeat(4096));
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn memory_and_process_limits() {
    needs_root!();
    let node = Node::new("limits");
    node.sandbox("p", false).await;
    let mut spec = node.container("p", "oom", &["sh", "-c", "exec tail -c 200000000 /dev/zero"]);
    spec.resources = Resources { memory_limit_bytes: Some(16 << 20), ..Resources::default() };
    let (exit, _) = node.run(&spec).await;
    assert_eq!((exit.oom_killed, exit.exit_code, exit.signal), (true, 137, Some(9)));
    let mut spec = node.container("p", "pids", &["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all"]);
    spec.resources = Resources {
        pids_limit: Some(4),
        cpu_shares: Some(512),
        cpu_quota_micros: Some(50_000),
        oom_score_adj: Some(500),
        ..Resources::default()
    };
    let (exit, log) = node.run(&spec).await;
    assert!(!exit.oom_killed && log.contains("can't fork"), "{exit:?} {log}");
    let mut spec = node.container("p", "files", &["sh", "-c", "cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max /proc/self/oom_score_adj; ulimit -n"]);
    spec.resources = Resources {
        pids_limit: Some(40),
        cpu_shares: Some(512),
        cpu_quota_micros: Some(50_000),
        oom_score_adj: Some(500),
        ..Resources::default()
    };
    let (_, log) = node.run(&spec).await;
    assert_eq!(log, "512\n50000\n40\n500\n1024\n");

    let mut whole = sandbox("q", false);
    whole.resources = Resources { memory_limit_bytes: Some(16 << 20), ..Resources::default() };
    node.runtime.create_sandbox(&whole).await.unwrap();
    let (exit, _) = node.run(&node.container("q", "oom", &["tail", "-c", "200000000", "/dev/zero"])).await;
    assert!(exit.oom_killed, "the Pod's limit holds: {exit:?}");
    node.finish(&["p", "q"]).await;
}

#[tokio::test]
async fn ordinary_dynamic_programs_run_under_the_filter() {
    needs_root!();
    if !std::path::Path::new("/usr/bin/perl").exists() {
        eprintln!("skipped: this machine has no perl to lend to a container");
        return;
    }
    let node = Node::new("dynamic");
    node.sandbox("p", true).await;
    let rows: &[(&str, &[&str], &str)] = &[
        ("pi", &["/usr/bin/perl", "-Mbignum=bpi", "-wle", "print bpi(30)"], "3.14159265358979323846264338328\n"),
        ("threads", &["/usr/bin/perl", "-Mthreads", "-we", "print threads->create(sub { `echo thread` })->join"], "thread\n"),
        (
            "sockets",
            &[
                "/usr/bin/perl",
                "-MIO::Socket::INET",
                "-we",
                "print IO::Socket::INET->new(Listen=>1, LocalAddr=>'0.0.0.0') ? 'listens' : $@, qq(\\n)",
            ],
            "listens\n",
        ),
        (
            "time",
            &[
                "/usr/bin/perl",
                "-MTime::HiRes=usleep,time",
                "-we",
                "my $t = time; usleep 1000; print time > $t ? qq(later\\n) : qq(never\\n)",
            ],
            "later\n",
        ),
    ];
    for (name, args, expected) in rows {
        let mut spec = node.container("p", name, args);
        spec.mounts = ["/usr", "/lib", "/lib64"].map(|path| Mount { source: path.into(), target: path.into(), read_only: true }).to_vec();
        let (exit, log) = node.run(&spec).await;
        assert_eq!(&log, expected, "{name}: {exit:?}");
    }
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn higher_layers_cover_lower_ones_and_stay_unchanged() {
    needs_root!();
    let node = Node::new("layers");
    node.sandbox("p", false).await;
    let mut spec = node.container("p", "layers", &["sh", "-c", "cat /etc/n /n0 /n39; echo changed > /etc/n; rm /n0; cat /etc/n"]);
    for number in 0..40 {
        // A name with what separates mount options.
        let layer = node.root.join(format!("layer:{number},\\"));
        fs::create_dir_all(layer.join("etc")).unwrap();
        fs::write(layer.join("etc/n"), format!("{number}\n")).unwrap();
        fs::write(layer.join(format!("n{number}")), format!("only {number}\n")).unwrap();
        spec.layers.push(layer);
    }
    let (exit, log) = node.run(&spec).await;
    assert_eq!(log, "39\nonly 0\nonly 39\nchanged\n", "{exit:?}");
    assert_eq!(fs::read_to_string(spec.layers[40].join("etc/n")).unwrap(), "39\n");
    assert!(spec.layers[1].join("n0").exists());
    node.finish(&["p"]).await;
}

#[tokio::test]
async fn a_container_is_in_its_cgroups_and_its_shim_is_not() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let node = Node::new("cgroups");
    node.sandbox("p", false).await;
    let spec = node.container("p", "c", &["sleep", "1000"]);
    node.runtime.start_container(&spec).await.unwrap();
    let directories = piecework_runtime::linux::directories::Directories::new(node.root.join("runtime"));
    let own = directories.cgroup_container("p", &spec.id);
    let directory = directories.container("p", &spec.id).unwrap();
    let pid_of = |name: &str| {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(directory.join(name)).unwrap()).unwrap();
        record.pointer("/init/pid").or(record.pointer("/Shim/pid")).unwrap().as_i64().unwrap()
    };
    let cgroups = |pid: i64| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let (inside, shim) = (cgroups(pid_of("running.json")), cgroups(pid_of("shim.json")));
    assert_eq!(shim, fs::read_to_string("/proc/self/cgroup").unwrap(), "the shim is where it came from");
    let used = ["cpu", "cpuacct", "cpuset", "devices", "memory", "pids"];
    for controller in used.iter().filter(|controller| Path::new("/sys/fs/cgroup").join(controller).is_dir()) {
        assert!(inside.lines().any(|line| line.ends_with(&format!(":{controller}:{own}"))), "{controller}: {inside}");
    }
    let devices = Path::new("/sys/fs/cgroup/devices").join(own.trim_start_matches('/')).join("devices.list");
    if devices.exists() {
        let list = fs::read_to_string(devices).unwrap();
        assert!(!list.contains("a *:*") && list.contains("c 1:3 rwm") && !list.contains("b *:* rwm"), "{list}");
    }
    node.finish(&["p"]).await;
}
