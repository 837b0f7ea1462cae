//! Limits of configs. Each keeps one file, and what is made from it, a size that every part can
//! hold in memory and show on one page.

/// Bytes of one config file.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Features of a view, its rollup's windows counted: a row is decoded by position in memory.
pub const FEATURES_MAX: usize = 2_000;
/// Features of a service.
pub const SERVICE_FEATURES_MAX: usize = 2_000;
/// Inputs of a service.
pub const SERVICE_INPUTS_MAX: usize = 100;
/// Derived features of a service: each is computed for every entity of a read.
pub const SERVICE_DERIVED_MAX: usize = 100;
/// Characters of an expression; `trivium-expr` takes as many bytes.
pub const EXPRESSION_CHARACTERS_MAX: usize = 4_096;
/// Join keys of one entity.
pub const ENTITIES_MAX: usize = 16;
/// Tags of a view, a feature or a service.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag.
pub const TAG_CHARACTERS_MAX: usize = 64;
/// Characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;
/// Characters of a team, a contact and other short texts.
pub const SHORT_TEXT_CHARACTERS_MAX: usize = 200;
/// Quality checks of a view.
pub const QUALITY_CHECKS_MAX: usize = 1_000;
/// Values that one `accepted_values` lists.
pub const ACCEPTED_VALUES_MAX: usize = 1_000;
/// Bytes of one default, as JSON: it is sent with every missing row.
pub const DEFAULT_BYTES_MAX: usize = 64 << 10;
/// Windows of a rollup.
pub const ROLLUP_WINDOWS_MAX: usize = 20;
/// Periods in one window: so many partitions are read for one period.
pub const ROLLUP_PERIODS_MAX: i64 = 1_000;
/// Slides in one window: so many tiles are read for one row.
pub const WINDOW_TILES_MAX: i64 = 1_000;
/// Periods that a row is carried: so many partitions are read for one period.
pub const CARRYOVER_PERIODS_MAX: u32 = 1_000;
/// Versions of one name.
pub const VERSION_MAX: u32 = 1_000_000;
/// Days of any length of time, a hundred years: instants plus or minus it never overflow.
pub const SPAN_DAYS_MAX: i64 = 36_525;
/// Diagnostics of one file; the rest is cut.
pub const DIAGNOSTICS_MAX: usize = 500;

/// Columns that the platform itself writes or substitutes, so that authors cannot name theirs so.
pub const RESERVED_COLUMNS: &[&str] =
    &["ds", "period", "period_start", "period_end", "carried_from", "rev", "sequence", "write_id"];
/// Namespaces that the platform keeps for itself.
pub const RESERVED_NAMESPACES: &[&str] = &["trivium", "information_schema"];
/// Tables that a stream view's SQL reads.
pub const INPUTS_MAX: usize = 16;
/// Tasks of a stream view's job beside each other: its keys are spread over so many groups for ever.
pub const PARALLELISM_MAX: u64 = 128;
/// Rows that a `row_count` may name.
pub const ROW_COUNT_MAX: u64 = 1_000_000_000_000;
