//! Cookies that let a client in again: who has proved to be somebody over a WebSocket is known by its cookie afterwards.
//!
//! Cookies are kept by their digests: whoever reads the store, in memory or in its file, can not use it to log in. What
//! is kept is bounded: those that end first make room. A cookie that nobody has logged in with is not kept at all.

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

/// The cookies of one service.
#[derive(Debug)]
pub struct CookieStore {
    max_age: u64,
    capacity: usize,
    entries: BTreeMap<CookieId, Known>,
    /// Which makes room first: the one that ends first.
    order: BTreeSet<(u64, CookieId)>,
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
    /// changes are kept in [`CookieStore::journal`] until [`CookieStore::clear_journal`].
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
                let expires = known.expires.min(self.expiry(now));
                self.insert(id, Known { expires, ..known });
            }
            Record::Known(id, _) | Record::Forgotten(id) => drop(self.remove(id)),
        }
    }

    /// When a cookie ends that is issued now.
    pub const fn expiry(&self, now: u64) -> u64 {
        now.saturating_add(self.max_age)
    }

    /// Who has logged in with a cookie.
    pub fn known(&mut self, now: u64, id: CookieId) -> Option<&Identity> {
        if self.entries.get(&id)?.expires <= now {
            self.log_out(id);
        }
        self.entries.get(&id).map(|known| &known.identity)
    }

    /// Somebody has logged in over the connection for which a cookie was made, which ends at `expires`.
    ///
    /// Nobody else can have it yet: a cookie that was there before the connection is never given to this, since whoever
    /// has planted it would be let in by it.
    pub fn log_in(&mut self, now: u64, id: CookieId, identity: Identity, expires: u64) {
        if expires > now {
            self.insert(id, Known { identity: identity.clone(), expires });
            self.note(Record::Known(id, Known { identity, expires }));
        }
    }

    /// Somebody has logged in over a connection that has shown a cookie. Returns whether it is that one's. The cookie of
    /// somebody else is good for nothing any more: the browser has another user now.
    pub fn log_in_again(&mut self, now: u64, id: CookieId, identity: Identity) -> bool {
        let Some(known) = self.known(now, id) else { return false };
        if *known == identity {
            return true;
        }
        let same = |part: fn(&Identity) -> &str| part(known) == part(&identity);
        if !(same(|i| i.realm.as_str())
            && same(|i| &i.authid)
            && same(|i| &i.authrole)
            && same(|i| &i.authmethod)
            && same(|i| &i.authprovider))
        {
            self.log_out(id);
            return false;
        }
        // What it is told beside may have changed.
        if let Some(Known { expires, .. }) = self.remove(id) {
            self.log_in(now, id, identity, expires);
        }
        true
    }

    /// Nobody is known by this cookie any more.
    pub fn log_out(&mut self, id: CookieId) {
        if self.remove(id).is_some() {
            self.note(Record::Forgotten(id));
        }
    }

    /// What has changed since [`CookieStore::clear_journal`].
    pub fn journal(&self) -> &[Record] {
        self.journal.as_deref().unwrap_or_default()
    }

    /// What has changed so far is kept elsewhere.
    pub fn clear_journal(&mut self) {
        self.journal.iter_mut().for_each(Vec::clear);
    }

    /// Everything that is worth keeping.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.entries.iter().map(|(id, known)| Record::Known(*id, known.clone()))
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

    fn insert(&mut self, id: CookieId, known: Known) {
        self.remove(id);
        while self.entries.len() >= self.capacity {
            let Some((_, oldest)) = self.order.first().copied() else { break };
            self.log_out(oldest);
            self.dropped += 1;
        }
        self.order.insert((known.expires, id));
        self.entries.insert(id, known);
    }

    fn remove(&mut self, id: CookieId) -> Option<Known> {
        let known = self.entries.remove(&id)?;
        self.order.remove(&(known.expires, id));
        Some(known)
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

/// The value of a cookie in the `Cookie` headers of a request. `Set-Cookie` is a header of responses: what a request says
/// there is not looked at. Headers are bytes: a cookie of somebody else's that is no text hides no other.
pub fn find<'r>(name: &str, headers: impl Iterator<Item = (&'r str, &'r [u8])>) -> Option<&'r str> {
    headers.filter(|(header, _)| *header == "cookie").find_map(|(_, value)| {
        value.split(|byte| *byte == b';').find_map(|pair| {
            let (found, value) = core::str::from_utf8(pair).ok()?.split_once('=')?;
            (found.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    })
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
        assert_eq!(store.known(0, id(1)), None);
        let expires = store.expiry(0);
        store.log_in(30, id(1), joe(), expires);
        assert!(store.log_in_again(31, id(1), joe()));
        assert_eq!(store.known(59, id(1)), Some(&joe()));
        let known = Record::Known(id(1), Known { identity: joe(), expires: 60 });
        assert_eq!(store.journal(), std::slice::from_ref(&known));
        store.clear_journal();
        assert_eq!(store.records().collect::<Vec<_>>(), [known]);
        store.log_out(id(1));
        assert_eq!(store.known(31, id(1)), None);
        assert_eq!(store.journal(), [Record::Forgotten(id(1))]);
    }

    #[test]
    fn a_cookie_that_is_shown_becomes_nobody_elses() {
        let mut store = CookieStore::new(60, 10, true);
        assert!(!store.log_in_again(0, id(1), joe()), "nobody has logged in with it");
        assert_eq!(store.known(0, id(1)), None);
        let others: [fn(&mut Identity); 5] = [
            |anna| anna.authid = "anna".to_owned(),
            |anna| anna.authrole = "admin".to_owned(),
            |anna| anna.realm = Uri::from("realm2"),
            |anna| anna.authmethod = "ticket".to_owned(),
            |anna| anna.authprovider = "dynamic".to_owned(),
        ];
        for other in others {
            let mut anna = joe();
            other(&mut anna);
            store.log_in(0, id(1), joe(), 60);
            assert!(!store.log_in_again(1, id(1), anna), "the attacker's cookie");
            assert_eq!(store.known(1, id(1)), None);
            assert_eq!(store.journal().last(), Some(&Record::Forgotten(id(1))));
        }
        let mut told = joe();
        told.authextra.clear();
        store.log_in(0, id(1), joe(), 60);
        assert!(store.log_in_again(1, id(1), told.clone()));
        assert_eq!(store.known(59, id(1)), Some(&told));
        assert_eq!(store.known(60, id(1)), None);
    }

    #[test]
    fn cookies_end() {
        let mut store = CookieStore::new(60, 10, true);
        store.log_in(0, id(1), joe(), 60);
        assert_eq!(store.known(60, id(1)), None);
        assert!(store.is_empty() && store.order.is_empty());
        // Whatever the clock says.
        let expires = store.expiry(u64::MAX);
        store.log_in(u64::MAX, id(2), joe(), expires);
        assert!(store.known(u64::MAX, id(2)).is_none() && store.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_what_ends_first_makes_room() {
        let mut store = CookieStore::new(60, 10, false);
        for n in 0..1_000 {
            store.log_in(0, id(n), joe(), 60 + n as u64);
        }
        assert_eq!((store.len(), store.order.len(), store.dropped()), (10, 10, 990));
        assert!((990..1_000).all(|n| store.known(1, id(n)).is_some()));
        assert!(store.journal().is_empty());
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
        assert!(store.journal().is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_cookie_last() {
        let mut store = CookieStore::new(60, 10, true);
        let known = |expires| Record::Known(id(1), Known { identity: joe(), expires });
        store.restore(1_000, known(1_000_000));
        assert_eq!(store.records().collect::<Vec<_>>(), [known(1_060)]);
        assert!(store.known(1_059, id(1)).is_some() && store.known(1_060, id(1)).is_none());
        store.restore(u64::MAX - 1, known(u64::MAX));
        assert!(store.known(u64::MAX - 1, id(1)).is_some());
    }

    #[test]
    fn cookies_are_found_in_headers() {
        let find = |headers: &[(&'static str, &'static str)]| {
            super::find("cbtid", headers.iter().map(|(name, value)| (*name, value.as_bytes())))
        };
        assert_eq!(find(&[("cookie", "a=b; cbtid=xyz; c=d")]), Some("xyz"));
        assert_eq!(find(&[("cookie", "cbtid=\"xyz\"")]), Some("xyz"));
        let bytes: [(&str, &[u8]); 1] = [("cookie", b"a=\xe4; \xff=\xfe;cbtid=xyz; c=\xdf")];
        assert_eq!(super::find("cbtid", bytes.into_iter()), Some("xyz"));
        assert_eq!(find(&[("cookie", "a=b"), ("cookie", "cbtid=xyz")]), Some("xyz"));
        assert_eq!(find(&[("set-cookie", "cbtid=old; max-age=1"), ("cookie", "cbtid=xyz")]), Some("xyz"));
        for none in [
            &[][..],
            &[("set-cookie", "cbtid=old; max-age=1")],
            &[("cookie", "xcbtid=a")],
            &[("cookie", "cbtid")],
            &[("x", "cbtid=a")],
        ] {
            assert_eq!(find(none), None);
        }
    }

    #[test]
    fn cookies_are_not_printed() {
        assert!(!format!("{:?}", CookieId::of("secret")).contains("secret"));
        assert_eq!(CookieId::from_hex(&id(1).to_hex()), Some(id(1)));
    }
}
