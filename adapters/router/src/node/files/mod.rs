//! Static files: what a folder holds, and nothing beside it.
//!
//! A path is followed below the folder only: no `..`, no hidden name, no symbolic link that leads out of it.

mod shelf;

pub(super) use shelf::Shelf;

use crate::config::StaticConfig;
use bytes::Bytes;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use wampd_core::time::UnixTime;
use wampd_mio::Response;
use wampd_wire::{HttpRequest, Method};

/// Entries of a folder that a listing shows.
const MAX_ENTRIES: usize = 10_000;

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

/// What a request gets from a folder; `path` is what is left of its path below the route.
pub(super) fn respond(files: &StaticConfig, path: &str, shelf: &mut Shelf, request: &HttpRequest) -> Response {
    if matches!(request.method(), Method::Other(_)) {
        let mut response = Response::text(405, "use GET or HEAD\n");
        response.headers.push(("Allow".to_owned(), "GET, HEAD".to_owned()));
        return response;
    }
    match find(files, path, request) {
        Ok(Found::File(path, file, about)) => {
            send(files, &path, file, &about, shelf, request).unwrap_or_else(|error| refuse(&error))
        }
        Ok(Found::Folder(folder)) => list(&folder, request.path()).unwrap_or_else(|error| refuse(&error)),
        Ok(Found::SlashMissing) => {
            let mut response = Response::text(301, "this is a folder\n");
            response.headers.push(("Location".to_owned(), location(request)));
            response
        }
        Err(error) => refuse(&error),
    }
}

/// What is at a path.
enum Found {
    File(PathBuf, File, Metadata),
    Folder(PathBuf),
    /// A folder that is asked for as a file: links in its page would be relative to its parent.
    SlashMissing,
}

fn find(files: &StaticConfig, path: &str, request: &HttpRequest) -> io::Result<Found> {
    let root = files.directory.canonicalize()?;
    let mut wanted = root.clone();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        wanted.push(name(component).ok_or(io::ErrorKind::NotFound)?);
    }
    let mut wanted = inside(&root, &wanted)?;
    let mut about = fs::metadata(&wanted)?;
    if about.is_dir() {
        if !request.path().ends_with('/') {
            return Ok(Found::SlashMissing);
        }
        match inside(&root, &wanted.join(&files.default_file)).and_then(|page| Ok((fs::metadata(&page)?, page))) {
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
    let file = File::open(&wanted)?;
    let about = file.metadata()?;
    Ok(Found::File(wanted, file, about))
}

/// Where a path really is, if that is below the root.
fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    if real.starts_with(root) { Ok(real) } else { Err(io::ErrorKind::NotFound.into()) }
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
fn location(request: &HttpRequest) -> String {
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}/{query}", request.path().trim_start_matches('/'))
}

fn send(
    files: &StaticConfig,
    path: &Path,
    file: File,
    about: &Metadata,
    shelf: &mut Shelf,
    request: &HttpRequest,
) -> io::Result<Response> {
    let mut headers = vec![("X-Content-Type-Options".to_owned(), "nosniff".to_owned())];
    if let Some(time) = files.cache_timeout {
        headers.push(("Cache-Control".to_owned(), format!("public, max-age={}", time.as_secs())));
    }
    let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let changed = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", changed.as_nanos(), about.len());
    headers.push(("Last-Modified".to_owned(), http_date(changed)));
    headers.push(("ETag".to_owned(), etag.clone()));
    let (status, body) = if is_known(request, &etag, changed) {
        (304, Bytes::new())
    } else {
        (200, shelf.content(path, (changed, about.len()), file)?)
    };
    Ok(Response { status, content_type: media_type(files, path), headers, body })
}

/// Whether the client has what it asks for already (RFC 9110 section 13.2.2).
fn is_known(request: &HttpRequest, etag: &str, changed: Duration) -> bool {
    match request.header("if-none-match") {
        Some(known) => {
            let mut known = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            known.any(|tag| tag == "*" || tag == etag)
        }
        // Clients send back the date that they were given.
        None => request.header("if-modified-since") == Some(&http_date(changed)),
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

/// A page with the names in a folder.
fn list(folder: &Path, title: &str) -> io::Result<Response> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(MAX_ENTRIES) {
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
    let headers = vec![("Cache-Control".to_owned(), "no-cache".to_owned())];
    Ok(Response { status: 200, content_type: "text/html; charset=utf-8".to_owned(), headers, body: page.into() })
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
