//! Names and references: `namespace/view@version`, `namespace/view@version:feature`.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// A name: `[a-z][a-z0-9_]{0,62}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no name or no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text does not match `[a-z][a-z0-9_]{0,62}`.
    #[error(
        "`{0}` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all"
    )]
    Malformed(String),
    /// The text is not a reference of the expected shape.
    #[error("`{text}` is not a {expected}")]
    Reference {
        /// What was given.
        text: String,
        /// The shape that was expected, with an example.
        expected: &'static str,
    },
}

impl Name {
    /// Checks and wraps a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let continues = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if starts && continues && text.len() <= NAME_BYTES_MAX {
            Ok(Self(Arc::from(text)))
        } else {
            Err(NameError::Malformed(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}
impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}
impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}
impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}
impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

/// One version of a feature view: `flights/carrier_daily@1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewRef {
    /// The tenant.
    pub namespace: Name,
    /// The view.
    pub view: Name,
    /// The version, from 1.
    pub version: u32,
}

/// One version of a feature service: `flights/delay_model@1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    /// The tenant.
    pub namespace: Name,
    /// The service.
    pub service: Name,
    /// The version, from 1.
    pub version: u32,
}

/// One feature of one view version: `flights/carrier_daily@1:flights`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureRef {
    /// The view.
    pub view: ViewRef,
    /// The feature.
    pub feature: Name,
}

const VIEW_SHAPE: &str =
    "view reference: write `namespace/view@version`, as in `flights/carrier_daily@1`";
const SERVICE_SHAPE: &str =
    "service reference: write `namespace/service@version`, as in `flights/delay_model@1`";
const FEATURE_SHAPE: &str = "feature reference: write `namespace/view@version:feature`, as in `flights/carrier_daily@1:flights`";

/// Splits `namespace/name@version`.
fn split(text: &str, expected: &'static str) -> Result<(Name, Name, u32), NameError> {
    let wrong = || NameError::Reference { text: text.to_owned(), expected };
    let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
    let (name, version) = rest.split_once('@').ok_or_else(wrong)?;
    // `+1` and `01` would give one version several spellings.
    let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
    let version = version.parse::<u32>().ok().filter(|_| canonical).ok_or_else(wrong)?;
    Ok((Name::new(namespace)?, Name::new(name)?, version))
}

impl FromStr for ViewRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, view, version) = split(text, VIEW_SHAPE)?;
        Ok(Self { namespace, view, version })
    }
}
impl FromStr for ServiceRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, service, version) = split(text, SERVICE_SHAPE)?;
        Ok(Self { namespace, service, version })
    }
}
impl FromStr for FeatureRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (view, feature) = text.split_once(':').ok_or_else(|| NameError::Reference {
            text: text.to_owned(),
            expected: FEATURE_SHAPE,
        })?;
        Ok(Self { view: view.parse()?, feature: Name::new(feature)? })
    }
}
impl fmt::Display for ViewRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.namespace, self.view, self.version)
    }
}
impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.namespace, self.service, self.version)
    }
}
impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature)
    }
}

macro_rules! text_form {
    ($($kind:ty),*) => {$(
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(ViewRef, ServiceRef, FeatureRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_words() {
        for text in ["a", "a1_", &"a".repeat(NAME_BYTES_MAX)] {
            assert_eq!(Name::new(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "A", "1a", "_a", "a-b", "a b", "é", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(Name::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn references_have_one_spelling() {
        let feature = "flights/carrier_daily@12:flights_7d";
        assert_eq!(feature.parse::<FeatureRef>().map(|f| f.to_string()), Ok(feature.to_owned()));
        let view = "flights/carrier_daily@1";
        assert_eq!(view.parse::<ViewRef>().map(|v| v.to_string()), Ok(view.to_owned()));
        assert_eq!(view.parse::<ServiceRef>().map(|v| v.to_string()), Ok(view.to_owned()));
        for text in [
            "",
            "flights",
            "flights/a",
            "flights/a@",
            "flights/a@0",
            "flights/a@01",
            "flights/a@+1",
            "flights/a@-1",
            "flights/a@1.0",
            "flights/a@99999999999",
            "/a@1",
            "flights/@1",
            "Flights/a@1",
            "flights/a/b@1",
            "flights/a@1@2",
            "flights/a@1:f",
        ] {
            assert!(text.parse::<ViewRef>().is_err(), "{text}");
        }
        for text in ["flights/a@1", "flights/a@1:", "flights/a@1:F", "flights/a@1:f:g"] {
            assert!(text.parse::<FeatureRef>().is_err(), "{text}");
        }
    }
}
