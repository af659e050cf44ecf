//! Static files: what a folder holds, and nothing beside it.
//!
//! A path is followed below the folder only: no `..`, no hidden name, no symbolic link that leads out of it or to
//! something hidden.
//!
//! Disks may be slow: all of this but [`Wanted::new`] is for threads of its own. A HEAD request is answered by what the
//! system knows of a file, without reading it.

mod shelf;

pub(super) use shelf::Shelf;

use crate::config::StaticConfig;
use crate::regular;
use bytes::Bytes;
use shelf::Key;
use std::borrow::Cow;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use wampd_core::time::UnixTime;
use wampd_mio::Response;
use wampd_wire::{ContentLength, HttpRequest, Method};

/// How long a folder must not have changed for its listing to be kept: two changes may have the same time.
const SETTLED: Duration = Duration::from_secs(2);

/// Media types by extension, without the dot.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// The page of a folder.
const INDEX: &str = "index.html";

/// What a request wants: the parts of it that matter here.
#[derive(Debug)]
pub(super) struct Wanted {
    head: bool,
    path: String,
    query: Option<String>,
    /// What is left of the path below the route.
    rest: String,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
}

impl Wanted {
    /// A request whose path has this rest below the route; `None` if it wants to do something else than read.
    pub(super) fn new(request: &HttpRequest, rest: &str) -> Option<Self> {
        let header = |name| request.header(name).map(Cow::into_owned);
        Some(Self {
            head: match request.method() {
                Method::Get => false,
                Method::Head => true,
                Method::Other(_) => return None,
            },
            path: request.path().to_owned(),
            query: request.query().map(str::to_owned),
            rest: rest.to_owned(),
            if_none_match: header("if-none-match"),
            if_modified_since: header("if-modified-since"),
        })
    }
}

/// The answer to a request that wants to do something else than read.
pub(super) fn method_not_allowed() -> Response {
    let mut response = Response::text(405, "use GET or HEAD\n");
    response.headers.push(("Allow".to_owned(), "GET, HEAD".to_owned()));
    response
}

/// The answer to a request that there is no room for.
pub(super) fn overloaded() -> Response {
    refuse(&io::ErrorKind::QuotaExceeded.into())
}

/// What a request gets from a folder, of which a listing shows no more than `max_entries`. May take long.
pub(super) fn respond(files: &StaticConfig, shelf: &Shelf, max_entries: usize, wanted: &Wanted) -> Response {
    let found = match (find(files, &wanted.rest, &wanted.path), &files.default_file) {
        (Err(error), Some(file)) if error.kind() == io::ErrorKind::NotFound => default(files, file),
        (found, _) => found,
    };
    let response = match found {
        Ok(Found::File(path, file, about)) => send(files, path, file, &about, files.cache_timeout, shelf, wanted),
        // It stands for paths that may come to be.
        Ok(Found::Default(path, file, about)) => send(files, path, file, &about, None, shelf, wanted),
        Ok(Found::Folder(folder)) => list(folder, shelf, max_entries, wanted),
        Ok(Found::SlashMissing) => {
            let mut response = Response::text(301, "this is a folder\n");
            response.headers.push(("Location".to_owned(), location(wanted)));
            Ok(response)
        }
        Err(error) => Err(error),
    };
    response.unwrap_or_else(|error| refuse(&error))
}

/// What is at a path.
enum Found {
    File(PathBuf, File, Metadata),
    /// Nothing, for which there is a file to be served.
    Default(PathBuf, File, Metadata),
    Folder(PathBuf),
    /// A folder that is asked for as a file: links in its page would be relative to its parent.
    SlashMissing,
}

fn find(files: &StaticConfig, path: &str, whole: &str) -> io::Result<Found> {
    let root = files.directory.canonicalize()?;
    let mut wanted = root.clone();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        wanted.push(name(component).ok_or(io::ErrorKind::NotFound)?);
    }
    let mut wanted = inside(&root, &wanted)?;
    let mut about = fs::metadata(&wanted)?;
    if about.is_dir() {
        if !whole.ends_with('/') {
            return Ok(Found::SlashMissing);
        }
        match inside(&root, &wanted.join(INDEX)).and_then(|page| Ok((fs::metadata(&page)?, page))) {
            Ok((page, path)) if page.is_file() => (about, wanted) = (page, path),
            _ if files.directory_listing => return Ok(Found::Folder(wanted)),
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
    } else if path.ends_with('/') {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Opening a pipe would wait for its other end.
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // It may have become a pipe meanwhile.
    let (file, about) = regular::open(&wanted)?;
    Ok(Found::File(wanted, file, about))
}

/// The file for paths that there is nothing at.
fn default(files: &StaticConfig, file: &str) -> io::Result<Found> {
    let root = files.directory.canonicalize()?;
    let path = inside(&root, &root.join(file.trim_start_matches('/')))?;
    if !fs::metadata(&path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let (file, about) = regular::open(&path)?;
    Ok(Found::Default(path, file, about))
}

/// Where a path really is, if that is below the root and nothing on the way there is hidden.
fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let below = real.strip_prefix(root).map_err(|_| io::ErrorKind::NotFound)?;
    let hidden = below.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
    if hidden { Err(io::ErrorKind::NotFound.into()) } else { Ok(real) }
}

/// The name of a file that a component of a path stands for; `None` if there can be none.
fn name(component: &str) -> Option<String> {
    let name = percent_decoded(component)?;
    let hidden = name.starts_with('.'); // `.` and `..` too
    (!hidden && !name.contains(['/', '\\', '\0'])).then_some(name)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(match byte {
            b'%' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The path of the request with a slash at its end. Not more slashes at its beginning than one: that would be a host.
fn location(wanted: &Wanted) -> String {
    let query = wanted.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}/{query}", wanted.path.trim_start_matches('/'))
}

fn send(
    files: &StaticConfig,
    path: PathBuf,
    file: File,
    about: &Metadata,
    cache_timeout: Option<Duration>,
    shelf: &Shelf,
    wanted: &Wanted,
) -> io::Result<Response> {
    let mut headers = vec![("X-Content-Type-Options".to_owned(), "nosniff".to_owned())];
    if let Some(time) = cache_timeout {
        headers.push(("Cache-Control".to_owned(), format!("public, max-age={}", time.as_secs())));
    }
    let (changed, len) = (last_change(about), about.len());
    let etag = format!("\"{:x}-{len:x}\"", changed.as_nanos());
    headers.push(("Last-Modified".to_owned(), http_date(changed)));
    headers.push(("ETag".to_owned(), etag.clone()));
    let content_type = media_type(files, &path);
    let response = if is_known(wanted, &etag, changed) {
        Response::new(304, Bytes::new())
    } else if wanted.head {
        shelf.admits(len)?;
        Response { length: ContentLength::Bytes(len), ..Response::new(200, Bytes::new()) }
    } else {
        Response::new(200, shelf.content(Key::File(path), (changed, len), len, || read(file, len))?)
    };
    Ok(Response { content_type, headers, ..response })
}

/// When a file was changed last, since 1970.
fn last_change(about: &Metadata) -> Duration {
    let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The content of a file, and not more than there is room for if it has grown.
fn read(file: File, len: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?);
    file.take(len).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether the client has what it asks for already (RFC 9110 section 13.2.2).
fn is_known(wanted: &Wanted, etag: &str, changed: Duration) -> bool {
    match &wanted.if_none_match {
        Some(known) => {
            let mut known = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            known.any(|tag| tag == "*" || tag == etag)
        }
        // Clients send back the date that they were given.
        None => wanted.if_modified_since.as_ref() == Some(&http_date(changed)),
    }
}

fn media_type(files: &StaticConfig, path: &Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if let Some(configured) = files.mime_types.get(&format!(".{extension}")) {
        return configured.clone();
    }
    let known = MEDIA_TYPES.binary_search_by_key(&extension.as_str(), |(extension, _)| extension);
    known.map_or("application/octet-stream", |index| MEDIA_TYPES[index].1).to_owned()
}

/// `Tue, 24 Nov 2026 00:09:46 GMT` (RFC 9110 section 5.6.7).
fn http_date(since_1970: Duration) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = UnixTime(0).after(since_1970).to_iso8601(); // 2026-11-24T00:09:46.060Z
    let day = DAYS[(since_1970.as_secs() / 86_400 % 7) as usize];
    let month = iso.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let part = |range| iso.get(range).unwrap_or_default();
    format!("{day}, {} {} {} {} GMT", part(8..10), MONTHS[(month - 1) % 12], part(0..4), part(11..19))
}

/// A page with the names in a folder; for HEAD it is not made, and its length not known.
fn list(folder: PathBuf, shelf: &Shelf, max_entries: usize, wanted: &Wanted) -> io::Result<Response> {
    static UNSETTLED: AtomicU64 = AtomicU64::new(1);
    let response = if wanted.head {
        Response { length: ContentLength::Unknown, ..Response::new(200, Bytes::new()) }
    } else {
        let changed = last_change(&fs::metadata(&folder)?);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().checked_sub(changed);
        // Of a folder that may change unnoticed each page is another version.
        let unsettled = age.is_none_or(|age| age < SETTLED);
        let version = (changed, if unsettled { UNSETTLED.fetch_add(1, Ordering::Relaxed) } else { 0 });
        let key = Key::Listing(folder.clone(), wanted.path.clone());
        let page = match shelf.kept(&key, version) {
            Some(page) => page,
            None => {
                let page = page(&folder, &wanted.path, max_entries)?.into_bytes();
                shelf.content(key, version, page.len() as u64, || Ok(page))?
            }
        };
        Response::new(200, page)
    };
    let headers = vec![("Cache-Control".to_owned(), "no-cache".to_owned())];
    Ok(Response { content_type: "text/html; charset=utf-8".to_owned(), headers, ..response })
}

/// The page with the names in a folder.
fn page(folder: &Path, title: &str, max_entries: usize) -> io::Result<String> {
    let (mut names, mut entries) = (Vec::new(), fs::read_dir(folder)?);
    for entry in entries.by_ref().take(max_entries) {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') {
            if entry.path().is_dir() {
                name.push('/');
            }
            names.push(name);
        }
    }
    names.sort();
    let title = escaped(title);
    let mut page =
        format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n");
    for name in names {
        page += &format!("<li><a href=\"./{}\">{}</a>\n", percent_encoded(&name), escaped(&name));
    }
    page += "</ul>\n";
    if entries.next().is_some() {
        page += &format!("<p>There are more than {max_entries} entries.\n");
    }
    Ok(page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn percent_encoded(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn refuse(error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Response::text(403, "this file may not be read\n"),
        io::ErrorKind::FileTooLarge => Response::text(403, "this file is too large to be served\n"),
        io::ErrorKind::QuotaExceeded => {
            let mut response = Response::text(503, "too much is being sent already\n");
            response.headers.push(("Retry-After".to_owned(), "1".to_owned()));
            response
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            Response::text(404, "there is nothing here\n")
        }
        _ => Response::text(500, "this file can not be read now\n"),
    }
}

#[cfg(test)]
mod tests;
