//! What is computed.

use trivium_expr::WindowFilter;
use trivium_model::{DataType, FeatureView, Timestamp, WindowAggregate};
use xxhash_rust::xxh3::xxh3_128;

use crate::partial::Kind;

/// The form of the state; another one is another declaration's.
const LAYOUT: &str = "1";

/// One feature.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub kind: Kind,
    /// Among the window's columns.
    pub column: Option<usize>,
}

/// The windows of a view, ready to be computed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) size: i64,
    pub(crate) slide: i64,
    pub(crate) lateness: i64,
    /// In the order of the view's features.
    pub(crate) features: Vec<Computed>,
    pub(crate) event_id: Option<usize>,
    /// Events of which it does not hold move the watermark all the same.
    pub(crate) filter: Option<WindowFilter>,
    pub(crate) fingerprint: u128,
}

impl Plan {
    /// Of a view with windows; says what keeps it from being computed.
    pub fn new(view: &FeatureView) -> Result<Self, String> {
        let Some(window) = &view.window else { return Err("the view has no `window`".to_owned()) };
        let (size, slide) = (window.size.micros(), window.tile().micros());
        if slide <= 0 || size < slide || size % slide != 0 {
            return Err(format!("windows of {} cannot slide by {}", window.size, window.tile()));
        }
        let place = |name: &str| {
            let found = window.columns.iter().position(|column| column.name == *name);
            found.ok_or_else(|| format!("the events have no column `{name}`"))
        };
        let mut features = Vec::with_capacity(view.features.len());
        // All that the state and its meaning depend on.
        let mut declared = format!(
            "{LAYOUT};{size};{slide};{:?};{:?};",
            window.allowed_lateness.map(|late| late.micros()),
            window.event_id.as_ref().map(|name| name.as_str()),
        );
        for key in view.sorted_entities() {
            declared.push_str(&format!("{} {};", key.name, key.key_type));
        }
        let filter = WindowFilter::of(view)
            .map_err(|wrong| format!("`window.filter`, at byte {}: {wrong}", wrong.offset))?;
        if let Some(text) = &window.filter {
            declared.push_str(&format!("filter {}:{text};", text.len()));
        }
        for feature in &view.features {
            let name = &feature.name;
            let aggregate = window
                .features
                .get(name)
                .ok_or_else(|| format!("nothing says how `{name}` is computed"))?;
            let column = aggregate.column().map(|column| place(column)).transpose()?;
            let input = column.map(|column| &window.columns[column].data_type);
            let output = aggregate.output_type(input);
            if output.as_ref() != Some(&feature.data_type) {
                return Err(format!("`{name}` is not of the type that its aggregate gives"));
            }
            let of = aggregate.column().map_or("", |column| column.as_str());
            let input_word = input.map_or_else(String::new, ToString::to_string);
            declared.push_str(&format!("{name} {} {of} {input_word};", aggregate.word()));
            features.push(Computed { kind: kind(aggregate, input), column });
        }
        Ok(Self {
            size,
            slide,
            lateness: window.allowed_lateness.map_or(0, |late| late.micros()),
            features,
            event_id: window.event_id.as_ref().map(|name| place(name)).transpose()?,
            filter,
            fingerprint: xxh3_128(declared.as_bytes()),
        })
    }

    /// Where the tile ends that an event of this time is in.
    pub(crate) fn tile_of(&self, at: Timestamp) -> i64 {
        (at.0.div_euclid(self.slide) + 1) * self.slide
    }

    /// The end of the last window that a tile is part of.
    pub(crate) fn last_end(&self, tile: i64) -> i64 {
        tile + self.size - self.slide
    }

    /// The first tile of a window.
    pub(crate) fn first_tile(&self, end: i64) -> i64 {
        end - self.size + self.slide
    }
}

fn kind(aggregate: &WindowAggregate, input: Option<&DataType>) -> Kind {
    let decimal = match input {
        Some(DataType::Decimal { scale, .. }) => Some(*scale),
        _ => None,
    };
    let is_float = matches!(input, Some(DataType::Float32 | DataType::Float64));
    match aggregate {
        WindowAggregate::Count(_) => Kind::Count,
        WindowAggregate::Sum(_) if is_float => Kind::FloatSum,
        WindowAggregate::Sum(_) if decimal.is_some() => Kind::DecimalSum,
        WindowAggregate::Sum(_) => Kind::IntegerSum,
        WindowAggregate::Mean(_) if is_float => Kind::FloatMean,
        WindowAggregate::Mean(_) => Kind::WholeMean { scale: decimal.unwrap_or_default() },
        WindowAggregate::Min(_) => Kind::Min,
        WindowAggregate::Max(_) => Kind::Max,
        WindowAggregate::Last(_) => Kind::Last,
        WindowAggregate::ApproxDistinct(_) => Kind::Distinct,
    }
}
