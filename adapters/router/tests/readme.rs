//! The configuration and the script of the README are served as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The first block of code in this language.
fn block<'a>(readme: &'a str, language: &str) -> &'a str {
    let (_, rest) = readme.split_once(&format!("\n```{language}\n")).expect("a block of this language");
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_readmes_configuration_is_served() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("a readable file");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(&folder).expect("a writable folder");
    fs::write(folder.join("config.yaml"), block(&readme, "yaml")).expect("a writable folder");
    fs::write(folder.join("authenticator.rhai"), block(&readme, "rhai")).expect("a writable folder");
    let output = Command::new(env!("CARGO_BIN_EXE_wampd"))
        .args(["check", "--cbdir"])
        .arg(&folder)
        .env("ROBOT_TICKET", "a ticket")
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("0 warnings"), "{said}");
}
