//! Reads of a JSON document only what columns are made of: the rest is passed over without being kept.

use std::{borrow::Cow, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value as Json;

/// Places in a document, as a tree by their steps. Each wanted place has a number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    steps: Vec<(String, Places)>,
    wanted: Vec<usize>,
}

impl Places {
    /// Wants the value at this place under this number.
    pub fn want(&mut self, steps: &[String], number: usize) {
        let Some((first, rest)) = steps.split_first() else {
            return self.wanted.push(number);
        };
        let at = self.steps.iter().position(|(step, _)| step == first).unwrap_or_else(|| {
            self.steps.push((first.clone(), Self::default()));
            self.steps.len() - 1
        });
        self.steps[at].1.want(rest, number);
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.wanted.is_empty()
    }

    /// Reads the document; each value that is there goes to its number. Of a name that is written twice
    /// the last counts.
    pub fn read(&self, bytes: &[u8], found: &mut [Option<Json>]) -> Result<(), serde_json::Error> {
        let mut document = serde_json::Deserializer::from_slice(bytes);
        Reader { places: self, found }.deserialize(&mut document)?;
        document.end()
    }

    /// Takes a value that has been read already.
    fn take(&self, value: &Json, found: &mut [Option<Json>]) {
        for number in &self.wanted {
            found[*number] = Some(value.clone());
        }
        for (step, places) in &self.steps {
            match value {
                Json::Object(object) => match object.get(step) {
                    Some(value) => places.take(value, found),
                    None => places.forget(found),
                },
                Json::Null => places.take(&Json::Null, found),
                _ => places.forget(found),
            }
        }
    }

    fn forget(&self, found: &mut [Option<Json>]) {
        self.wanted.iter().for_each(|number| found[*number] = None);
        self.steps.iter().for_each(|(_, places)| places.forget(found));
    }
}

struct Reader<'p, 'f> {
    places: &'p Places,
    found: &'f mut [Option<Json>],
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.places.steps.is_empty() || !self.places.wanted.is_empty() {
            let value = <Json as serde::Deserialize>::deserialize(deserializer)?;
            self.places.take(&value, self.found);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Step)? {
            match self.places.steps.iter().find(|(step, _)| *step == name) {
                Some((_, places)) => {
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
        self.places.take(&Json::Null, self.found);
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
