//! What runs beside the router: components of router and container workers, and guests.
//!
//! ```json
//! {"type": "class", "classname": "backend.Backend", "realm": "realm1", "role": "backend", "extra": {}}
//! {"type": "guest", "executable": "node", "arguments": ["client.js"], "options": {"workdir": ".."}}
//! ```

use super::link;
use super::lint::RoleUse;
use super::python::{self, executable};
use super::reader::{Context, Item, Place, Section};
use crate::process::{Program, Restart};
use core::fmt;
use std::path::PathBuf;
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::Value;

/// A component: a session of a Python class, in a process of its own.
#[derive(Clone, PartialEq)]
pub struct ComponentConfig {
    /// `id`, or `classname`: its name in the log, and its authid.
    pub name: String,
    /// `classname`: `MODULE.CLASS`.
    pub class: String,
    /// `realm`: what the class is given to join.
    pub realm: Uri,
    /// How it connects.
    pub link: Link,
    /// `extra`: what the class is given.
    pub extra: Value,
    /// The interpreter.
    pub program: Program,
    /// Folders in which the module is looked for.
    pub path: Vec<String>,
    /// `wampd.restart`. Default always.
    pub restart: Restart,
}

/// How a component connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Over a private socket, with `role`. Default `anonymous`.
    Role(String),
    /// By `transport`, as any client, with its own authentication. What the program that runs it is told.
    Transport(serde_json::Value),
}

/// The extra may hold secrets: it is not printed.
impl fmt::Debug for ComponentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, class, realm, link, .. } = self;
        f.debug_struct("ComponentConfig")
            .field("name", name)
            .field("class", class)
            .field("realm", realm)
            .field("link", link)
            .finish_non_exhaustive()
    }
}

/// A guest: any program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// `id`, or `executable`: its name in the log.
    pub name: String,
    /// `executable`, `arguments` and `options`.
    pub program: Program,
    /// `wampd.restart`. Default on failure.
    pub restart: Restart,
}

/// Reads `components` of a worker.
pub(super) fn components(cx: &mut Context<'_>, worker: &mut Section<'_>) -> Vec<ComponentConfig> {
    let Some(item) = worker.get("components") else { return Vec::new() };
    let items = item.list(cx).unwrap_or_default();
    items.iter().filter_map(|item| component(cx, item)).collect()
}

fn component(cx: &mut Context<'_>, item: &Item<'_>) -> Option<ComponentConfig> {
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "class")?;
    if kind.str(cx)? != "class" {
        cx.error(&kind.place, "the only type is class", "make it a class, or run it as a program of its own");
        return None;
    }
    let class = section.require(cx, "classname", "MODULE.CLASS").and_then(|item| {
        let class = item.name(cx)?;
        if !python::is_dotted(&class) {
            cx.error(&item.place, format!("{class:?} names no class in a module"), "MODULE.CLASS");
            return None;
        }
        Some(class)
    });
    let realm = section.require(cx, "realm", "the realm that the class joins").and_then(|item| {
        let text = item.str(cx)?;
        let uri = Uri::parse(text, UriRule::Loose);
        uri.map_err(|error| cx.error(&item.place, format!("{text:?} is not a realm name: {error}"), "")).ok()
    });
    let name = section.name(cx, "id");
    let link = link(cx, &mut section);
    let extra = section.get("extra").map_or(Value::Null, |item| item.node.to_value());
    section.refuse(cx, &[("references", "remove it: components share nothing")]);
    let restart = restart(cx, &mut section, Restart::Always);
    section.finish(cx);
    let (class, realm, (link, place)) = (class?, realm?, link?);
    let name = name.unwrap_or_else(|| class.clone());
    if let Link::Role(role) = &link {
        let (role, who) = (role.clone(), format!("component {name:?} has"));
        cx.sources.roles.push(RoleUse { role, place, who, anonymous: false });
    }
    let (program, path) = (cx.python.host(), cx.python.path());
    Some(ComponentConfig { name, class, realm, link, extra, program, path, restart })
}

/// `role`, or `transport` for a component that authenticates itself.
fn link(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<(Link, Place)> {
    let role = section.get("role");
    let transport = section.get("transport");
    let reason = "components connect to this router over a private socket, with role";
    section.ignore(cx, &[("auth", reason)]);
    match (role, transport) {
        (None, Some(item)) => Some((Link::Transport(link::read(cx, &item)?), item.place)),
        (role, transport) => {
            if let Some(item) = transport {
                cx.warn(&item.place, "ignored", reason);
            }
            match role {
                Some(item) => Some((Link::Role(item.name(cx)?), item.place)),
                None => Some((Link::Role("anonymous".to_owned()), section.place.clone())),
            }
        }
    }
}

/// Reads a worker of type `container`; finishes it.
pub(super) fn container(cx: &mut Context<'_>, mut section: Section<'_>) -> Vec<ComponentConfig> {
    section.get("id");
    let before = cx.python.clone();
    python::options(cx, &mut section);
    let components = components(cx, &mut section);
    cx.python = before;
    section.refuse(
        cx,
        &[
            ("manhole", "remove it: there is no remote shell into the process"),
            ("connections", "remove it: connect to the database from a component"),
        ],
    );
    section.finish(cx);
    components
}

/// Reads a worker of type `guest`; finishes it.
pub(super) fn guest(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<GuestConfig> {
    let id = section.name(cx, "id");
    let name = section.require(cx, "executable", "the program").and_then(|item| item.name(cx));
    let mut arguments = Vec::new();
    if let Some(item) = section.get("arguments") {
        let items = item.list(cx).unwrap_or_default();
        arguments.extend(items.iter().filter_map(|item| Some(item.str(cx)?.to_owned())));
    }
    let before = cx.python.clone();
    let mut folder: Option<PathBuf> = None;
    if let Some(mut options) = section.get("options").and_then(|item| item.map(cx)) {
        python::environment(cx, &mut options);
        folder = options.name(cx, "workdir").map(|name| cx.python.folder.join(name));
        options.ignore(
            cx,
            &[
                ("stdin", "the standard input is empty"),
                ("stdout", "output is in the log"),
                ("stderr", "output is in the log"),
                ("watch", "restart the node when files have changed"),
            ],
        );
        options.finish(cx);
    }
    let restart = restart(cx, &mut section, Restart::OnFailure);
    section.finish(cx);
    let name = name?;
    let mut program = cx.python.program(executable(cx, &name), arguments);
    program.folder = folder.unwrap_or(program.folder);
    cx.python = before;
    Some(GuestConfig { name: id.unwrap_or(name), program, restart })
}

/// `wampd.restart`.
fn restart(cx: &mut Context<'_>, section: &mut Section<'_>, default: Restart) -> Restart {
    let Some(mut wampd) = section.get("wampd").and_then(|item| item.map(cx)) else { return default };
    let choices = [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];
    let restart = wampd.get("restart").and_then(|item| item.one_of(cx, &choices));
    wampd.finish(cx);
    restart.unwrap_or(default)
}
