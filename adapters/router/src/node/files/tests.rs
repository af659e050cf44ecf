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
        symlink(".hidden", directory.join("shown.txt")).expect("a link");
        symlink(".git", directory.join("shown")).expect("a link");
        symlink("../.git/config", directory.join("sub folder/index.html")).expect("a link");
        let files = StaticConfig {
            directory,
            directory_listing: false,
            mime_types: BTreeMap::from([(".bin".to_owned(), "application/x-bin".to_owned())]),
            cache_timeout: Some(Duration::from_secs(60)),
            default_file: None,
        };
        Self { root, files, shelf: Shelf::new(1 << 20) }
    }

    /// The response to a request below the route `/`.
    fn request(&self, method: &str, target: &str, headers: &str) -> Response {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let mut connection = Connection::new(std::sync::Arc::new(ServerOptions::default()), Instant::ZERO);
        let mut input = bytes::BytesMut::from(text.as_str());
        match connection.next(Instant::ZERO, &mut input, &mut Vec::new()) {
            Ok(Some(Incoming::Http(request))) => match Wanted::new(&request, request.path()) {
                Some(wanted) => respond(&self.files, &self.shelf, 20, &wanted),
                None => method_not_allowed(),
            },
            other => panic!("{text}: {other:?}"),
        }
    }

    fn get(&self, target: &str) -> Response {
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
    let site = Site::new("types");
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
    let site = Site::new("outside");
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
        "/shown.txt",
        "/shown/",
        "/shown/config",
        "/sub%20folder/index.html",
        "/sub%20folder/",
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

/// As applications of one page need it, whose paths only they know.
#[test]
fn default_file_is_served_for_every_path_that_there_is_nothing_at() {
    let mut site = Site::new("default");
    site.files.default_file = Some("sub folder/page.txt".to_owned());
    for target in [
        "/nothing",
        "/users/5",
        "/users/5/",
        "/empty/",
        "/index.html/",
        "/app.js",
        "/.hidden",
        "/../secret.txt",
        "/out.txt",
    ] {
        let response = site.get(target);
        assert_eq!((response.status, &*response.body), (200, &b"page"[..]), "{target}");
        assert_eq!(header(&response, "Cache-Control"), None);
        assert_eq!(response.content_type, "text/plain; charset=utf-8");
    }
    // What there is stays what it is, and a folder has its index.
    assert_eq!(&*site.get("/").body, b"<h1>index</h1>");
    assert_eq!(&*site.get("/app.JS").body, b"run()");
    assert_eq!(site.get("/sub%20folder?a=b").status, 301);
    site.files.directory_listing = true;
    assert!(String::from_utf8_lossy(&site.get("/empty/").body).contains("<!doctype html>"), "a listing");
    // Nothing outside of the folder, nothing hidden, no folder.
    for file in ["../secret.txt", "out.txt", ".hidden", "shown.txt", "sub folder", "nothing"] {
        site.files.default_file = Some(file.to_owned());
        assert_eq!(site.get("/nothing").status, 404, "{file}");
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
    assert!(page.body.ends_with(b"<li><a href=\"./page.txt\">page.txt</a>\n</ul>\n"), "{page:?}");

    fs::remove_file(site.files.directory.join("index.html")).expect("removed");
    let page = String::from_utf8(site.get("/").body.to_vec()).expect("text");
    assert!(page.contains("<a href=\"./a%20%26%20b.bin\">a &amp; b.bin</a>"), "{page}");
    assert!(page.contains("<a href=\"./sub%20folder/\">sub folder/</a>") && !page.contains(".hidden"), "{page}");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let site = Site::new("known");
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
    site.shelf = Shelf::new(10);
    assert_eq!(
        (site.request("HEAD", "/index.html", "").status, site.request("HEAD", "/app.JS", "").status),
        (403, 200)
    );
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
fn head_is_answered_without_reading() {
    let mut site = Site::new("head");
    let (head, get) = (site.request("HEAD", "/index.html", ""), site.get("/index.html"));
    assert_eq!((head.length, head.body.len()), (ContentLength::Bytes(get.body.len() as u64), 0));
    assert_eq!((head.status, head.headers, head.content_type), (get.status, get.headers, get.content_type));
    site.files.directory_listing = true;
    let (head, get) = (site.request("HEAD", "/empty/", ""), site.get("/empty/"));
    assert_eq!((head.length, head.body.len()), (ContentLength::Unknown, 0));
    assert_eq!((head.status, head.headers, head.content_type), (get.status, get.headers, get.content_type));
}

#[test]
fn a_listing_is_bounded_and_kept_until_the_folder_changes() {
    let mut site = Site::new("listing");
    site.files.directory_listing = true;
    let folder = site.files.directory.join("empty");
    let entries = |response: &Response| String::from_utf8_lossy(&response.body).matches("<li>").count();
    for n in 0..22 {
        assert_eq!(entries(&site.get("/empty/")), n.min(20), "what was just changed is looked at again");
        fs::write(folder.join(n.to_string()), "").expect("a file");
    }
    assert!(site.get("/empty/").body.ends_with(b"<p>There are more than 20 entries.\n"));
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    File::open(&folder).and_then(|folder| folder.set_modified(long_ago)).expect("set");
    let (first, again) = (site.get("/empty/"), site.get("/empty/"));
    assert_eq!(first.body.as_ptr(), again.body.as_ptr(), "one copy for all");
    fs::remove_file(folder.join("0")).expect("removed");
    assert_ne!(site.get("/empty/").body.as_ptr(), first.body.as_ptr());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let site = Site::new("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.files.directory.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    assert_eq!(site.get("/pipe").status, 404);
}

#[test]
fn dates_of_http() {
    assert_eq!(http_date(Duration::ZERO), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(http_date(Duration::from_millis(1_795_478_986_060)), "Tue, 24 Nov 2026 00:09:46 GMT");
    assert_eq!(http_date(Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}
