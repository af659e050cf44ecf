//! What path services answer that need no files.

use crate::config::JsonConfig;
use wampd_mio::Response;
use wampd_wire::{HttpRequest, Method};

/// Pages of other sites may read the response.
const CROSS_ORIGIN: [(&str, &str); 2] =
    [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Headers", "Content-Type")];

/// Says what this is, and no more: versions and numbers are for those who run it.
const NODE_INFO: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>wampd</title></head>\n\
                         <body><h1>wampd</h1><p>A WAMP router runs here. Connect with a WAMP client.</p></body></html>\n";

pub(super) fn json(config: &JsonConfig, rest: &str, request: &HttpRequest) -> Response {
    let mut response = page(rest, request, "application/json; charset=utf-8", config.text.clone());
    if response.status == 200 {
        if config.allow_cross_origin {
            response.headers.extend(CROSS_ORIGIN.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        if config.discourage_caching {
            let value = "no-store, no-cache, must-revalidate, max-age=0";
            response.headers.push(("Cache-Control".to_owned(), value.to_owned()));
        }
    }
    response
}

pub(super) fn node_info(rest: &str, request: &HttpRequest) -> Response {
    page(rest, request, "text/html; charset=utf-8", NODE_INFO.to_owned())
}

pub(super) fn redirect(url: &str, rest: &str) -> Response {
    if !is_there(rest) {
        return nothing();
    }
    let mut response = Response::text(302, format!("{url}\n"));
    response.headers.push(("Location".to_owned(), url.to_owned()));
    response
}

fn page(rest: &str, request: &HttpRequest, content_type: &str, body: String) -> Response {
    if !is_there(rest) {
        return nothing();
    }
    if matches!(request.method(), Method::Other(_)) {
        let mut response = Response::text(405, "use GET or HEAD\n");
        response.headers.push(("Allow".to_owned(), "GET, HEAD".to_owned()));
        return response;
    }
    Response { content_type: content_type.to_owned(), ..Response::new(200, body) }
}

/// Nothing is below these paths.
fn is_there(rest: &str) -> bool {
    matches!(rest, "" | "/")
}

fn nothing() -> Response {
    Response::text(404, "there is nothing here\n")
}
