//! What can be typed after `trivium record` and `trivium tag`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use crate::{
    args::{Global, Instant},
    target::Address,
};

/// See [`crate::args::Verb::Record`].
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A batch view, such as flights/carrier_daily@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// Which periods.
    #[command(flatten)]
    pub periods: PeriodArgs,
    /// Which registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Who, for the record; git's user, else the login name, if absent.
    #[arg(long, env = "TRIVIUM_AUTHOR")]
    pub author: Option<String>,
    /// The scheduler's name of the run; the lake's own if absent.
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// When the run began.
    #[arg(long, value_name = "TIME", value_parser = Instant::from_str)]
    pub started: Option<Instant>,
    /// When it ended; when the partition was written if absent.
    #[arg(long, value_name = "TIME", value_parser = Instant::from_str)]
    pub finished: Option<Instant>,
    /// Tell OpenLineage of partitions that were recorded before, too.
    #[arg(long)]
    pub again: bool,
    /// Nothing was published: tell only OpenLineage, and why.
    #[arg(long, value_name = "WHY", requires = "date", conflicts_with = "again")]
    pub failed: Option<String>,
}

/// Which published periods; all if nothing is said.
#[derive(Debug, Clone, Copy, Args)]
pub struct PeriodArgs {
    /// Only the period that this day or instant lies in.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str, conflicts_with_all = ["from", "to"])]
    pub date: Option<Instant>,
    /// First period: a day or instant in it.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub from: Option<Instant>,
    /// Last period, included: a day or instant in it.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub to: Option<Instant>,
}

/// See [`crate::args::Verb::Tag`].
#[derive(Debug, Args)]
pub struct TagArgs {
    /// A batch view, such as flights/carrier_daily@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// A period that must be published: a day or instant in it. Described is the newest one, so that a
    /// backfill does not take the catalog back.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub date: Option<Instant>,
    /// The folder to write into; each view gets one of its own there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// The registry, where it is not the server of all else: rows may go to a serving node.
#[derive(Debug, Clone, Args)]
pub struct RegistryArgs {
    /// This registry, over REST, where it is not --server: rows may go to a serving node.
    #[arg(long, value_name = "URL", env = "TRIVIUM_REGISTRY", value_parser = registry_address)]
    pub registry: Option<String>,
}

/// An address over REST; empty, as an unset variable of a worker's often is, it names none.
fn registry_address(text: &str) -> Result<String, String> {
    match Address::read(text) {
        _ if text.is_empty() => Ok(String::new()),
        Some(Address::Rest(_)) => Ok(text.to_owned()),
        _ => Err("write `http://HOST:PORT`: the registry is asked over REST".to_owned()),
    }
}

impl RegistryArgs {
    /// The named one.
    pub fn named(&self) -> Option<&str> {
        self.registry.as_deref().filter(|url| !url.is_empty())
    }

    /// The global options, with this registry as the server.
    pub fn over(&self, global: &Global) -> Global {
        let server = self.named().map(str::to_owned);
        Global { server: server.or_else(|| global.server.clone()), ..global.clone() }
    }
}
