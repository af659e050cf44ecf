//! What runs in processes of its own: Python, and programs in other languages.

use super::reader::{Context, Item, Section};
use crate::process::{FunctionKind, HostedFunction, Inherit, PYTHON_BOOT, Program, python_input};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wampd_core::value::Dict;

/// How Python is run.
#[derive(Clone, Debug)]
pub(super) struct Python {
    /// `wampd.python`, or `options.python` of the worker.
    interpreter: PathBuf,
    /// `options.pythonpath` of the worker, the folder of the configuration, and the node's if that is `.crossbar`.
    path: Vec<PathBuf>,
    /// Where it runs: the folder of the configuration, as with Crossbar.io.
    pub(super) folder: PathBuf,
    /// `options.env` of the worker.
    inherit: Inherit,
    variables: BTreeMap<String, String>,
}

impl Python {
    pub(super) fn new(folder: &Path) -> Self {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        // Processes run elsewhere, so they need paths that mean the same everywhere.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let mut path = vec![folder.clone()];
        if folder.file_name().is_some_and(|name| name == ".crossbar") {
            path.extend(folder.parent().map(Path::to_owned));
        }
        Self { interpreter: "python3".into(), path, folder, inherit: Inherit::default(), variables: BTreeMap::new() }
    }

    /// A program with the environment of the worker.
    pub(super) fn program(&self, executable: PathBuf, arguments: Vec<String>) -> Program {
        let (folder, inherit, variables) = (self.folder.clone(), self.inherit.clone(), self.variables.clone());
        Program { executable, arguments, folder, inherit, variables }
    }

    /// The interpreter with the program that runs functions and components.
    pub(super) fn host(&self) -> Program {
        // Output is to be in the log when it is written.
        self.program(self.interpreter.clone(), vec!["-u".to_owned(), "-c".to_owned(), PYTHON_BOOT.to_owned()])
    }

    pub(super) fn path(&self) -> Vec<String> {
        self.path.iter().map(|folder| folder.to_string_lossy().into_owned()).collect()
    }
}

/// `python`: the interpreter, by path or by name.
pub(super) fn interpreter(cx: &mut Context<'_>, section: &mut Section<'_>) {
    if let Some(name) = section.name(cx, "python") {
        cx.python.interpreter = executable(cx, &name);
    }
}

/// A name is looked for in the path; what has a slash is a file, and relative ones start at the folder of the configuration.
pub(super) fn executable(cx: &Context<'_>, name: &str) -> PathBuf {
    if name.contains('/') { cx.python.folder.join(name) } else { name.into() }
}

/// `options` of a worker.
pub(super) fn options(cx: &mut Context<'_>, worker: &mut Section<'_>) {
    let Some(mut options) = worker.get("options").and_then(|item| item.map(cx)) else { return };
    interpreter(cx, &mut options);
    if let Some(item) = options.get("pythonpath") {
        let folders = item.list(cx).unwrap_or_default();
        let folders: Vec<String> = folders.iter().filter_map(|folder| folder.name(cx)).collect();
        let Python { folder, path, .. } = &mut cx.python;
        path.splice(..0, folders.iter().map(|relative| folder.join(relative)));
    }
    environment(cx, &mut options);
    options.ignore(
        cx,
        &[
            ("reactor", "each process has the reactor that its code asks for"),
            ("expose_controller", "there is no controller"),
            ("expose_shared", "components run in processes of their own and share nothing"),
            ("shutdown", "the node runs until it is told to stop"),
            ("restart", "components are started again: see wampd.restart of each"),
            ("title", "processes have the titles that the system gives them"),
            ("cpu_affinity", "the system places processes"),
        ],
    );
    options.finish(cx);
}

/// `env`: `{"inherit": true | false | ["NAME"], "vars": {"NAME": "value"}}`.
pub(super) fn environment(cx: &mut Context<'_>, options: &mut Section<'_>) {
    let Some(mut env) = options.get("env").and_then(|item| item.map(cx)) else { return };
    if let Some(item) = env.get("inherit") {
        cx.python.inherit = match &item.node.kind {
            super::tree::Kind::List(_) => {
                let names = item.list(cx).unwrap_or_default();
                Inherit::Only(names.iter().filter_map(|name| name.name(cx)).collect())
            }
            _ if item.bool(cx) == Some(false) => Inherit::Only(Vec::new()),
            _ => Inherit::All,
        };
    }
    if let Some(vars) = env.get("vars").and_then(|item| item.map(cx)) {
        for (name, value) in vars.items() {
            let Some(text) = value.str(cx) else { continue };
            // `${NAME}` hands on what is not inherited since the configuration takes a secret from it.
            let text = if text.starts_with("${") && text.ends_with('}') {
                let Some(secret) = value.secret(cx) else { continue };
                secret.reveal().to_owned()
            } else {
                text.to_owned()
            };
            cx.python.variables.insert(name.to_owned(), text);
        }
    }
    env.finish(cx);
}

/// A Python function: `create` is `MODULE.FUNCTION`.
pub(super) fn function(
    cx: &mut Context<'_>,
    create: &Item<'_>,
    kind: FunctionKind,
    config: Dict,
    controller: Option<Item<'_>>,
) -> Option<Arc<HostedFunction>> {
    let name = create.name(cx)?;
    if !is_dotted(&name) {
        let hint = "MODULE.FUNCTION for a function in Python; for a script add its file as script";
        cx.error(&create.place, format!("{name:?} names no function in a module"), hint);
        return None;
    }
    if let Some(item) = &controller {
        let hint = "there is no controller: what the function gets has no members";
        cx.warn(&item.place, "the function may look for what is not there", hint);
    }
    let input = python_input(&request(cx, kind, Some(&name), config, controller.is_some()));
    Some(hosted(cx, HostedFunction::new(name, cx.python.host(), input)))
}

/// A program that speaks the protocol of hosts.
pub(super) fn command(
    cx: &mut Context<'_>,
    command: &Item<'_>,
    kind: FunctionKind,
    create: Option<String>,
    config: Dict,
    controller: bool,
) -> Option<Arc<HostedFunction>> {
    let words = command.list(cx)?;
    let words: Vec<String> = words.iter().filter_map(|word| Some(word.str(cx)?.to_owned())).collect();
    let Some((first, arguments)) = words.split_first().filter(|(first, _)| !first.is_empty()) else {
        cx.error(&command.place, "there is no program", "[\"program\", \"argument\"]");
        return None;
    };
    let program = cx.python.program(executable(cx, first), arguments.to_vec());
    let input = format!("{}\n", request(cx, kind, create.as_deref(), config, controller)).into_bytes();
    Some(hosted(cx, HostedFunction::new(first.clone(), program, input)))
}

/// Equal functions share a process.
fn hosted(cx: &mut Context<'_>, function: HostedFunction) -> Arc<HostedFunction> {
    if let Some(known) = cx.functions.iter().find(|known| known.is_same(&function)) {
        return known.clone();
    }
    let function = Arc::new(function);
    cx.functions.push(function.clone());
    function
}

/// The request that makes a function.
fn request(
    cx: &Context<'_>,
    kind: FunctionKind,
    create: Option<&str>,
    config: Dict,
    controller: bool,
) -> serde_json::Value {
    let kind = match kind {
        FunctionKind::Authenticator => "authenticator",
        FunctionKind::Authorizer => "authorizer",
    };
    json!({
        "id": 0,
        "protocol": 1,
        "kind": kind,
        "function": create,
        "config": crate::process::to_json(&config.into()),
        "controller": controller,
        "path": cx.python.path(),
    })
}

/// Whether a name has a module: identifiers with dots between them.
pub(super) fn is_dotted(name: &str) -> bool {
    let identifier = |part: &str| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_') && !part.is_empty() && !part.starts_with(char::is_numeric)
    };
    name.contains('.') && name.split('.').all(identifier)
}
