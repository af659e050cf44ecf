//! The example happens as its transcript says.

#[path = "../examples/wampcra-function/main.rs"]
#[allow(dead_code, reason = "its main function is not used here")]
mod example;

#[test]
fn the_example_happens_as_expected() {
    let problems = example::play().expect("router, backend and client run");
    assert!(problems.is_empty(), "{problems:#?}");
}
