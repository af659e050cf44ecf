//! Certificates: loaded at the start, and again when their files change.

use crate::config::{NodeConfig, TlsConfig};
use crate::log::{Log, now};
use crate::regular;
use core::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};
use wampd_core::time::UnixTime;
use wampd_mio::tls::{Identity, ServerTls, TlsAcceptor, TlsError};

/// Largest file of certificates or keys in bytes.
const MAX_PEM: u64 = 1 << 20;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Why TLS of an endpoint can not be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file can not be read.
    Unreadable(PathBuf, io::Error),
    /// What is in it can not be used.
    Unusable(PathBuf, TlsError),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Unusable(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl CertificateError {
    /// The file at fault.
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable(path, _) | Self::Unusable(path, _) => path,
        }
    }
}

impl core::error::Error for CertificateError {}

/// What is in the files now.
///
/// # Errors
/// The first file that can not be used.
fn load(config: &TlsConfig) -> Result<Loaded, CertificateError> {
    let chain = config.chain_certificates.iter().try_fold(read(&config.certificate)?, |pem, path| append(pem, path))?;
    let identity = Identity::from_pem(&chain, &read(&config.key)?).map_err(|error| {
        let path = if error == TlsError::NoKey { &config.key } else { &config.certificate };
        CertificateError::Unusable(path.clone(), error)
    })?;
    let validity = identity.validity();
    let authorities = config.ca_certificates.iter().try_fold(Vec::new(), |pem, path| append(pem, path))?;
    let authorities = (!config.ca_certificates.is_empty()).then_some(&*authorities);
    let unusable = |error| CertificateError::Unusable(config.certificate.clone(), error);
    Ok(Loaded { tls: ServerTls::new(identity, authorities).map_err(unusable)?, validity })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    regular::read(path, MAX_PEM).map_err(|error| CertificateError::Unreadable(path.to_owned(), error))
}

fn append(mut pem: Vec<u8>, path: &Path) -> Result<Vec<u8>, CertificateError> {
    // Where a file does not end with a line, the next would begin in it.
    pem.push(b'\n');
    pem.extend(read(path)?);
    Ok(pem)
}

/// From when to when a certificate is good, if that can be read.
type Validity = Option<RangeInclusive<UnixTime>>;

struct Loaded {
    tls: ServerTls,
    validity: Validity,
}

/// Why clients will not take a certificate that can be used: its time is over, or has not begun.
fn out_of_date(validity: &Validity, now: UnixTime) -> Option<String> {
    let validity = validity.as_ref()?;
    let (from, until) = (validity.start().to_iso8601(), validity.end().to_iso8601());
    (!validity.contains(&now)).then(|| format!("it is good from {from} to {until}"))
}

/// The certificates of a configuration that clients will not take now, and why.
pub fn check_dates(config: &NodeConfig) -> Vec<(PathBuf, String)> {
    let configured = config.transports.iter().filter_map(|transport| transport.tls.as_ref());
    let why = |tls: &TlsConfig| out_of_date(&load(tls).ok()?.validity, now());
    configured.filter_map(|tls| Some((tls.certificate.clone(), why(tls)?))).collect()
}

/// Whether the files of an endpoint can be used.
///
/// # Errors
/// The first file that cannot.
pub fn check(config: &TlsConfig) -> Result<(), CertificateError> {
    load(config).map(drop)
}

/// What tells that a file has changed.
type Stamp = Vec<Option<(SystemTime, u64)>>;

fn stamp(config: &TlsConfig) -> Stamp {
    let lists = config.chain_certificates.iter().chain(&config.ca_certificates);
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    [&config.certificate, &config.key].into_iter().chain(lists).map(stamp).collect()
}

/// The certificates of one endpoint.
#[derive(Debug)]
struct Watched {
    config: TlsConfig,
    acceptor: TlsAcceptor,
    validity: Validity,
    seen: Stamp,
}

impl Watched {
    /// Loads the files again if they have changed, or in any case.
    fn refresh(&mut self, in_any_case: bool, log: &Log) {
        let stamp = stamp(&self.config);
        if stamp == self.seen && !in_any_case {
            return;
        }
        self.seen = stamp;
        let certificate = self.config.certificate.display();
        match load(&self.config) {
            Ok(Loaded { tls, validity }) => {
                self.acceptor.replace(tls);
                self.validity = validity;
                log.info("certificates loaded again").text("certificate", certificate).end();
                self.warn(log);
            }
            Err(error) => {
                log.error("certificates not loaded again: the ones before stay")
                    .text("certificate", certificate)
                    .text("why", error)
                    .end();
            }
        }
    }

    fn warn(&self, log: &Log) {
        if let Some(why) = out_of_date(&self.validity, now()) {
            let line = log.warn("clients will not take this certificate");
            line.text("certificate", self.config.certificate.display()).text("why", why).end();
        }
    }
}

/// Asks for the certificates to be loaded again.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<mpsc::Sender<()>>);

impl Reloader {
    /// Has all certificates loaded again, as [`reload`](Self::reload) does, and does not wait for it: disks may hang.
    pub fn ask(&self) {
        let (done, _) = mpsc::channel();
        // Without an endpoint of TLS, or after the end of the node, nothing is there to be loaded.
        let _ = self.0.send(done);
    }

    /// Loads all certificates again, whether their files have changed or not; returns when that is done. What can not be
    /// used is logged, and the certificates before stay.
    pub fn reload(&self) {
        let (done, wait) = mpsc::channel();
        // Without an endpoint of TLS, or after the end of the node, nothing is there to be loaded.
        if self.0.send(done).is_ok() {
            let _ = wait.recv();
        }
    }
}

/// All certificates of a node.
#[derive(Debug)]
pub(super) struct Certificates {
    watched: Vec<Watched>,
    reloader: Reloader,
    asked: mpsc::Receiver<mpsc::Sender<()>>,
}

impl Certificates {
    pub(super) fn new() -> Self {
        let (sender, asked) = mpsc::channel();
        Self { watched: Vec::new(), reloader: Reloader(sender), asked }
    }

    /// Loads the certificates of an endpoint.
    pub(super) fn add(&mut self, config: TlsConfig) -> Result<TlsAcceptor, CertificateError> {
        let seen = stamp(&config);
        let Loaded { tls, validity } = load(&config)?;
        let acceptor = TlsAcceptor::new(tls);
        self.watched.push(Watched { config, acceptor: acceptor.clone(), validity, seen });
        Ok(acceptor)
    }

    pub(super) fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Looks at the files from now on, on a thread of its own, until the [`Reloader`]s are gone.
    pub(super) fn watch(self, log: Arc<Log>) -> io::Result<()> {
        let Self { mut watched, reloader, asked } = self;
        drop(reloader);
        if watched.is_empty() {
            return Ok(());
        }
        watched.iter().for_each(|watched| watched.warn(&log));
        let watch = move || {
            loop {
                let asked = match asked.recv_timeout(INTERVAL) {
                    Ok(done) => Some(done),
                    Err(mpsc::RecvTimeoutError::Timeout) => None,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                };
                watched.iter_mut().for_each(|watched| watched.refresh(asked.is_some(), &log));
            }
        };
        std::thread::Builder::new().name("wampd-certs".to_owned()).spawn(watch).map(drop)
    }
}
