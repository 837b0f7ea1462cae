//! What the servers' programs share: config files with the environment over them, the registry that
//! is followed, the last definitions on disk, exit codes. Serves nothing and knows no store.

pub mod command;
pub mod config;
mod definitions;
mod environment;
pub mod orders;
pub mod registry;
mod state_file;

pub use config::{Field, Program, Shape};
pub use definitions::Followed;
pub use registry::{RegistryAddress, RegistrySource};
