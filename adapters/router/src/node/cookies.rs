//! Cookies of a node's WebSockets: set in the response to the upgrade, known again in the next request.

use crate::authn::answerer::COOKIE_DETAIL;
use crate::authn::cookie::{CookieId, CookieStore, Record, find};
use crate::config::{CookieConfig, CookieStorage};
use crate::log::Log;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
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
    /// The cookies of connections that are open.
    connections: BTreeMap<ConnectionId, CookieId>,
    /// The sessions of cookies.
    sessions: BTreeMap<CookieId, BTreeSet<SessionId>>,
    clock: CookieClock,
    log: Arc<Log>,
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
        Self { jars: Vec::new(), capacity, connections: BTreeMap::new(), sessions: BTreeMap::new(), clock, log }
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
    pub(super) fn upgrade(&mut self, JarId(jar): JarId, request: &HttpRequest) -> (Vec<(String, String)>, Dict) {
        let Some(Jar { config, store, .. }) = self.jars.get_mut(jar) else { return (Vec::new(), Dict::new()) };
        let now = self.clock.now();
        let shown = find(&config.name, request.headers()).map(CookieId::of).filter(|id| store.exists(now, *id));
        let details = |id: CookieId| Dict::from([(COOKIE_DETAIL.to_owned(), Value::from(id.to_hex()))]);
        if let Some(id) = shown {
            return (Vec::new(), details(id));
        }
        // Without randomness nobody is tracked.
        let Ok(value) = random(config.length) else { return (Vec::new(), Dict::new()) };
        let id = CookieId::of(&value);
        store.create(now, id);
        (vec![("Set-Cookie".to_owned(), header(config, &value))], details(id))
    }

    /// Who has logged in with the cookie of a transport before, if that is good for the realm it asks for.
    pub(super) fn known(&mut self, request: &AuthRequest) -> Option<Identity> {
        let id = CookieId::from_hex(request.transport.get(COOKIE_DETAIL)?.as_str()?)?;
        let now = self.clock.now();
        let known = self.jars.iter_mut().find_map(|jar| jar.store.known(now, id))?;
        request.realm.as_ref().is_none_or(|realm| *realm == known.realm).then_some(known)
    }

    pub(super) fn observe(&mut self, fact: &Observation<'_>, server: &ServerHandle) {
        match fact {
            Observation::Opened { connection, transport, .. } => {
                let id = transport.get(COOKIE_DETAIL).and_then(Value::as_str).and_then(CookieId::from_hex);
                if let Some(id) = id {
                    self.connections.insert(*connection, id);
                }
            }
            Observation::Joined { holder: Holder::Connection(connection), session, .. } => {
                let Some(&id) = self.connections.get(connection) else { return };
                self.sessions.entry(id).or_default().insert(*session);
                self.joined(id, fact);
            }
            Observation::Left { holder: Holder::Connection(connection), session, cause } => {
                let Some(&id) = self.connections.get(connection) else { return };
                let sessions = self.sessions.get_mut(&id);
                let emptied = sessions.is_some_and(|sessions| sessions.remove(session) && sessions.is_empty());
                if *cause == LeaveCause::Goodbye(&close::LOGOUT) {
                    self.log_out(id, server);
                } else if emptied {
                    self.sessions.remove(&id);
                }
            }
            Observation::Closed { connection, .. } => drop(self.connections.remove(connection)),
            _ => {}
        }
    }

    /// Notes who has logged in. Who has proved nothing is nobody.
    fn joined(&mut self, id: CookieId, fact: &Observation<'_>) {
        let Observation::Joined { realm, authid, authrole, authmethod, authprovider, authextra, .. } = fact else {
            return;
        };
        if *authmethod == ANONYMOUS || *authprovider == COOKIE {
            return;
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
        for jar in &mut self.jars {
            if jar.store.exists(now, id) {
                jar.store.log_in(now, id, identity);
                return jar.write(&self.log);
            }
        }
    }

    /// The cookie is good for nothing any more, and nobody stays who came with it.
    fn log_out(&mut self, id: CookieId, server: &ServerHandle) {
        for jar in &mut self.jars {
            jar.store.log_out(id);
            jar.write(&self.log);
        }
        for session in self.sessions.remove(&id).unwrap_or_default() {
            server.kill(session, close::LOGOUT, "logged out by another session with the same cookie");
        }
    }
}

impl Jar {
    fn write(&mut self, log: &Log) {
        let Some(file) = &mut self.file else { return };
        let records = self.store.take_journal();
        if records.is_empty() {
            return;
        }
        if let Err(error) = file.append(&records, &self.store) {
            log.error("cookies not written to their file").text("file", file.path.display()).text("error", error).end();
        }
    }
}

/// The file of a store: a line for each change.
#[derive(Debug)]
struct JarFile {
    path: PathBuf,
    file: File,
    lines: usize,
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
        let (file, lines) = rewrite(path, store)?;
        Ok(Self { path: path.to_owned(), file, lines })
    }

    fn append(&mut self, records: &[Record], store: &CookieStore) -> io::Result<()> {
        if self.lines > 2 * store.len() + SLACK {
            (self.file, self.lines) = rewrite(&self.path, store)?;
            return Ok(());
        }
        let text: String = records.iter().map(|record| record.to_line() + "\n").collect();
        self.file.write_all(text.as_bytes())?;
        self.lines += records.len();
        Ok(())
    }
}

/// Replaces the file in one step: at any time either the one before is there or this one.
fn rewrite(path: &Path, store: &CookieStore) -> io::Result<(File, usize)> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let text: String = store.records().map(|record| record.to_line() + "\n").collect();
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok((file, text.lines().count()))
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
