//! A writer's schema, as far as reading needs it.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use trivium_model::TimeUnit;

/// How deep types may lie in each other in the text; names do not count.
const DEPTH_MAX: usize = 64;

/// A type, by its place in its schema.
pub(crate) type TypeId = usize;

/// A writer's schema. Types refer to each other by number, so that one that has itself as a part is no
/// endless tree.
#[derive(Debug)]
pub(crate) struct Schema {
    types: Vec<Type>,
    root: TypeId,
}

/// How a value is written, and what it means.
#[derive(Debug)]
pub(crate) struct Type {
    pub kind: Kind,
    pub meaning: Meaning,
}

/// How a value is written.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record(Vec<(String, TypeId)>),
}

/// What a value means beyond how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Plain,
    /// Days since 1970-01-01.
    Day,
    /// So many since 1970-01-01T00:00:00Z.
    Instant(TimeUnit),
    /// What clocks show, counted as if they were in UTC.
    Local(TimeUnit),
    /// The digits of a number, with so many after the point.
    Decimal(u32),
    Uuid,
}

impl Schema {
    /// Of its JSON.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let mut parser = Parser { types: Vec::new(), names: HashMap::new(), depth: 0 };
        let root = parser.any(&json, "")?;
        Ok(Self { types: parser.types, root })
    }

    pub const fn root(&self) -> TypeId {
        self.root
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id]
    }
}

impl Kind {
    /// In words, for errors.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Float => "a float",
            Self::Double => "a double",
            Self::Bytes => "bytes",
            Self::Text => "a string",
            Self::Fixed(_) => "a fixed",
            Self::Enum(_) => "an enum",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Union(_) => "a union",
            Self::Record(_) => "a record",
        }
    }
}

struct Parser {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
    depth: usize,
}

impl Parser {
    fn any(&mut self, json: &Json, namespace: &str) -> Result<TypeId, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("its types lie in each other deeper than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let id = match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(variants) => self.union(variants, namespace),
            Json::Object(object) => self.object(object, namespace),
            _ => Err("a number or the like stands where a type was expected".to_owned()),
        };
        self.depth -= 1;
        id
    }

    fn push(&mut self, kind: Kind, meaning: Meaning) -> TypeId {
        self.types.push(Type { kind, meaning });
        self.types.len() - 1
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, String> {
        if let Some(kind) = primitive(name) {
            return Ok(self.push(kind, Meaning::Plain));
        }
        let full = full_name(name, namespace);
        let known = self.names.get(&full).or_else(|| self.names.get(name));
        known.copied().ok_or_else(|| {
            format!(
                "it names the type `{}`, which it does not define; register it whole, since its references to other subjects are not followed",
                short(&full)
            )
        })
    }

    fn union(&mut self, variants: &[Json], namespace: &str) -> Result<TypeId, String> {
        let mut ids = Vec::with_capacity(variants.len());
        for variant in variants {
            if variant.is_array() {
                return Err("a union stands in a union".to_owned());
            }
            ids.push(self.any(variant, namespace)?);
        }
        Ok(self.push(Kind::Union(ids), Meaning::Plain))
    }

    fn object(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, String> {
        let word = match object.get("type") {
            Some(Json::String(word)) => word.as_str(),
            Some(inner) => return self.any(inner, namespace),
            None => return Err("a type has no `type`".to_owned()),
        };
        let part =
            |name: &str| object.get(name).ok_or_else(|| format!("{} has no `{name}`", short(word)));
        let kind = match word {
            "array" => Kind::Array(self.any(part("items")?, namespace)?),
            "map" => Kind::Map(self.any(part("values")?, namespace)?),
            "record" | "error" => return self.record(object, namespace),
            "enum" => {
                let symbols = part("symbols")?.as_array().ok_or("`symbols` is no array")?;
                let symbols = symbols.iter().map(|symbol| symbol.as_str().map(ToOwned::to_owned));
                Kind::Enum(symbols.collect::<Option<_>>().ok_or("a symbol is no string")?)
            }
            "fixed" => {
                let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                Kind::Fixed(size.ok_or("`size` is no whole number")?)
            }
            _ => match primitive(word) {
                Some(kind) => kind,
                None => return self.named(word, namespace),
            },
        };
        let meaning = meaning(&kind, object);
        let is_named = matches!(kind, Kind::Enum(_) | Kind::Fixed(_));
        let id = self.push(kind, meaning);
        if is_named {
            self.define(object, namespace, id)?;
        }
        Ok(id)
    }

    fn record(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, String> {
        // Its own name is known within it.
        let id = self.push(Kind::Record(Vec::new()), Meaning::Plain);
        let namespace = self.define(object, namespace, id)?;
        let fields =
            object.get("fields").and_then(Json::as_array).ok_or("a record has no `fields`")?;
        let mut typed = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field.get("name").and_then(Json::as_str).ok_or("a field has no `name`")?;
            let of = field
                .get("type")
                .ok_or_else(|| format!("the field `{}` has no `type`", short(name)))?;
            typed.push((name.to_owned(), self.any(of, &namespace)?));
        }
        self.types[id].kind = Kind::Record(typed);
        Ok(id)
    }

    /// Its name is this type's from here on; gives the namespace for names within it.
    fn define(
        &mut self,
        object: &Map<String, Json>,
        enclosing: &str,
        id: TypeId,
    ) -> Result<String, String> {
        let text = |name: &str| object.get(name).and_then(Json::as_str);
        let name = text("name").ok_or("a type has no `name`")?;
        let full = full_name(name, text("namespace").unwrap_or(enclosing));
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        if self.names.insert(full, id).is_some() {
            return Err(format!("it defines `{}` twice", short(name)));
        }
        Ok(namespace)
    }
}

/// Of a name, as much as an error says.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn primitive(word: &str) -> Option<Kind> {
    Some(match word {
        "null" => Kind::Null,
        "boolean" => Kind::Bool,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::Text,
        _ => return None,
    })
}

/// By the logical type, or by the name that Kafka Connect and Debezium give to the type. One that does
/// not fit how the value is written means nothing, as Avro says. Times of the day are plain numbers.
fn meaning(kind: &Kind, object: &Map<String, Json>) -> Meaning {
    use TimeUnit::{Micros, Millis, Nanos};
    let text = |name: &str| object.get(name).and_then(Json::as_str);
    let word = text("logicalType").or_else(|| text("connect.name")).unwrap_or_default();
    match (kind, word) {
        (Kind::Int, "date" | "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => {
            Meaning::Day
        }
        (
            Kind::Long,
            "timestamp-millis"
            | "io.debezium.time.Timestamp"
            | "org.apache.kafka.connect.data.Timestamp",
        ) => Meaning::Instant(Millis),
        (Kind::Long, "timestamp-micros" | "io.debezium.time.MicroTimestamp") => {
            Meaning::Instant(Micros)
        }
        (Kind::Long, "timestamp-nanos" | "io.debezium.time.NanoTimestamp") => {
            Meaning::Instant(Nanos)
        }
        (Kind::Long, "local-timestamp-millis") => Meaning::Local(Millis),
        (Kind::Long, "local-timestamp-micros") => Meaning::Local(Micros),
        (Kind::Long, "local-timestamp-nanos") => Meaning::Local(Nanos),
        (Kind::Bytes | Kind::Fixed(_), "decimal" | "org.apache.kafka.connect.data.Decimal") => {
            scale(object).map_or(Meaning::Plain, Meaning::Decimal)
        }
        (Kind::Text | Kind::Fixed(16), "uuid") => Meaning::Uuid,
        _ => Meaning::Plain,
    }
}

/// Digits after the point; none if it is no such number.
fn scale(object: &Map<String, Json>) -> Option<u32> {
    let connect = object.get("connect.parameters").and_then(|parameters| parameters.get("scale"));
    match object.get("scale").or(connect) {
        None => Some(0),
        Some(Json::String(digits)) => digits.parse().ok(),
        Some(number) => u32::try_from(number.as_u64()?).ok(),
    }
}
