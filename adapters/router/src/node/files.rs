//! Static files.

use crate::config::StaticConfig;
use wampd_mio::Response;
use wampd_wire::HttpRequest;

pub(super) fn respond(_files: &StaticConfig, _path: &str, _request: &HttpRequest) -> Response {
    Response::text(404, "there is nothing here\n")
}
