//! What can be typed after `trivium streams`.

use clap::{Args, Subcommand};
use trivium_streamgen::command::{How, What};

/// See [`crate::args::Verb::Streams`].
#[derive(Debug, Args)]
pub struct StreamsArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: StreamsVerb,
}

/// What can be done with the jobs of stream views.
#[derive(Debug, Subcommand)]
pub enum StreamsVerb {
    /// Write the jobs of all stream views that have SQL or `window.job`, and remove those of views that went.
    Generate(How),
    /// Run a view's SQL on a local Flink over recorded events, and show the rows.
    Test(What),
}
