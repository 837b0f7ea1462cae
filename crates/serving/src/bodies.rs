//! The bodies of requests, taken apart strictly: every error says where it is.

use std::time::Duration;

use serde_json::Value as Json;
use trivium_api::{ApiError, suggest};
use trivium_store::Consistency;

use crate::{
    json_text::{Node, Text, parse},
    request::RowPath,
};

/// The entries of an object.
pub(crate) type Entries<'a> = Vec<(Text<'a>, Node<'a>)>;

/// `{"features": […] or "service": "…", "entities": […], "inputs": {…}, "consistency": …}`
pub(crate) struct ReadBody<'a> {
    pub(crate) features: Option<Vec<Text<'a>>>,
    pub(crate) service: Option<Text<'a>>,
    pub(crate) entities: Vec<Entries<'a>>,
    /// For all entities; others stand in these.
    pub(crate) inputs: Option<Entries<'a>>,
    pub(crate) consistency: Consistency,
}

/// `{"view": "…", "rows": […]}`
pub(crate) struct WriteBody<'a> {
    pub(crate) view: Text<'a>,
    pub(crate) rows: Vec<Node<'a>>,
    /// Only of a put.
    pub(crate) wait_for_search: bool,
}

/// One row of it. Only a put has values.
pub(crate) struct RowBody<'a> {
    pub(crate) entity: Entries<'a>,
    pub(crate) values: Option<Entries<'a>>,
    pub(crate) event_time: Option<Json>,
    pub(crate) if_rev: Option<Json>,
    pub(crate) idempotency_key: Option<Json>,
    pub(crate) sequence: Option<Json>,
}

/// Takes each field of an object once; what nobody took is unknown.
pub(crate) struct Fields<'a> {
    /// `None`: the body itself.
    path: Option<RowPath>,
    entries: Entries<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(
        node: Node<'a>,
        path: Option<RowPath>,
        known: &[&str],
    ) -> Result<Self, ApiError> {
        let Node::Object(entries) = node else {
            return Err(ApiError::invalid(format!("expected an object, found {}", node.word()))
                .at(path.map_or_else(String::new, |path| path.to_string())));
        };
        let fields = Self { path, entries };
        for (index, (name, _)) in fields.entries.iter().enumerate() {
            if !known.contains(&&**name) {
                return Err(ApiError::invalid(format!("unknown field `{name}`"))
                    .at(fields.field(name))
                    .help(suggest::hint(name, known.iter().copied())));
            }
            if fields.entries[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::invalid(format!("field `{name}` stands twice"))
                    .at(fields.field(name)));
            }
        }
        Ok(fields)
    }

    fn field(&self, name: &str) -> String {
        match self.path {
            None => name.to_owned(),
            Some(path) => format!("{path}.{name}"),
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let index = self.entries.iter().position(|(known, _)| **known == *name)?;
        Some(self.entries.swap_remove(index).1)
    }

    pub(crate) fn required(&mut self, name: &str) -> Result<Node<'a>, ApiError> {
        self.take(name).ok_or_else(|| {
            ApiError::invalid(format!("missing field `{name}`")).at(self.field(name))
        })
    }

    fn json(&mut self, name: &str) -> Result<Option<Json>, ApiError> {
        let Some(node) = self.take(name) else { return Ok(None) };
        node.to_json().map(Some).map_err(|message| ApiError::invalid(message).at(self.field(name)))
    }
}

pub(crate) fn expected(what: &str, found: &Node<'_>, field: String) -> ApiError {
    ApiError::invalid(format!("expected {what}, found {}", found.word())).at(field)
}

pub(crate) fn text<'a>(
    node: Node<'a>,
    field: impl FnOnce() -> String,
) -> Result<Text<'a>, ApiError> {
    match node {
        Node::Text(text) => Ok(text),
        other => Err(expected("a string", &other, field())),
    }
}

pub(crate) fn array<'a>(node: Node<'a>, field: &str) -> Result<Vec<Node<'a>>, ApiError> {
    match node {
        Node::Array(items) => Ok(items),
        other => Err(expected("an array", &other, field.to_owned())),
    }
}

pub(crate) fn entity<'a>(
    node: Node<'a>,
    path: impl Fn() -> String,
) -> Result<Entries<'a>, ApiError> {
    match node {
        Node::Object(entries) => Ok(entries),
        other => Err(expected("an object", &other, path())),
    }
}

/// How [`Consistency`] is written.
const CONSISTENCY: &str = "`\"strong\"` or `{\"cached\": {\"max_staleness_ms\": …}}`";

/// The value of an object's one field.
fn only<'a>(node: Node<'a>, name: &str, path: &str) -> Result<Node<'a>, ApiError> {
    match node {
        Node::Object(mut entries) if entries.len() == 1 && *entries[0].0 == *name => {
            Ok(entries.swap_remove(0).1)
        }
        other => Err(expected(CONSISTENCY, &other, path.to_owned())),
    }
}

fn consistency(node: Node<'_>) -> Result<Consistency, ApiError> {
    match node {
        Node::Text(text) if *text == *"strong" => Ok(Consistency::Strong),
        node => {
            let cached = only(node, "cached", "consistency")?;
            let bound = only(cached, "max_staleness_ms", "consistency.cached")?;
            let field = "consistency.cached.max_staleness_ms";
            let wrong = |node: &Node<'_>| {
                expected("a whole number of milliseconds", node, field.to_owned())
            };
            let ms = match &bound {
                Node::Number(number) => number.parse().map_err(|_| wrong(&bound))?,
                other => return Err(wrong(other)),
            };
            Ok(Consistency::Cached { max_staleness: Duration::from_millis(ms) })
        }
    }
}

impl<'a> ReadBody<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ApiError> {
        const KNOWN: [&str; 5] = ["features", "service", "entities", "inputs", "consistency"];
        let mut fields = Fields::new(parse(bytes)?, None, &KNOWN)?;
        let consistency =
            fields.take("consistency").map_or(Ok(Consistency::Strong), consistency)?;
        let features = fields.take("features").map(|node| {
            let features = array(node, "features")?.into_iter().enumerate();
            features.map(|(index, node)| text(node, || format!("features[{index}]"))).collect()
        });
        let inputs = fields.take("inputs").map(|node| entity(node, || "inputs".to_owned()));
        let service = fields.take("service").map(|node| text(node, || "service".to_owned()));
        let entities = array(fields.required("entities")?, "entities")?.into_iter().enumerate();
        let entities = entities.map(|(index, node)| entity(node, || format!("entities[{index}]")));
        Ok(Self {
            features: features.transpose()?,
            service: service.transpose()?,
            entities: entities.collect::<Result<_, _>>()?,
            inputs: inputs.transpose()?,
            consistency,
        })
    }
}

impl<'a> WriteBody<'a> {
    pub(crate) fn parse(bytes: &'a [u8], is_put: bool) -> Result<Self, ApiError> {
        const KNOWN: [&str; 3] = ["view", "rows", "wait_for_search"];
        let known = if is_put { &KNOWN[..] } else { &KNOWN[..2] };
        let mut fields = Fields::new(parse(bytes)?, None, known)?;
        let view = text(fields.required("view")?, || "view".to_owned())?;
        let rows = array(fields.required("rows")?, "rows")?;
        let wait_for_search = match fields.take("wait_for_search") {
            None => false,
            Some(Node::Bool(waits)) => waits,
            Some(other) => return Err(expected("a boolean", &other, "wait_for_search".to_owned())),
        };
        Ok(Self { view, rows, wait_for_search })
    }
}

impl<'a> RowBody<'a> {
    pub(crate) fn new(node: Node<'a>, path: RowPath, has_values: bool) -> Result<Self, ApiError> {
        const KNOWN: [&str; 6] =
            ["entity", "event_time", "if_rev", "idempotency_key", "sequence", "values"];
        let known = if has_values { &KNOWN[..] } else { &KNOWN[..5] };
        let mut fields = Fields::new(node, Some(path), known)?;
        let entity = entity(fields.required("entity")?, || format!("{path}.entity"))?;
        let values = match has_values.then(|| fields.required("values")).transpose()? {
            None => None,
            Some(Node::Object(values)) => Some(values),
            Some(other) => return Err(expected("an object", &other, fields.field("values"))),
        };
        Ok(Self {
            entity,
            values,
            event_time: fields.json("event_time")?,
            if_rev: fields.json("if_rev")?,
            idempotency_key: fields.json("idempotency_key")?,
            sequence: fields.json("sequence")?,
        })
    }
}
