//! From the transports of a configuration to what its listeners serve.

use super::StartError;
use super::certificates::Certificates;
use super::cookies::{Cookies, JarId};
use crate::config::{
    AnonymousPrincipal, AuthConfig, ComponentConfig, Endpoint as ConfigEndpoint, JsonConfig, PathService, Provider,
    Routes, StaticConfig, TransportConfig, WebSocketConfig,
};
use std::path::PathBuf;
use std::sync::Arc;
use wampd_mio::{Endpoint, ListenerConfig};
use wampd_wire::{RawSocketOptions, ServerOptions, UpgradeOptions};

/// What a route is answered with.
#[derive(Debug)]
pub(super) enum Service {
    WebSocket { options: Arc<UpgradeOptions>, tag: u64, cookies: Option<JarId> },
    Static(Arc<StaticConfig>),
    Json(JsonConfig),
    Redirect(String),
    NodeInfo,
}

/// What peers and requests meet, wherever they come in.
#[derive(Debug)]
pub(super) struct Served {
    /// Who may join, by the tag of the transport or path.
    pub(super) auths: Vec<AuthConfig>,
    /// By listener.
    pub(super) routes: Vec<Routes<Service>>,
    pub(super) cookies: Cookies,
}

/// The listeners to be, and what is served there.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) served: Served,
    pub(super) listeners: Vec<ListenerConfig>,
    pub(super) certificates: Certificates,
}

impl Site {
    pub(super) fn new(cookies: Cookies) -> Self {
        let served = Served { auths: Vec::new(), routes: Vec::new(), cookies };
        Self { served, listeners: Vec::new(), certificates: Certificates::new() }
    }

    /// `waits`: it does not listen at once.
    pub(super) fn transport(&mut self, transport: TransportConfig, waits: bool) -> Result<(), StartError> {
        let (endpoint, backlog) = match transport.endpoint {
            ConfigEndpoint::Tcp { address, backlog } => (Endpoint::Tcp(address), backlog),
            ConfigEndpoint::Unix { path, backlog } => (Endpoint::Unix { path, mode: None }, backlog),
        };
        let tag = self.served.tag(transport.rawsocket_auth.unwrap_or_default());
        let routes = transport.routes.try_map(|service| self.served.service(service))?;
        self.served.routes.push(routes);
        let tls = transport.tls.map(|tls| self.certificates.add(tls)).transpose().map_err(StartError::Certificates)?;
        self.listeners.push(ListenerConfig {
            endpoint,
            backlog,
            tls,
            transport: transport.server,
            tag,
            waits,
            proxies: transport.proxies,
        });
        Ok(())
    }

    /// The private socket of a component, over which it joins its realm with its role.
    pub(super) fn component(&mut self, component: &ComponentConfig, role: &str, path: PathBuf) {
        let (role, authid) = (role.to_owned(), Some(component.name.clone()));
        let realm = Some(component.realm.clone());
        let anonymous = Some(Provider::Static(AnonymousPrincipal { role, authid, realm }));
        let tag = self.served.tag(AuthConfig { anonymous, ..AuthConfig::default() });
        self.served.routes.push(Routes::default());
        let rawsocket = Some(RawSocketOptions::default());
        let transport = Arc::new(ServerOptions { http: None, rawsocket, ..ServerOptions::default() });
        let (endpoint, backlog) = (Endpoint::Unix { path, mode: Some(0o600) }, ListenerConfig::BACKLOG);
        self.listeners.push(ListenerConfig {
            endpoint,
            backlog,
            tls: None,
            transport,
            tag,
            waits: false,
            proxies: None,
        });
    }
}

impl Served {
    /// A tag for peers that this decides about.
    fn tag(&mut self, auth: AuthConfig) -> u64 {
        self.auths.push(auth);
        self.auths.len() as u64 - 1
    }

    fn service(&mut self, service: PathService) -> Result<Service, StartError> {
        Ok(match service {
            PathService::WebSocket(config) => {
                let WebSocketConfig { upgrade, auth, cookie } = *config;
                let cookies = cookie.map(|cookie| self.cookies.add(cookie)).transpose();
                let cookies = cookies.map_err(|(file, error)| StartError::Cookies { file, error })?;
                Service::WebSocket { options: upgrade, tag: self.tag(auth), cookies }
            }
            PathService::Static(files) => Service::Static(Arc::new(files)),
            PathService::Json(json) => Service::Json(json),
            PathService::Redirect(url) => Service::Redirect(url),
            PathService::NodeInfo => Service::NodeInfo,
        })
    }
}
