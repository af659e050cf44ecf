//! Who answers for a method: the configuration, a function or a procedure.

use super::use_role;
use crate::authn::function::FunctionAuthenticator;
use crate::authn::script::ScriptAuthenticator;
use crate::config::reader::{Context, Item, Section};
use crate::config::script::{self, Function};
use crate::process::FunctionKind;
use core::fmt;
use std::sync::Arc;
use wampd_core::uri::{Uri, UriRule};

/// Who answers for a method.
#[derive(Clone, Debug)]
pub enum Provider<T> {
    /// `type: static`: the configuration.
    Static(T),
    /// `type: function`: a script, a Python function or a program.
    Function(FunctionAuth),
    /// `type: dynamic`: a procedure.
    Dynamic(DynamicAuth),
}

/// A function authenticator, ready to answer.
#[derive(Clone)]
pub struct FunctionAuth {
    /// What it is called in logs; of a script the file, of a Python function `MODULE.FUNCTION`.
    pub name: String,
    /// What answers.
    pub authenticator: Arc<dyn FunctionAuthenticator>,
    /// `default-role`: for answers without a role.
    pub default_role: Option<String>,
}

impl fmt::Debug for FunctionAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, default_role, .. } = self;
        f.debug_struct("FunctionAuth").field("name", name).field("default_role", default_role).finish_non_exhaustive()
    }
}

/// A procedure that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicAuth {
    /// `authenticator`: the procedure.
    pub authenticator: Uri,
    /// `authenticator-realm`: where to call it. Default: the realm that the client asks for.
    pub realm: Option<Uri>,
    /// `authenticator-role`: the role of the caller. Default `trusted`.
    pub role: Option<String>,
    /// `default-role`: for answers without a role.
    pub default_role: Option<String>,
}

pub(super) fn function(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default_role: Option<String>,
) -> Option<FunctionAuth> {
    cx.sources.any_role = true;
    let make = ScriptAuthenticator::from_source;
    let script::Loaded { name, function } = script::read(cx, section, FunctionKind::Authenticator, make)?;
    let authenticator: Arc<dyn FunctionAuthenticator> = match function {
        Function::Script(script) => Arc::new(script),
        Function::Hosted(hosted) => hosted,
    };
    Some(FunctionAuth { name, authenticator, default_role })
}

pub(super) fn dynamic(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default_role: Option<String>,
) -> Option<DynamicAuth> {
    cx.sources.any_role = true;
    let procedure = section.require(cx, "authenticator", "the URI of the procedure that answers");
    let authenticator = procedure.and_then(|item| uri(cx, &item));
    let realm = one_spelling(cx, section, "authenticator-realm", "authenticator_realm").and_then(|item| {
        let uri = uri(cx, &item)?;
        cx.sources.authenticator_realms.push((uri.clone(), item.place));
        Some(uri)
    });
    let role = one_spelling(cx, section, "authenticator-role", "authenticator_role");
    let role = role.and_then(|item| authenticator_role(cx, &item));
    let dynamic = DynamicAuth { authenticator: authenticator?, realm, role, default_role };
    cx.sources.authenticators.push((dynamic.clone(), section.place.clone()));
    Some(dynamic)
}

fn authenticator_role(cx: &mut Context<'_>, item: &Item<'_>) -> Option<String> {
    let role = item.name(cx)?;
    if role != "trusted" {
        use_role(cx, &role, &item.place, "the authenticator is called with");
    }
    Some(role)
}

pub(super) fn uri(cx: &mut Context<'_>, item: &Item<'_>) -> Option<Uri> {
    let text = item.str(cx)?;
    match Uri::parse(text, UriRule::Loose) {
        Ok(uri) => Some(uri),
        Err(error) => {
            cx.error(&item.place, format!("{text:?} is not a URI: {error}"), "");
            None
        }
    }
}

/// A key that may be written with dashes or underscores, but not both.
pub(super) fn one_spelling<'t>(
    cx: &mut Context<'_>,
    section: &mut Section<'t>,
    dashes: &'static str,
    underscores: &'static str,
) -> Option<Item<'t>> {
    match (section.get(dashes), section.get(underscores)) {
        (Some(item), Some(other)) => {
            cx.error(&other.place, format!("given twice: {dashes} is the same key"), "remove one of the two");
            Some(item)
        }
        (item, other) => item.or(other),
    }
}
