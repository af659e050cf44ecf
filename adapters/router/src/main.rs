//! The wampd binary.
fn main() {}
