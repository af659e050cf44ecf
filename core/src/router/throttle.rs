//! How often logins may fail: by the address they come from, by the name they are for, and by both.
//!
//! Three budgets, each with some failures that are free:
//! * One address for one name: each further failure makes the next login wait, twice as long each time.
//! * One address for all names: a further one in each [`Limits::login_backoff`].
//! * One name from all addresses: a further one in each `login_backoff` from addresses that have failed for it before,
//!   and as many from those that have not, lest these wait behind the guesses of others.
//!
//! Who does not exist is counted like anybody else. A name and an address that have gone together before have a budget of
//! their own, and are not kept waiting by the failures of others. So nobody is locked out by somebody else's guesses for
//! longer than a moment, unless these come from more new addresses than one in each `login_backoff`; and there are never
//! more guesses for a name than two in each.

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

/// Free failures and further ones that a budget by time remembers: so whoever is not to blame waits a moment at most.
const MOST_DEBT: u32 = 2;

type Key = [u8; 16];

/// A login: from where, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    origin: Option<Key>,
    name: Option<Key>,
    /// Both; peers of this machine count as one address.
    pair: Option<Key>,
}

impl Attempt {
    pub(super) fn new(origin: Option<Origin>, authid: Option<&str>) -> Self {
        let origin = origin.map(|Origin(octets)| octets);
        let name = authid.map(|authid| digest(&[authid.as_bytes()]));
        let pair = name.map(|name| digest(&[&origin.unwrap_or_default(), &name]));
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
    /// Addresses, whatever the name.
    origins: Table,
    /// Names, from addresses that had not failed for them before...
    names_first: Table,
    /// ...and from those that had.
    names_again: Table,
    /// Pairs that have not gone together.
    pairs: Table,
    /// Pairs that have gone together, and their failures since.
    familiar: Table,
}

impl Throttle {
    /// Whether a login has to wait.
    pub(super) fn must_wait(&mut self, now: Instant, attempt: Attempt) -> bool {
        let waits = |table: &mut Table, key: Option<Key>| {
            key.and_then(|key| table.get(now, key)).is_some_and(|entry| entry.until > now)
        };
        if attempt.pair.and_then(|pair| self.familiar.get(now, pair)).is_some() {
            return false;
        }
        let has_failed = attempt.pair.and_then(|pair| self.pairs.get(now, pair)).is_some();
        let names = if has_failed { &mut self.names_again } else { &mut self.names_first };
        waits(names, attempt.name) || waits(&mut self.pairs, attempt.pair) || waits(&mut self.origins, attempt.origin)
    }

    /// A login has failed.
    pub(super) fn failed(&mut self, now: Instant, attempt: Attempt, limits: &Limits) {
        let capacity = limits.max_tracked_logins;
        if let Some(origin) = attempt.origin {
            self.origins.charge(now, origin, limits.max_failed_logins_per_address, limits);
        }
        let (Some(name), Some(pair)) = (attempt.name, attempt.pair) else { return };
        let free = limits.max_failed_logins_per_pair;
        if let Some(Entry { failures, expires, until }) = self.familiar.get(now, pair) {
            let failures = failures.saturating_add(1);
            if failures < free {
                return self.familiar.set(pair, Entry { failures, until, expires }, capacity);
            }
            // Too many: a stranger again, who has used up what is free.
            self.familiar.remove(pair);
            let expires = now.after(limits.failed_login_memory);
            return self.pairs.set(pair, Entry { failures, until: now, expires }, capacity);
        }
        let before = self.pairs.get(now, pair);
        let names = if before.is_some() { &mut self.names_again } else { &mut self.names_first };
        names.charge(now, name, limits.max_failed_logins_per_authid, limits);
        let failures = before.map_or(0, |entry| entry.failures).saturating_add(1);
        let until = now.after(wait(failures, free, limits));
        let expires = until.after(limits.failed_login_memory);
        self.pairs.set(pair, Entry { failures, until, expires }, capacity);
    }

    /// A login was proved right.
    pub(super) fn succeeded(&mut self, now: Instant, attempt: Attempt, limits: &Limits) {
        if let Some(pair) = attempt.pair {
            let entry = Entry { failures: 0, until: now, expires: now.after(FAMILIAR) };
            self.familiar.set(pair, entry, limits.max_tracked_logins);
            self.pairs.remove(pair);
        }
    }

    /// Addresses and names with failures, and pairs that have failed or gone together.
    pub(super) fn len(&self) -> usize {
        let tables = [&self.origins, &self.names_first, &self.names_again, &self.pairs, &self.familiar];
        tables.iter().map(|table| table.entries.len()).sum()
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
    /// How many there were; not counted where time alone tells.
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

    /// One more failure of those that are forgotten one by one, each after `login_backoff`.
    fn charge(&mut self, now: Instant, key: Key, free: u32, limits: &Limits) {
        let each = limits.login_backoff;
        let free_time = each.saturating_mul(free);
        let owed = self.get(now, key).map_or(Duration::ZERO, |entry| entry.expires.since(now));
        let owed = owed.saturating_add(each).min(free_time.saturating_add(each.saturating_mul(MOST_DEBT)));
        let until = now.after(owed.saturating_sub(free_time));
        self.set(key, Entry { failures: 0, until, expires: now.after(owed) }, limits.max_tracked_logins);
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
            max_failed_logins_per_pair: 3,
            max_failed_logins_per_authid: 30,
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
    fn an_address_waits_whoever_it_is_but_only_a_moment() {
        let mut throttle = Throttle::default();
        fail(&mut throttle, at(0), &["a", "b", "c", "d", "e", "f"].map(|authid| from(6, authid)));
        assert!(throttle.must_wait(at(0), from(6, "g")) && !throttle.must_wait(at(0), from(7, "g")));
        // Without a name what is known counts.
        let nameless = Attempt::new(Some(IpAddr::from([192, 0, 2, 6]).into()), None);
        assert!(throttle.must_wait(at(999), nameless) && !throttle.must_wait(at(1_000), nameless));
        // However many were under way at the same time, those who come later do not pay for all of them.
        for n in 0..1_000 {
            fail(&mut throttle, at(1_000), &[from(6, &format!("user {n}"))]);
        }
        assert!(throttle.must_wait(at(2_999), from(6, "g")) && !throttle.must_wait(at(3_000), from(6, "g")));
    }

    #[test]
    fn a_name_does_not_wait_for_what_one_address_does() {
        let mut throttle = Throttle::default();
        for second in 0..120 {
            for _ in 0..10 {
                if !throttle.must_wait(at(second * 1_000), from(1, "joe")) {
                    fail(&mut throttle, at(second * 1_000), &[from(1, "joe")]);
                }
            }
            assert!(!throttle.must_wait(at(second * 1_000), from(2, "joe")), "{second}");
            assert!(!throttle.must_wait(at(second * 1_000), Attempt::new(None, Some("joe"))), "{second}");
        }
        assert!(throttle.must_wait(at(119_000), from(1, "joe")));
    }

    #[test]
    fn guesses_for_a_name_from_all_addresses_are_bounded() {
        let mut throttle = Throttle::default();
        let attempt = |n: u32, authid| Attempt::new(Some(IpAddr::from(n.to_be_bytes()).into()), Some(authid));
        throttle.succeeded(at(0), from(1, "joe"), &limits());
        let mut tried = [0, 0];
        for n in 0..20_000 {
            // Half of them were there before.
            let (now, again) = (at(u64::from(n)), n % 2);
            let attempt = attempt(if again == 1 { n / 2 % 40 } else { 1_000 + n }, "joe");
            if !throttle.must_wait(now, attempt) {
                throttle.failed(now, attempt, &limits());
                tried[again as usize] += 1;
            }
        }
        assert!(tried.iter().sum::<u32>() <= 2 * (30 + 20 + 2) && tried[0] > 30, "in 20 s: {tried:?}");
        assert!(!throttle.must_wait(at(20_000), from(1, "joe")), "who was there before is not affected");
        assert!(!throttle.must_wait(at(20_000), attempt(7, "ann")), "nor is anybody else");
    }

    #[test]
    fn nobody_is_locked_out_by_the_guesses_of_others() {
        let mut throttle = Throttle::default();
        throttle.succeeded(at(0), from(1, "joe"), &limits());
        fail(&mut throttle, at(0), &[from(2, "joe"); 20]);
        assert!(throttle.must_wait(at(0), from(2, "joe")));
        assert!(!throttle.must_wait(at(0), from(1, "joe")) && !throttle.must_wait(at(0), from(3, "joe")));
        // That goes for the address, not for other names from there.
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
        fail(&mut throttle, at(86_400_000), &["a", "b", "c", "d", "e", "f"].map(|authid| from(1, authid)));
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
        assert_eq!(throttle.len(), 401, "one name has failed more than once from an address");
        assert!(throttle.must_wait(at(0), from(1, "joe")));
        assert!(throttle.must_wait(at(0), from(1, "ann")));
        for table in [&throttle.origins, &throttle.names_first, &throttle.pairs, &throttle.familiar] {
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
        let attempt = from(1, "joe");
        let entry = Entry { failures: u32::MAX, until: at(0), expires: at(60_000) };
        throttle.pairs.set(attempt.pair.unwrap(), entry, 100);
        fail(&mut throttle, at(0), &[attempt]);
        assert!(throttle.must_wait(at(7_999), attempt) && !throttle.must_wait(at(8_000), attempt));
        throttle.familiar.set(attempt.pair.unwrap(), entry, 100);
        fail(&mut throttle, at(0), &[attempt]);
        let huge = Limits { max_failed_logins_per_address: u32::MAX, login_backoff: Duration::MAX, ..limits() };
        throttle.failed(at(0), attempt, &huge);
    }
}
