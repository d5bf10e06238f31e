//! What the defaults ask of the machine.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

/// Name that RocketMQ gives to a broker on a machine without one.
const NAMELESS: &str = "DEFAULT_BROKER";

/// An address reserved for documentation (RFC 5737): it has a route, and nobody there.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

pub(super) fn host_name() -> String {
    match rustix::system::uname().nodename().to_str() {
        Ok(name) if !name.is_empty() && name != "(none)" => name.to_owned(),
        _ => NAMELESS.to_owned(),
    }
}

/// The IPv4 address from which this machine talks to others, else loopback.
pub(super) fn local_ipv4() -> String {
    // Connecting a UDP socket sends nothing: it only asks the routing table for the source address.
    let source = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(ELSEWHERE)?;
        socket.local_addr()
    });
    match source.map(|address| address.ip()) {
        Ok(IpAddr::V4(ip)) if !ip.is_unspecified() => ip.to_string(),
        _ => Ipv4Addr::LOCALHOST.to_string(),
    }
}

/// The user's home directory; the working directory for a user without one.
pub(super) fn home_dir() -> PathBuf {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_always_has_a_name_and_an_address() {
        assert!(!host_name().is_empty());
        assert!(local_ipv4().parse::<Ipv4Addr>().is_ok_and(|ip| !ip.is_unspecified()));
    }
}
