//! Functions of type `function`: scripts (`create`, `script`, `config`), Python functions (`create`, `config`,
//! `expose_controller`) and programs (`command`, `create`, `config`).

use super::python;
use super::reader::{Context, Item, Section};
use crate::process::{FunctionKind, HostedFunction};
use crate::script::{ScriptError, ScriptLimits};
use std::sync::Arc;
use wampd_core::value::{Dict, Value};

/// A function, and what it is called in logs.
pub(super) struct Loaded<T> {
    pub(super) name: String,
    pub(super) function: Function<T>,
}

/// Who answers for a function.
pub(super) enum Function<T> {
    /// A script that has been loaded.
    Script(T),
    /// A process, to be started with the node.
    Hosted(Arc<HostedFunction>),
}

/// What is made of a script: source, name of the create function, its configuration, limits.
type Make<T> = fn(&str, &str, &Dict, &ScriptLimits) -> Result<T, ScriptError>;

/// Reads the keys of a function of type `function`.
pub(super) fn read<T>(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    kind: FunctionKind,
    make: Make<T>,
) -> Option<Loaded<T>> {
    let config = section.get("config").and_then(|item| {
        item.map(cx)?;
        match item.node.to_value() {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    });
    let config = config.unwrap_or_default();
    let controller = section.get("expose_controller").filter(|item| item.bool(cx) == Some(true));
    match (section.get("script"), section.get("command")) {
        (Some(script), None) => {
            if let Some(item) = controller {
                cx.warn(&item.place, "ignored", "a script has no controller");
            }
            read_script(cx, section, &script, &config, make)
        }
        (None, Some(command)) => {
            let create = section.get("create").and_then(|item| item.name(cx));
            let hosted = python::command(cx, &command, kind, create, config, controller.is_some())?;
            Some(Loaded { name: hosted.name().to_owned(), function: Function::Hosted(hosted) })
        }
        (None, None) => {
            let create = section.require(cx, "create", "MODULE.FUNCTION in Python, or the function of a script")?;
            let hosted = python::function(cx, &create, kind, config, controller)?;
            Some(Loaded { name: hosted.name().to_owned(), function: Function::Hosted(hosted) })
        }
        (Some(_), Some(command)) => {
            cx.error(&command.place, "there is a script already", "keep one of script and command");
            None
        }
    }
}

fn read_script<T>(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    script: &Item<'_>,
    config: &Dict,
    make: Make<T>,
) -> Option<Loaded<T>> {
    let create = section.require(cx, "create", "the name of the script's function that gets config");
    let create_name = create.as_ref().and_then(|item| item.name(cx));
    let name = script.name(cx)?;
    let path = cx.resolve(&name);
    let create_name = create_name?;
    let text = (cx.surroundings.script)(&path);
    let made = text.and_then(|text| make(&text, &create_name, config, &cx.script_limits));
    match made {
        Ok(function) => Some(Loaded { name: path.display().to_string(), function: Function::Script(function) }),
        Err(error) => {
            let place = match (&error, create) {
                (ScriptError::NoCreate(_), Some(item)) => item.place,
                _ => script.place.clone(),
            };
            cx.error(&place, error.to_string(), "");
            None
        }
    }
}
