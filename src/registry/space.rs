//! Which part of the network an address is in, and whether a registry may send us there.
//!
//! A registry that is somewhere in the world must not make us speak to this machine, its cloud's
//! metadata service or the network behind it (docs/threats.md N04; CVE-2026-48978,
//! CVE-2026-33540 of other clients).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// This machine.
    Loopback,
    /// Addresses that no registry has any business with: link-local, multicast, reserved.
    Odd,
    /// RFC 1918, RFC 6598, unique local IPv6.
    Private,
    /// Everything else.
    Public,
}

impl Space {
    /// Returns where `address` lies; addresses that carry another one inside are where that one
    /// does.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// Returns whether a registry that is in `self` may send us to `target`.
    pub(super) fn may_send_to(self, target: Self) -> bool {
        target == Self::Public || target == self
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        match a {
            127 | 0 => Self::Loopback,
            10 => Self::Private,
            100 if b & 0xc0 == 64 => Self::Private,
            172 if b & 0xf0 == 16 => Self::Private,
            192 if b == 168 => Self::Private,
            169 if b == 254 => Self::Odd,
            198 if b & 0xfe == 18 => Self::Odd,
            224.. => Self::Odd,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(inner) = address.to_ipv4_mapped() {
            return Self::of_v4(inner);
        }
        let [a, b, c, d, e, f, g, h] = address.segments();
        let tail = || Self::of_v4(Ipv4Addr::from_bits((u32::from(g) << 16) | u32::from(h)));
        match (a, b) {
            (0, 0) if (c, d, e, f, g, h) == (0, 0, 0, 0, 0, 1) || address.is_unspecified() => {
                Self::Loopback
            }
            // IPv4-compatible and NAT64 (RFC 6052).
            (0, 0) if (c, d, e, f) == (0, 0, 0, 0) => tail(),
            (0x64, 0xff9b) => tail(),
            // 6to4 (RFC 3056) carries the address behind its prefix.
            (0x2002, _) => Self::of_v4(Ipv4Addr::from_bits((u32::from(b) << 16) | u32::from(c))),
            _ if a & 0xfe00 == 0xfc00 => Self::Private,
            _ if a & 0xffc0 == 0xfe80 || a & 0xff00 == 0xff00 || a & 0xffc0 == 0xfec0 => Self::Odd,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_where_they_lead() {
        for (address, expected) in [
            ("127.0.0.1", Space::Loopback),
            ("127.255.0.1", Space::Loopback),
            ("0.0.0.0", Space::Loopback),
            ("::1", Space::Loopback),
            ("::", Space::Loopback),
            ("::ffff:127.0.0.1", Space::Loopback),
            ("::127.0.0.1", Space::Loopback),
            ("64:ff9b::7f00:1", Space::Loopback),
            ("2002:7f00:1::", Space::Loopback),
            ("10.0.0.1", Space::Private),
            ("172.16.0.1", Space::Private),
            ("172.31.255.255", Space::Private),
            ("172.32.0.1", Space::Public),
            ("192.168.1.1", Space::Private),
            ("100.64.0.1", Space::Private),
            ("100.128.0.1", Space::Public),
            ("::ffff:10.0.0.1", Space::Private),
            ("fd00::1", Space::Private),
            ("169.254.169.254", Space::Odd),
            ("::ffff:169.254.169.254", Space::Odd),
            ("64:ff9b::a9fe:a9fe", Space::Odd),
            ("fe80::1", Space::Odd),
            ("224.0.0.1", Space::Odd),
            ("255.255.255.255", Space::Odd),
            ("ff02::1", Space::Odd),
            ("8.8.8.8", Space::Public),
            ("2606:4700::1", Space::Public),
        ] {
            assert_eq!(Space::of(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_registry_in_the_world_cannot_send_us_home() {
        use Space::{Loopback, Odd, Private, Public};
        for (from, to, expected) in [
            (Public, Public, true),
            (Public, Private, false),
            (Public, Loopback, false),
            (Public, Odd, false),
            (Private, Private, true),
            (Private, Loopback, false),
            (Private, Odd, false),
            (Private, Public, true),
            (Loopback, Loopback, true),
            (Loopback, Private, false),
            (Loopback, Odd, false),
        ] {
            assert_eq!(from.may_send_to(to), expected, "{from:?} {to:?}");
        }
    }
}
