//! What a transport serves over HTTP: WebSocket and files, by path.

use super::auth::AuthConfig;
use super::reader::{Context, Item, Section};
use super::services::{self, JsonConfig};
use super::websocket::{self, WebSocketConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use wampd_wire::HttpOptions;

/// Path services of Crossbar.io that this router does not have, with what to do instead.
const OTHER_SERVICES: &[(&str, &str)] = &[
    ("longpoll", "let the client use WebSocket; long-poll is future work"),
    ("publisher", "publish from a client; the HTTP bridge is future work"),
    ("caller", "call from a client; the HTTP bridge is future work"),
    ("webhook", "receive it in a program of your own that publishes as a client"),
    ("reverseproxy", "proxy in front of the router"),
    ("wsgi", "run the application on its own"),
    ("wap", "run the application on its own"),
    ("cgi", "run the application on its own"),
    ("resource", "run the application on its own"),
    ("upload", "receive files in a program of your own"),
    ("schemadoc", "remove it"),
    ("catalog", "remove it"),
];

/// The types of path services that this router has.
const SERVICES: &str = "websocket, static, json, redirect, nodeinfo or path";

/// What is served over HTTP, by path: `S` says what is there.
#[derive(Clone, Debug)]
pub struct Routes<S = PathService> {
    /// The routes, longest path first, so that the first that matches is the one.
    pub routes: Vec<Route<S>>,
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<S> Routes<S> {
    /// The route for the path of a request (without query), and what of the path is left below it.
    ///
    /// A route matches whole components: `/ws` matches `/ws` and `/ws/a`, not `/wsa`.
    pub fn find<'p>(&self, path: &'p str) -> Option<(&Route<S>, &'p str)> {
        self.routes.iter().find_map(|route| {
            let rest = path.strip_prefix(route.path.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then_some((route, rest))
        })
    }

    /// The same paths with something else there.
    ///
    /// # Errors
    /// The first of `with`.
    pub fn try_map<T, E>(self, mut with: impl FnMut(S) -> Result<T, E>) -> Result<Routes<T>, E> {
        let route = |Route { path, service }| Ok(Route { path, service: with(service)? });
        Ok(Routes { routes: self.routes.into_iter().map(route).collect::<Result<_, E>>()? })
    }
}

/// What is served under a path.
#[derive(Clone, Debug)]
pub struct Route<S = PathService> {
    /// The path, beginning with `/`: `/` or `/ws` or `/a/b`.
    pub path: String,
    /// What is there.
    pub service: S,
}

/// What a path serves.
#[derive(Clone, Debug)]
pub enum PathService {
    /// `type: websocket`.
    WebSocket(Box<WebSocketConfig>),
    /// `type: static`.
    Static(StaticConfig),
    /// `type: json`.
    Json(JsonConfig),
    /// `type: redirect`, to this URL.
    Redirect(String),
    /// `type: nodeinfo`.
    NodeInfo,
}

impl PathService {
    /// Who may join there, if anybody can.
    pub(super) fn auth(&self) -> Option<&AuthConfig> {
        match self {
            Self::WebSocket(service) => Some(&service.auth),
            Self::Static(_) | Self::Json(_) | Self::Redirect(_) | Self::NodeInfo => None,
        }
    }
}

/// Files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticConfig {
    /// `directory`, resolved.
    pub directory: PathBuf,
    /// `options.enable_directory_listing`. Default false.
    pub directory_listing: bool,
    /// `options.mime_types`: extension with its dot, to media type.
    pub mime_types: BTreeMap<String, String>,
    /// `options.cache_timeout` in seconds: how long browsers may keep a file. `None` (`null`) says nothing to them.
    /// Default 12 hours.
    pub cache_timeout: Option<Duration>,
    /// `options.default_file`: path in the folder of the file that is served, with status 200, for every unknown path, as
    /// single-page applications need. Default none: unknown paths get 404. It is not the index of a folder, `index.html`.
    pub default_file: Option<String>,
}

/// Reads `paths` and `options` of a web transport; finishes it.
pub(super) fn read(cx: &mut Context<'_>, mut section: Section<'_>) -> (HttpOptions, Routes) {
    let mut routes = Vec::new();
    if let Some(item) = section.require(cx, "paths", "a mapping from path to service") {
        paths(cx, &item, "", &mut routes);
    }
    by_length(&mut routes);
    let mut http = HttpOptions::default();
    if let Some(mut options) = section.get("options").and_then(|item| item.map(cx)) {
        let default = http.max_head as u64;
        http.max_head = options.integer(cx, "max_head_size", 1_024..=1 << 20, "bytes", default) as usize;
        options.fixed(cx, "hsts", false, "set the header in a proxy in front of the router");
        options.ignore(
            cx,
            &[
                ("access_log", "requests are logged with their outcome only"),
                ("display_tracebacks", "there are no tracebacks"),
                ("hsts_max_age", "the header is not set"),
                ("client_timeout", "see open_handshake_timeout of the WebSocket services"),
            ],
        );
        options.refuse(cx, &[("hixie76_aware", "remove it: the protocol is gone")]);
        options.finish(cx);
    }
    section.finish(cx);
    (http, Routes { routes })
}

/// Reads the `websocket` part of a universal transport: a mapping from path to WebSocket service.
pub(super) fn websocket_paths(cx: &mut Context<'_>, item: &Item<'_>) -> Vec<Route> {
    let mut routes = Vec::new();
    let Some(section) = item.map(cx) else { return routes };
    for (key, item) in section.items() {
        let Some(path) = path(cx, &item, "", key) else { continue };
        let Some(mut section) = item.map(cx) else { continue };
        if let Some(kind) = section.get("type")
            && kind.str(cx).is_some_and(|kind| kind != "websocket")
        {
            cx.error(&kind.place, "only WebSocket services are here", "put other services under web.paths");
            continue;
        }
        let service = PathService::WebSocket(Box::new(websocket::read(cx, section)));
        routes.push(Route { path, service });
    }
    by_length(&mut routes);
    routes
}

/// Longest first; among equals in the order of the file.
pub(super) fn by_length(routes: &mut [Route]) {
    routes.sort_by_key(|route| core::cmp::Reverse(route.path.trim_end_matches('/').len()));
}

fn paths(cx: &mut Context<'_>, item: &Item<'_>, under: &str, routes: &mut Vec<Route>) {
    let Some(section) = item.map(cx) else { return };
    for (key, item) in section.items() {
        let Some(path) = path(cx, &item, under, key) else { continue };
        let Some(mut section) = item.map(cx) else { continue };
        let Some(kind) = section.require(cx, "type", SERVICES) else { continue };
        let Some(name) = kind.str(cx) else { continue };
        let service = match name {
            "websocket" => Some(PathService::WebSocket(Box::new(websocket::read(cx, section)))),
            "static" => files(cx, section).map(PathService::Static),
            "json" => services::json(cx, section).map(PathService::Json),
            "redirect" => services::redirect(cx, section).map(PathService::Redirect),
            "nodeinfo" => {
                section.get("id");
                section.finish(cx);
                Some(PathService::NodeInfo)
            }
            "path" => {
                section.get("id");
                if let Some(item) = section.require(cx, "paths", "a mapping from path to service") {
                    paths(cx, &item, path.trim_end_matches('/'), routes);
                }
                section.finish(cx);
                None
            }
            "archive" => {
                let hint = "unpack the archive and serve it with a static path; until then every request gets 404";
                cx.warn(&kind.place, "path services of type archive are not served", hint);
                None
            }
            other => {
                let hint = OTHER_SERVICES.iter().find(|(name, _)| *name == other).map(|(_, hint)| *hint);
                let message = match hint {
                    Some(_) => format!("path services of type {other} are not supported"),
                    None => format!("unknown type {other:?} of path service"),
                };
                cx.error(&kind.place, message, hint.unwrap_or(SERVICES));
                None
            }
        };
        routes.extend(service.map(|service| Route { path, service }));
    }
}

/// The full path of a key: `/`, or one component.
fn path(cx: &mut Context<'_>, item: &Item<'_>, under: &str, key: &str) -> Option<String> {
    let simple = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    match key {
        "/" => Some(format!("{under}/")),
        _ if simple && key != "." && key != ".." => Some(format!("{under}/{key}")),
        _ => {
            let hint = "/ or one component of letters, digits, _, - and .; nest them with a path service";
            cx.error(&item.place, format!("{key:?} is not a path"), hint);
            None
        }
    }
}

fn files(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<StaticConfig> {
    section.refuse(
        cx,
        &[
            ("package", "give the folder as directory: there are no Python packages"),
            ("resource", "give the folder as directory: there are no Python packages"),
        ],
    );
    let python = section.has("package") || section.has("resource");
    let directory =
        if python { section.get("directory") } else { section.require(cx, "directory", "the folder to serve") };
    let mut files = StaticConfig {
        directory: PathBuf::new(),
        directory_listing: false,
        mime_types: BTreeMap::new(),
        cache_timeout: Some(Duration::from_secs(12 * 60 * 60)),
        default_file: None,
    };
    let options = section.get("options").and_then(|item| item.map(cx));
    let name = directory.as_ref().and_then(|item| item.name(cx));
    if let (Some(item), Some(name)) = (&directory, &name) {
        files.directory = cx.resolve(name);
        if files.directory.exists() && !files.directory.is_dir() {
            let message = format!("{} is not a folder", files.directory.display());
            cx.error(&item.place, message, "give the folder that the files are in");
        } else if !files.directory.is_dir() {
            let message = format!("there is no folder {}", files.directory.display());
            cx.warn(&item.place, message, "create it; until then every request gets 404");
        }
    }
    if let Some(options) = options {
        file_options(cx, options, &mut files);
    }
    section.finish(cx);
    name.map(|_| files)
}

fn file_options(cx: &mut Context<'_>, mut section: Section<'_>, files: &mut StaticConfig) {
    files.directory_listing = section.bool(cx, "enable_directory_listing", files.directory_listing);
    if let Some(item) = section.get("cache_timeout") {
        const YEAR: u64 = 365 * 24 * 60 * 60;
        files.cache_timeout = match item.node.kind {
            super::tree::Kind::Null => None,
            _ => item.integer(cx, 0..=YEAR, "s").map(Duration::from_secs),
        };
    }
    if let Some(types) = section.get("mime_types").and_then(|item| item.map(cx)) {
        for (extension, item) in types.items() {
            if let Some(media_type) = item.name(cx) {
                let ok = media_type.is_ascii() && !media_type.contains(|c: char| c.is_ascii_control());
                if !ok || !extension.starts_with('.') {
                    cx.error(
                        &item.place,
                        "not an extension with its media type",
                        "for example \".wasm\": \"application/wasm\"",
                    );
                    continue;
                }
                files.mime_types.insert(extension.to_owned(), media_type);
            }
        }
    }
    if let Some(item) = section.get("default_file")
        && let Some(name) = item.name(cx)
    {
        let file = files.directory.join(name.trim_start_matches('/'));
        if files.directory.is_dir() && !file.is_file() {
            let message = format!("there is no file {}", file.display());
            cx.warn(&item.place, message, "create it; until then unknown paths get 404");
        }
        files.default_file = Some(name);
    }
    section.finish(cx);
}
