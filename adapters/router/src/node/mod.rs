//! A node: a configuration, served.

mod absent;
mod authorize;
pub mod certificates;
mod cookies;
pub mod demo;
mod files;
mod functions;
mod host;
mod observe;
mod pages;
mod processes;
mod questions;
mod services;
mod site;
mod sockets;

use crate::config::{Link, Listen, NodeConfig};
use crate::log::Log;
use crate::process::guard::Keeper;
use certificates::{CertificateError, Certificates, Reloader};
use cookies::Cookies;
use core::fmt;
use host::NodeHost;
use processes::Processes;
use site::Site;
use sockets::PrivateSockets;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use wampd_mio::{BindError, Endpoint, ListenerId, Server, ServerConfig, ServerHandle};

/// A node whose listeners are open.
#[derive(Debug)]
pub struct Node {
    server: Server,
    host: NodeHost,
    certificates: Certificates,
    log: Arc<Log>,
    /// How many of the listeners are transports; the others are private ones of components.
    public: usize,
    /// Whether the transports listen only when the components are ready.
    waits: bool,
}

/// Why a node could not be started.
#[derive(Debug)]
pub enum StartError {
    /// A transport could not listen.
    Listen {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        error: io::Error,
    },
    /// The file of cookies can not be used.
    Cookies {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// TLS of a transport can not be had.
    Certificates(CertificateError),
    /// The system has no resources for the node.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { endpoint, error } => {
                write!(f, "cannot listen on {endpoint}: {error}")?;
                f.write_str(match (error.kind(), endpoint) {
                    (io::ErrorKind::AddrInUse, Endpoint::Tcp(_)) => {
                        " (another program listens there: stop it, or change the port)"
                    }
                    (io::ErrorKind::AddrInUse, Endpoint::Unix { .. }) => " (another program listens there)",
                    (io::ErrorKind::PermissionDenied, Endpoint::Tcp(address)) if address.port() < 1024 => {
                        " (ports below 1024 need a privilege)"
                    }
                    (io::ErrorKind::AddrNotAvailable, _) => " (this host does not have the address)",
                    _ => "",
                })
            }
            Self::Cookies { file, error } => write!(f, "cannot keep cookies in {}: {error}", file.display()),
            Self::Certificates(error) => write!(f, "no TLS: {error}"),
            Self::System(error) => write!(f, "no resources: {error}"),
        }
    }
}

impl core::error::Error for StartError {}

impl Node {
    /// Opens the listeners of a configuration. Connections wait until [`Node::run`], or are refused until components are
    /// ready: see [`Node::listens`].
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left open then.
    pub fn bind(config: NodeConfig, log: Arc<Log>) -> Result<Self, StartError> {
        log.set_max_waiting(config.limits.max_log_bytes);
        let roles = config.components.iter().filter_map(|component| match &component.link {
            Link::Role(role) => Some((component, role)),
            Link::Transport(_) => None,
        });
        let waits = config.listen == Listen::WhenReady && roles.clone().next().is_some();
        let mut site = Site::new(Cookies::new(config.limits.max_cookies, log.clone()));
        for transport in config.transports {
            site.transport(transport, waits)?;
        }
        let public = site.listeners.len();
        let sockets = PrivateSockets::new(roles.clone().count()).map_err(StartError::System)?;
        for ((component, role), path) in roles.zip(sockets.paths()) {
            site.component(component, role, path);
        }
        let Site { served, listeners, certificates } = site;
        let endpoints: Vec<Endpoint> = listeners.iter().map(|listener| listener.endpoint.clone()).collect();
        let realms = config.router.realms.iter().map(|realm| realm.name.clone()).collect();
        let mut router = config.router;
        router.agent = Some(concat!("wampd-", env!("CARGO_PKG_VERSION")).to_owned());
        let server = Server::bind(ServerConfig { router, listeners, limits: config.limits.server });
        let server = server.map_err(|BindError { listener, error }| {
            match listener.and_then(|ListenerId(number)| endpoints.get(number)) {
                Some(endpoint) => StartError::Listen { endpoint: endpoint.clone(), error },
                None => StartError::System(error),
            }
        })?;
        #[cfg(debug_assertions)]
        let server = recorded(server).map_err(StartError::System)?;
        let any = !(config.functions.is_empty() && config.components.is_empty() && config.guests.is_empty());
        let guard = config.guard.filter(|_| any);
        let keeper = Keeper::new(guard, sockets.folder(), config.secret_variables, &log);
        let mut processes = Processes::new(config.host_limits, sockets, keeper, log.clone());
        processes.functions(&config.functions).map_err(StartError::System)?;
        let listen = waits.then(|| server.handle());
        processes.run(config.components, config.guests, listen).map_err(StartError::System)?;
        let (authorizers, handle) = (config.authorizers, server.handle());
        let host = NodeHost::new(served, realms, authorizers, &config.limits, processes, handle, log.clone());
        let host = host.map_err(StartError::System)?;
        Ok(Self { server, host, certificates, log, public, waits })
    }

    /// Adds what the demo has beyond its configuration: a backend, and the example's page.
    #[must_use]
    pub fn with_demo(mut self) -> Self {
        self.host.add_demo(self.server.locals());
        self
    }

    /// Whether its transports listen from the start, rather than when its components are ready
    /// ([`Listen`]). Connections are refused until then.
    pub const fn listens(&self) -> bool {
        !self.waits
    }

    /// Where each transport listens, with the ports that the system chose.
    pub fn endpoints(&self) -> &[Endpoint] {
        let endpoints = self.server.endpoints();
        endpoints.get(..self.public).unwrap_or(endpoints)
    }

    /// For other threads, to shut the node down.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// For other threads, to load certificates again. Kept after the end of the node, it keeps a thread.
    pub fn reloader(&self) -> Reloader {
        self.certificates.reloader()
    }

    /// Serves until it is shut down.
    ///
    /// # Errors
    /// The system's poll failed, a transport that waited for components could not listen, or the system has no thread to
    /// look at certificates; that is not recoverable.
    pub fn run(self) -> io::Result<()> {
        let Self { mut server, mut host, certificates, log, .. } = self;
        let reloader = certificates.reloader();
        certificates.watch(log.clone())?;
        let ran = loop {
            let turned = server.turn(&mut host, None);
            log.flush();
            match turned {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop((server, reloader));
        ran
    }
}

/// In debug builds, has what is sent recorded, into a file of the folder that `WAMPD_RECORD` names.
#[cfg(debug_assertions)]
fn recorded(mut server: Server) -> io::Result<Server> {
    if let Some(folder) = std::env::var_os("WAMPD_RECORD") {
        let file = PathBuf::from(folder).join(format!("{}.frames", std::process::id()));
        server.record_to(std::fs::File::create_new(file)?);
    }
    Ok(server)
}
