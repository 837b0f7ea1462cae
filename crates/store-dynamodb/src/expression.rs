//! Update and condition expressions, put together from clauses.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// One conditional update. Attribute names stand in it as they are: none of ours is a reserved word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expression {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<&'static str>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// A placeholder for the value. An unused one is refused by DynamoDB: make what you use.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }
    pub(crate) fn number(&mut self, value: impl ToString) -> String {
        self.value(number(value))
    }

    /// All conditions must hold.
    pub(crate) fn when(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }
    pub(crate) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let value = self.value(value);
        self.set_to(attribute, &value);
    }
    pub(crate) fn set_to(&mut self, attribute: &str, expression: &str) {
        self.sets.push(format!("{attribute} = {expression}"));
    }
    pub(crate) fn remove(&mut self, attribute: &'static str) {
        self.removes.push(attribute);
    }

    pub(crate) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| format!("({})", self.conditions.join(") AND (")))
    }
    pub(crate) fn update(&self) -> String {
        let mut parts = Vec::new();
        if !self.sets.is_empty() {
            parts.push(format!("SET {}", self.sets.join(", ")));
        }
        if !self.removes.is_empty() {
            parts.push(format!("REMOVE {}", self.removes.join(", ")));
        }
        parts.join(" ")
    }
    /// `None` where there are none: DynamoDB refuses an empty map.
    pub(crate) fn into_values(self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then_some(self.values)
    }
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
