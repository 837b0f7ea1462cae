//! The metadata model that every part of Trivium shares: configs, types, versions, change rules.
//!
//! Pure: no I/O, no async, no clock, no SQL parser. Whoever reads files or asks the time passes
//! the result in.

pub mod config;
pub mod diagnostic;
pub mod job;
pub mod json;
pub mod name;
pub mod service;
pub mod source;
pub mod statistics;
pub mod time;
pub mod types;
pub mod value;
pub mod view;
pub mod window;

pub use config::{ChangeClass, Difference};
pub use diagnostic::{Diagnostic, LineIndex};
pub use job::{InputColumn, InputFormat, StreamInput, StreamJob};
pub use name::{FeatureRef, Name, NameError, ServiceRef, ViewRef};
pub use service::{DerivedFeature, FeatureService, ServiceFeature, ServiceInput};
pub use source::{FieldPath, PayloadFormat, StreamSource, StreamSystem, TimeUnit};
pub use statistics::{ColumnStatistics, Distinct, Lengths};
pub use time::{TimeSpan, Timestamp};
pub use types::{DataType, Distance, KeyType};
pub use value::{KeyValue, Value};
pub use view::{
    Aggregate, Carryover, Entity, Feature, FeatureView, Lane, Owner, QualityCheck, QualityRule,
    Rollup, Schedule, Severity,
};
pub use window::{EventColumn, StreamWindow, WindowAggregate};
