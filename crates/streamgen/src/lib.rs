//! Flink jobs from stream views.
//!
//! A stream view with inputs, or with windows that Flink computes, becomes two files: a script of Flink SQL that is a whole job, and the manifest by which
//! Flink's Kubernetes operator runs it.
//!
//! * [`settings`]: `[flink]` of trivium.toml.
//! * [`tables`]: an input's messages and a view's payloads as tables of Flink.
//! * [`job`]: one view's two files.
//! * `windows`: declared windows as SQL that gives what the worker would.
//! * [`tree`]: the folder of jobs: what is there, what should be, the difference.
//! * [`local`]: the same query on a Flink in one process, over recorded events.
//! * [`command`]: what can be typed.
//!
//! What it writes depends on nothing but the configs, the settings and its own version. Only [`local`] starts
//! anything, and asks no server.

pub mod command;
mod error;
pub mod job;
pub mod local;
pub mod settings;
pub mod tables;
pub mod tree;
mod windows;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use settings::Settings;
