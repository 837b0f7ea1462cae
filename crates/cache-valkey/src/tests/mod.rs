//! Against real Valkey servers.

mod cluster;
mod faults;
mod steps;
mod support;
