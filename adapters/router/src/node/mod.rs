//! A node: a configuration, served.

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
mod services;

use crate::config::{
    AnonymousPrincipal, AuthConfig, Endpoint as ConfigEndpoint, JsonConfig, NodeConfig, PathService, Provider, Routes,
    StaticConfig,
};
use crate::log::Log;
use certificates::{CertificateError, Certificates, Reloader};
use cookies::{Cookies, JarId};
use core::fmt;
use host::NodeHost;
use processes::{PrivateSockets, Processes};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use wampd_mio::{BindError, Endpoint, ListenerConfig, ListenerId, Server, ServerConfig, ServerHandle};
use wampd_wire::{RawSocketOptions, ServerOptions, UpgradeOptions};

/// A node whose listeners are open.
#[derive(Debug)]
pub struct Node {
    server: Server,
    host: NodeHost,
    certificates: Certificates,
    log: Arc<Log>,
    /// How many of the listeners are transports; the others are private ones of components.
    public: usize,
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

/// What a route is answered with.
#[derive(Debug)]
enum Service {
    WebSocket { options: Arc<UpgradeOptions>, tag: u64, cookies: Option<JarId> },
    Static(StaticConfig),
    Json(JsonConfig),
    Redirect(String),
    NodeInfo,
}

impl Node {
    /// Opens the listeners of a configuration. Connections wait until [`Node::run`].
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left open then.
    pub fn bind(config: NodeConfig, log: Arc<Log>) -> Result<Self, StartError> {
        let (mut auths, mut sites, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
        let mut certificates = Certificates::new();
        let mut cookies = Cookies::new(config.limits.max_cookies, log.clone());
        let mut unusable = None;
        let mut tag = |auth: AuthConfig| {
            auths.push(auth);
            auths.len() as u64 - 1
        };
        for transport in config.transports {
            let (endpoint, backlog) = match transport.endpoint {
                ConfigEndpoint::Tcp { address, backlog } => (Endpoint::Tcp(address), backlog),
                ConfigEndpoint::Unix { path, backlog } => (Endpoint::Unix { path, mode: None }, backlog),
            };
            let rawsocket = tag(transport.rawsocket_auth.unwrap_or_default());
            sites.push(transport.routes.map(|service| match service {
                PathService::WebSocket(config) => {
                    let cookies = config.cookie.and_then(|cookie| {
                        cookies
                            .add(cookie)
                            .map_err(|(file, error)| unusable = Some(StartError::Cookies { file, error }))
                            .ok()
                    });
                    Service::WebSocket { options: config.upgrade.clone(), tag: tag(config.auth), cookies }
                }
                PathService::Static(files) => Service::Static(files),
                PathService::Json(json) => Service::Json(json),
                PathService::Redirect(url) => Service::Redirect(url),
                PathService::NodeInfo => Service::NodeInfo,
            }));
            listeners.push(ListenerConfig {
                endpoint,
                backlog,
                tls: transport.tls.map(|tls| certificates.add(tls)).transpose().map_err(StartError::Certificates)?,
                transport: transport.server,
                tag: rawsocket,
            });
        }
        if let Some(error) = unusable {
            return Err(error);
        }
        let public = listeners.len();
        let sockets = PrivateSockets::new(config.components.len()).map_err(StartError::System)?;
        for (component, path) in config.components.iter().zip(sockets.paths()) {
            let (role, authid) = (component.role.clone(), Some(component.name.clone()));
            let anonymous = Some(Provider::Static(AnonymousPrincipal { role, authid, realm: None }));
            let (endpoint, backlog) = (Endpoint::Unix { path, mode: Some(0o600) }, ListenerConfig::BACKLOG);
            let transport =
                ServerOptions { http: None, rawsocket: Some(RawSocketOptions::default()), ..Default::default() };
            let tag = tag(AuthConfig { anonymous, ..AuthConfig::default() });
            sites.push(Routes::default());
            listeners.push(ListenerConfig { endpoint, backlog, tls: None, transport: Arc::new(transport), tag });
        }
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
        let mut processes = Processes::new(config.host_limits, log.clone());
        processes.functions(&config.functions).map_err(StartError::System)?;
        processes.components(config.components, sockets).map_err(StartError::System)?;
        processes.guests(config.guests).map_err(StartError::System)?;
        let host = NodeHost::new(auths, sites, realms, config.authorizers, &config.limits, log.clone());
        let mut host = host.map_err(StartError::System)?;
        host.processes = Some(processes);
        host.cookies = Some((cookies, server.handle()));
        Ok(Self { server, host, certificates, log, public })
    }

    /// Adds what the demo has beyond its configuration: a backend, and the example's page.
    #[must_use]
    pub fn with_demo(mut self) -> Self {
        self.host.add_demo(self.server.locals());
        self
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
    /// The system's poll failed, or it has no thread to look at certificates; that is not recoverable.
    pub fn run(self) -> io::Result<()> {
        let Self { server, mut host, certificates, log, .. } = self;
        let reloader = certificates.reloader();
        certificates.watch(log)?;
        let ran = server.run(&mut host);
        drop(reloader);
        ran
    }
}
