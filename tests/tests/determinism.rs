//! The same seed and the same inputs give the same outputs, byte for byte, whatever the order of hash maps.

use wampd_tests::ops::{play_with_hash_key, random};
use wampd_tests::script::{Script, run_with_hash_key};

#[test]
fn a_world_can_be_lived_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let script = Script { seed, clients: 5, acts: 250, faults: true, wire: None };
        let [first, second] = [seed, !seed].map(|key| run_with_hash_key(script, key));
        assert!(first.trace.len() > 20, "{script:?}: little happened");
        for (a, b) in first.trace.iter().zip(&second.trace) {
            assert_eq!(a, b, "{script:?}");
        }
        assert_eq!(first.trace.len(), second.trace.len(), "{script:?}");
        assert_eq!(first.router.stats(), second.router.stats(), "{script:?}");
        assert!(seen.insert(first.trace.join("\n")), "{script:?}: a world like another");
    }
}

#[test]
fn operations_can_be_repeated() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let data = random(seed);
        let [first, second] = [seed, !seed].map(|key| {
            let mut trace = Vec::new();
            let stats = play_with_hash_key(&data, key, |_, input, seen| trace.push(format!("{input:?} {seen:?}")));
            (trace, stats)
        });
        for (a, b) in first.0.iter().zip(&second.0) {
            assert_eq!(a, b, "seed {seed}");
        }
        assert_eq!((first.0.len(), first.1), (second.0.len(), second.1), "seed {seed}");
        seen.insert(first.0.join("\n"));
    }
    assert!(seen.len() > 390, "{} different ones", seen.len());
}
