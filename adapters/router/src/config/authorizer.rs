//! Roles whose permissions are not rules but the answers of a procedure or a function: `authorizer`, in the place of
//! `permissions`.
//!
//! ```json
//! {"name": "asked", "authorizer": "com.example.authorize"}
//! {"name": "user", "authorizer":
//!     {"type": "function", "script": "authorizer.rhai", "create": "create_authorizer", "config": {}}}
//! ```
//!
//! A procedure is called in the realm of the session, by a session of the router with role `trusted`. Both are given
//! details of the session, URI, action and options, and answer with a boolean or a dictionary: see
//! [`Permit`](crate::authz::permit::Permit).

use super::reader::{Context, Item};
use super::script::{self, Function};
use super::tree::Kind;
use crate::authz::function::FunctionAuthorizer;
use crate::authz::script::ScriptAuthorizer;
use crate::process::FunctionKind;
use core::fmt;
use std::sync::Arc;
use wampd_core::uri::{Uri, UriRule};

/// Who decides what a role may do.
#[derive(Clone, Debug)]
pub enum Authorizer {
    /// A URI: the procedure of this realm that is called.
    Procedure(Uri),
    /// `type: function`: a script, a Python function or a program.
    Function(FunctionAuthz),
}

/// A function authorizer, ready to answer.
#[derive(Clone)]
pub struct FunctionAuthz {
    /// What it is called in logs; of a script the file, of a Python function `MODULE.FUNCTION`.
    pub name: String,
    /// What answers.
    pub authorizer: Arc<dyn FunctionAuthorizer>,
}

impl fmt::Debug for FunctionAuthz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionAuthz").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the `authorizer` of a role.
pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>, rule: UriRule) -> Option<Authorizer> {
    if let Kind::Text(_) = item.node.kind {
        return procedure(cx, item, rule);
    }
    let mut section = item.map(cx)?;
    let hint = "function; for a procedure write its URI instead of the mapping";
    section.require(cx, "type", hint)?.one_of(cx, &[("function", ())])?;
    let loaded = script::read(cx, &mut section, FunctionKind::Authorizer, ScriptAuthorizer::from_source);
    section.finish(cx);
    let script::Loaded { name, function } = loaded?;
    let authorizer: Arc<dyn FunctionAuthorizer> = match function {
        Function::Script(script) => Arc::new(script),
        Function::Hosted(hosted) => hosted,
    };
    Some(Authorizer::Function(FunctionAuthz { name, authorizer }))
}

fn procedure(cx: &mut Context<'_>, item: &Item<'_>, rule: UriRule) -> Option<Authorizer> {
    let text = item.str(cx)?;
    match Uri::parse(text, rule) {
        Ok(uri) if uri.is_reserved() => {
            cx.error(&item.place, format!("{text:?} is reserved"), "no component can register a URI under wamp.");
            None
        }
        Ok(uri) => Some(Authorizer::Procedure(uri)),
        Err(error) => {
            cx.error(&item.place, format!("{text:?} is not a URI of this realm: {error}"), "");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, json, node_with, valid};
    use super::super::{NodeConfig, load};
    use super::*;
    use std::path::Path;

    fn role(members: &str) -> String {
        node_with(&format!(r#"[{{"name": "anonymous", {members}}}]"#), "")
    }

    fn authorizer(node: &NodeConfig, role: &str) -> Authorizer {
        let realm = Uri::from("realm1");
        let configured = &node.router.realms.iter().find(|found| found.name == realm).expect("the realm").roles;
        let permissions = &configured.iter().find(|found| found.name == role).expect("the role").permissions;
        assert!(permissions.is_asked(), "the router asks about what has an authorizer");
        node.authorizers[&realm][role].clone()
    }

    #[test]
    fn a_uri_is_a_procedure() {
        let node = valid(json(&role(r#""authorizer": "com.example.authorize""#)));
        let Authorizer::Procedure(uri) = authorizer(&node, "anonymous") else { panic!("{node:?}") };
        assert_eq!(uri.as_str(), "com.example.authorize");
    }

    #[test]
    fn the_example_is_served_as_it_is() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/function-authorizer/config.json");
        let (node, report) = load(Path::new(example)).unwrap_or_else(|report| panic!("{report}"));
        // Its secret is known to everybody who has the example.
        let warned = |line: &str| !line.contains("ticket: every user of this system can read this secret");
        assert!(!report.to_string().lines().any(warned), "{report}");
        let Authorizer::Function(function) = authorizer(&node, "user") else { panic!("{node:?}") };
        assert!(function.name.ends_with("authorizer.rhai"), "{function:?}");
    }

    #[test]
    fn roles_without_one_are_not_asked_about() {
        let node = valid(json(&node_with(r#"[{"name": "anonymous"}]"#, "")));
        assert!(node.authorizers[&Uri::from("realm1")].is_empty());
        assert!(!node.router.realms[0].roles[0].permissions.is_asked());
    }

    #[test]
    fn what_can_not_decide_is_refused() {
        let function = r#""type": "function", "create": "create_authenticator", "script": "authenticator.rhai""#;
        for (members, part) in [
            (r#""authorizer": "com.a", "permissions": []"#.to_owned(), "either permissions or an authorizer"),
            (r#""authorizer": "com..a""#.to_owned(), "authorizer: \"com..a\" is not a URI of this realm"),
            (r#""authorizer": "com.a b""#.to_owned(), "is not a URI of this realm: forbidden character ' '"),
            (r#""authorizer": "wamp.session.get""#.to_owned(), "is reserved"),
            (r#""authorizer": 7"#.to_owned(), "authorizer: expected"),
            (r#""authorizer": {}"#.to_owned(), "authorizer: the key \"type\" is missing"),
            (r#""authorizer": {"type": "dynamic"}"#.to_owned(), "authorizer.type:"),
            (r#""authorizer": {"type": "function"}"#.to_owned(), "authorizer: the key \"create\" is missing"),
            (r#""authorizer": {"type": "function", "create": "x"}"#.to_owned(), "names no function in a module"),
            (
                r#""authorizer": {"type": "function", "create": "c", "script": "none.rhai"}"#.to_owned(),
                "authorizer.script: cannot read the script",
            ),
            (
                r#""authorizer": {"type": "function", "create": "c", "script": "authenticator.rhai"}"#.to_owned(),
                "authorizer.create: the script has no function c(config)",
            ),
            (format!(r#""authorizer": {{{function}, "cache": true}}"#), "authorizer.cache: unknown key"),
            (format!(r#""authorizer": {{{function}, "config": 7}}"#), "authorizer.config: expected"),
        ] {
            let found = errors(&role(&members));
            assert!(found.iter().any(|line| line.contains(part)), "{members}: {found:#?}");
        }
    }

    #[test]
    fn nothing_of_a_script_is_shown() {
        let function = r#""type": "function", "create": "create_authenticator", "script": "authenticator.rhai",
            "config": {"role": "TOPSECRET"}"#;
        let shown = format!("{:?}", json(&role(&format!(r#""authorizer": {{{function}}}"#))));
        assert!(shown.contains("FunctionAuthz") && !shown.contains("TOPSECRET"), "{shown}");
    }
}
