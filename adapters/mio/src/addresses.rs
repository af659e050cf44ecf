//! How many connections each address has, and how many it opens.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use wampd_core::{router::Origin, time::Instant};

use crate::config::AddressLimits;

/// What connections per second are counted in.
const WINDOW: Duration = Duration::from_secs(1);

/// The addresses that have connections, or had some just now. A network of IPv6 counts as one address, see [`Origin`].
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    known: HashMap<Origin, Known>,
    /// Those whose last connection is gone, and when they are forgotten unless they have come again.
    leaving: VecDeque<(Instant, Origin)>,
}

#[derive(Debug)]
struct Known {
    connections: usize,
    /// Connections accepted since then, for at most [`WINDOW`].
    since: Instant,
    accepted: usize,
}

impl Addresses {
    /// Counts a new connection of an address.
    ///
    /// # Errors
    /// The key of the limit that the address is at. The connection is not counted.
    pub(crate) fn enter(&mut self, origin: Origin, now: Instant, limits: &AddressLimits) -> Result<(), &'static str> {
        self.forget(now);
        let known = self.known.entry(origin).or_insert(Known { connections: 0, since: now, accepted: 0 });
        if now >= known.since.after(WINDOW) {
            (known.since, known.accepted) = (now, 0);
        }
        if known.connections >= limits.connections {
            return Err("per_address.connections");
        }
        if known.accepted >= limits.connections_per_second {
            return Err("per_address.connections_per_second");
        }
        known.connections += 1;
        known.accepted += 1;
        Ok(())
    }

    /// A connection that was counted is gone.
    pub(crate) fn leave(&mut self, origin: Origin, now: Instant) {
        let Some(known) = self.known.get_mut(&origin) else { return };
        known.connections = known.connections.saturating_sub(1);
        if known.connections == 0 {
            self.leaving.push_back((now.after(WINDOW), origin));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, origin)) = self.leaving.front().copied().filter(|(at, _)| *at <= now) {
            self.leaving.pop_front();
            let over = |known: &Known| known.connections == 0 && now >= known.since.after(WINDOW);
            if self.known.get(&origin).is_some_and(over) {
                self.known.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn an_address_has_its_connections_and_others_have_theirs() {
        let mut addresses = Addresses::default();
        let limits = AddressLimits { connections: 2, connections_per_second: 100 };
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            assert_eq!([(); 3].map(|()| addresses.enter(origin(address), at(0), &limits).is_ok()), [true, true, false]);
        }
        // The same network.
        assert_eq!(addresses.enter(origin("2001:db8::2"), at(0), &limits), Err("per_address.connections"));
        addresses.leave(origin("192.0.2.1"), at(1));
        assert!(addresses.enter(origin("192.0.2.1"), at(1), &limits).is_ok());
    }

    #[test]
    fn an_address_opens_as_many_connections_in_a_second() {
        let mut addresses = Addresses::default();
        let limits = AddressLimits { connections: 100, connections_per_second: 3 };
        let mut enter = |now| {
            let entered = addresses.enter(origin("192.0.2.1"), now, &limits);
            if entered.is_ok() {
                addresses.leave(origin("192.0.2.1"), now);
            }
            entered.is_ok()
        };
        assert_eq!([0, 0, 1, 2, 999].map(|millis| enter(at(millis))), [true, true, true, false, false]);
        assert_eq!([1_000, 1_000, 1_999, 1_999].map(|millis| enter(at(millis))), [true, true, true, false]);
        assert!(enter(at(5_000)));
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let mut addresses = Addresses::default();
        let limits = AddressLimits::default();
        for n in 0..1_000_u32 {
            let origin = Origin::from(IpAddr::from(n.to_be_bytes()));
            addresses.enter(origin, at(u64::from(n)), &limits).unwrap();
            addresses.leave(origin, at(u64::from(n)));
        }
        addresses.enter(origin("192.0.2.1"), at(5_000), &limits).unwrap();
        assert_eq!((addresses.known.len(), addresses.leaving.len()), (1, 0));
    }
}
