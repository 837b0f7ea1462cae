//! The environment over the file: `<PREFIX><SECTION>_<FIELD>`. A variable that begins so and
//! names no field is an error, as a field that does not exist is: it would be left without effect.

use std::ffi::OsString;

use toml::{Table, Value};
use trivium_api::{ApiError, nearest};

use crate::config::{Program, Shape};

/// Names the file itself.
const CONFIG: &str = "CONFIG";

/// One field, set by a variable.
#[derive(Debug)]
pub(crate) struct Override {
    section: &'static str,
    field: &'static str,
    value: Value,
}

pub(crate) fn overrides(
    program: &Program,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Override>, ApiError> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(program.prefix) else { continue };
        if rest == CONFIG {
            continue;
        }
        let fields = program.fields.iter();
        let known =
            fields.clone().find(|(section, field, _)| program.variable(section, field) == name);
        let Some((section, field, shape)) = known else {
            let names: Vec<String> =
                fields.map(|(section, field, _)| program.variable(section, field)).collect();
            let help = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{} lists every field", program.page),
            };
            return Err(ApiError::invalid("this variable sets no field").at(name).help(help));
        };
        let wrong = |message: &str| Err(ApiError::invalid(message).at(name));
        let Some(text) = value.to_str() else { return wrong("its value is not UTF-8") };
        let value = match shape {
            Shape::Text => Value::String(text.to_owned()),
            Shape::Whole => match text.parse() {
                Ok(number) => Value::Integer(number),
                Err(_) => return wrong("its value is not a whole number"),
            },
            Shape::Share => match text.parse() {
                Ok(number) => Value::Float(number),
                Err(_) => return wrong("its value is not a number"),
            },
            Shape::Flag => match text {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                _ => return wrong("its value is neither `true` nor `false`"),
            },
            Shape::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
        };
        found.push(Override { section, field, value });
    }
    Ok(found)
}

pub(crate) fn apply(table: &mut Table, overrides: Vec<Override>) {
    for Override { section, field, value } in overrides {
        let mut place = Some(&mut *table);
        for part in section.split('.') {
            place = place.and_then(|table| {
                let section = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
                // A section that is no table is told when the whole is read.
                section.as_table_mut()
            });
        }
        if let Some(section) = place {
            section.insert(field.to_owned(), value);
        }
    }
}
