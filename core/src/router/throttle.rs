//! How often logins may fail: by the address they come from, and by the name they are for.
//!
//! After some free failures each further one makes the next login wait, twice as long each time. Who does not exist is
//! counted like anybody else. A name and an address that have gone together before are not kept waiting by the failures
//! of others: nobody can be locked out by somebody else's guesses, unless they come from the same address.

use super::config::Limits;
use crate::time::Instant;
use core::time::Duration;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where a peer comes from, as far as its failed logins are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin([u8; 16]);

impl From<IpAddr> for Origin {
    /// An IPv4 address, or the network of an IPv6 address: its first 64 bits, of which a host can use all the rest.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[8..].fill(0);
                Self(octets)
            }
        }
    }
}

/// How long a name and an address that have gone together are remembered.
const FAMILIAR: Duration = Duration::from_secs(24 * 3_600);

type Key = [u8; 16];

/// A login: from where, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    origin: Option<Key>,
    name: Option<Key>,
    /// Both.
    pair: Option<Key>,
}

impl Attempt {
    pub(super) fn new(origin: Option<Origin>, authid: Option<&str>) -> Self {
        let origin = origin.map(|Origin(octets)| octets);
        let name = authid.map(|authid| digest(&[authid.as_bytes()]));
        let pair = origin.zip(name).map(|(origin, name)| digest(&[&origin, &name]));
        Self { origin, name, pair }
    }
}

/// Names can be long and are the peer's choice: what is kept of them is not.
fn digest(parts: &[&[u8]]) -> Key {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    core::array::from_fn(|i| hash[i])
}

/// The failures that are remembered.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    origins: Table,
    names: Table,
    /// Pairs that have gone together, and their failures since.
    familiar: Table,
}

impl Throttle {
    /// Whether a login has to wait.
    pub(super) fn must_wait(&mut self, now: Instant, attempt: Attempt) -> bool {
        let waits = |table: &mut Table, key: Option<Key>| {
            key.and_then(|key| table.get(now, key)).is_some_and(|entry| entry.until > now)
        };
        match attempt.pair.and_then(|pair| self.familiar.get(now, pair)) {
            Some(_) => false,
            None => waits(&mut self.origins, attempt.origin) || waits(&mut self.names, attempt.name),
        }
    }

    /// A login has failed.
    pub(super) fn failed(&mut self, now: Instant, attempt: Attempt, limits: &Limits) {
        let free = [limits.max_failed_logins_per_address, limits.max_failed_logins_per_authid];
        let tables = [(&mut self.origins, attempt.origin), (&mut self.names, attempt.name)];
        for ((table, key), free) in tables.into_iter().zip(free) {
            let Some(key) = key else { continue };
            let failures = table.get(now, key).map_or(0, |entry| entry.failures).saturating_add(1);
            let until = now.after(wait(failures, free, limits));
            let expires = until.after(limits.failed_login_memory);
            table.set(key, Entry { failures, until, expires }, limits.max_tracked_logins);
        }
        let Some(pair) = attempt.pair else { return };
        if let Some(Entry { failures, expires, until }) = self.familiar.get(now, pair) {
            // Too many: a stranger again.
            if failures + 1 >= limits.max_failed_logins_per_authid {
                self.familiar.remove(pair);
            } else {
                let entry = Entry { failures: failures + 1, until, expires };
                self.familiar.set(pair, entry, limits.max_tracked_logins);
            }
        }
    }

    /// A login was proved right.
    pub(super) fn succeeded(&mut self, now: Instant, attempt: Attempt, limits: &Limits) {
        if let Some(pair) = attempt.pair {
            let entry = Entry { failures: 0, until: now, expires: now.after(FAMILIAR) };
            self.familiar.set(pair, entry, limits.max_tracked_logins);
        }
    }

    /// Addresses and names with failures, and pairs that have gone together.
    pub(super) fn len(&self) -> usize {
        self.origins.entries.len() + self.names.entries.len() + self.familiar.entries.len()
    }
}

/// Time to wait after so many failures, of which some are free.
fn wait(failures: u32, free: u32, limits: &Limits) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(n) => {
            let doubled = 1u32.checked_shl(n - 1).and_then(|factor| limits.login_backoff.checked_mul(factor));
            doubled.map_or(limits.max_login_backoff, |wait| wait.min(limits.max_login_backoff))
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    /// Logins have to wait until then.
    until: Instant,
    /// All is forgotten then.
    expires: Instant,
}

/// A bounded table: what would be forgotten first makes room.
#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<Key, Entry>,
    /// The same, in the order of expiry.
    order: BTreeSet<(Instant, Key)>,
}

impl Table {
    fn get(&mut self, now: Instant, key: Key) -> Option<Entry> {
        let entry = *self.entries.get(&key)?;
        if entry.expires <= now {
            self.remove(key);
            return None;
        }
        Some(entry)
    }

    fn set(&mut self, key: Key, entry: Entry, capacity: usize) {
        self.remove(key);
        while self.entries.len() >= capacity.max(1) {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.order.insert((entry.expires, key));
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.order.remove(&(entry.expires, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_failed_logins_per_address: 5,
            max_failed_logins_per_authid: 3,
            login_backoff: Duration::from_secs(1),
            max_login_backoff: Duration::from_secs(8),
            failed_login_memory: Duration::from_secs(60),
            max_tracked_logins: 100,
            ..Limits::default()
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(ms))
    }

    fn from(host: u8, authid: &str) -> Attempt {
        Attempt::new(Some(IpAddr::from([192, 0, 2, host]).into()), Some(authid))
    }

    fn fail(throttle: &mut Throttle, now: Instant, attempts: &[Attempt]) {
        attempts.iter().for_each(|attempt| throttle.failed(now, *attempt, &limits()));
    }

    #[test]
    fn some_failures_are_free_and_then_each_doubles_the_wait() {
        let mut throttle = Throttle::default();
        fail(&mut throttle, at(0), &[from(1, "joe"); 3]);
        assert!(!throttle.must_wait(at(0), from(1, "joe")));
        let mut now = 0;
        for wait in [1_000, 2_000, 4_000, 8_000, 8_000] {
            fail(&mut throttle, at(now), &[from(1, "joe")]);
            assert!(throttle.must_wait(at(now), from(1, "joe")));
            assert!(throttle.must_wait(at(now + wait - 1), from(1, "joe")), "{wait}");
            now += wait;
            assert!(!throttle.must_wait(at(now), from(1, "joe")), "{wait}");
        }
    }

    #[test]
    fn a_name_waits_wherever_it_comes_from_and_an_address_whoever_it_is() {
        let mut throttle = Throttle::default();
        fail(&mut throttle, at(0), &[from(1, "joe"), from(2, "joe"), from(3, "joe"), from(4, "joe")]);
        assert!(throttle.must_wait(at(0), from(5, "joe")));
        assert!(!throttle.must_wait(at(0), from(1, "jim")));
        fail(&mut throttle, at(0), &["a", "b", "c", "d", "e", "f"].map(|authid| from(6, authid)));
        assert!(throttle.must_wait(at(0), from(6, "g")));
        assert!(!throttle.must_wait(at(0), from(7, "g")));
        // Without a name, or without an address: what is known counts.
        let nameless = Attempt::new(Some(IpAddr::from([192, 0, 2, 6]).into()), None);
        let local = Attempt::new(None, Some("joe"));
        assert!(throttle.must_wait(at(0), nameless) && throttle.must_wait(at(0), local));
    }

    #[test]
    fn nobody_is_locked_out_by_the_guesses_of_others() {
        let mut throttle = Throttle::default();
        throttle.succeeded(at(0), from(1, "joe"), &limits());
        fail(&mut throttle, at(0), &[from(2, "joe"); 20]);
        assert!(throttle.must_wait(at(0), from(3, "joe")));
        assert!(!throttle.must_wait(at(0), from(1, "joe")));
        // That goes for the address, not for its neighbours; and not for other names from there.
        fail(&mut throttle, at(0), &[from(1, "jim"); 20]);
        assert!(throttle.must_wait(at(0), from(1, "jim")));
        assert!(!throttle.must_wait(at(0), from(1, "joe")));
    }

    #[test]
    fn having_been_right_once_is_no_leave_to_guess() {
        let mut throttle = Throttle::default();
        throttle.succeeded(at(0), from(1, "joe"), &limits());
        fail(&mut throttle, at(0), &[from(1, "joe"); 2]);
        assert!(!throttle.must_wait(at(0), from(1, "joe")));
        fail(&mut throttle, at(0), &[from(1, "joe"); 4]);
        assert!(throttle.must_wait(at(0), from(1, "joe")));
    }

    #[test]
    fn quiet_makes_forget() {
        let mut throttle = Throttle::default();
        fail(&mut throttle, at(0), &[from(1, "joe"); 4]);
        fail(&mut throttle, at(61_001), &[from(1, "joe")]);
        assert!(!throttle.must_wait(at(61_001), from(1, "joe")));
        throttle.succeeded(at(0), from(1, "ann"), &limits());
        fail(&mut throttle, at(86_400_000), &[from(2, "ann"); 4]);
        assert!(throttle.must_wait(at(86_400_000), from(1, "ann")), "a day is over");
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let mut throttle = Throttle::default();
        fail(&mut throttle, at(0), &[from(1, "joe"); 8]);
        for n in 0..10_000 {
            let [high, low] = [(n >> 8) as u8, n as u8];
            let origin = IpAddr::from([198, 51, high, low]).into();
            fail(&mut throttle, at(0), &[Attempt::new(Some(origin), Some(&format!("user {n}")))]);
            throttle.succeeded(at(0), Attempt::new(Some(origin), Some("friend")), &limits());
        }
        assert_eq!(throttle.len(), 300);
        assert!(throttle.must_wait(at(0), from(2, "joe")));
        assert!(throttle.must_wait(at(0), from(1, "ann")));
        for table in [&throttle.origins, &throttle.names, &throttle.familiar] {
            assert_eq!(table.entries.len(), table.order.len());
        }
    }

    #[test]
    fn origins_are_hosts_or_networks() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
    }

    #[test]
    fn no_count_is_too_large() {
        let mut throttle = Throttle::default();
        throttle.names.set(digest(&[b"joe"]), Entry { failures: u32::MAX, until: at(0), expires: at(60_000) }, 100);
        fail(&mut throttle, at(0), &[from(1, "joe")]);
        assert!(throttle.must_wait(at(7_999), from(2, "joe")) && !throttle.must_wait(at(8_000), from(2, "joe")));
    }
}
