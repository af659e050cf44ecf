//! Function authenticators written as scripts, in a sandbox (the Rhai language).
//!
//! A script has no input or output, no modules, no clock, no randomness and no `eval`; what it may compute and hold is
//! bounded by [`ScriptLimits`]. Its `create` function gets the configured dictionary once and returns the function that
//! answers each login:
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
use core::fmt;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Array, Blob, Dynamic, Engine, EvalAltResult, FnPtr, Map, Position, Scope};
use std::path::Path;
use wampd_core::uri::{Uri, UriRule};
use wampd_core::value::{Dict, Value};

/// Largest script file in bytes.
pub const MAX_SCRIPT_SIZE: u64 = 1024 * 1024;

/// Most values and deepest nesting in what a script returns, throws or is given.
const MAX_VALUE_DEPTH: usize = 32;

/// Message to the client when a script does not work.
const SCRIPT_FAILED: &str = "the authenticator failed";

/// What one run of a script may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// Operations of one run. Default 1,000,000: some tens of milliseconds.
    pub max_operations: u64,
    /// Nested function calls. Default 32.
    pub max_call_depth: usize,
    /// Nesting of expressions. Default 64.
    pub max_expression_depth: usize,
    /// Variables alive at a time. Default 1,000.
    pub max_variables: usize,
    /// Length of a string in bytes. Default 65,536.
    pub max_string_size: usize,
    /// Items of an array, nested ones included. Default 1,000. It also bounds the depth of nested arrays, which costs
    /// stack when they are copied or dropped: keep it below some thousands.
    pub max_array_size: usize,
    /// Entries of a map, nested ones included. Default 1,000. Bounds depth like [`ScriptLimits::max_array_size`].
    pub max_map_size: usize,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            max_operations: 1_000_000,
            max_call_depth: 32,
            max_expression_depth: 64,
            max_variables: 1_000,
            max_string_size: 65_536,
            max_array_size: 1_000,
            max_map_size: 1_000,
        }
    }
}

/// Why a script cannot be used as an authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file cannot be read.
    Unreadable(String),
    /// The file is larger than [`MAX_SCRIPT_SIZE`].
    TooLarge(u64),
    /// The text is not a script.
    Syntax(String),
    /// No function of this name with one parameter.
    NoCreate(String),
    /// The `create` function threw, or exceeded a limit.
    CreateFailed(String),
    /// The `create` function returned something that is not a function.
    NotAFunction(&'static str),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot read the script: {error}"),
            Self::TooLarge(size) => write!(f, "the script has {size} bytes, more than {MAX_SCRIPT_SIZE}"),
            Self::Syntax(error) => write!(f, "the script is not valid: {error}"),
            Self::NoCreate(name) => write!(f, "the script has no function {name}(config)"),
            Self::CreateFailed(error) => write!(f, "the create function failed: {error}"),
            Self::NotAFunction(found) => write!(f, "the create function returned {found} instead of a function"),
        }
    }
}

impl core::error::Error for ScriptError {}

/// A script that answers logins. Two authenticators share nothing, even when made from the same file.
pub struct ScriptAuthenticator {
    engine: Engine,
    ast: AST,
    authenticate: FnPtr,
}

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
        let engine = sandbox(limits);
        let ast = engine.compile(source).map_err(|error| ScriptError::Syntax(error.to_string()))?;
        if !ast.iter_functions().any(|function| function.name == create && function.params.len() == 1) {
            return Err(ScriptError::NoCreate(create.to_owned()));
        }
        let failed = |error: Box<EvalAltResult>| ScriptError::CreateFailed(describe(&error));
        let config = to_dynamic_map(config);
        let created: Dynamic = engine.call_fn(&mut Scope::new(), &ast, create, (config,)).map_err(failed)?;
        let found = kind_name(&created);
        let authenticate = created.try_cast::<FnPtr>().ok_or(ScriptError::NotAFunction(found))?;
        Ok(Self { engine, ast, authenticate })
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
        let optional = |text: Option<&str>| text.map_or(Dynamic::UNIT, |text| text.to_owned().into());
        let arguments = (optional(realm), optional(authid), to_dynamic_map(details));
        let returned: Dynamic =
            self.authenticate.call(&self.engine, &self.ast, arguments).map_err(|error| thrown(*error))?;
        let value = from_dynamic(returned, 0).ok_or_else(|| FunctionError::Failed {
            message: "got invalid return type",
            detail: "the script returned a value that WAMP cannot carry".to_owned(),
        })?;
        FunctionGrant::from_value(value)
    }
}

/// The text of a script file.
///
/// # Errors
/// [`ScriptError::Unreadable`] or [`ScriptError::TooLarge`].
pub fn read_script(path: &Path) -> Result<String, ScriptError> {
    let unreadable = |error: std::io::Error| ScriptError::Unreadable(format!("{}: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_SCRIPT_SIZE {
        return Err(ScriptError::TooLarge(size));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Shows nothing of the script: it may hold secrets.
impl fmt::Debug for ScriptAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptAuthenticator")
    }
}

/// An engine that can compute and nothing else. The packages left out are those with `sleep`, `exit` and JSON parsing,
/// which would escape the limits.
fn sandbox(limits: &ScriptLimits) -> Engine {
    let mut engine = Engine::new_raw();
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicFnPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    engine.disable_symbol("eval");
    engine
        .set_max_operations(limits.max_operations)
        .set_max_call_levels(limits.max_call_depth)
        .set_max_expr_depths(limits.max_expression_depth, limits.max_expression_depth)
        .set_max_variables(limits.max_variables)
        .set_max_functions(1_000)
        .set_max_string_size(limits.max_string_size)
        .set_max_array_size(limits.max_array_size)
        .set_max_map_size(limits.max_map_size)
        .set_strict_variables(true);
    engine
}

/// What a script's failure means: `#{error, message}` is a denial, anything else a fault of the script.
fn thrown(error: EvalAltResult) -> FunctionError {
    let detail = describe(&error);
    let failed = |detail| FunctionError::Failed { message: SCRIPT_FAILED, detail };
    let EvalAltResult::ErrorRuntime(value, _) = innermost(&error) else {
        return failed(detail);
    };
    let Some(Value::Dict(dict)) = from_dynamic(value.clone(), 0) else {
        return failed(detail);
    };
    let Some(uri) = dict.get("error").and_then(Value::as_str) else {
        return failed(format!("{detail} without a key error"));
    };
    let Ok(uri) = Uri::parse(uri, UriRule::Loose) else {
        return failed(format!("{detail} whose key error is not a URI"));
    };
    let message = dict.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    FunctionError::Denied { uri, message }
}

fn innermost(error: &EvalAltResult) -> &EvalAltResult {
    let mut error = error;
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) = error {
        error = inner;
    }
    error
}

/// An error for the log: errors that show values of the script are named only, since values may be secrets.
fn describe(error: &EvalAltResult) -> String {
    let inner = innermost(error);
    let place = |position: &Position| match position.line() {
        Some(line) => format!(" at line {line}"),
        None => String::new(),
    };
    match inner {
        EvalAltResult::ErrorRuntime(value, position) => format!("threw {}{}", kind_name(value), place(position)),
        EvalAltResult::ErrorIndexNotFound(_, position) => format!("no such index{}", place(position)),
        EvalAltResult::ErrorTerminated(_, position) => format!("terminated{}", place(position)),
        EvalAltResult::Exit(_, position) => format!("exited{}", place(position)),
        other => other.to_string(),
    }
}

fn kind_name(value: &Dynamic) -> &'static str {
    match value {
        _ if value.is_unit() => "nothing",
        _ if value.is_string() => "a string",
        _ if value.is_map() => "a map",
        _ if value.is_array() => "an array",
        _ if value.is_bool() => "a boolean",
        _ if value.is_int() || value.is_float() => "a number",
        _ if value.is_fnptr() => "a function",
        _ => "a value of another type",
    }
}

fn to_dynamic_map(dict: &Dict) -> Map {
    dict.iter().map(|(key, value)| (key.as_str().into(), to_dynamic(value))).collect()
}

fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        // Scripts have no unsigned integers: ids stay exact, and no WAMP id is above 2^53.
        Value::UInt(n) => (*n as f64).into(),
        Value::Float(n) => (*n).into(),
        Value::Text(text) => text.clone().into(),
        Value::Binary(bytes) => Dynamic::from_blob(bytes.clone()),
        Value::List(items) => Dynamic::from_array(items.iter().map(to_dynamic).collect::<Array>()),
        Value::Dict(dict) => Dynamic::from_map(to_dynamic_map(dict)),
    }
}

/// `None` for values that WAMP cannot carry (functions, ranges) or that are nested too deep.
fn from_dynamic(value: Dynamic, depth: usize) -> Option<Value> {
    if depth > MAX_VALUE_DEPTH {
        return None;
    }
    let value = value.flatten();
    Some(if value.is_unit() {
        Value::Null
    } else if let Ok(b) = value.as_bool() {
        Value::Bool(b)
    } else if let Ok(n) = value.as_int() {
        Value::Int(n)
    } else if let Ok(n) = value.as_float() {
        Value::Float(n)
    } else if let Ok(c) = value.as_char() {
        Value::Text(c.to_string())
    } else if value.is_string() {
        Value::Text(value.into_string().ok()?)
    } else if value.is_blob() {
        Value::Binary(value.try_cast::<Blob>()?)
    } else if value.is_array() {
        let items = value.try_cast::<Array>()?;
        Value::List(items.into_iter().map(|item| from_dynamic(item, depth + 1)).collect::<Option<_>>()?)
    } else if value.is_map() {
        let entries = value.try_cast::<Map>()?.into_iter();
        Value::Dict(
            entries
                .map(|(key, item)| Some((key.to_string(), from_dynamic(item, depth + 1)?)))
                .collect::<Option<_>>()?,
        )
    } else {
        return None;
    })
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
            ("#{secret: \"secret1\", salt: \"s\", iterations: 100, keylen: 16}", "derived key"),
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
        assert_eq!(format!("{:?}", example()), "ScriptAuthenticator");
        let shown = format!("{:?}", ask(&example(), "client1"));
        assert!(!shown.contains("secret123"), "{shown}");
    }
}
