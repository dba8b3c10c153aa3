//! Outgoing traffic of Pods leaves with the host's address.
//!
//! In: the Pod network and the bridge. Out: one nftables table of our own.
//! Never: touches a table of someone else; stops Pods from starting because `nft` is not installed.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::subnet::Subnet;
use crate::Error;

/// Found through `PATH`.
const PROGRAM: &str = "nft";

/// Replaces the table `table` in one transaction.
pub fn install(table: &str, subnet: Subnet, bridge: &str) -> Result<(), Error> {
    match nft(PROGRAM, &rules(table, subnet, bridge)) {
        Err(Error::Unsupported(text)) => {
            tracing::warn!("{text}");
            Ok(())
        }
        result => result,
    }
}

/// Removes the table; fine if it is not there.
pub fn remove(table: &str) -> Result<(), Error> {
    match nft(PROGRAM, &format!("add table ip {table}\ndelete table ip {table}\n")) {
        Err(Error::Unsupported(_)) => Ok(()),
        result => result,
    }
}

fn rules(table: &str, subnet: Subnet, bridge: &str) -> String {
    let network = format!("{}/{}", subnet.network, subnet.prefix);
    // Adding before deleting makes the deletion succeed whether or not the table was there.
    format!(
        "add table ip {table}\n\
         delete table ip {table}\n\
         add table ip {table}\n\
         add chain ip {table} postrouting {{ type nat hook postrouting priority 100; policy accept; }}\n\
         add rule ip {table} postrouting ip saddr {network} oifname != \"{bridge}\" masquerade\n"
    )
}

fn nft(program: &str, script: &str) -> Result<(), Error> {
    let child = Command::new(program).args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Unsupported(
                "nft is not installed, so Pods reach this host but nothing beyond it: install the package `nftables`".into(),
            ));
        }
        Err(source) => return Err(Error::Io { context: "start nft".into(), source }),
        Ok(child) => child,
    };
    let io = |source| Error::Io { context: "run nft".into(), source };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes()).map_err(io)?;
    }
    let output = child.wait_with_output().map_err(io)?;
    if output.status.success() {
        Ok(())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(Error::Failed(format!("nft: {}", text.lines().next().unwrap_or("failed without a message"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_nft_the_text_says_what_to_install() {
        match nft("/nonexistent/nft", "") {
            Err(Error::Unsupported(text)) => assert!(text.contains("install the package `nftables`"), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_traffic_that_leaves_is_masqueraded() {
        let subnet = Subnet { network: std::net::Ipv4Addr::new(10, 4, 8, 0), prefix: 22 };
        let text = rules("piecework_a", subnet, "pwab");
        assert!(text.contains("ip saddr 10.4.8.0/22 oifname != \"pwab\" masquerade"));
        assert!(text.lines().all(|line| line.contains(" ip piecework_a")), "only our own table: {text}");
    }
}
