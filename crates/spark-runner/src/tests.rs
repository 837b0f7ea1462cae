use crate::{FORMAT, RUNNER, VERSION};

#[test]
fn the_program_says_the_same_format_and_version() {
    assert!(RUNNER.contains(&format!("\nFORMAT = {FORMAT}\n")));
    assert!(RUNNER.contains(&format!("\nVERSION = \"{VERSION}\"\n")));
}
