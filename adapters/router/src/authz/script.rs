//! Function authorizers written as [scripts](crate::script).
//!
//! The `create` function returns the function that decides on each attempt, with a boolean or a map of `allow`,
//! `disclose` and `cache` (see [`Permit`]):
//!
//! ```rhai
//! fn create_authorizer(config) {
//!     |details, uri, action, options| {
//!         let own = `com.example.user.${details.authid}.`;
//!         if uri.starts_with(own) {
//!             return #{ allow: true, disclose: action == "call", cache: 60 };
//!         }
//!         action == "subscribe" && uri in config.topics
//!     }
//! }
//! ```
//!
//! `details` tells who asks: `session`, `realm`, `authid`, `authrole`, `authmethod`, `authprovider`, `authextra` and
//! `transport`. `action` is `call`, `register`, `publish` or `subscribe`, and `options` are those of the request; with
//! `options["match"]` the URI is a pattern. A script that throws has failed, and the action is refused.

use super::function::{Attempt, FunctionAuthorizer, Reply};
use super::permit::{AuthorizerFailed, Permit};
use crate::script::{RunError, Script, ScriptError, ScriptLimits, read_script};
use std::path::Path;
use wampd_core::value::Dict;

/// A script that decides on attempts. Two authorizers share nothing, even when made from the same file.
#[derive(Debug)]
pub struct ScriptAuthorizer(Script);

impl ScriptAuthorizer {
    /// Loads a script file and runs its `create` function with `config`.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn load(path: &Path, create: &str, config: &Dict, limits: &ScriptLimits) -> Result<Self, ScriptError> {
        Self::from_source(&read_script(path)?, create, config, limits)
    }

    /// Compiles a script and runs its `create` function with `config`.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn from_source(source: &str, create: &str, config: &Dict, limits: &ScriptLimits) -> Result<Self, ScriptError> {
        Script::from_source(source, create, config, limits).map(Self)
    }

    /// Asks the script about an attempt.
    ///
    /// # Errors
    /// [`AuthorizerFailed`] if the script threw, exceeded a limit or returned something unusable.
    pub fn ask(&self, attempt: &Attempt) -> Result<Permit, AuthorizerFailed> {
        match self.0.call(&attempt.arguments()) {
            Ok(value) => Permit::from_value(&value),
            Err(RunError::Unusable) => Err(AuthorizerFailed::new("it returned a value that WAMP cannot carry")),
            Err(RunError::Failed { detail, .. }) => Err(AuthorizerFailed::new(detail)),
        }
    }
}

impl FunctionAuthorizer for ScriptAuthorizer {
    fn authorize(&self, attempt: Attempt, reply: Reply) {
        reply.send(self.ask(&attempt));
    }
}

#[cfg(test)]
mod tests {
    use super::super::function::tests::{ask, attempt};
    use super::super::permit::CACHE_TIME;
    use super::*;
    use core::time::Duration;
    use wampd_core::router::Action;
    use wampd_core::value::Value;

    fn with_body(body: &str) -> ScriptAuthorizer {
        let source = format!("fn create(config) {{ |details, uri, action, options| {{ {body} }} }}");
        ScriptAuthorizer::from_source(&source, "create", &Dict::new(), &ScriptLimits::default()).expect("loads")
    }

    fn run(body: &str) -> Result<Permit, AuthorizerFailed> {
        ask(&with_body(body), attempt(Action::Subscribe, "com.a."))
    }

    /// The script of the module's documentation.
    #[test]
    fn the_documented_example_decides() {
        let documentation = include_str!("script.rs");
        let lines = documentation.lines().skip_while(|line| *line != "//! ```rhai").skip(1);
        let source: String =
            lines.take_while(|line| *line != "//! ```").map(|line| line[3..].to_owned() + "\n").collect();
        let config = Dict::from([("topics".to_owned(), vec![Value::from("com.example.news")].into())]);
        let script = ScriptAuthorizer::from_source(&source, "create_authorizer", &config, &ScriptLimits::default());
        let script = script.expect("loads");
        let ask = |action, uri| ask(&script, attempt(action, uri));
        let own = Permit { cache: Some(Duration::from_secs(60)), ..Permit::ALLOW };
        assert_eq!(ask(Action::Publish, "com.example.user.joe.x"), Ok(own));
        assert_eq!(ask(Action::Call, "com.example.user.joe.x"), Ok(Permit { disclose: true, ..own }));
        assert_eq!(ask(Action::Subscribe, "com.example.news"), Ok(Permit::ALLOW));
        for (action, uri) in
            [(Action::Publish, "com.example.news"), (Action::Call, "com.example.user.ann.x"), (Action::Subscribe, "x")]
        {
            assert_eq!(ask(action, uri), Ok(Permit::DENY), "{uri}");
        }
    }

    #[test]
    fn everything_about_the_attempt_is_known() {
        for body in [
            "uri == \"com.a.\" && action == \"subscribe\" && options[\"match\"] == \"prefix\"",
            "details.session == 7 && details.realm == \"realm1\"",
            "details.authid == \"joe\" && details.authrole == \"user\"",
            "type_of(details.transport) == \"map\" && type_of(details.authextra) == \"map\"",
        ] {
            assert_eq!(run(body), Ok(Permit::ALLOW), "{body}");
        }
        assert_eq!(run("#{allow: true, cache: true}"), Ok(Permit { cache: Some(CACHE_TIME), ..Permit::ALLOW }));
    }

    #[test]
    fn failures_deny_and_tell_no_secrets() {
        for (body, text) in [
            ("throw \"secret123\"", "threw a string"),
            ("throw #{error: \"com.secret123\"}", "threw a map"),
            ("loop {}", "operations"),
            ("|x| x", "cannot carry"),
            ("\"secret123\"", "got string"),
            ("()", "got null"),
            ("#{allowed: true}", "unknown key"),
        ] {
            let failed = run(body).expect_err("refused").to_string();
            assert!(failed.to_lowercase().contains(text) && !failed.contains("secret123"), "{body}: {failed}");
        }
    }
}
