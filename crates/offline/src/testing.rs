//! A small view for tests.

use trivium_model::{
    Carryover, DataType, Entity, Feature, FeatureView, KeyType, Lane, Name, Owner, Schedule,
    TimeSpan, Timestamp,
};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn feature(text: &str, data_type: DataType) -> Feature {
    Feature {
        name: name(text),
        data_type,
        description: "A feature.".to_owned(),
        default: None,
        owner: None,
        tags: Vec::new(),
    }
}

/// `tests/daily@1`: key `carrier`, event time `event_ts`, features `flights` int64 and `delay` float64.
pub(crate) fn view() -> FeatureView {
    FeatureView {
        namespace: name("tests"),
        name: name("daily"),
        version: 1,
        lane: Lane::Batch,
        description: "For tests.".to_owned(),
        owner: Owner { team: "t".to_owned(), contact: "t@example.com".to_owned() },
        urgency_tier: 3,
        entities: vec![Entity {
            name: name("carrier"),
            key_type: KeyType::String,
            description: None,
        }],
        event_timestamp: name("event_ts"),
        created_timestamp: None,
        subject: None,
        time_zone: None,
        features: vec![feature("flights", DataType::Int64), feature("delay", DataType::Float64)],
        source: None,
        job: None,
        window: None,
        schedule: Some(Schedule { every: TimeSpan::DAY, start: Timestamp(0) }),
        ttl: None,
        carryover: Carryover::None,
        rollup: None,
        online: true,
        quality: Vec::new(),
        tags: Vec::new(),
    }
}
