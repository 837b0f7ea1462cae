//! What can be typed after `trivium dlq`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use trivium_ingest_node::letters::{Filter, Place, reasons};

use crate::args::Instant;

/// See [`crate::args::Verb::Dlq`].
#[derive(Debug, Args)]
pub struct DlqArgs {
    /// The config of the worker, `trivium-ingest`, whose dead letters they are.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TRIVIUM_INGEST_CONFIG",
        default_value = "ingest.toml"
    )]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub verb: DlqVerb,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqVerb {
    /// List the dead letters that wait for somebody, the oldest first.
    Ls(LsArgs),
    /// Show all that is known of some: the message as it was, what is wrong, what to do.
    Show(ShowArgs),
    /// Read their messages once more, by the views as they are now, and write their rows. What is a row then
    /// leaves the dead letters; it never takes the place of what came later.
    Replay(ReplayArgs),
    /// Take some away for good.
    Drop(DropArgs),
}

/// Which letters.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Their places, as `ls` shows them: `0/42`. Left out: all that the options let through.
    #[arg(value_name = "PLACE", value_parser = Place::from_str)]
    pub places: Vec<Place>,
    /// Only those that are dead for this reason. May be given more than once.
    #[arg(long, value_name = "REASON", value_parser = PossibleValuesParser::new(reasons()))]
    pub reason: Vec<String>,
    /// Only those that are no rows of this view. May be given more than once.
    #[arg(long, value_name = "VIEW")]
    pub view: Vec<String>,
    /// Only those that came from this topic. May be given more than once.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Vec<String>,
    /// Only those that came from this partition; of Kinesis, the shard: `shardId-000000000003`.
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<String>,
    /// Only those that were met first at this day or instant, or later.
    #[arg(long, value_name = "TIME", value_parser = Instant::from_str)]
    pub since: Option<Instant>,
    /// Only those that were met first before this day or instant.
    #[arg(long, value_name = "TIME", value_parser = Instant::from_str)]
    pub until: Option<Instant>,
}

impl Which {
    /// The same, for the letters.
    pub fn filter(&self) -> Filter {
        Filter {
            places: self.places.clone(),
            reasons: self.reason.clone(),
            views: self.view.clone(),
            topics: self.topic.clone(),
            partition: self.partition.clone(),
            since: self.since.as_ref().map(|at| at.0),
            until: self.until.as_ref().map(|at| at.0),
        }
    }
}

/// See [`DlqVerb::Ls`].
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// How many to show.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: usize,
}

/// See [`DlqVerb::Show`].
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Their places, as `ls` shows them: `0/42`.
    #[arg(value_name = "PLACE", value_parser = Place::from_str, required = true)]
    pub places: Vec<Place>,
}

/// See [`DlqVerb::Replay`].
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Only say how many there are.
    #[arg(long)]
    pub dry_run: bool,
}

/// See [`DlqVerb::Drop`].
#[derive(Debug, Args)]
pub struct DropArgs {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// All of them, where nothing says which.
    #[arg(long)]
    pub all: bool,
    /// Only say how many there are.
    #[arg(long)]
    pub dry_run: bool,
}
