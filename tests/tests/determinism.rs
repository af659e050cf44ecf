//! The same seed and the same inputs give the same outputs, byte for byte.

use wampd_tests::script::{Script, run};

#[test]
fn a_world_can_be_lived_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let script = Script { seed, clients: 5, acts: 250, faults: true, wire: None };
        let [first, second] = [0; 2].map(|_| run(script));
        assert!(first.trace.len() > 20, "{script:?}: little happened");
        for (a, b) in first.trace.iter().zip(&second.trace) {
            assert_eq!(a, b, "{script:?}");
        }
        assert_eq!(first.trace.len(), second.trace.len(), "{script:?}");
        assert_eq!(first.router.stats(), second.router.stats(), "{script:?}");
        assert!(seen.insert(first.trace.join("\n")), "{script:?}: a world like another");
    }
}
