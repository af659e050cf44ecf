//! Function authenticators written as [scripts](crate::script).
//!
//! The `create` function returns the function that answers each login:
//!
//! ```rhai
//! fn create_authenticator(config) {
//!     |realm, authid, details| {
//!         if authid != "joe" {
//!             throw #{ error: "com.example.no_such_user", message: `no such user ${authid}` };
//!         }
//!         #{ role: config.role, secret: "secret2" }
//!     }
//! }
//! ```
//!
//! `realm` and `authid` are `()` when the client did not name one. `details` has what the client sent and how it is
//! connected: `session`, `authmethod`, `authid`, `authrole`, `authextra`, `transport`, and `ticket` with tickets.

use super::grant::{FunctionError, FunctionGrant};
use crate::script::{RunError, Script, ScriptError, ScriptLimits, read_script};
use std::path::Path;
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::{Dict, Value};

/// Message to the client when a script does not work.
const SCRIPT_FAILED: &str = "the authenticator failed";

/// A script that answers logins. Two authenticators share nothing, even when made from the same file.
#[derive(Debug)]
pub struct ScriptAuthenticator(Script);

impl ScriptAuthenticator {
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

    /// Asks the script about a login.
    ///
    /// # Errors
    /// [`FunctionError::Denied`] if the script threw `#{error: URI, message: TEXT}`; [`FunctionError::Failed`] if it
    /// threw anything else, exceeded a limit or returned something unusable.
    pub fn ask(
        &self,
        realm: Option<&str>,
        authid: Option<&str>,
        details: &Dict,
    ) -> Result<FunctionGrant, FunctionError> {
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        let arguments = [optional(realm), optional(authid), Value::from(details.clone())];
        match self.0.call(&arguments) {
            Ok(value) => FunctionGrant::from_value(value),
            Err(RunError::Unusable) => Err(FunctionError::Failed {
                message: "got invalid return type",
                detail: "the script returned a value that WAMP cannot carry".to_owned(),
            }),
            Err(RunError::Failed { thrown, detail }) => Err(failure(thrown, detail)),
        }
    }
}

/// What a script's failure means: `#{error, message}` is a denial, anything else a fault of the script.
fn failure(thrown: Option<Value>, detail: String) -> FunctionError {
    let failed = |detail| FunctionError::Failed { message: SCRIPT_FAILED, detail };
    let Some(Value::Dict(dict)) = thrown else { return failed(detail) };
    let Some(uri) = dict.get("error").and_then(Value::as_str) else {
        return failed(format!("{detail} without a key error"));
    };
    let Ok(uri) = Uri::parse(uri, UriRule::Loose) else {
        return failed(format!("{detail} whose key error is not a URI"));
    };
    let message = dict.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    FunctionError::Denied { uri, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wampd_core::auth::CraSecret;

    const EXAMPLE: &str = include_str!("../../examples/wampcra-function/authenticator.rhai");

    fn example() -> ScriptAuthenticator {
        let config = Dict::from([("role".to_owned(), Value::from("frontend"))]);
        ScriptAuthenticator::from_source(EXAMPLE, "create_authenticator", &config, &ScriptLimits::default())
            .expect("the example loads")
    }

    fn ask(script: &ScriptAuthenticator, authid: &str) -> Result<FunctionGrant, FunctionError> {
        script.ask(Some("realm1"), Some(authid), &Dict::new())
    }

    fn plain(secret: &str) -> FunctionGrant {
        let cra = Some(CraSecret::Plain(secret.to_owned()));
        FunctionGrant { role: Some("frontend".to_owned()), cra, ..FunctionGrant::default() }
    }

    fn create(source: &str) -> Result<ScriptAuthenticator, ScriptError> {
        ScriptAuthenticator::from_source(source, "create", &Dict::new(), &ScriptLimits::default())
    }

    /// A script whose function has this body.
    fn with_body(body: &str) -> ScriptAuthenticator {
        create(&format!("fn create(config) {{ |realm, authid, details| {{ {body} }} }}")).expect("loads")
    }

    fn run(body: &str) -> Result<FunctionGrant, FunctionError> {
        ask(&with_body(body), "joe")
    }

    fn detail(body: &str) -> (&'static str, String) {
        match run(body) {
            Err(FunctionError::Failed { message, detail }) => (message, detail),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn the_example_knows_its_users() {
        let script = example();
        assert_eq!(ask(&script, "client1"), Ok(plain("secret123")));
        assert_eq!(ask(&script, "joe"), Ok(plain("secret2")));
        assert_eq!(ask(&script, "hans"), Ok(FunctionGrant { authid: Some("ID09125".to_owned()), ..plain("123456") }));
        let derived = CraSecret::Derived {
            key: "prq7+YkJ1/KlW1X0YczMHw==".to_owned(),
            salt: "salt123".to_owned(),
            iterations: 100,
            keylen: 16,
        };
        assert_eq!(ask(&script, "peter"), Ok(FunctionGrant { cra: Some(derived), ..plain("") }));
    }

    #[test]
    fn the_example_denies_others_in_its_own_words() {
        let denied = |name: &str| FunctionError::Denied {
            uri: Uri::from_static("com.example.no_such_user"),
            message: format!("could not authenticate session - no such user {name}"),
        };
        assert_eq!(ask(&example(), "eve"), Err(denied("eve")));
        assert_eq!(example().ask(None, None, &Dict::new()), Err(denied("")));
    }

    #[test]
    fn arguments_arrive() {
        let script = with_body("#{role: realm, extra: #{authid: authid, n: details.list[1], b: details.blob}}");
        let details = Dict::from([
            ("list".to_owned(), Value::List(vec![Value::Null, Value::Int(9_007_199_254_740_992)])),
            ("blob".to_owned(), Value::Binary(vec![0, 255])),
        ]);
        let grant = script.ask(Some("realm1"), None, &details).expect("grants");
        assert_eq!(grant.role.as_deref(), Some("realm1"));
        let extra = Dict::from([
            ("authid".to_owned(), Value::Null),
            ("b".to_owned(), Value::Binary(vec![0, 255])),
            ("n".to_owned(), Value::Int(9_007_199_254_740_992)),
        ]);
        assert_eq!(grant.extra, extra);
    }

    #[test]
    fn a_string_is_the_role() {
        assert_eq!(
            run("\"frontend\""),
            Ok(FunctionGrant { role: Some("frontend".to_owned()), ..FunctionGrant::default() })
        );
    }

    #[test]
    fn answers_that_cannot_be_used() {
        for body in ["42", "()", "[1]", "true", "|x| x"] {
            assert_eq!(detail(body).0, "got invalid return type", "{body}");
        }
        for (body, key) in [
            ("#{rôle: 1}", ""),
            ("#{roles: \"x\"}", "roles"),
            ("#{role: 1}", "role"),
            ("#{role: \"x\", salt: \"s\"}", "secret"),
            ("#{secret: \"x\", password: \"y\"}", "both"),
            ("#{secret: \"prq7+YkJ1/KlW1X0\", salt: \"s\", iterations: 100, keylen: 16}", "derived key"),
            ("#{secret: \"x\", iterations: -1}", "iterations"),
            ("#{realm: \"a b\"}", "realm"),
            ("#{extra: 1}", "extra"),
        ] {
            if key.is_empty() {
                continue;
            }
            let (message, detail) = detail(body);
            assert_eq!(message, "got invalid return value", "{body}");
            assert!(detail.contains(key), "{body}: {detail}");
        }
    }

    #[test]
    fn only_an_error_with_a_uri_is_a_denial() {
        let denied = run("throw #{error: \"com.example.no\"}");
        assert_eq!(
            denied,
            Err(FunctionError::Denied { uri: Uri::from_static("com.example.no"), message: String::new() })
        );
        for body in
            ["throw \"secret123\"", "throw #{message: \"secret123\"}", "throw #{error: \"secret123 x\"}", "throw"]
        {
            let (message, detail) = detail(body);
            assert_eq!(message, SCRIPT_FAILED);
            assert!(detail.starts_with("threw") && !detail.contains("secret123"), "{body}: {detail}");
        }
    }

    #[test]
    fn runaway_scripts_are_stopped() {
        for body in [
            "loop {}",
            "let x = 0; while true { x += 1 }",
            "let s = \"x\"; loop { s += s }",
            "let a = [1]; loop { a += a }",
            "let a = []; loop { a = [a] }",
            "let m = #{}; let i = 0; loop { i += 1; m[`${i}`] = m; }",
            "let a = []; a.pad(1000000000, 0); a",
            "let s = \"\"; s.pad(1000000000, 'x'); s",
        ] {
            assert_eq!(detail(body).0, SCRIPT_FAILED, "{body}");
        }
        let recursive =
            create("fn f(x) { f(x + 1) } fn create(config) { |realm, authid, details| f(0) }").expect("loads");
        assert!(matches!(ask(&recursive, "joe"), Err(FunctionError::Failed { .. })));
        assert!(matches!(create("fn create(config) { loop {} }"), Err(ScriptError::CreateFailed(_))));
    }

    #[test]
    fn the_sandbox_has_no_way_out() {
        for body in [
            "eval(\"1\")",
            "sleep(1)",
            "exit()",
            "open_file(\"x\")",
            "timestamp()",
            "rand()",
            "parse_json(\"{}\")",
            "import \"x\" as x",
        ] {
            let loaded = create(&format!("fn create(config) {{ |realm, authid, details| {{ {body}; \"role\" }} }}"));
            let stopped = match loaded {
                Err(ScriptError::Syntax(_)) => true,
                Err(other) => panic!("{body}: {other}"),
                Ok(script) => matches!(ask(&script, "joe"), Err(FunctionError::Failed { .. })),
            };
            assert!(stopped, "{body}");
        }
        assert!(run("print(authid); debug(authid); \"role\"").is_ok(), "printing goes nowhere");
    }

    #[test]
    fn scripts_that_cannot_be_used() {
        let error = |source: &str| create(source).expect_err("must be refused");
        assert!(matches!(error("fn create(config) {"), ScriptError::Syntax(_)));
        assert_eq!(error("fn create(a, b) {}"), ScriptError::NoCreate("create".to_owned()));
        assert_eq!(error("fn create(config) { 42 }"), ScriptError::NotAFunction("a number"));
        assert!(matches!(error("fn create(config) { throw \"no\" }"), ScriptError::CreateFailed(_)));
        let missing = ScriptAuthenticator::load(
            Path::new("/nonexistent/x.rhai"),
            "create",
            &Dict::new(),
            &ScriptLimits::default(),
        );
        assert!(matches!(missing, Err(ScriptError::Unreadable(_))));
    }

    #[test]
    fn it_can_be_moved_to_another_thread() {
        fn send<T: Send>() {}
        send::<ScriptAuthenticator>();
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", example()), "ScriptAuthenticator(Script)");
        let shown = format!("{:?}", ask(&example(), "client1"));
        assert!(!shown.contains("secret123"), "{shown}");
    }
}
