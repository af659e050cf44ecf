//! The node configuration: the shape of a Crossbar.io node configuration, version 2, as JSON or YAML.
//!
//! [`load`] reads a file and either returns a [`NodeConfig`] that can be served as it is, with warnings, or a
//! [`Report`] of everything that is wrong, each finding with its place, its path and what to do. Nothing is silently
//! ignored: a key that this router does not know or cannot honour is an error, one that changes nothing a warning.
//!
//! What Crossbar.io has no key for is under `wampd`: at the top level (`limits`, `script_limits`), in a realm
//! (`request_ids`) and in a transport (`proxies`).

mod auth;
mod authorizer;
mod cookie;
mod endpoint;
mod exposure;
mod json;
mod limits;
mod link;
mod lint;
mod node;
mod node_key;
mod proxies;
mod python;
mod reader;
mod realm;
mod report;
mod script;
mod secret;
mod services;
mod store;
mod tls;
mod transport;
mod tree;
mod web;
mod websocket;
mod workers;
mod yaml;

#[cfg(test)]
mod crossbar_tests;
#[cfg(test)]
mod proxies_tests;
#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod tests;

pub use auth::{
    AnonymousPrincipal, AuthConfig, CraUser, CryptosignPrincipal, CryptosignPrincipals, DynamicAuth, FunctionAuth,
    Provider, ScramUser, TicketPrincipal, TlsPrincipal, TlsPrincipals,
};
pub use authorizer::{Authorizer, FunctionAuthz};
pub use cookie::{CookieConfig, CookieStorage, SameSite};
pub use endpoint::Endpoint;
pub use limits::{LimitDoc, NodeLimits, limit_docs};
pub use node::{Authorizers, Listen, NodeConfig};
pub use reader::Surroundings;
pub use report::{Problem, Report, Severity};
pub use secret::Secret;
pub use services::JsonConfig;
pub use tls::TlsConfig;
pub use transport::TransportConfig;
pub use tree::Position;
pub use web::{PathService, Route, Routes, StaticConfig};
pub use websocket::WebSocketConfig;
pub use workers::{ComponentConfig, GuestConfig, Link};

use crate::node::certificates;
use crate::script::read_script;
use reader::{Context, Item};
use std::path::{Path, PathBuf};

/// Largest configuration file in bytes.
pub const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// The syntax of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// JSON, strictly: no comments, no trailing commas, no duplicate keys.
    Json,
    /// YAML 1.2: one document, no tags, no merge keys, no duplicate keys.
    Yaml,
}

impl Syntax {
    /// By the extension of the file, else by the first character: `{` or `[` begins JSON.
    pub fn of(path: &Path, text: &str) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            _ if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// Reads a configuration file. Relative paths in it start at its folder; `${VAR}` is the process's environment. The key
/// of the node, by which clients of cryptosign know it, is `key.priv` in that folder, as Crossbar.io writes it.
///
/// The second value holds the warnings.
///
/// # Errors
/// A report with every error and every warning.
pub fn load(path: &Path) -> Result<(NodeConfig, Report), Report> {
    let file = path.display().to_string();
    let unreadable = |error: std::io::Error| whole_file(&file, format!("cannot read the file: {error}"), None);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_SIZE {
        return Err(whole_file(&file, format!("the file has {size} bytes, more than {MAX_FILE_SIZE}"), None));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let variable = |name: &str| std::env::var(name).ok();
    let surroundings = Surroundings { folder, variable: &variable, script: &read_script, tls: &certificates::check };
    let (mut node, mut report) = parse(&file, &text, Syntax::of(path, &text), &surroundings)?;
    if let Some(place) = node.written_secret.take() {
        exposure::readable(&mut report, path, "this secret", exposure::WRITTEN, Some(&place));
    }
    node.router.cryptosign_key = node_key::read(folder, &mut report);
    if report.has_errors() { Err(report) } else { Ok((node, report)) }
}

/// The configuration in a folder, as Crossbar.io names it: `config.json`, `config.yaml` or `config.yml`.
///
/// # Errors
/// A report if there is none, or more than one.
pub fn find(folder: &Path) -> Result<PathBuf, Report> {
    let candidates = ["config.json", "config.yaml", "config.yml"].map(|name| folder.join(name));
    let mut found = candidates.into_iter().filter(|file| file.is_file());
    let (message, hint) = match (found.next(), found.next()) {
        (Some(file), None) => return Ok(file),
        (None, _) => ("there is no configuration in this folder", "write config.json or config.yaml"),
        (Some(_), Some(_)) => ("there is more than one configuration in this folder", "keep one, or use --config"),
    };
    Err(whole_file(&folder.display().to_string(), message.to_owned(), Some(hint.to_owned())))
}

/// A report of one error that concerns a file as a whole.
fn whole_file(file: &str, message: String, hint: Option<String>) -> Report {
    let mut report = Report::new(file);
    report.push(Problem { severity: Severity::Error, position: None, path: String::new(), message, hint });
    report
}

/// Reads a configuration from a text; `file` names it in the report.
///
/// Scripts of function authenticators and authorizers are loaded and their `create` functions run.
///
/// # Errors
/// A report with every error and every warning.
pub fn parse(
    file: &str,
    text: &str,
    syntax: Syntax,
    surroundings: &Surroundings<'_>,
) -> Result<(NodeConfig, Report), Report> {
    let mut cx = Context::new(file, surroundings);
    let tree = match syntax {
        Syntax::Json => json::parse(text),
        Syntax::Yaml => yaml::parse(text),
    };
    let node = match tree {
        Ok(tree) => node::read(&mut cx, &Item::root(&tree)),
        Err(errors) => {
            for error in errors {
                cx.report.push(Problem {
                    severity: Severity::Error,
                    position: Some(error.position),
                    path: String::new(),
                    message: error.message,
                    hint: error.hint.map(str::to_owned),
                });
            }
            None
        }
    };
    match node {
        Some(node) if !cx.report.has_errors() => Ok((node, cx.report)),
        _ => Err(cx.report),
    }
}
