//! Holds the generated code against the contract.

use std::path::Path;

#[test]
fn the_generated_code_is_what_the_contract_gives() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if let Err(error) = xtask::codegen::run(root, true) {
        panic!("{error:#}");
    }
}
