//! Which addresses Pods get. Pure.
//!
//! In: a hash of the root directory, the host's routes, addresses in use. Out: a free /22 within 10/8, a free address in it.
//! Never: overlaps with a network that the host can reach; gives an address to two sandboxes; gives more addresses than a bridge has ports.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Prefix length of a new Pod network: with 1021 addresses for Pods the smallest that gives a bridge all the ports it can have (1023).
pub const PREFIX: u8 = 22;
/// Prefix length of networks recorded before it was recorded too.
const RECORDED_WITHOUT_PREFIX: u8 = 24;
/// Networks tried before giving up: all /22 of 10/8.
const CANDIDATES: u64 = 1 << (PREFIX - 8);

/// The network of one runtime root; how long its prefix is stays as it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub network: Ipv4Addr,
    #[serde(default = "recorded_without_prefix")]
    pub prefix: u8,
}

fn recorded_without_prefix() -> u8 {
    RECORDED_WITHOUT_PREFIX
}

impl Subnet {
    /// The first free network, counted from one that `hash` picks. `routes`: content of `/proc/net/route`.
    pub fn choose(hash: u64, routes: &str) -> Option<Self> {
        let taken = destinations(routes);
        (0..CANDIDATES)
            .map(|step| {
                let number = (hash.wrapping_add(step) % CANDIDATES) as u32;
                Subnet { network: Ipv4Addr::from(0x0a00_0000 | number << (32 - PREFIX)), prefix: PREFIX }
            })
            .find(|subnet| !taken.iter().any(|(network, mask)| subnet.overlaps(*network, *mask)))
    }

    fn overlaps(&self, network: u32, mask: u32) -> bool {
        let shorter = mask & (u32::MAX << (32 - u32::from(self.prefix)));
        u32::from(self.network) & shorter == network & shorter
    }

    /// The bridge's own address.
    pub fn gateway(&self) -> Ipv4Addr {
        self.host(1)
    }

    fn host(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | number)
    }

    /// Addresses for Pods: all but the network's own, the bridge's and the broadcast address.
    pub fn capacity(&self) -> u32 {
        (1 << (32 - u32::from(self.prefix))) - 3
    }

    /// A free address, the next one after `last` so that addresses are not reused at once. `None`: all are in use.
    pub fn allocate(&self, used: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let first = last.map_or(0, |last| u32::from(last).saturating_sub(u32::from(self.network) + 1) % self.capacity());
        (0..self.capacity()).map(|step| self.host(2 + (first + step) % self.capacity())).find(|address| !used.contains(address))
    }
}

/// Network and mask of every route but the default one; the file holds them as hexadecimal numbers in network byte order.
fn destinations(routes: &str) -> Vec<(u32, u32)> {
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok().map(u32::from_be);
            Some((number(1)?, number(7)?))
        })
        .filter(|(_, mask)| *mask != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    #[test]
    fn free_networks_are_found() {
        let row = |destination: &str, mask: &str| format!("eth0\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n");
        let default = row("00000000", "00000000");
        let rows = [
            (0x0102, String::new(), Some("10.4.8.0")),
            (0x0102, default.clone(), Some("10.4.8.0")),
            (0x1_0102, default.clone(), Some("10.4.8.0")),
            // 10.4.9.0/24 and 10.4.15.128/25 are in use.
            (0x0102, row("0009040A", "00FFFFFF") + &row("800F040A", "80FFFFFF"), Some("10.4.16.0")),
            // 10.4.0.0/16 is in use.
            (0x0102, row("0000040A", "0000FFFF"), Some("10.5.0.0")),
            // The end of the range goes over to its start.
            (0x3fff, row("00FEFF0A", "00FFFFFF"), Some("10.0.0.0")),
            (7, row("0000000A", "000000FF"), None),
        ];
        for (hash, routes, expected) in rows {
            let chosen = Subnet::choose(hash, &format!("{HEAD}{routes}"));
            assert_eq!(chosen.map(|subnet| subnet.network.to_string()).as_deref(), expected, "{hash:x} {routes}");
        }
    }

    #[test]
    fn addresses_are_free_and_not_reused_at_once() {
        for (prefix, last) in [(24, Ipv4Addr::new(10, 1, 4, 254)), (22, Ipv4Addr::new(10, 1, 7, 254))] {
            let subnet = Subnet { network: Ipv4Addr::new(10, 1, 4, 0), prefix };
            let address = |last| Ipv4Addr::new(10, 1, 4, last);
            let broadcast = Ipv4Addr::from(u32::from(last) + 1);
            let mut used = BTreeSet::new();
            assert_eq!(subnet.gateway(), address(1));
            assert_eq!(subnet.allocate(&used, None), Some(address(2)));
            assert_eq!(subnet.allocate(&used, Some(address(2))), Some(address(3)));
            assert_eq!(subnet.allocate(&used, Some(last)), Some(address(2)));
            let mut previous = None;
            for _ in 0..subnet.capacity() {
                let next = subnet.allocate(&used, previous).unwrap();
                assert!(used.insert(next) && next > subnet.gateway() && next < broadcast, "{next}");
                previous = Some(next);
            }
            assert_eq!((previous, subnet.allocate(&used, previous)), (Some(last), None));
            used.remove(&address(77));
            assert_eq!(subnet.allocate(&used, previous), Some(address(77)));
        }
    }

    #[test]
    fn a_record_without_prefix_keeps_its_network() {
        let subnet: Subnet = serde_json::from_str(r#"{"network":"10.1.4.0"}"#).unwrap();
        assert_eq!((subnet.prefix, subnet.capacity()), (24, 253));
    }
}
