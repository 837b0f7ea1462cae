//! Author SQL: parse, normalise, compare, lineage; and the SQL that the platform itself writes.
//!
//! Two kinds of SQL pass through here, both in Spark's dialect. What an author commits beside a
//! view's JSON is parsed ([`AuthorQuery`]), held against the view, rendered for a [`Period`] and
//! compared with its former self ([`compare`]). What the platform does around it, carrying rows
//! over, merging windows ([`publish`]) and checking quality ([`quality`]), is written here as SQL,
//! so that the same text runs on every engine.
//!
//! What stands beside a stream view's JSON is Flink's ([`FlinkQuery`]): it is read as far as is needed to put it
//! into a job.
//!
//! Pure: text in, text out. It never runs SQL, knows no table's columns, reads no file and no clock.

pub mod author;
mod check;
pub mod codes;
pub mod compare;
pub mod dialect;
pub mod flink;
mod functions;
mod lineage;
mod literal;
mod normal;
pub mod period;
pub mod publish;
pub mod quality;
mod rules;
pub mod scan;
pub mod spark;
mod style;
mod walk;

pub use author::{AuthorQuery, ColumnSource, OutputColumn};
pub use compare::{ChangedPart, changed_parts, compare};
pub use dialect::SparkDialect;
pub use flink::FlinkQuery;
pub use period::{Period, PeriodError};
pub use publish::{CARRIED_FROM, PERIOD, RAW, publish_sql};
pub use quality::{CheckResult, Observation, QualityQuery, STAGED, evaluate, quality_sql};
pub use scan::{Parameter, ParameterUse};
