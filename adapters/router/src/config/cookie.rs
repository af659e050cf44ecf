//! Cookies of a WebSocket service.

use super::reader::{Context, Item, Section};
use std::path::PathBuf;

/// How clients are tracked by a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    /// `name`. Default `cbtid`.
    pub name: String,
    /// `length` of the random value in characters. Default 24.
    pub length: usize,
    /// `max_age`: seconds until a cookie is good for nothing. Default 7 days.
    pub max_age: u64,
    /// `secure`: browsers send it over TLS alone. Default: whether the endpoint has TLS.
    pub secure: bool,
    /// `http_strict`: scripts of pages can not read it. Default true.
    pub http_only: bool,
    /// `same_site`: `Strict`, `Lax` or `None`. Default `Lax`: not with requests of pages of other sites.
    pub same_site: SameSite,
    /// `store`.
    pub store: CookieStorage,
    /// `wampd.end_on_normal`: a session that leaves with `wamp.close.normal` ends the cookie, as one that leaves with
    /// `wamp.close.logout` does. Other sessions of the cookie stay. Default false.
    pub end_on_normal: bool,
}

/// Which pages a browser sends a cookie for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Those of the same site.
    Strict,
    /// Those of the same site, and where the user follows a link.
    Lax,
    /// All.
    None,
}

impl SameSite {
    /// As in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// Where it is kept who has logged in with which cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieStorage {
    /// `type: memory`.
    Memory,
    /// `type: file`.
    File {
        /// `filename`, resolved.
        path: PathBuf,
        /// `purge_on_startup`: forget what is in it. Default false.
        purge: bool,
    },
    /// `type: database`: a file of our own in the folder that Crossbar.io keeps its database in.
    Folder {
        /// `path`, resolved.
        path: PathBuf,
        /// `purge_on_startup`: forget what is in it. Default false.
        purge: bool,
    },
}

pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>) -> Option<CookieConfig> {
    let mut section = item.map(cx)?;
    let name = match section.get("name") {
        Some(item) => name(cx, &item)?,
        None => "cbtid".to_owned(),
    };
    // 62 characters: less than 16 could be guessed.
    let length = section.integer(cx, "length", 16..=64, "characters", 24) as usize;
    let max_age = section.integer(cx, "max_age", 1..=86_400 * 3_600, "s", 86_400 * 7);
    let secure = section.get("secure").and_then(|item| {
        let secure = item.bool(cx)?;
        if cx.tls && !secure {
            let hint = "remove it: true is the default with TLS";
            cx.warn(&item.place, "browsers send this cookie without TLS too, where others can read it", hint);
        }
        Some(secure)
    });
    let secure = secure.unwrap_or(cx.tls);
    let http_only = section.bool(cx, "http_strict", true);
    let choices = [("Strict", SameSite::Strict), ("Lax", SameSite::Lax), ("None", SameSite::None)];
    let same_site = section.get("same_site").and_then(|item| item.one_of(cx, &choices)).unwrap_or(SameSite::Lax);
    if same_site == SameSite::None && !secure {
        cx.warn(&section.place, "browsers refuse a cookie for all sites that is not secure", "add \"secure\": true");
    }
    let store = match section.get("store") {
        Some(item) => {
            let section = item.map(cx)?;
            store(cx, section)
        }
        None => Some(CookieStorage::Memory),
    };
    let mut end_on_normal = false;
    if let Some(mut wampd) = section.get("wampd").and_then(|item| item.map(cx)) {
        end_on_normal = wampd.bool(cx, "end_on_normal", false);
        wampd.finish(cx);
    }
    section.finish(cx);
    Some(CookieConfig { name, length, max_age, secure, http_only, same_site, store: store?, end_on_normal })
}

fn name(cx: &mut Context<'_>, item: &Item<'_>) -> Option<String> {
    let name = item.name(cx)?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        cx.error(&item.place, format!("{name:?} is not the name of a cookie"), "letters, digits, _ and -");
        return None;
    }
    Some(name)
}

fn store(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<CookieStorage> {
    let kind = section.require(cx, "type", "memory, file or database")?;
    let store = match kind.str(cx)? {
        "memory" => Some(CookieStorage::Memory),
        "file" => {
            let path = section.require(cx, "filename", "the file").and_then(|item| item.name(cx));
            let purge = section.bool(cx, "purge_on_startup", false);
            Some(CookieStorage::File { path: cx.resolve(&path?), purge })
        }
        "database" => {
            let path = section.require(cx, "path", "the folder").and_then(|item| item.name(cx));
            let purge = section.bool(cx, "purge_on_startup", false);
            section.fixed(cx, "readonly", false, "logins could not be remembered");
            let reason = "cookies are kept in a file of wampd in this folder, max_cookies of them";
            section.ignore(cx, &[("maxsize", reason), ("sync", reason)]);
            cx.warn(&kind.place, "a database of Crossbar.io is not read", "users log in once more");
            Some(CookieStorage::Folder { path: cx.resolve(&path?), purge })
        }
        other => {
            cx.error(&kind.place, format!("unknown type {other:?} of cookie store"), "memory, file or database");
            return None;
        }
    };
    section.finish(cx);
    store
}
