//! What can be typed after `trivium search`.

use std::str::FromStr;

use clap::Args;

use crate::args::Pair;

/// See [`crate::args::Verb::Search`].
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The embedding feature, such as shop/products@1:picture.
    #[arg(value_name = "FEATURE")]
    pub feature: String,
    /// Near this vector, a JSON array.
    #[arg(long, value_name = "VECTOR", required_unless_present = "entity")]
    pub vector: Option<String>,
    /// Near this entity's own embedding: a join key and its value. Once for each key. The entity itself
    /// is left out.
    #[arg(long = "entity", short = 'e', value_name = "KEY=VALUE", conflicts_with = "vector", value_parser = Pair::from_str)]
    pub entity: Vec<Pair>,
    /// How many to find.
    #[arg(short, long = "k", value_name = "COUNT", default_value_t = 10)]
    pub k: u32,
    /// Only entities whose feature of the view is this, or lies so: `color=red`, `price<20`, `since>=2013-01-01`.
    #[arg(long = "where", short = 'w', value_name = "CONDITION", value_parser = Comparison::from_str)]
    pub conditions: Vec<Comparison>,
    /// Only with at least this score.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub min_score: Option<f32>,
    /// Features of the same view to show, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    pub show: Vec<String>,
}

/// `feature<value`, with `=`, `<`, `<=`, `>` or `>=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The feature, and what it is compared with.
    pub pair: Pair,
    /// `equals`, `lt`, `lte`, `gt` or `gte`.
    pub word: &'static str,
}

impl FromStr for Comparison {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['=', '<', '>']).filter(|at| *at > 0);
        let wrong = "write FEATURE=VALUE, such as `color=red`, or with <, <=, > or >=";
        let Some(at) = at else { return Err(wrong.to_owned()) };
        let (name, rest) = text.split_at(at);
        let words = [("<=", "lte"), (">=", "gte"), ("<", "lt"), (">", "gt"), ("=", "equals")];
        let found = words.iter().find_map(|(sign, word)| Some((rest.strip_prefix(sign)?, *word)));
        let Some((value, word)) = found else { return Err(wrong.to_owned()) };
        let pair = Pair { key: name.trim().to_owned(), value: value.trim().to_owned() };
        Ok(Self { pair, word })
    }
}
