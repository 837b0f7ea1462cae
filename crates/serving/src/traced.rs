//! What the span of a request says of it, where it is followed: names of definitions, and counts. Nothing of
//! entities and values.

use trivium_model::Lane;
use trivium_runtime::trace::{self, KeyValue, Value};
use trivium_store::Consistency;

use crate::{definitions::ViewDefinition, plan::ReadPlan};

pub(crate) fn read(plan: &ReadPlan, entities: usize, consistency: Consistency) {
    trace::tell(|| {
        let consistency = match consistency {
            Consistency::Strong => "strong",
            Consistency::Cached { .. } => "cached",
        };
        let views = plan.views.iter().map(|planned| planned.view.name.clone());
        [
            KeyValue::new("trivium.views", trace::names(views)),
            count("trivium.entities", entities),
            count("trivium.features", plan.names.len()),
            KeyValue::new("trivium.consistency", consistency),
        ]
    });
}

/// Only of a service that there is: any other name is whatever a caller wrote.
pub(crate) fn service(name: &str) {
    trace::tell(|| [KeyValue::new("trivium.service", name.to_owned())]);
}

pub(crate) fn write(view: &ViewDefinition, lane: Lane, rows: usize) {
    trace::tell(|| {
        let lane = match lane {
            Lane::Batch => "batch",
            Lane::Stream => "stream",
            Lane::Direct => "direct",
        };
        [
            KeyValue::new("trivium.views", trace::names(std::iter::once(view.name.clone()))),
            count("trivium.entities", rows),
            KeyValue::new("trivium.lane", lane),
        ]
    });
}

pub(crate) fn search(view: &ViewDefinition, k: usize) {
    trace::tell(|| {
        [
            KeyValue::new("trivium.views", trace::names(std::iter::once(view.name.clone()))),
            count("trivium.hits_max", k),
        ]
    });
}

fn count(name: &'static str, count: usize) -> KeyValue {
    KeyValue::new(name, Value::I64(i64::try_from(count).unwrap_or(i64::MAX)))
}
