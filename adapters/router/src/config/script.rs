//! Functions that are scripts: `create`, `script` and `config`.

use super::reader::{Context, Section};
use crate::script::{ScriptError, ScriptLimits};
use wampd_core::value::{Dict, Value};

/// A script that has been loaded, and what it is called in logs.
pub(super) struct Loaded<T> {
    pub(super) name: String,
    pub(super) function: T,
}

/// What is made of a script: source, name of the create function, its configuration, limits.
type Make<T> = fn(&str, &str, &Dict, &ScriptLimits) -> Result<T, ScriptError>;

/// Reads the keys of a function of type `function`. `kind` says what it is, and `instead` what type to use for one that
/// cannot be a script.
pub(super) fn read<T>(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    kind: &str,
    instead: &str,
    make: Make<T>,
) -> Option<Loaded<T>> {
    let config = section.get("config").and_then(|item| {
        item.map(cx)?;
        match item.node.to_value() {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    });
    if let Some(item) = section.get("expose_controller")
        && item.bool(cx) == Some(true)
    {
        cx.warn(&item.place, "ignored", "a script has no controller");
    }
    let create = section.require(cx, "create", "the name of the script's function that gets config");
    let create_name = create.as_ref().and_then(|item| item.name(cx));
    let Some(script) = section.get("script") else {
        let hint = format!(
            "{kind} are scripts here: port the function and give its file as script, or serve it as a procedure and \
             {instead}"
        );
        match &create {
            Some(item) => cx.error(&item.place, "Python functions are not supported", hint),
            None => cx.error(&section.place, "the key \"script\" is missing", hint),
        }
        return None;
    };
    let name = script.name(cx)?;
    let path = cx.resolve(&name);
    let create_name = create_name?;
    let text = (cx.surroundings.script)(&path);
    let made = text.and_then(|text| make(&text, &create_name, &config.unwrap_or_default(), &cx.script_limits));
    match made {
        Ok(function) => Some(Loaded { name: path.display().to_string(), function }),
        Err(error) => {
            let place = match (&error, create) {
                (ScriptError::NoCreate(_), Some(item)) => item.place,
                _ => script.place,
            };
            cx.error(&place, error.to_string(), "");
            None
        }
    }
}
