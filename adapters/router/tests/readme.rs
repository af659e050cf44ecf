//! The configuration and the script of the README are served as they stand there.

use std::collections::BTreeSet;
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

/// The texts in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of the folders in a folder.
fn folders(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    names.filter(|name| !name.starts_with("__")).collect()
}

#[test]
fn every_method_and_provider_has_tests_that_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let interop = tests.join("../../../tests/interop");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let readme = read(&tests.join("../../../README.md"));
    let (_, table) = readme.split_once("| method | static | function | dynamic |").expect("the table");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 7, "{rows:?}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let proofs: Vec<_> = cells[1..].iter().filter(|cell| !cell.is_empty()).collect();
        assert!(proofs.len() == 3 || cells[0] == "cookie" && proofs.len() == 1, "{row}");
        for proof in proofs {
            let [file, test, ..] = quoted(proof).collect::<Vec<_>>()[..] else { panic!("no `file` `test`: {proof}") };
            assert!(read(&tests.join(file)).contains(&format!("fn {test}(")), "{file} has no test {test}");
        }
    }
    // The folders that are named are those that there are, and each is played.
    let players = read(&interop.join("folders.py")) + &read(&interop.join("run.py"));
    let named: BTreeSet<String> =
        quoted(&readme).filter_map(|text| text.strip_prefix("folders/")).map(str::to_owned).collect();
    let place = interop.join("crossbar/folders");
    let mut there = BTreeSet::new();
    for method in folders(&place) {
        there.extend(folders(&place.join(&method)).iter().map(|provider| format!("{method}/{provider}")));
    }
    assert_eq!(named, there);
    for folder in there {
        assert!(place.join(&folder).join(".crossbar").is_dir(), "{folder} is no node folder");
        assert!(players.contains(&format!("{folder}\"")), "{folder} is not played");
    }
}
