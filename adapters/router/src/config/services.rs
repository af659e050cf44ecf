//! Path services that are answered from the configuration alone.

use super::reader::{Context, Section};

/// A value, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonConfig {
    /// `value`, written; with `options.prettify` over several lines.
    pub text: String,
    /// `options.allow_cross_origin`: pages of other sites may read it. Default true.
    pub allow_cross_origin: bool,
    /// `options.discourage_caching`: browsers are told to ask each time. Default false.
    pub discourage_caching: bool,
}

pub(super) fn json(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<JsonConfig> {
    section.get("id");
    let value = section.require(cx, "value", "any value").map(|item| item.node.to_value());
    let (mut pretty, mut allow_cross_origin, mut discourage_caching) = (false, true, false);
    if let Some(mut options) = section.get("options").and_then(|item| item.map(cx)) {
        pretty = options.bool(cx, "prettify", pretty);
        allow_cross_origin = options.bool(cx, "allow_cross_origin", allow_cross_origin);
        discourage_caching = options.bool(cx, "discourage_caching", discourage_caching);
        options.ignore(cx, &[("sort_keys", "keys are sorted")]);
        options.finish(cx);
    }
    let place = section.place.clone();
    section.finish(cx);
    let value = value?;
    let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
    match text {
        Ok(text) => Some(JsonConfig { text, allow_cross_origin, discourage_caching }),
        Err(error) => {
            cx.error(&place, format!("the value can not be written as JSON: {error}"), "");
            None
        }
    }
}

/// Where a path leads to instead.
pub(super) fn redirect(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<String> {
    section.get("id");
    let url = section.require(cx, "url", "where to go").and_then(|item| {
        let url = item.name(cx)?;
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            cx.error(&item.place, format!("{url:?} is not a URL"), "visible ASCII characters without blanks");
            return None;
        }
        Some(url)
    });
    section.finish(cx);
    url
}
