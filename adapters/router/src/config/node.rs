//! The document as a whole, and its workers.

use super::authorizer::Authorizer;
use super::limits::{self, NodeLimits};
use super::lint;
use super::python;
use super::reader::{Context, Item, Place, Section};
use super::realm;
use super::transport::{self, TransportConfig};
use super::tree::Kind;
use super::workers::{self, ComponentConfig, GuestConfig};
use crate::process::{HostLimits, HostedFunction};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use wampd_core::router::{Farewell, RouterConfig};
use wampd_core::uri::Uri;

/// The only version of the configuration format.
const VERSION: u64 = 2;

/// Who decides for the roles that have an authorizer: by realm, then by role.
pub type Authorizers = BTreeMap<Uri, BTreeMap<String, Authorizer>>;

/// A node: what one process serves. Router workers of the file are merged into one.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// Realms, roles and their permissions, and the limits of the router: `realms` of the workers, and `wampd.limits`.
    pub router: RouterConfig,
    /// `authorizer` of roles.
    pub authorizers: Authorizers,
    /// Where clients connect: `transports` of the workers.
    pub transports: Vec<TransportConfig>,
    /// Limits of connections: `wampd.limits` too.
    pub limits: NodeLimits,
    /// `components` of the router and container workers.
    pub components: Vec<ComponentConfig>,
    /// The guest workers.
    pub guests: Vec<GuestConfig>,
    /// Functions in other languages: each gets a process.
    pub functions: Vec<Arc<HostedFunction>>,
    /// Limits of those processes: `wampd.host_limits`.
    pub host_limits: HostLimits,
    /// Environment variables that secrets of the configuration come from, as `${NAME}`. Components, guests and functions
    /// get one only if their `env` names it.
    pub secret_variables: BTreeSet<String>,
    /// The program of the guard, which ends components, guests and functions when the node was killed: that of `wampd`,
    /// since it is run with a command of its own. Not part of the file; `wampd start` sets it. `None`: they go on then.
    pub guard: Option<PathBuf>,
    /// When the transports listen: `wampd.listen`.
    pub listen: Listen,
    /// Realms whose `leave_event_details` is in the file.
    leave_event_details: BTreeSet<Uri>,
    /// Where the first secret is that stands in the file.
    pub(super) written_secret: Option<Place>,
}

impl NodeConfig {
    /// With the defaults of a node folder, in which programs are at home that were written for Crossbar.io:
    /// `leave_event_details` of its realms is false.
    #[must_use]
    pub fn for_node_folder(mut self) -> Self {
        for realm in &mut self.router.realms {
            realm.leave_event_details &= self.leave_event_details.contains(&realm.name);
        }
        self
    }
}

/// When the transports of a node listen that has components with a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// When these components are ready, or have failed, or have taken longer than
    /// [`start_timeout`](HostLimits::start_timeout), one after the other. Components with a transport of their own, and
    /// guests, are started then.
    #[default]
    WhenReady,
    /// At once.
    AtOnce,
}

pub(super) fn read(cx: &mut Context<'_>, root: &Item<'_>) -> Option<NodeConfig> {
    let mut section = root.map(cx)?;
    version(cx, &mut section);
    section.get("$schema");
    controller(cx, &mut section);
    let mut node = NodeConfig::default();
    // What Crossbar.io does, and what all clients come back from.
    node.router.farewell = Farewell::Silent;
    wampd(cx, &mut section, &mut node);
    if let Some(item) = section.require(cx, "workers", "add a list with one worker of type router") {
        read_workers(cx, &item, &mut node);
    }
    section.finish(cx);
    node.functions = core::mem::take(&mut cx.functions);
    node.written_secret = cx.written_secret.take();
    node.leave_event_details = core::mem::take(&mut cx.leave_event_details);
    node.secret_variables = core::mem::take(&mut cx.secret_variables);
    lint::check(cx, &node);
    Some(node)
}

fn version(cx: &mut Context<'_>, section: &mut Section<'_>) {
    let hint = "this is the format version 2: add \"version\": 2";
    if let Some(item) = section.require(cx, "version", hint)
        && !matches!(item.node.kind, Kind::Int(n) if n == VERSION as i64)
    {
        cx.error(&item.place, "not supported", "this router reads version 2");
    }
}

/// The controller of a Crossbar.io node manages its workers; here there is one process and no controller.
fn controller(cx: &mut Context<'_>, section: &mut Section<'_>) {
    let Some(mut controller) = section.get("controller").and_then(|item| item.map(cx)) else { return };
    let reason = "there is one process and no controller";
    controller.ignore(cx, &[("id", reason), ("title", reason), ("options", reason), ("enable_docker", reason)]);
    controller.refuse(
        cx,
        &[
            ("manhole", "remove it: there is no remote shell into the process"),
            ("fabric", "remove it: there is no management service to connect to"),
            ("fabric-center", "remove it: there is no management service to connect to"),
            ("transport", "remove it: there is no management service to connect to"),
            ("blockchain", "remove it"),
        ],
    );
    controller.finish(cx);
}

fn wampd(cx: &mut Context<'_>, section: &mut Section<'_>, node: &mut NodeConfig) {
    let Some(mut wampd) = section.get("wampd").and_then(|item| item.map(cx)) else { return };
    if let Some(mut section) = wampd.get("limits").and_then(|item| item.map(cx)) {
        limits::read(cx, &mut section, limits::ROUTER, &mut node.router.limits);
        limits::read(cx, &mut section, limits::NODE, &mut node.limits);
        if let Some(mut section) = section.get("per_address").and_then(|item| item.map(cx)) {
            limits::read(cx, &mut section, limits::PER_ADDRESS, &mut node.limits.server.per_address);
            section.finish(cx);
        }
        section.finish(cx);
    }
    if let Some(mut section) = wampd.get("script_limits").and_then(|item| item.map(cx)) {
        let mut script_limits = cx.script_limits;
        limits::read(cx, &mut section, limits::SCRIPT, &mut script_limits);
        cx.script_limits = script_limits;
        section.finish(cx);
    }
    if let Some(mut section) = wampd.get("host_limits").and_then(|item| item.map(cx)) {
        limits::read(cx, &mut section, limits::HOST, &mut node.host_limits);
        section.finish(cx);
    }
    if let Some(item) = wampd.get("farewell") {
        let farewells = [("silent", Farewell::Silent), ("told", Farewell::Told)];
        node.router.farewell = item.one_of(cx, &farewells).unwrap_or(node.router.farewell);
    }
    if let Some(item) = wampd.get("listen") {
        node.listen =
            item.one_of(cx, &[("when_ready", Listen::WhenReady), ("at_once", Listen::AtOnce)]).unwrap_or_default();
    }
    python::interpreter(cx, &mut wampd);
    wampd.finish(cx);
}

fn read_workers(cx: &mut Context<'_>, item: &Item<'_>, node: &mut NodeConfig) {
    cx.sources.workers = Some(item.place.clone());
    let workers = item.list(cx).unwrap_or_default();
    if workers.is_empty() && matches!(item.node.kind, Kind::List(_)) {
        cx.error(&item.place, "there is no worker", "add one of type router");
    }
    let (mut routers, mut proxies) = (0, Vec::new());
    for worker in workers {
        let Some(mut section) = worker.map(cx) else { continue };
        let Some(kind) = section.require(cx, "type", "add \"type\": \"router\"") else { continue };
        match kind.str(cx) {
            Some("router") => {
                routers += 1;
                if routers == 2 {
                    let message = "router workers are merged into one process";
                    cx.warn(&worker.place, message, "their realms are served on all transports");
                }
                router(cx, section, node);
            }
            Some("container") => node.components.extend(workers::container(cx, section)),
            Some("proxy") => {
                proxies.push(worker.place.clone());
                proxy(cx, section, node);
            }
            Some("guest") => node.guests.extend(workers::guest(cx, section)),
            Some(other) => cx.error(&kind.place, format!("workers of type {other} are not supported"), instead(other)),
            None => {}
        }
    }
    for place in &proxies {
        if routers == 0 {
            cx.error(place, "there is no router worker to be a proxy of", "proxies of other nodes are not supported");
        } else {
            cx.warn(place, "the router serves the transports of its proxies itself", "move them to the router worker");
        }
    }
}

/// What to do instead of a worker of another type.
fn instead(kind: &str) -> &'static str {
    match kind {
        "hostmonitor" => "use a monitoring agent of the system",
        "websocket-testee" => "use a transport of type websocket",
        _ => "router, proxy, container or guest",
    }
}

fn router(cx: &mut Context<'_>, mut section: Section<'_>, node: &mut NodeConfig) {
    section.get("id");
    let before = cx.python.clone();
    python::options(cx, &mut section);
    node.components.extend(workers::components(cx, &mut section));
    section.refuse(
        cx,
        &[
            ("manhole", "remove it: there is no remote shell into the process"),
            ("connections", "remove it: connect to the database from a component of your own"),
            ("links", "remove it: links to other routers are not supported"),
            ("rlinks", "remove it: links to other routers are not supported"),
        ],
    );
    if let Some(item) = section.get("realms") {
        for realm in item.list(cx).unwrap_or_default() {
            if let Some((realm, authorizers)) = realm::read(cx, &realm, &node.router.realms) {
                node.authorizers.insert(realm.name.clone(), authorizers);
                node.router.realms.push(realm);
            }
        }
    }
    transports(cx, &mut section, node);
    cx.python = before;
    section.finish(cx);
}

/// A proxy of the router worker: what connects the two is not needed where one process is both.
fn proxy(cx: &mut Context<'_>, mut section: Section<'_>, node: &mut NodeConfig) {
    section.get("id");
    let before = cx.python.clone();
    python::options(cx, &mut section);
    for key in ["connections", "routes"] {
        section.get(key);
    }
    section.refuse(cx, &[("manhole", "remove it: there is no remote shell into the process")]);
    transports(cx, &mut section, node);
    cx.python = before;
    section.finish(cx);
}

fn transports(cx: &mut Context<'_>, section: &mut Section<'_>, node: &mut NodeConfig) {
    let Some(item) = section.get("transports") else { return };
    for transport in item.list(cx).unwrap_or_default() {
        node.transports.extend(transport::read(cx, &transport));
    }
}
