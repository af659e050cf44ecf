//! The README's table of features names tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_feature_is_proven_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).expect("a readable file");
    let (_, table) = readme.split_once("| feature | specification | proven by |").expect("the table");
    let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let proof = row.trim_end_matches('|').rsplit_once('|').map_or("", |(_, proof)| proof.trim());
        let [_, file, _, test, _] = proof.split('`').collect::<Vec<_>>()[..] else { panic!("no `file` `test`: {row}") };
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
