//! The few rtnetlink requests that Pod networking needs, written by hand: synchronous, usable on any thread and so in any network namespace.
//!
//! In: interface names, addresses. Out: requests acknowledged by the kernel.
//! Never: keeps state; a socket belongs to the namespace of the thread that opened it.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Bytes for one answer; acknowledgements and single links are far smaller.
const ANSWER_BYTES: usize = 32 * 1024;

const IFLA_ADDRESS_NAME: u16 = libc::IFLA_IFNAME;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const HEADER_BYTES: usize = 16;

/// A netlink socket in the network namespace of the thread that made it.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// A message under construction.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: i32) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
        Request(bytes)
    }

    /// `struct ifinfomsg`; `up` sets the interface up.
    fn link(mut self, index: u32, up: bool) -> Self {
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        self.0.extend([0; 4]);
        self.0.extend(index.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn attribute(mut self, kind: u16, payload: &[u8]) -> Self {
        self.0.extend(((4 + payload.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(payload);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn name(self, name: &str) -> Self {
        self.attribute(IFLA_ADDRESS_NAME, &[name.as_bytes(), &[0]].concat())
    }

    fn nested(mut self, kind: u16, inside: impl FnOnce(Request) -> Request) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NLA_F_NESTED).to_ne_bytes());
        let mut all = inside(self);
        let length = (all.0.len() - start) as u16;
        all.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        all
    }
}

impl Netlink {
    /// Opens in the current thread's network namespace.
    pub fn open() -> io::Result<Self> {
        // SAFETY: plain system call; a non-negative result is a new descriptor.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Number of an interface; `None` if it does not exist.
    pub fn index(&mut self, name: &str) -> io::Result<Option<u32>> {
        let answer = self.exchange(Request::new(libc::RTM_GETLINK, 0).link(0, false).name(name));
        match answer {
            Ok(Some(message)) => Ok(message.get(HEADER_BYTES + 4..HEADER_BYTES + 8).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))),
            Ok(None) => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a bridge; fine if it exists.
    pub fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL)
            .link(0, false)
            .name(name)
            .nested(libc::IFLA_LINKINFO, |info| info.attribute(IFLA_INFO_KIND, b"bridge"));
        existing_is_fine(self.exchange(request))
    }

    /// Makes a pair: `outer` here, up and under a bridge, and `inner` in the namespace behind `inner_namespace`. One request,
    /// because each takes a lock that all network changes of the machine share.
    pub fn add_pair(&mut self, outer: &str, bridge: u32, inner: &str, inner_namespace: RawFd) -> io::Result<()> {
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL)
            .link(0, true)
            .name(outer)
            .attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes())
            .nested(libc::IFLA_LINKINFO, |info| {
                info.attribute(IFLA_INFO_KIND, b"veth").nested(IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| {
                        peer.link(0, false).name(inner).attribute(libc::IFLA_NET_NS_FD, &inner_namespace.to_ne_bytes())
                    })
                })
            });
        self.exchange(request).map(|_| ())
    }

    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        self.exchange(Request::new(libc::RTM_NEWLINK, 0).link(index, true)).map(|_| ())
    }

    /// Removes an interface (and the other end of a pair); fine if it does not exist.
    pub fn delete(&mut self, name: &str) -> io::Result<()> {
        match self.exchange(Request::new(libc::RTM_DELLINK, 0).link(0, false).name(name)) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// Gives an interface an address; fine if it has it.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut head = vec![libc::AF_INET as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE];
        head.extend(index.to_ne_bytes());
        let broadcast = Ipv4Addr::from(u32::from(address) | (u32::MAX >> prefix));
        let request = Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL)
            .bytes(&head)
            .attribute(libc::IFA_LOCAL, &address.octets())
            .attribute(libc::IFA_ADDRESS, &address.octets())
            .attribute(libc::IFA_BROADCAST, &broadcast.octets());
        existing_is_fine(self.exchange(request))
    }

    /// Sends everything else to `gateway`.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let head =
            [libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_BOOT, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST, 0, 0, 0, 0];
        let request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL)
            .bytes(&head)
            .attribute(libc::RTA_GATEWAY, &gateway.octets());
        existing_is_fine(self.exchange(request))
    }

    /// Sends one request. The first message that is not an acknowledgement is returned.
    fn exchange(&mut self, request: Request) -> io::Result<Option<Vec<u8>>> {
        self.sequence += 1;
        let mut bytes = request.0;
        let length = bytes.len() as u32;
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        // SAFETY: the buffer is valid for its length; a netlink socket without an address sends to the kernel.
        if unsafe { libc::send(self.socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = None;
        loop {
            let mut buffer = vec![0u8; ANSWER_BYTES];
            // SAFETY: the buffer is writable for its length.
            let count = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if count < 0 {
                match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => continue,
                    error => return Err(error),
                }
            }
            buffer.truncate(count as usize);
            for message in messages(&buffer) {
                match message.acknowledgement(self.sequence) {
                    Some(0) => return Ok(answer),
                    Some(error) => return Err(io::Error::from_raw_os_error(error)),
                    None => answer = Some(message.0.to_vec()),
                }
            }
        }
    }
}

fn existing_is_fine(result: io::Result<Option<Vec<u8>>>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        result => result.map(|_| ()),
    }
}

struct Message<'a>(&'a [u8]);

impl Message<'_> {
    /// The error number of an acknowledgement of request `sequence`; 0 is success.
    fn acknowledgement(&self, sequence: u32) -> Option<i32> {
        let kind = u16::from_ne_bytes([self.0[4], self.0[5]]);
        let for_request = u32::from_ne_bytes([self.0[8], self.0[9], self.0[10], self.0[11]]);
        let code = self.0.get(HEADER_BYTES..HEADER_BYTES + 4)?;
        (i32::from(kind) == libc::NLMSG_ERROR && for_request == sequence).then(|| -i32::from_ne_bytes([code[0], code[1], code[2], code[3]]))
    }
}

fn messages(mut buffer: &[u8]) -> Vec<Message<'_>> {
    let mut all = Vec::new();
    while buffer.len() >= HEADER_BYTES {
        let length = u32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
        if length < HEADER_BYTES || length > buffer.len() {
            break;
        }
        all.push(Message(&buffer[..length]));
        buffer = &buffer[length.next_multiple_of(4).min(buffer.len())..];
    }
    all
}
