//! Cookies of a node's WebSockets: set in the response to the upgrade, known again in the next request.
//!
//! Browsers take a cookie only with a response, which is sent before anybody logs in. So that nobody is let in by a
//! cookie that was planted in the browser of somebody else:
//!
//! * A cookie that nobody has logged in with is worth nothing in a request: the response sets another one.
//! * A login makes the cookie known that was set for its own connection, once, and no other.
//! * A login of one user over a connection that has shown the cookie of another ends that cookie.

use crate::authn::answerer::COOKIE_DETAIL;
use crate::authn::cookie::{CookieId, CookieStore, Record, find};
use crate::config::{CookieConfig, CookieStorage};
use crate::durable::{self, Syncer};
use crate::log::Log;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wampd_core::auth::{ANONYMOUS, COOKIE};
use wampd_core::id::SessionId;
use wampd_core::router::{AuthRequest, Identity};
use wampd_core::uri::{Uri, close};
use wampd_core::value::{Dict, Value};
use wampd_mio::{ConnectionId, Holder, LeaveCause, Observation, ServerHandle};
use wampd_wire::HttpRequest;

/// Of which the values of cookies are made.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Lines that a file may have beside twice what is worth keeping, before it is written anew.
const SLACK: usize = 1_024;

/// How long after a file could not be written this is tried again, if nothing else is to be written before.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The file in the folder of a store of type `database`.
const FILE_OF_FOLDER: &str = "wampd.cookies";

/// Names the cookies of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JarId(usize);

/// The cookies of all services.
#[derive(Debug)]
pub(super) struct Cookies {
    jars: Vec<Jar>,
    capacity: usize,
    /// The cookie that the response says which is being made.
    issued: Option<Issued>,
    /// The cookies of connections that are open.
    connections: BTreeMap<ConnectionId, Tracked>,
    /// The sessions of cookies.
    sessions: BTreeMap<CookieId, BTreeSet<SessionId>>,
    clock: CookieClock,
    log: Arc<Log>,
}

/// A cookie that was made for a connection.
#[derive(Clone, Copy, Debug)]
struct Issued {
    jar: usize,
    id: CookieId,
    expires: u64,
}

/// What a connection has to do with a cookie.
#[derive(Clone, Copy, Debug)]
enum Tracked {
    /// It was made for the connection, and nobody has logged in with it.
    Issued(Issued),
    /// The request has shown it, or somebody has logged in with it over this connection.
    Shown(CookieId),
}

#[derive(Debug)]
struct Jar {
    config: CookieConfig,
    store: CookieStore,
    file: Option<JarFile>,
}

impl Cookies {
    pub(super) fn new(capacity: usize, log: Arc<Log>) -> Self {
        let clock = CookieClock::new(SystemTime::now());
        let (jars, connections, sessions) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { jars, capacity, issued: None, connections, sessions, clock, log }
    }

    /// Adds a service; reads its file.
    pub(super) fn add(&mut self, config: CookieConfig) -> Result<JarId, (PathBuf, io::Error)> {
        let (file, purge) = match &config.store {
            CookieStorage::Memory => (None, false),
            CookieStorage::File { path, purge } => (Some(path.clone()), *purge),
            CookieStorage::Folder { path, purge } => {
                std::fs::create_dir_all(path).map_err(|error| (path.clone(), error))?;
                (Some(path.join(FILE_OF_FOLDER)), *purge)
            }
        };
        let mut store = CookieStore::new(config.max_age, self.capacity, file.is_some());
        let file = file
            .map(|path| JarFile::open(&path, purge, self.clock.now(), &mut store).map_err(|error| (path, error)))
            .transpose()?;
        self.jars.push(Jar { config, store, file });
        Ok(JarId(self.jars.len() - 1))
    }

    /// What the response to an upgrade says, and what is known of the transport then.
    pub(super) fn upgrade(&mut self, JarId(number): JarId, request: &HttpRequest) -> (Vec<(String, String)>, Dict) {
        self.retry();
        self.issued = None;
        let Some(Jar { config, store, .. }) = self.jars.get_mut(number) else { return (Vec::new(), Dict::new()) };
        let now = self.clock.now();
        let shown = find(&config.name, request.headers_as_bytes()).map(CookieId::of);
        let details = |id: CookieId| Dict::from([(COOKIE_DETAIL.to_owned(), Value::from(id.to_hex()))]);
        if let Some(id) = shown.filter(|id| store.known(now, *id).is_some()) {
            return (Vec::new(), details(id));
        }
        // Without randomness nobody is tracked.
        let Ok(value) = random(config.length) else { return (Vec::new(), Dict::new()) };
        let id = CookieId::of(&value);
        self.issued = Some(Issued { jar: number, id, expires: store.expiry(now) });
        (vec![("Set-Cookie".to_owned(), header(config, &value))], details(id))
    }

    /// Who has logged in with the cookie of a transport before, if that is good for the realm it asks for.
    pub(super) fn known(&mut self, request: &AuthRequest) -> Option<Identity> {
        let id = CookieId::from_hex(request.transport.get(COOKIE_DETAIL)?.as_str()?)?;
        let now = self.clock.now();
        let known = self.jars.iter_mut().find_map(|jar| jar.store.known(now, id))?;
        request.realm.as_ref().is_none_or(|realm| *realm == known.realm).then(|| known.clone())
    }

    pub(super) fn observe(&mut self, fact: &Observation<'_>, server: &ServerHandle) {
        match fact {
            Observation::Opened { connection, transport, .. } => {
                let id = transport.get(COOKIE_DETAIL).and_then(Value::as_str).and_then(CookieId::from_hex);
                let issued = self.issued.take();
                if let Some(id) = id {
                    let issued = issued.filter(|issued| issued.id == id);
                    let tracked = issued.map_or(Tracked::Shown(id), Tracked::Issued);
                    self.connections.insert(*connection, tracked);
                }
            }
            Observation::Joined { holder: Holder::Connection(connection), session, .. } => {
                if let Some(id) = self.joined(*connection, fact) {
                    self.sessions.entry(id).or_default().insert(*session);
                }
            }
            Observation::Left { holder: Holder::Connection(connection), session, cause } => {
                let Some(Tracked::Shown(id)) = self.connections.get(connection).copied() else { return };
                let Some(sessions) = self.sessions.get_mut(&id) else { return };
                let tracked = sessions.remove(session);
                if sessions.is_empty() {
                    self.sessions.remove(&id);
                }
                match cause {
                    LeaveCause::Goodbye(reason) if tracked && **reason == close::LOGOUT => self.log_out(id, server),
                    LeaveCause::Goodbye(reason) if tracked && **reason == close::NORMAL => self.left(id),
                    _ => {}
                }
            }
            Observation::Closed { connection, .. } => drop(self.connections.remove(connection)),
            _ => {}
        }
    }

    /// Notes who has logged in, and returns the cookie that the session has. Who has proved nothing is nobody.
    fn joined(&mut self, connection: ConnectionId, fact: &Observation<'_>) -> Option<CookieId> {
        let Observation::Joined { realm, authid, authrole, authmethod, authprovider, authextra, .. } = fact else {
            return None;
        };
        let tracked = *self.connections.get(&connection)?;
        if *authmethod == ANONYMOUS || *authprovider == COOKIE {
            return match tracked {
                Tracked::Shown(id) => Some(id),
                Tracked::Issued(_) => None,
            };
        }
        let identity = Identity {
            realm: Uri::from((*realm).to_owned()),
            authid: (*authid).to_owned(),
            authrole: (*authrole).to_owned(),
            authmethod: (*authmethod).to_owned(),
            authprovider: (*authprovider).to_owned(),
            authextra: authextra.cloned().unwrap_or_default(),
        };
        let now = self.clock.now();
        let (id, tracked) = match tracked {
            Tracked::Issued(Issued { jar, id, expires }) => {
                self.jars.get_mut(jar)?.store.log_in(now, id, identity, expires);
                (id, true)
            }
            Tracked::Shown(id) => {
                // Of one jar at most, since nobody guesses the cookie of another.
                (id, self.jars.iter_mut().any(|jar| jar.store.log_in_again(now, id, identity.clone())))
            }
        };
        if tracked {
            self.connections.insert(connection, Tracked::Shown(id));
        } else {
            self.connections.remove(&connection);
        }
        self.save();
        tracked.then_some(id)
    }

    /// The cookie is good for nothing any more, and nobody stays who came with it.
    fn log_out(&mut self, id: CookieId, server: &ServerHandle) {
        self.jars.iter_mut().for_each(|jar| jar.store.log_out(id));
        self.save();
        for session in self.sessions.remove(&id).unwrap_or_default() {
            server.kill(session, close::LOGOUT, "logged out by another session with the same cookie");
        }
    }

    /// A session has left without logging out.
    fn left(&mut self, id: CookieId) {
        self.jars.iter_mut().filter(|jar| jar.config.end_on_normal).for_each(|jar| jar.store.log_out(id));
        self.save();
    }

    fn save(&mut self) {
        self.jars.iter_mut().for_each(|jar| jar.save(&self.log));
    }

    fn retry(&mut self) {
        self.jars.iter_mut().filter(|jar| jar.is_due()).for_each(|jar| jar.save(&self.log));
    }
}

impl Drop for Cookies {
    fn drop(&mut self) {
        self.save();
    }
}

impl Jar {
    /// Whether an attempt to write the file is to be repeated.
    fn is_due(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.retry_at.is_some_and(|at| at <= Instant::now()))
    }

    fn save(&mut self, log: &Log) {
        let Some(file) = &mut self.file else { return };
        let failed_before = file.retry_at.is_some();
        match file.save(&mut self.store) {
            Err(error) => {
                let line = log.error("cookies not written to their file").text("file", file.path.display());
                line.text("error", error).text("hint", "users may have to log in again after a restart").end();
            }
            Ok(()) if failed_before => {
                log.info("cookies written to their file again").text("file", file.path.display()).end();
            }
            Ok(()) => {}
        }
    }
}

/// The file of a store: a line for each change.
#[derive(Debug)]
struct JarFile {
    path: PathBuf,
    file: Arc<File>,
    lines: usize,
    syncer: Syncer,
    /// The file lacks something: all of it is to be written, and when, if nothing changes before.
    retry_at: Option<Instant>,
    /// The file knows a cookie that was ended.
    logout_missing: bool,
}

impl JarFile {
    /// Reads what is there, and writes what of it is worth keeping.
    fn open(path: &Path, purge: bool, now: u64, store: &mut CookieStore) -> io::Result<Self> {
        if !purge {
            match File::open(path) {
                Ok(file) => {
                    for line in BufReader::new(file).lines() {
                        // A line may be half written, or be none of ours.
                        if let Some(record) = Record::from_line(&line?) {
                            store.restore(now, record);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let text = content(store);
        store.clear_journal();
        let file = Arc::new(durable::replace(path, text.as_bytes())?);
        let (path, lines, syncer) = (path.to_owned(), store.len(), Syncer::new()?);
        Ok(Self { path, file, lines, syncer, retry_at: None, logout_missing: false })
    }

    /// Writes what has changed. What could not be written is written with what changes next.
    ///
    /// An ended cookie must not be good again after a restart: if there is no room to append a line nor for a second file,
    /// the file is written anew in place, which frees what it takes.
    fn save(&mut self, store: &mut CookieStore) -> io::Result<()> {
        let lost = self.syncer.has_failed();
        if store.journal().is_empty() && self.retry_at.is_none() && !lost {
            return Ok(());
        }
        self.logout_missing |= store.journal().iter().any(|record| matches!(record, Record::Forgotten(_)));
        let whole = lost || self.retry_at.is_some() || self.lines > 2 * store.len() + SLACK;
        let appended = if whole { Err(None) } else { self.append(store.journal()).map_err(Some) };
        let saved = appended.or_else(|error| match (self.replace(store), error) {
            (Err(_), _) if self.logout_missing => self.overwrite(store),
            (Err(error), None) | (Err(_), Some(error)) => Err(error),
            (Ok(()), _) => Ok(()),
        });
        // From here on either the file has it, or all of it is written the next time.
        store.clear_journal();
        self.retry_at = saved.is_err().then(|| Instant::now() + RETRY_AFTER);
        self.logout_missing &= saved.is_err();
        saved
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let text: String = records.iter().map(|record| record.to_line() + "\n").collect();
        (&*self.file).write_all(text.as_bytes())?;
        self.lines += records.len();
        if self.logout_missing {
            self.syncer.sync(self.file.clone());
        }
        Ok(())
    }

    /// Replaces the file in one step.
    fn replace(&mut self, store: &CookieStore) -> io::Result<()> {
        self.file = Arc::new(durable::replace(&self.path, content(store).as_bytes())?);
        self.lines = store.len();
        Ok(())
    }

    fn overwrite(&mut self, store: &CookieStore) -> io::Result<()> {
        durable::overwrite(&self.file, content(store).as_bytes())?;
        self.lines = store.len();
        Ok(())
    }
}

fn content(store: &CookieStore) -> String {
    store.records().map(|record| record.to_line() + "\n").collect()
}

fn random(length: usize) -> Result<String, getrandom::Error> {
    let mut value = String::with_capacity(length);
    while value.len() < length {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)?;
        // Six bits have two values more than there are characters.
        let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        value.extend(characters.take(length - value.len()).map(|byte| char::from(*byte)));
    }
    Ok(value)
}

fn header(config: &CookieConfig, value: &str) -> String {
    let CookieConfig { name, max_age, secure, http_only, same_site, .. } = config;
    let secure = if *secure { "; Secure" } else { "" };
    let http_only = if *http_only { "; HttpOnly" } else { "" };
    format!("{name}={value}; Max-Age={max_age}; SameSite={}{http_only}{secure}", same_site.as_str())
}

/// Seconds since 1970, which cookies have in common with the time before a restart. The wall clock is read once, at the
/// start: when it is set, nobody is logged out, and nobody stays for longer than is allowed.
#[derive(Clone, Copy, Debug)]
struct CookieClock {
    start: u64,
    started: Instant,
}

impl CookieClock {
    fn new(wall: SystemTime) -> Self {
        let start = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { start, started: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.start.saturating_add(self.started.elapsed().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_wall_clock_is_read_once() {
        for wall in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1 << 33), UNIX_EPOCH - Duration::from_secs(9)] {
            let clock = CookieClock::new(wall);
            let start = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let elapsed = clock.started.elapsed().as_secs() + 1;
            assert!((start..=start + elapsed).contains(&clock.now()));
        }
    }
}
