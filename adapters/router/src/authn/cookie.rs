//! Cookies that let a client in again: who has proved to be somebody over a WebSocket is known by its cookie afterwards.
//!
//! Cookies are kept by their digests: whoever reads the store, in memory or in its file, can not use it to log in. What
//! is kept is bounded: cookies that nobody has logged in with make room first, then those that end first.

use core::fmt;
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use wampd_core::router::Identity;
use wampd_core::uri::Uri;
use wampd_core::value::{Dict, Value};

/// A cookie, as the store knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CookieId([u8; 32]);

impl CookieId {
    /// Of a cookie's value.
    pub fn of(value: &str) -> Self {
        Self(Sha256::digest(value).into())
    }

    /// As text, which tells nothing of the value.
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads what [`CookieId::to_hex`] has written.
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()?))
    }
}

impl fmt::Debug for CookieId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieId({})", &self.to_hex()[..8])
    }
}

/// Who has logged in with a cookie.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Who it is, by the method and provider that it has proved it to.
    pub identity: Identity,
    /// The end, in seconds since 1970.
    pub expires: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    identity: Option<Identity>,
    expires: u64,
}

impl Entry {
    const fn rank(&self, id: CookieId) -> (bool, u64, CookieId) {
        (self.identity.is_some(), self.expires, id)
    }
}

/// The cookies of one service.
#[derive(Debug)]
pub struct CookieStore {
    max_age: u64,
    capacity: usize,
    entries: BTreeMap<CookieId, Entry>,
    /// Which makes room first.
    order: BTreeSet<(bool, u64, CookieId)>,
    /// What is to be written to the file, if there is one.
    journal: Option<Vec<Record>>,
    /// Cookies dropped for want of room.
    dropped: u64,
}

/// A change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Somebody has logged in.
    Known(CookieId, Known),
    /// A cookie is good for nothing any more.
    Forgotten(CookieId),
}

impl CookieStore {
    /// An empty store, of cookies that are good for `max_age` seconds; at most `capacity` of them. With `journal`
    /// changes are to be taken by [`CookieStore::take_journal`].
    pub fn new(max_age: u64, capacity: usize, journal: bool) -> Self {
        let journal = journal.then(Vec::new);
        Self {
            max_age,
            capacity: capacity.max(1),
            entries: BTreeMap::new(),
            order: BTreeSet::new(),
            journal,
            dropped: 0,
        }
    }

    /// Takes a record of an earlier time. One that would be good for longer than a new one was made while the clock was wrong,
    /// or the clock was set back since.
    pub fn restore(&mut self, now: u64, record: Record) {
        match record {
            Record::Known(id, known) if known.expires > now => {
                let expires = known.expires.min(now.saturating_add(self.max_age));
                self.insert(id, Entry { identity: Some(known.identity), expires });
            }
            Record::Known(id, _) | Record::Forgotten(id) => drop(self.remove(id)),
        }
    }

    /// A cookie was made.
    pub fn create(&mut self, now: u64, id: CookieId) {
        self.insert(id, Entry { identity: None, expires: now.saturating_add(self.max_age) });
    }

    /// Whether a cookie was made here and is good still.
    pub fn exists(&mut self, now: u64, id: CookieId) -> bool {
        self.entry(now, id).is_some()
    }

    /// Who has logged in with a cookie.
    pub fn known(&mut self, now: u64, id: CookieId) -> Option<Identity> {
        self.entry(now, id)?.identity.clone()
    }

    /// Somebody has logged in with a cookie that exists.
    pub fn log_in(&mut self, now: u64, id: CookieId, identity: Identity) {
        let Some(entry) = self.entry(now, id) else { return };
        if entry.identity.as_ref() == Some(&identity) {
            return;
        }
        let expires = entry.expires;
        self.insert(id, Entry { identity: Some(identity.clone()), expires });
        self.note(Record::Known(id, Known { identity, expires }));
    }

    /// Nobody is known by this cookie any more.
    pub fn log_out(&mut self, id: CookieId) {
        if self.remove(id).is_some_and(|entry| entry.identity.is_some()) {
            self.note(Record::Forgotten(id));
        }
    }

    /// What has changed since this was last asked.
    pub fn take_journal(&mut self) -> Vec<Record> {
        self.journal.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Everything that is worth keeping.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.entries.iter().filter_map(|(id, entry)| {
            let identity = entry.identity.clone()?;
            Some(Record::Known(*id, Known { identity, expires: entry.expires }))
        })
    }

    /// Cookies dropped for want of room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Cookies in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, now: u64, id: CookieId) -> Option<&Entry> {
        if self.entries.get(&id)?.expires <= now {
            self.log_out(id);
            return None;
        }
        self.entries.get(&id)
    }

    fn insert(&mut self, id: CookieId, entry: Entry) {
        self.remove(id);
        while self.entries.len() >= self.capacity {
            let Some((_, _, oldest)) = self.order.first().copied() else { break };
            self.log_out(oldest);
            self.dropped += 1;
        }
        self.order.insert(entry.rank(id));
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: CookieId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.order.remove(&entry.rank(id));
        Some(entry)
    }

    fn note(&mut self, record: Record) {
        if let Some(journal) = &mut self.journal {
            journal.push(record);
        }
    }
}

impl Record {
    /// A line of the file, without its end.
    pub fn to_line(&self) -> String {
        match self {
            Self::Forgotten(id) => json!({"cookie": id.to_hex(), "deleted": true}),
            Self::Known(id, Known { identity, expires }) => json!({
                "cookie": id.to_hex(),
                "expires": expires,
                "realm": identity.realm.as_str(),
                "authid": identity.authid,
                "authrole": identity.authrole,
                "authmethod": identity.authmethod,
                "authprovider": identity.authprovider,
                "authextra": Value::from(identity.authextra.clone()),
            }),
        }
        .to_string()
    }

    /// Reads a line; `None` if it is none, e.g. half of one.
    pub fn from_line(line: &str) -> Option<Self> {
        let record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        let text = |key: &str| record.get(key)?.as_str().map(str::to_owned);
        let id = CookieId::from_hex(&text("cookie")?)?;
        if record.get("deleted").and_then(serde_json::Value::as_bool) == Some(true) {
            return Some(Self::Forgotten(id));
        }
        let authextra: Dict = serde_json::from_value(record.get("authextra")?.clone()).ok()?;
        let identity = Identity {
            realm: Uri::from(text("realm")?),
            authid: text("authid")?,
            authrole: text("authrole")?,
            authmethod: text("authmethod")?,
            authprovider: text("authprovider")?,
            authextra,
        };
        Some(Self::Known(id, Known { identity, expires: record.get("expires")?.as_u64()? }))
    }
}

/// The value of a cookie in a request: in `Cookie`, or in `Set-Cookie`, which Autobahn's example of cookies sends back.
pub fn find<'r>(name: &str, headers: impl Iterator<Item = (&'r str, &'r str)>) -> Option<&'r str> {
    let mut sent_back = None;
    for (header, text) in headers {
        let value = text.split(';').find_map(|pair| {
            let (found, value) = pair.split_once('=')?;
            (found.trim() == name).then(|| value.trim().trim_matches('"'))
        });
        match header {
            "cookie" if value.is_some() => return value,
            "set-cookie" => sent_back = sent_back.or(value),
            _ => {}
        }
    }
    sent_back
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> CookieId {
        CookieId::of(&n.to_string())
    }

    fn joe() -> Identity {
        Identity {
            realm: Uri::from("realm1"),
            authid: "joe".to_owned(),
            authrole: "user".to_owned(),
            authmethod: "wampcra".to_owned(),
            authprovider: "static".to_owned(),
            authextra: Dict::from([("a".to_owned(), Value::from(vec![Value::from(1), Value::Null]))]),
        }
    }

    #[test]
    fn a_cookie_is_somebody_from_login_to_logout() {
        let mut store = CookieStore::new(60, 10, true);
        assert!(!store.exists(0, id(1)));
        store.log_in(0, id(1), joe());
        assert_eq!(store.known(0, id(1)), None, "a cookie that was never made is nobody's");
        store.create(0, id(1));
        assert!(store.exists(59, id(1)) && store.known(59, id(1)).is_none());
        store.log_in(30, id(1), joe());
        store.log_in(31, id(1), joe());
        assert_eq!(store.known(59, id(1)), Some(joe()));
        let known = Record::Known(id(1), Known { identity: joe(), expires: 60 });
        assert_eq!(store.take_journal(), std::slice::from_ref(&known));
        assert_eq!(store.records().collect::<Vec<_>>(), [known]);
        store.log_out(id(1));
        assert!(!store.exists(31, id(1)));
        assert_eq!(store.take_journal(), [Record::Forgotten(id(1))]);
    }

    #[test]
    fn cookies_end() {
        let mut store = CookieStore::new(60, 10, true);
        store.create(0, id(1));
        store.log_in(0, id(1), joe());
        assert_eq!(store.known(60, id(1)), None);
        assert!(store.is_empty() && store.order.is_empty());
        // Whatever the clock says.
        store.create(u64::MAX, id(2));
        assert!(!store.exists(u64::MAX, id(2)) && store.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_those_who_are_known_stay() {
        let mut store = CookieStore::new(60, 10, false);
        for n in 0..5 {
            store.create(0, id(n));
            store.log_in(0, id(n), joe());
        }
        for n in 5..1_000 {
            store.create(1, id(n));
        }
        assert_eq!((store.len(), store.order.len(), store.dropped()), (10, 10, 990));
        assert!((0..5).all(|n| store.known(1, id(n)).is_some()));
        // Of those who are known the one that ends first makes room.
        for n in 1_000..1_010 {
            store.create(2, id(n));
            store.log_in(2, id(n), joe());
        }
        assert!(store.len() == 10 && store.known(2, id(0)).is_none() && store.known(2, id(1_009)).is_some());
        assert!(store.take_journal().is_empty());
    }

    #[test]
    fn records_are_written_and_read() {
        for record in [Record::Forgotten(id(1)), Record::Known(id(2), Known { identity: joe(), expires: 7 })] {
            assert_eq!(Record::from_line(&record.to_line()), Some(record));
        }
        let line = Record::Known(id(2), Known { identity: joe(), expires: 7 }).to_line();
        assert!(!line.contains('\n'));
        for cut in 0..line.len() {
            assert_eq!(Record::from_line(&line[..cut]), None);
        }
        assert_eq!(Record::from_line(r#"{"cookie": "00"}"#), None);
    }

    #[test]
    fn restoring_is_reading_from_the_beginning() {
        let mut store = CookieStore::new(200, 10, true);
        let known = |n, expires| Record::Known(id(n), Known { identity: joe(), expires });
        for record in [known(1, 100), known(2, 100), Record::Forgotten(id(1)), known(3, 10), Record::Forgotten(id(9))] {
            store.restore(10, record);
        }
        assert_eq!(store.records().collect::<Vec<_>>(), [known(2, 100)]);
        assert!(store.take_journal().is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_cookie_last() {
        let mut store = CookieStore::new(60, 10, true);
        let known = |expires| Record::Known(id(1), Known { identity: joe(), expires });
        store.restore(1_000, known(1_000_000));
        assert_eq!(store.records().collect::<Vec<_>>(), [known(1_060)]);
        assert!(store.exists(1_059, id(1)) && !store.exists(1_060, id(1)));
        store.restore(u64::MAX - 1, known(u64::MAX));
        assert!(store.exists(u64::MAX - 1, id(1)));
    }

    #[test]
    fn cookies_are_found_in_headers() {
        let find = |headers: &[(&'static str, &'static str)]| super::find("cbtid", headers.iter().copied());
        assert_eq!(find(&[("cookie", "a=b; cbtid=xyz; c=d")]), Some("xyz"));
        assert_eq!(find(&[("cookie", "cbtid=\"xyz\"")]), Some("xyz"));
        assert_eq!(find(&[("cookie", "a=b"), ("cookie", "cbtid=xyz")]), Some("xyz"));
        assert_eq!(find(&[("set-cookie", "cbtid=old; max-age=1"), ("cookie", "cbtid=xyz")]), Some("xyz"));
        assert_eq!(find(&[("set-cookie", "cbtid=old; max-age=1")]), Some("old"));
        for none in [&[][..], &[("cookie", "xcbtid=a")], &[("cookie", "cbtid")], &[("x", "cbtid=a")]] {
            assert_eq!(find(none), None);
        }
    }

    #[test]
    fn cookies_are_not_printed() {
        assert!(!format!("{:?}", CookieId::of("secret")).contains("secret"));
        assert_eq!(CookieId::from_hex(&id(1).to_hex()), Some(id(1)));
    }
}
