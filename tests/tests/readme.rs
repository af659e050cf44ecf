//! The README's table of features has every feature, and names tests that exist.

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use wampd_core::client::ClientConfig;
use wampd_core::message::RouterRoles;
use wampd_core::router::EventHistory;
use wampd_core::uri::MatchPolicy;
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::Sim;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rows() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("a readable file");
    let (_, table) = readme.split_once("| feature | specification | proven by |").expect("the table");
    let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    rows
}

#[test]
fn every_announced_feature_is_in_the_table() {
    let mut config = open_realm();
    let history = EventHistory { uri: "com.example.".into(), matching: MatchPolicy::Prefix, limit: 1 };
    config.realms[0].event_history = vec![history];
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let id = sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
    sim.settle(1_000, |_, _, _| ());
    let RouterRoles { broker, dealer } = sim.session(id).details.roles;
    let announced: BTreeSet<_> = [broker, dealer].into_iter().flatten().flat_map(|role| role.names()).collect();
    assert!(announced.contains("event_history") && announced.contains("session_meta_api"), "{announced:?}");
    let rows = rows();
    let missing = announced.iter().filter(|name| !rows.iter().any(|row| row.starts_with(&format!("| {name} |"))));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "in the table of README.md");
}

#[test]
fn every_feature_is_proven_by_a_test_that_exists() {
    let root = root();
    for row in rows() {
        let proof = row.trim_end_matches('|').rsplit_once('|').map_or("", |(_, proof)| proof.trim());
        let [_, file, _, test, _] = proof.split('`').collect::<Vec<_>>()[..] else { panic!("no `file` `test`: {row}") };
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
