//! The core reaches no socket, clock, thread or OS randomness, not even through what it depends on. That its own code
//! does not is clippy's to say: see `core/clippy.toml`.

use std::collections::BTreeSet;
use std::process::Command;

/// What a package needs that speaks to an operating system, a runtime, or people.
const IMPURE: &[&str] = &[
    "async-std",
    "chrono",
    "crossbeam-channel",
    "getrandom",
    "instant",
    "libc",
    "log",
    "mio",
    "parking_lot",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tracing",
    "web-time",
    "windows-sys",
];

/// The packages that end up in a program that uses this one.
fn dependencies(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .output()
        .expect("cargo runs, as it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names of packages");
    tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn nothing_below_the_core_speaks_to_the_system() {
    let core = dependencies("wampd-core");
    assert!(core.contains("wampd-core") && core.contains("serde"), "{core:?}");
    let impure: Vec<_> = IMPURE.iter().filter(|name| core.contains(**name)).collect();
    assert!(impure.is_empty(), "{impure:?}");
    // It would not go unnoticed.
    assert!(dependencies("wampd-mio").contains("libc"));
}
