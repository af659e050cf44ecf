use super::*;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function/config.json");

#[test]
fn the_example_loads() {
    let (node, report) = load(Path::new(EXAMPLE)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(
        report.warnings().filter(|problem| !problem.message.contains("there is no folder")).count(),
        0,
        "{report}"
    );
    assert_eq!(node.router.realms.len(), 1);
    assert_eq!(node.transports.len(), 2);
}
