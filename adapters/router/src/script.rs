//! Functions written as scripts, in a sandbox (the Rhai language).
//!
//! A script has no input or output, no modules, no clock, no randomness and no `eval`; what it may compute and hold is
//! bounded by [`ScriptLimits`]. Its `create` function gets the configured dictionary once and returns the function that
//! is then called: see [`authn::script`](crate::authn::script) and [`authz::script`](crate::authz::script).

use core::fmt;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Array, Blob, Dynamic, Engine, EvalAltResult, FnPtr, Map, Position, Scope};
use std::path::Path;
use wampd_core::value::{Dict, Value};

/// Largest script file in bytes.
pub const MAX_SCRIPT_SIZE: u64 = 1024 * 1024;

/// Most values and deepest nesting in what a script returns, throws or is given.
const MAX_VALUE_DEPTH: usize = 32;

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

/// Why a script cannot be used.
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

/// Why a run of a script gave no result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunError {
    /// It threw, or exceeded a limit.
    Failed {
        /// What was thrown, if WAMP can carry it. It may hold secrets.
        thrown: Option<Value>,
        /// What happened, for the log; without values of the script.
        detail: String,
    },
    /// It returned a value that WAMP cannot carry.
    Unusable,
}

/// The function that a script has created. Two share nothing, even when made from the same file.
pub(crate) struct Script {
    engine: Engine,
    ast: AST,
    function: FnPtr,
}

impl Script {
    /// Compiles a script and runs its `create` function with `config`.
    pub(crate) fn from_source(
        source: &str,
        create: &str,
        config: &Dict,
        limits: &ScriptLimits,
    ) -> Result<Self, ScriptError> {
        let engine = sandbox(limits);
        let ast = engine.compile(source).map_err(|error| ScriptError::Syntax(error.to_string()))?;
        if !ast.iter_functions().any(|function| function.name == create && function.params.len() == 1) {
            return Err(ScriptError::NoCreate(create.to_owned()));
        }
        let failed = |error: Box<EvalAltResult>| ScriptError::CreateFailed(describe(&error));
        let config = to_dynamic_map(config);
        let created: Dynamic = engine.call_fn(&mut Scope::new(), &ast, create, (config,)).map_err(failed)?;
        let found = kind_name(&created);
        let function = created.try_cast::<FnPtr>().ok_or(ScriptError::NotAFunction(found))?;
        Ok(Self { engine, ast, function })
    }

    /// Calls the function.
    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, RunError> {
        let arguments: Vec<Dynamic> = arguments.iter().map(to_dynamic).collect();
        let returned: Result<Dynamic, _> = self.function.call(&self.engine, &self.ast, arguments);
        match returned {
            Ok(value) => from_dynamic(value, 0).ok_or(RunError::Unusable),
            Err(error) => {
                let thrown = match innermost(&error) {
                    EvalAltResult::ErrorRuntime(value, _) => from_dynamic(value.clone(), 0),
                    _ => None,
                };
                Err(RunError::Failed { thrown, detail: describe(&error) })
            }
        }
    }
}

/// Shows nothing of the script: it may hold secrets.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
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
