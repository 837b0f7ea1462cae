//! A program's config: a TOML file, and the environment over it.

use std::{ffi::OsString, path::Path};

use serde::de::DeserializeOwned;
use trivium_api::ApiError;
use trivium_model::LineIndex;
use trivium_runtime::{Kind, telemetry::LogFormat};

use crate::environment;

/// What a field holds, for the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Whole,
    /// `true` or `false`.
    Flag,
    /// Texts, by commas.
    List,
    /// A number.
    Share,
}

/// A field: its section, with dots where it lies in another, its name, and what it holds.
pub type Field = (&'static str, &'static str, Shape);

/// What a program's config is called, and what it may say.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The command.
    pub name: &'static str,
    /// How the variables begin: `TRIVIUM_SERVING_`.
    pub prefix: &'static str,
    /// The page that lists every field.
    pub page: &'static str,
    /// Every field there is.
    pub fields: &'static [Field],
}

impl Program {
    /// The variable that sets a field.
    pub fn variable(&self, section: &str, field: &str) -> String {
        let section = section.to_uppercase().replace('.', "_");
        format!("{}{section}_{}", self.prefix, field.to_uppercase())
    }

    /// The text of a config file.
    pub fn text(&self, file: &Path) -> Result<String, ApiError> {
        std::fs::read_to_string(file).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                // No text is no config.
                std::io::ErrorKind::InvalidData => Kind::InvalidArgument,
                _ => Kind::FailedPrecondition,
            };
            ApiError::new(kind, format!("the config cannot be read: {error}"))
                .at(file.display().to_string())
                .help(format!("`{} sample-config` prints one to begin with", self.name))
        })
    }

    /// What a text says, and variables over it. Mistakes have their place.
    pub fn parse<D: DeserializeOwned>(
        &self,
        file: &Path,
        text: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<D, ApiError> {
        let overrides = environment::overrides(self, variables)?;
        if overrides.is_empty() {
            return toml::from_str::<D>(text).map_err(|error| self.wrong_text(file, text, &error));
        }
        let table = toml::from_str::<toml::Table>(text);
        let mut table = table.map_err(|error| self.wrong_text(file, text, &error))?;
        environment::apply(&mut table, overrides);
        table.try_into::<D>().map_err(|error| {
            // A mistake of the text that no variable mends has its place in the text.
            match toml::from_str::<D>(text) {
                Err(own) if own.message() == error.message() => self.wrong_text(file, text, &own),
                _ => ApiError::invalid(one_line(error.message()))
                    .at(format!("{}, with {}… over it", file.display(), self.prefix))
                    .help("correct the file, or the variable"),
            }
        })
    }

    fn wrong_text(&self, file: &Path, text: &str, error: &toml::de::Error) -> ApiError {
        let place = match error.span() {
            Some(span) => {
                let (line, column) = LineIndex::new(text).position(span.start);
                format!("{}:{line}:{column}", file.display())
            }
            None => file.display().to_string(),
        };
        ApiError::invalid(one_line(error.message()))
            .at(place)
            .help(format!("correct the config; {} lists every field", self.page))
    }
}

/// A mistake in a field of a file.
pub fn wrong(file: &Path, field: &str, message: impl Into<String>, help: &str) -> ApiError {
    ApiError::invalid(message.into()).at(format!("{}: {field}", file.display())).help(help)
}

/// How logs look: `log.format`.
pub fn log_format(file: &Path, format: Option<&str>) -> Result<LogFormat, ApiError> {
    match format {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => {
            let message = format!("`{other}` is no format of logs");
            Err(wrong(file, "log.format", message, "write `text` or `json`"))
        }
    }
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}
