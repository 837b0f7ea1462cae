//! Limits of the registry's surfaces. Files and their number are limited by
//! [`trivium_registry::project`], authors and reasons by [`trivium_registry::port`].

/// The largest request, REST or gRPC: a project of a thousand views fits.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// The most diagnostics in one answer; the rest is counted.
pub const DIAGNOSTICS_MAX: usize = 1000;
/// The most lines that an error's message repeats.
pub const ERROR_LINES_MAX: usize = 20;
/// Lines of the audit log in an answer if the caller names no limit.
pub const AUDIT_LIMIT_DEFAULT: u32 = 100;
