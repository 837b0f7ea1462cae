//! The rules of the tree and its chores, as code that tests call.

pub mod codegen;
pub mod layers;
