//! Runs every fuzz target over its corpus: what fuzzing once reached or broke, it need not find again.
//! How to fuzz: see README, "Fuzzing".

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use wampd_fuzz::{TARGETS, Target};

fn corpus(target: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("a readable file"))).collect()
}

/// Replays a corpus; tells which files break a promise, not only the first.
fn replay((name, body): Target) {
    let corpus = corpus(name);
    assert!(corpus.len() >= 5, "{name}: a corpus of {} inputs proves little", corpus.len());
    let broken: Vec<_> =
        corpus.iter().filter(|(_, data)| catch_unwind(|| body(data)).is_err()).map(|(path, _)| path).collect();
    assert!(broken.is_empty(), "{name}: {broken:?}");
}

#[test]
fn every_target_survives_its_corpus() {
    for target in TARGETS {
        replay(*target);
    }
}

#[test]
fn seeds_are_in_the_corpus() {
    for seed in wampd_fuzz::seeds::seeds() {
        let found = corpus(seed.target).into_iter().find(|(path, _)| path.ends_with(&seed.name));
        let data = found.map(|(_, data)| data);
        assert_eq!(data, Some(seed.data), "{}/{}: run the example `seeds` of fuzz", seed.target, seed.name);
    }
}
