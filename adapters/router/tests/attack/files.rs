//! Static files: large ones, many entries, and readers that do not read.

use super::harness::{Bystander, Folder, Router, config, connect};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// A router that serves two files of this length. They are sparse: they take no room on the disk.
fn site(len: u64, limits: Value) -> Router {
    let folder = Folder::new();
    for name in ["one", "two"] {
        File::create(folder.write(&format!("web/{name}"), "")).and_then(|file| file.set_len(len)).expect("a file");
    }
    let mut config = config();
    let paths = &mut config["workers"][0]["transports"][0]["paths"];
    paths["/"] = json!({"type": "static", "directory": "web", "options": {"enable_directory_listing": true}});
    config["wampd"]["limits"] = limits;
    Router::start_in(folder, &config, None)
}

fn request(router: &Router, method: &str, path: &str) -> TcpStream {
    let mut stream = connect(router.port(0));
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    stream
}

/// The status and the head of a response.
fn response(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a response");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    (head.get(9..12).and_then(|status| status.parse().ok()).expect("a status"), head)
}

/// Bytes that the process has read so far, from files and sockets.
fn bytes_read(router: &Router) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", router.child.id())).expect("the process runs");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a field of /proc/PID/io");
    line.parse().expect("a number")
}

#[test]
fn head_requests_read_nothing_of_large_files() {
    let router = site(40 << 20, json!({}));
    let heads = |count: usize| {
        for n in 0..count {
            let (status, head) = response(request(&router, "HEAD", ["/one", "/two"][n % 2]));
            assert!(status == 200 && head.contains("Content-Length: 41943040"), "{head}");
        }
    };
    let before = bytes_read(&router);
    heads(200);
    let read = bytes_read(&router) - before;
    assert!(read < 1 << 20, "{read} bytes were read for 200 requests without a body");
    let ((), noticed) = Bystander::join(router.port(1)).during(|| heads(200));
    assert!(noticed.answers > 0, "{noticed:?}");
}

#[test]
fn head_of_a_listing_does_not_look_at_its_entries() {
    let router = site(0, json!({}));
    for n in 0..2_000 {
        router.folder.write(&format!("web/many/{n}"), "");
    }
    let (status, head) = response(request(&router, "HEAD", "/many/"));
    assert!(status == 200 && !head.contains("Content-Length"), "{head}");
    let mut page = String::new();
    request(&router, "GET", "/many/").read_to_string(&mut page).expect("a page");
    assert_eq!(page.matches("<li>").count(), 1_000, "a listing is bounded by max_listing_entries");
}

#[test]
fn strangers_that_do_not_read_hold_one_copy_of_a_file() {
    let (len, room) = (8 << 20, 16 << 20);
    let router = site(len, json!({"max_file_memory": room - 1}));
    let bystander = Bystander::join(router.port(1));
    let before = router.memory().resident;
    let strangers: Vec<TcpStream> = (0..300).map(|_| request(&router, "GET", "/one")).collect();
    let line = router.wait_for_lines("http response", strangers.len());
    assert_eq!(line["status"], 200);
    let (status, head) = response(request(&router, "GET", "/two"));
    assert!(status == 503 && head.contains("Retry-After: 1"), "the room is taken: {head}");
    bystander.wait_for_answers(10);
    let held = router.memory().peak - before;
    // Beside the file a stranger costs its connection.
    assert!(held < room + 300 * (16 << 10), "{held}");
    for stranger in strangers {
        stranger.shutdown(Shutdown::Both).expect("closed");
    }
}

#[test]
fn more_requests_for_files_than_may_wait_are_answered_with_503() {
    let router = site(16 << 20, json!({"file_threads": 1, "max_waiting_files": 1}));
    let requests: Vec<TcpStream> = (0..40).map(|n| request(&router, "GET", ["/one", "/two"][n % 2])).collect();
    let mut served = 0;
    for stream in requests {
        match response(stream) {
            (200, _) => served += 1,
            (503, head) => assert!(head.contains("Retry-After: 1"), "{head}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(served > 0);
}
