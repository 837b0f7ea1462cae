//! Reads of a JSON document only what columns are made of: the rest is passed over without being kept.

use std::{borrow::Cow, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value as Json;

use crate::{leaf::Leaf, places::Places};

/// Reads the document; each value that is there goes to its number. Of a name that is written twice the
/// last counts.
pub(crate) fn read(
    places: &Places,
    bytes: &[u8],
    found: &mut [Leaf<'_>],
) -> Result<(), serde_json::Error> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    Reader { places, found }.deserialize(&mut document)?;
    document.end()
}

/// Takes a value that has been read already.
fn take(places: &Places, value: &Json, found: &mut [Leaf<'_>]) {
    for number in &places.wanted {
        found[*number] = Leaf::Json(value.clone());
    }
    for (step, places) in &places.steps {
        match value {
            Json::Object(object) => match object.get(step) {
                Some(value) => take(places, value, found),
                None => places.forget(found),
            },
            Json::Null => places.fill(&Leaf::Json(Json::Null), found),
            _ => places.forget(found),
        }
    }
}

struct Reader<'p, 'f, 'm> {
    places: &'p Places,
    found: &'f mut [Leaf<'m>],
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.places.steps.is_empty() || !self.places.wanted.is_empty() {
            let value = <Json as serde::Deserialize>::deserialize(deserializer)?;
            take(self.places, &value, self.found);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Step)? {
            match self.places.step(&name) {
                Some(places) => {
                    places.forget(self.found);
                    map.next_value_seed(Reader { places, found: self.found })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    // What stands below null is null.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.places.fill(&Leaf::Json(Json::Null), self.found);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("an array stands where an object was expected"))
    }
}

/// A name, borrowed where nothing in it is escaped.
struct Step;

impl<'de> DeserializeSeed<'de> for Step {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Step {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
