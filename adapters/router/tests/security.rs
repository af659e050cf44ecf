//! SECURITY.md names a test for each threat, and lists every limit with its default.

use std::fs;
use std::path::{Path, PathBuf};
use wampd::config::{LimitDoc, limit_docs};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md is readable")
}

/// The rows of every table of threats: those whose last column is headed `test`.
fn threats(page: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    for (_, table) in page.split("| threat |").skip(1).map(|rest| rest.split_once('\n').expect("a table")) {
        rows.extend(table.lines().skip(1).take_while(|line| line.starts_with('|')));
    }
    rows
}

#[test]
fn every_threat_names_a_test_that_exists() {
    let page = page();
    let rows = threats(&page);
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for row in rows {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        let [file, tests @ ..] = &names[..] else { panic!("no `file` `test`: {row}") };
        assert!(!tests.is_empty(), "no `file` `test`: {row}");
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for test in tests {
            assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        }
    }
}

/// The table of limits as it must stand between its marks.
fn limits() -> String {
    let mut table = "| key | meaning | default | range |\n| --- | --- | ---: | --- |\n".to_owned();
    for LimitDoc { path, meaning, unit, range, default } in limit_docs() {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let (low, high) = (range.start(), range.end());
        table += &format!("| `{path}` | {meaning} | {default}{unit} | {low} to {high} |\n");
    }
    table
}

/// `WAMPD_WRITE_DOCS=1 cargo test -p wampd --test security` writes the table.
#[test]
fn every_limit_is_listed_with_its_default() {
    let (begin, end) = ("<!-- limits: written by the test `security` -->\n", "<!-- end of limits -->");
    let page = page();
    let (before, rest) = page.split_once(begin).expect("the mark before the table");
    let (table, after) = rest.split_once(end).expect("the mark behind the table");
    let expected = limits();
    if table != expected && std::env::var_os("WAMPD_WRITE_DOCS").is_some() {
        fs::write(root().join("SECURITY.md"), [before, begin, &expected, end, after].concat()).expect("written");
        return;
    }
    assert_eq!(table, expected, "run this test with WAMPD_WRITE_DOCS=1");
}
