use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use wampd_core::time::Instant;
use wampd_wire::{Connection, Incoming, ServerOptions};

/// A folder with something in it, beside a file that is nobody's business.
struct Site {
    root: PathBuf,
    files: StaticConfig,
    shelf: Shelf,
}

impl Site {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wampd-files-{name}-{}", std::process::id()));
        let directory = root.join("web");
        fs::create_dir_all(directory.join("sub folder")).expect("folders");
        fs::create_dir_all(directory.join("empty")).expect("folders");
        fs::create_dir_all(directory.join(".git")).expect("folders");
        for (path, content) in [
            ("secret.txt", "secret"),
            ("web/index.html", "<h1>index</h1>"),
            ("web/app.JS", "run()"),
            ("web/a & b.bin", "bytes"),
            ("web/.hidden", "hidden"),
            ("web/.git/config", "hidden"),
            ("web/sub folder/page.txt", "page"),
        ] {
            fs::write(root.join(path), content).expect("a file");
        }
        symlink("../secret.txt", directory.join("out.txt")).expect("a link");
        symlink("..", directory.join("up")).expect("a link");
        symlink("app.JS", directory.join("in.js")).expect("a link");
        let files = StaticConfig {
            directory,
            directory_listing: false,
            mime_types: BTreeMap::from([(".bin".to_owned(), "application/x-bin".to_owned())]),
            cache_timeout: Some(Duration::from_secs(60)),
            default_file: "index.html".to_owned(),
        };
        Self { root, files, shelf: Shelf::new(1 << 20) }
    }

    /// The response to a request below the route `/`.
    fn request(&mut self, method: &str, target: &str, headers: &str) -> Response {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let mut connection = Connection::new(std::sync::Arc::new(ServerOptions::default()), Instant::ZERO);
        let mut input = bytes::BytesMut::from(text.as_str());
        match connection.next(Instant::ZERO, &mut input, &mut Vec::new()) {
            Ok(Some(Incoming::Http(request))) => respond(&self.files, request.path(), &mut self.shelf, &request),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn files_with_their_types() {
    let mut site = Site::new("types");
    for (target, content, media_type) in [
        ("/", "<h1>index</h1>", "text/html; charset=utf-8"),
        ("/index.html?x=..", "<h1>index</h1>", "text/html; charset=utf-8"),
        ("/app.JS", "run()", "text/javascript; charset=utf-8"),
        ("/in.js", "run()", "text/javascript; charset=utf-8"),
        ("/a%20%26%20b.bin", "bytes", "application/x-bin"),
        ("/sub%20folder/page.txt", "page", "text/plain; charset=utf-8"),
        ("//sub%20folder//page.txt", "page", "text/plain; charset=utf-8"),
    ] {
        let response = site.get(target);
        assert_eq!((response.status, &*response.body), (200, content.as_bytes()), "{target}");
        assert_eq!(response.content_type, media_type, "{target}");
        assert_eq!(header(&response, "Cache-Control"), Some("public, max-age=60"));
    }
    assert!(MEDIA_TYPES.is_sorted(), "it is searched as a sorted table");
}

#[test]
fn nothing_outside_of_the_folder() {
    let mut site = Site::new("outside");
    for target in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub%20folder/../../secret.txt",
        "/sub%20folder/..%5c..%5csecret.txt",
        "/./index.html",
        "/out.txt",
        "/up/secret.txt",
        "/up/",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/index.html%00.txt",
        "/%ff",
        "/%",
        "/%4",
        "/index.html/",
        "/index.html/x",
        "/nothing",
        "/empty/",
    ] {
        let response = site.get(target);
        assert_eq!((response.status, &*response.body), (404, b"there is nothing here\n".as_slice()), "{target}");
    }
}

#[test]
fn folders() {
    let mut site = Site::new("folders");
    let redirected = site.get("/sub%20folder?a=b");
    assert_eq!((redirected.status, header(&redirected, "Location")), (301, Some("/sub%20folder/?a=b")));
    let redirected = site.get("//sub%20folder");
    assert_eq!(header(&redirected, "Location"), Some("/sub%20folder/"), "not another host");
    assert_eq!(site.get("/sub%20folder/").status, 404);

    site.files.directory_listing = true;
    let page = site.get("/sub%20folder/");
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.ends_with(b"<ul>\n<li><a href=\"./page.txt\">page.txt</a>\n</ul>\n"), "{page:?}");

    fs::remove_file(site.files.directory.join("index.html")).expect("removed");
    let page = String::from_utf8(site.get("/").body.to_vec()).expect("text");
    assert!(page.contains("<a href=\"./a%20%26%20b.bin\">a &amp; b.bin</a>"), "{page}");
    assert!(page.contains("<a href=\"./sub%20folder/\">sub folder/</a>") && !page.contains(".hidden"), "{page}");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let mut site = Site::new("known");
    let first = site.get("/index.html");
    let etag = header(&first, "ETag").expect("a tag").to_owned();
    let date = header(&first, "Last-Modified").expect("a date").to_owned();
    for headers in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"x\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {date}\r\n"),
    ] {
        let again = site.request("GET", "/index.html", &headers);
        assert_eq!((again.status, again.body.len()), (304, 0), "{headers}");
        assert_eq!(header(&again, "ETag"), Some(etag.as_str()));
    }
    // The tag counts if both are there.
    let headers = format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n");
    assert_eq!(site.request("GET", "/index.html", &headers).status, 200);
    fs::write(site.files.directory.join("index.html"), "changed").expect("written");
    let again = site.request("GET", "/index.html", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((again.status, &*again.body), (200, b"changed".as_slice()));
}

#[test]
fn methods_and_limits() {
    let mut site = Site::new("limits");
    let refused = site.request("POST", "/index.html", "");
    assert_eq!((refused.status, header(&refused, "Allow")), (405, Some("GET, HEAD")));
    // The transport leaves the body away.
    assert_eq!(site.request("HEAD", "/index.html", "").body, site.get("/index.html").body);
    site.shelf = Shelf::new(10);
    assert_eq!((site.get("/index.html").status, site.get("/app.JS").status), (403, 200));
    let sending = site.get("/app.JS");
    fs::write(site.files.directory.join("b.txt"), "123456").expect("written");
    assert_eq!(site.get("/b.txt").status, 503);
    drop(sending);
    assert_eq!(site.get("/b.txt").status, 200);
    site.files.cache_timeout = None;
    assert_eq!(header(&site.get("/b.txt"), "Cache-Control"), None);
}

#[test]
fn dates_of_http() {
    assert_eq!(http_date(Duration::ZERO), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(http_date(Duration::from_millis(1_795_478_986_060)), "Tue, 24 Nov 2026 00:09:46 GMT");
    assert_eq!(http_date(Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}
