//! Which addresses Pods get. Pure.
//!
//! In: a hash of the root directory, the host's routes, addresses in use. Out: a free /24 within 10/8, a free address in it.
//! Never: overlaps with a network that the host can reach.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Length of the Pod network's prefix.
pub const PREFIX: u8 = 24;
/// Networks tried before giving up: all /24 of 10/8.
const CANDIDATES: u64 = 1 << 16;

/// A /24 for one runtime root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub network: Ipv4Addr,
}

impl Subnet {
    /// The first free network, counted from one that `hash` picks. `routes`: content of `/proc/net/route`.
    pub fn choose(hash: u64, routes: &str) -> Option<Self> {
        let taken = destinations(routes);
        (0..CANDIDATES)
            .map(|step| Subnet { network: Ipv4Addr::from(0x0a00_0000 | (((hash.wrapping_add(step)) % CANDIDATES) as u32) << 8) })
            .find(|subnet| !taken.iter().any(|(network, mask)| subnet.overlaps(*network, *mask)))
    }

    fn overlaps(&self, network: u32, mask: u32) -> bool {
        let shorter = mask & (u32::MAX << (32 - u32::from(PREFIX)));
        u32::from(self.network) & shorter == network & shorter
    }

    /// The bridge's own address.
    pub fn gateway(&self) -> Ipv4Addr {
        self.host(1)
    }

    fn host(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | number)
    }

    /// A free address, the next one after `last` so that addresses are not reused at once. `None`: all 253 are in use.
    pub fn allocate(&self, used: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let start = last.map_or(1, |last| u32::from(last) & 0xff);
        (0..253).map(|step| self.host(2 + (start.saturating_sub(1) + step) % 253)).find(|address| !used.contains(address))
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
            (0x0102, String::new(), Some("10.1.2.0")),
            (0x0102, default.clone(), Some("10.1.2.0")),
            (0x1_0102, default.clone(), Some("10.1.2.0")),
            // 10.1.2.0/24 and 10.1.3.128/25 are in use.
            (0x0102, row("0002010A", "00FFFFFF") + &row("8003010A", "80FFFFFF"), Some("10.1.4.0")),
            // 10.1.0.0/16 is in use.
            (0x0102, row("0000010A", "0000FFFF"), Some("10.2.0.0")),
            // The end of the range goes over to its start.
            (0xffff, row("00FFFF0A", "00FFFFFF"), Some("10.0.0.0")),
            (7, row("0000000A", "000000FF"), None),
        ];
        for (hash, routes, expected) in rows {
            let chosen = Subnet::choose(hash, &format!("{HEAD}{routes}"));
            assert_eq!(chosen.map(|subnet| subnet.network.to_string()).as_deref(), expected, "{hash:x} {routes}");
        }
    }

    #[test]
    fn addresses_are_free_and_not_reused_at_once() {
        let subnet = Subnet { network: Ipv4Addr::new(10, 1, 2, 0) };
        let address = |last| Ipv4Addr::new(10, 1, 2, last);
        let mut used = BTreeSet::new();
        assert_eq!(subnet.gateway(), address(1));
        assert_eq!(subnet.allocate(&used, None), Some(address(2)));
        assert_eq!(subnet.allocate(&used, Some(address(2))), Some(address(3)));
        assert_eq!(subnet.allocate(&used, Some(address(254))), Some(address(2)));
        for _ in 0..253 {
            let next = subnet.allocate(&used, used.last().copied()).unwrap();
            assert!(used.insert(next) && next != subnet.gateway() && next != address(255) && next != address(0));
        }
        assert_eq!(subnet.allocate(&used, None), None);
    }
}
