//! Pods reach each other, the host and, through it, other networks.
//!
//! In: sandboxes with a network of their own, HTTP servers on the bridge and in a namespace beyond the host. Out: answers.
//! Never: uses a network outside this machine.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path, process::Command};

use piecework_runtime::Runtime;
use support::{Node, unable};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Answers one HTTP request with the address that it came from.
async fn answer_once(listener: TcpListener) {
    let (mut stream, from) = listener.accept().await.unwrap();
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await.unwrap();
    let body = format!("from {}\n", from.ip());
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn loopback_host_and_other_pods() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    let node = Node::new("net");
    node.sandbox("a", true).await;
    node.sandbox("b", true).await;
    let list = node.runtime.list().await.unwrap();
    let [a, b] = [0, 1].map(|index| list[index].ip.clone().unwrap());
    let gateway = a.rsplit_once('.').map(|(network, _)| format!("{network}.1")).unwrap();
    let listener = TcpListener::bind((gateway.as_str(), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(answer_once(listener));
    let script = format!(
        "ping -c 1 -W 5 127.0.0.1 >/dev/null && echo lo; ping -c 1 -W 5 {b} >/dev/null && echo pod; wget -qO- http://{gateway}:{port}/; grep -c {a} /etc/hosts"
    );
    let (exit, log) = node.shell("a", "client", &script).await;
    assert_eq!(log, format!("lo\npod\nfrom {a}\n1\n"), "{exit:?}");
    server.await.unwrap();
    node.finish(&["a", "b"]).await;
}

#[tokio::test]
async fn other_networks_see_the_hosts_address() {
    if let Some(why) = unable() {
        eprintln!("skipped: {why}");
        return;
    }
    if !["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].iter().any(|path| Path::new(path).exists()) {
        eprintln!("skipped: nft is not installed");
        return;
    }
    let node = Node::new("nat");
    let beyond = format!("pwt{}", std::process::id());
    ip(&format!("netns add {beyond}"));
    ip(&format!("link add {beyond}o type veth peer name {beyond}i netns {beyond}"));
    ip(&format!("addr add 198.51.100.1/30 dev {beyond}o"));
    ip(&format!("link set {beyond}o up"));
    ip(&format!("-n {beyond} addr add 198.51.100.2/30 dev {beyond}i"));
    ip(&format!("-n {beyond} link set {beyond}i up"));
    let namespace = beyond.clone();
    let (address_of_server, known) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || {
        let file = fs::File::open(format!("/run/netns/{namespace}")).unwrap();
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind("198.51.100.2:0").await.unwrap();
            address_of_server.send(listener.local_addr().unwrap()).unwrap();
            answer_once(listener).await;
        });
    });
    node.sandbox("a", true).await;
    let address = known.await.unwrap();
    let (exit, log) = node.shell("a", "client", &format!("wget -qO- http://{address}/")).await;
    ip(&format!("link del {beyond}o"));
    ip(&format!("netns del {beyond}"));
    // Without a route back to Pods there is an answer only if the request came with the host's address.
    assert_eq!(log, "from 198.51.100.1\n", "{exit:?}");
    server.join().unwrap();
    node.finish(&["a"]).await;
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
    let table = piecework_runtime::linux::directories::Directories::new(Path::new("/nowhere").into()).nft_table();
    assert!(!String::from_utf8_lossy(&tables.stdout).contains(&table));
}
