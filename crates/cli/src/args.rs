//! The command line: what can be typed, and its help.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use trivium_model::Timestamp;

pub use crate::{
    args_author::{BackfillArgs, LintArgs, TestArgs},
    args_dags::DagsArgs,
    args_dlq::DlqArgs,
    args_record::{RecordArgs, RegistryArgs, TagArgs},
    args_search::SearchArgs,
    args_step::StepArgs,
    args_streams::StreamsArgs,
};

/// The feature platform: from a SQL file and a JSON file to an online answer.
#[derive(Debug, Parser)]
#[command(
    name = "trivium",
    version,
    propagate_version = true,
    after_help = "Start with `trivium init DIR`, or with the example: `make demo`.\n\
                  `trivium help VERB` tells each verb at length; exit codes: docs/cli.md"
)]
pub struct Cli {
    /// What is meant for every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every verb takes, before or after its name.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The project file. Without it, trivium.toml is looked for here and in the folders above.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TRIVIUM_PROJECT",
        help_heading = "Global options"
    )]
    pub project: Option<PathBuf>,
    /// Where the project's data are kept: registry, lake, online store. Instead of `data_dir` of trivium.toml.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TRIVIUM_DATA_DIR",
        help_heading = "Global options"
    )]
    pub data_dir: Option<PathBuf>,
    /// Ask this server instead of opening the data: `http://127.0.0.1:7400` (REST) or
    /// `grpc://127.0.0.1:7401` (gRPC).
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TRIVIUM_SERVER",
        help_heading = "Global options"
    )]
    pub server: Option<String>,
    /// The API key that the server asks for.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "TRIVIUM_API_KEY",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub api_key: Option<ApiKey>,
    /// How to print answers, and errors.
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub output: Output,
}

/// A secret: no debug output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(pub String);

impl FromStr for ApiKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("write the key as it was printed, without spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey")
    }
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: JSON on standard output; errors as JSON on standard error.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a small project that runs.
    #[command(
        after_help = "Example:\n  trivium init shop && cd shop && trivium apply && trivium run && trivium materialize"
    )]
    Init(InitArgs),
    /// Check configs and SQL, all errors in one go; beside a registry, the version rule too.
    #[command(
        after_help = "Examples:\n  trivium validate configs\n  trivium validate configs/flights/carrier_daily.v1.json\n  trivium validate --server http://registry:7400    # against what that one accepted\n\nWhere the project has a registry, or a server is named, a change that would need a new version is an error\n(`version-rule`) that shows what was and what is. Nothing is made or changed."
    )]
    Validate(ConfigsArgs),
    /// Show what `apply` would change, of which class each change is, and why.
    #[command(after_help = "Example:\n  trivium plan")]
    Plan(ConfigsArgs),
    /// Bring the registry to what the configs say: all of it or nothing.
    #[command(
        after_help = "Examples:\n  trivium apply --reason \"first flights\"\n  trivium apply --base 3    # refused if the registry is not at revision 3"
    )]
    Apply(ApplyArgs),
    /// Run batch views' SQL, period by period, into the offline store.
    #[command(
        after_help = "Examples:\n  trivium run flights/carrier_daily@1 --from 2013-01-01 --to 2013-01-31\n  trivium run --from 2013-01-01 --to 2013-12-31    # all batch views\n\nA period that was run before is replaced as a whole; the same run again changes nothing. A period with a value that could not be shown (a time outside of the years 0001 to 9999) or served (a key of more than 2 KiB, a value of more than 1 MiB, a row of more than 4 MiB in an online view) is not published."
    )]
    Run(RunArgs),
    /// Bring the online store up to the offline store.
    #[command(
        after_help = "Examples:\n  trivium materialize\n  trivium materialize flights/carrier_daily@1 --to 2013-06-30"
    )]
    Materialize(MaterializeArgs),
    /// Read features of one entity.
    #[command(
        after_help = "Examples:\n  trivium get flights/carrier_daily@1 --entity carrier=AA --entity origin=JFK\n  trivium get flights/carrier_daily@1:flights flights/carrier_daily@1:flights_7d --entity carrier=AA --entity origin=JFK --output json\n  trivium get flights/delay_model@1 --entity carrier=AA --entity origin=JFK --entity dest=MIA --entity tailnum=N3ALAA\n\nKeys are typed by the view: `--entity user_id=5` is the number 5 where user_id is an int64, the text \"5\" where it is a string."
    )]
    Get(GetArgs),
    /// Set features of one entity; the others keep their values.
    #[command(
        after_help = "Examples:\n  trivium put flights/ground_stop@1 --entity origin=JFK --set active=true --set 'reason=snow'\n  trivium put flights/ground_stop@1 --entity origin=LGA --set active=true --if-rev 0    # only where no row is"
    )]
    Put(PutArgs),
    /// Remove an entity's row, for every feature of the view.
    #[command(after_help = "Example:\n  trivium delete flights/ground_stop@1 --entity origin=JFK")]
    Delete(DeleteArgs),
    /// Find the entities whose embeddings are nearest.
    #[command(
        after_help = "Examples:\n  trivium search shop/products@1:picture --vector '[0.1, 0.9]'\n  trivium search shop/products@1:picture --entity sku=lamp -k 5 --where 'price<20' --where color=red --show price,color\n\nA search sees a write after the index's next refresh; `trivium put --wait-for-search` waits for it."
    )]
    Search(SearchArgs),
    /// List views and services.
    #[command(after_help = "Examples:\n  trivium ls\n  trivium ls flights")]
    Ls(LsArgs),
    /// Show one view or service, and who accepted it when.
    #[command(
        after_help = "Examples:\n  trivium show flights/carrier_daily@1\n  trivium show flights/carrier_daily@1 --partitions\n  trivium show flights/delay_model@1"
    )]
    Show(ShowArgs),
    /// Make a training set: features as they were at given times.
    #[command(
        after_help = "Example:\n  trivium history --entities events.parquet --features flights/carrier_daily@1 --out training.parquet\n\nThe entity frame (Parquet or CSV) has the join keys, `event_timestamp` and any further columns. Its rows are never dropped, doubled or reordered. In CSV, the further columns are text and come back as they are written."
    )]
    History(HistoryArgs),
    /// Erase a person: every row and embedding, and what is written of the past from now on.
    #[command(
        after_help = "Examples:\n  trivium erase shop user_id=7 --requested-by dpo@example.com --reason 'case 1042' --request-id case-1042\n  trivium erase shop user_id=7 --status\n\nThe same request id goes on with the same erasure; without one every call is a request of its own. A server\nanswers when all is done, or with what was done so far: it goes on by itself, and --status tells how far it is."
    )]
    Erase(EraseArgs),
    /// Tell the registry of published partitions: their rows, columns, checks, and where they come from.
    #[command(
        after_help = "Examples:\n  trivium record flights/carrier_daily@1 --date 2013-01-31\n  trivium record flights/carrier_daily@1    # all that are published\n\nThe lake is the project's; with --server the registry is the server's. Recording again changes nothing, and an older revision of a partition never takes a newer one's place."
    )]
    Record(RecordArgs),
    /// Write what Amundsen is told of a view and its newest published partition, for its databuilder.
    #[command(
        after_help = "Example:\n  trivium tag flights/carrier_daily@1 --date 2013-01-31 --out amundsen\n\nDIR/flights/carrier_daily/v1/current leads to a folder with `nodes` and `relationships`, as Amundsen's Neo4jCsvPublisher takes them. Loaders resolve the link once, at their start. The same again changes nothing."
    )]
    Tag(TagArgs),
    /// Make, check or replace the stores of serving nodes (through `trivium-serving`).
    #[command(
        after_help = "Examples:\n  trivium stores init --config serving.toml\n  trivium stores check --config serving.toml\n  trivium stores migrate start --config serving.toml --rows-per-second 500\n\nThe config is that of a serving node: docs/serving.md."
    )]
    Stores(StoresArgs),
    /// Run all parts in one process: registry, serving, history.
    #[command(
        after_help = "Examples:\n  trivium dev\n  trivium dev --http 127.0.0.1:0 --grpc 127.0.0.1:0    # free ports, printed"
    )]
    Dev(DevArgs),
    /// Run a view as it stands in the working tree for one period, and write nothing.
    #[command(
        after_help = "Examples:\n  trivium test flights/carrier_daily@2\n  trivium test flights/carrier_daily@2 --date 2013-07-04 --rows 20 --output json\n\nShows the rows as they would be published (carryover and windows over what the lake has), statistics of each\ncolumn, the quality checks, and how the rows differ from those of the version before, or of the accepted version\nof the same number if the working tree changes it. A failed check with severity `error` is the exit code\nQUALITY_FAILED."
    )]
    Test(TestArgs),
    /// Run a range of periods of one view: a plan first, resumable, several at once.
    #[command(
        after_help = "Examples:\n  trivium backfill flights/carrier_daily@1 --from 2013-01-01 --to 2013-12-31 --dry-run\n  trivium backfill flights/carrier_daily@1 --from 2013-01-01 --to 2013-12-31 --parallel 4 --materialize\n\nThe plan says what is published already, what is missing, what behind the range looks back on it and is\npublished again, and who reads it. A journal under the data folder tells what the same definition has finished:\nstopped or killed at any moment, the same command goes on from there; when all is finished, it runs nothing\n(--again does). `--server` names only the server that --materialize writes to."
    )]
    Backfill(BackfillArgs),
    /// Say what is valid and still will be regretted: missing checks, leaks, words that help nobody.
    #[command(
        after_help = "Examples:\n  trivium lint\n  trivium lint --deny configs/flights    # for CI: any finding is a failure\n\nEach finding has a code; docs/lint.md says why, and what to do. trivium.toml turns codes off for a project:\n\n  [lint]\n  allow = [\"no-tags\"]"
    )]
    Lint(LintArgs),
    /// Generate the Airflow DAGs of batch views, or run one in a real Airflow.
    #[command(
        after_help = "Examples:\n  trivium dags generate\n  trivium dags generate --check    # on a pull request\n  trivium dags test flights/carrier_daily@1 --date 2013-01-05"
    )]
    Dags(DagsArgs),
    /// Look after the messages of streams that could not become rows.
    #[command(
        after_help = "Examples:\n  trivium dlq ls --reason wrong_type\n  trivium dlq show 0/42\n  trivium dlq replay --view flights/airport_live@1    # once the view, or serving, is mended\n  trivium dlq drop --topic flights.departures --until 2026-01-01\n\nA replay is idempotent. What the reasons mean: docs/streams.md."
    )]
    Dlq(DlqArgs),
    /// Generate the Flink jobs of stream views, or run the SQL of one over recorded events.
    #[command(
        after_help = "Examples:\n  trivium streams generate\n  trivium streams generate --check    # on a pull request\n  trivium streams test flights/airport_congestion@1 --events events.jsonl\n\nEvents are lines of {\"input\": \"departures\", \"value\": {…}}; a value that is a text is a message as it stands.\nscripts/flink-env brings the Flink that runs them, in one process."
    )]
    Streams(StreamsArgs),
    /// Run one step of a batch view's period, as the tasks of a generated DAG do.
    #[command(
        after_help = "A period's steps, in order: wait, start, (Spark runs extract/job.json), check, raw, (Spark runs\npublish/job.json), publish, (Spark runs table/job.json), then `trivium materialize`, and finish.\n`trivium run --engine spark` does them all.\n\nExample:\n  trivium step start --definition dags/_trivium/definitions/3f2a… --at 2013-01-05"
    )]
    Step(StepArgs),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  source <(trivium completions bash)")]
    Completions(CompletionsArgs),
}

/// See [`Verb::Init`].
#[derive(Debug, Args)]
pub struct InitArgs {
    /// A folder that does not exist yet, or is empty.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Which configs.
#[derive(Debug, Clone, Args)]
pub struct ConfigsArgs {
    /// The configs folder, or files of it; `configs` of trivium.toml if absent.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// See [`Verb::Apply`].
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Which configs.
    #[command(flatten)]
    pub configs: ConfigsArgs,
    /// Why, for the audit log.
    #[arg(long, short = 'm', default_value = "")]
    pub reason: String,
    /// Who, for the audit log; git's user, else the login name, if absent.
    #[arg(long, env = "TRIVIUM_AUTHOR")]
    pub author: Option<String>,
    /// The revision that `plan` named: refused if another apply came first. The present one if absent.
    #[arg(long, value_name = "REVISION")]
    pub base: Option<u64>,
}

/// See [`Verb::Run`].
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Batch views, such as flights/carrier_daily@1; all if absent.
    #[arg(value_name = "VIEW")]
    pub views: Vec<String>,
    /// First period: the day or instant it begins; the schedule's start if absent.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub from: Option<Instant>,
    /// Last period, included: the day or instant it begins; the last that is over by the data
    /// clock if absent.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub to: Option<Instant>,
    /// All that the view's DAG does for the period that this day or instant lies in: look whether its input is
    /// there, run and publish, load online, tag the catalog, record.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str, conflicts_with_all = ["from", "to"])]
    pub date: Option<Instant>,
    /// Where the views are defined, and partitions recorded; the project's own registry if absent.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// What runs the SQL.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
}

/// What runs SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Engine {
    /// DataFusion, in this process; refuses what is not proven equal to Spark.
    #[default]
    Local,
    /// Spark, by `spark-submit` and `[spark]` of trivium.toml.
    Spark,
}

/// See [`Verb::Materialize`].
#[derive(Debug, Args)]
pub struct MaterializeArgs {
    /// Batch views; all that are online if absent.
    #[arg(value_name = "VIEW")]
    pub views: Vec<String>,
    /// Last period, included; all that are published if absent.
    #[arg(long, value_name = "DATE", value_parser = Instant::from_str)]
    pub to: Option<Instant>,
    /// At most so many rows a second are written; as fast as it goes, where it is left out.
    #[arg(long, value_name = "N")]
    pub rows_per_second: Option<std::num::NonZeroU32>,
    /// Where the views are defined; the project's own registry if absent.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// See [`Verb::Get`].
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Views, features or one service: `ns/view@1`, `ns/view@1:feature`, `ns/service@1`.
    #[arg(value_name = "NAME", required_unless_present_any = ["features", "service"])]
    pub names: Vec<String>,
    /// More features, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    pub features: Vec<String>,
    /// A feature service.
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["names", "features"])]
    pub service: Option<String>,
    /// A join key and its value: `carrier=AA`. Once for each key.
    #[arg(long = "entity", short = 'e', value_name = "KEY=VALUE", required = true, value_parser = Pair::from_str)]
    pub entity: Vec<Pair>,
    /// An input of the service and its value: `seats=150`. Null where it is not given.
    #[arg(long = "input", short = 'i', value_name = "INPUT=VALUE", value_parser = Pair::from_str)]
    pub input: Vec<Pair>,
}

/// See [`Verb::Put`].
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The view, such as flights/ground_stop@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// A join key and its value. Once for each key.
    #[arg(long = "entity", short = 'e', value_name = "KEY=VALUE", required = true, value_parser = Pair::from_str)]
    pub entity: Vec<Pair>,
    /// A feature and its value, as JSON or as bare text: `flights=3`, `reason=snow`, `reason=null`.
    #[arg(long = "set", short = 's', value_name = "FEATURE=VALUE", required = true, value_parser = Pair::from_str)]
    pub set: Vec<Pair>,
    /// Answer only when searches see the row's embeddings.
    #[arg(long)]
    pub wait_for_search: bool,
    /// When, and under which conditions.
    #[command(flatten)]
    pub terms: WriteTerms,
}

/// See [`Verb::Delete`].
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The view, such as flights/ground_stop@1.
    #[arg(value_name = "VIEW")]
    pub view: String,
    /// A join key and its value. Once for each key.
    #[arg(long = "entity", short = 'e', value_name = "KEY=VALUE", required = true, value_parser = Pair::from_str)]
    pub entity: Vec<Pair>,
    /// When, and under which conditions.
    #[command(flatten)]
    pub terms: WriteTerms,
}

/// When a write counts from, and what must hold for it.
#[derive(Debug, Args)]
pub struct WriteTerms {
    /// When the fact was true; the server's time, and after the row's own, if absent.
    #[arg(long, value_name = "TIME", value_parser = Instant::from_str)]
    pub event_time: Option<Instant>,
    /// Only where the row has this rev (as `get` prints it); 0: only where no row is.
    #[arg(long, value_name = "REV", allow_negative_numbers = true)]
    pub if_rev: Option<u64>,
    /// Names this write, so that sending it again after a lost answer changes nothing.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// See [`Verb::Ls`].
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only this namespace.
    #[arg(value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// See [`Verb::Show`].
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A view or service, such as flights/carrier_daily@1.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The view's recorded partitions, the newest ones.
    #[arg(long)]
    pub partitions: bool,
}

/// See [`Verb::History`].
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The entity frame: a Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    pub entities: PathBuf,
    /// Views and features, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "FEATURES",
        required_unless_present = "service",
        conflicts_with = "service"
    )]
    pub features: Vec<String>,
    /// A feature service.
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// The Parquet file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The frame's event time column.
    #[arg(long, value_name = "COLUMN", default_value = "event_timestamp")]
    pub event_timestamp: String,
}

/// See [`Verb::Erase`].
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The namespace.
    #[arg(value_name = "NAMESPACE")]
    pub namespace: String,
    /// The join key that names the person, and its value.
    #[arg(value_name = "KEY=VALUE", value_parser = Pair::from_str)]
    pub person: Pair,
    /// Only tell how far the newest erasure of the person is.
    #[arg(long, conflicts_with_all = ["reason", "requested_by", "request_id"])]
    pub status: bool,
    /// Why, for the report.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// For whom you ask, for the report.
    #[arg(long, value_name = "WHO", default_value = "")]
    pub requested_by: String,
    /// Names this request: sent again, it goes on with the same erasure.
    #[arg(long, value_name = "ID", default_value = "")]
    pub request_id: String,
}

/// See [`Verb::Stores`].
#[derive(Debug, Args)]
pub struct StoresArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: StoresVerb,
}

/// What can be done with stores.
#[derive(Debug, Subcommand)]
pub enum StoresVerb {
    /// Make the table with its index and expiry, if they are not there; look at Valkey.
    Init(ServingConfig),
    /// Look whether the table and Valkey are as they must be.
    Check(ServingConfig),
    /// Move rows to another table, or embeddings to another index, while nodes serve.
    Migrate {
        /// What to do.
        #[command(subcommand)]
        verb: MigrateVerb,
    },
}

/// The steps of replacing a table.
#[derive(Debug, Subcommand)]
pub enum MigrateVerb {
    /// Move all rows to the table of `dynamodb.moving_to`; goes on where it was stopped.
    Start(MigrateArgs),
    /// Say how far it is.
    Status(ServingConfig),
    /// Walk through both tables and say what has not moved, or differs.
    Verify(ServingConfig),
    /// Verify, then let nodes run that know the new table alone.
    Finish(ServingConfig),
    /// Move all rows back into `dynamodb.table`, from wherever they have got to.
    Back(MigrateArgs),
    /// Copy the embeddings into the indexes of `opensearch.moving_to`.
    Index {
        /// What to do.
        #[command(subcommand)]
        verb: IndexVerb,
    },
}

/// The steps of replacing an embedding index.
#[derive(Debug, Subcommand)]
pub enum IndexVerb {
    /// Copy all documents that are not there yet; may be stopped, and run again.
    Copy(IndexArgs),
    /// Compare the two, document by document; if all are there, `opensearch.moving_to.complete` may be set.
    Verify(ServingConfig),
    /// Say whether it may.
    Status(ServingConfig),
}

/// Which stores, and how fast.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// A serving node's config, and where it is.
    #[command(flatten)]
    pub place: ServingConfig,
    /// At most so many documents a second are looked at; as fast as it goes, where it is left out.
    #[arg(long, value_name = "N")]
    pub documents_per_second: Option<std::num::NonZeroU32>,
}

/// Which stores, and how fast.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// A serving node's config, and where it is.
    #[command(flatten)]
    pub place: ServingConfig,
    /// At most so many rows a second are looked at; as fast as it goes, where it is left out.
    #[arg(long, value_name = "N")]
    pub rows_per_second: Option<std::num::NonZeroU32>,
}

/// Which stores.
#[derive(Debug, Args)]
pub struct ServingConfig {
    /// A serving node's config.
    #[arg(long, value_name = "FILE", env = "TRIVIUM_SERVING_CONFIG")]
    pub config: PathBuf,
}

/// See [`Verb::Dev`].
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Address of REST: HOST:PORT, or a port of 127.0.0.1; port 0: a free one.
    #[arg(long, visible_alias = "http-port", value_name = "ADDRESS", default_value = "127.0.0.1:7400", value_parser = address)]
    pub http: SocketAddr,
    /// Address of gRPC.
    #[arg(long, visible_alias = "grpc-port", value_name = "ADDRESS", default_value = "127.0.0.1:7401", value_parser = address)]
    pub grpc: SocketAddr,
    /// Work streams, too, as this config of trivium-ingest says; what it says of serving and the registry is
    /// not looked at, since they are here.
    #[arg(long, value_name = "FILE")]
    pub ingest: Option<PathBuf>,
}

/// See [`Verb::Completions`].
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Before the first `=`.
    pub key: String,
    /// After it; may be empty, may have more `=`.
    pub value: String,
}

impl FromStr for Pair {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("write KEY=VALUE, such as `carrier=AA`".to_owned()),
        }
    }
}

/// A day or an instant, UTC where it names no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl FromStr for Instant {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write a day (`2013-01-31`) or an instant (`2013-01-31T05:00:00Z`)".to_owned();
        if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            // chrono takes `2013-1-2` too; one way to write a day is enough.
            if text.len() != 10 {
                return Err(wrong());
            }
            let midnight = day.and_time(chrono::NaiveTime::MIN).and_utc();
            return Ok(Self(Timestamp(midnight.timestamp_micros())));
        }
        let instant = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?;
        // A leap second, which would be counted to the next day.
        if instant.timestamp_subsec_nanos() >= 1_000_000_000 {
            return Err(wrong());
        }
        Ok(Self(Timestamp(instant.timestamp_micros())))
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.replace("localhost:", "127.0.0.1:").parse().map_err(|_| {
        "write HOST:PORT with a numeric host, such as `127.0.0.1:7400`, or a port".to_owned()
    })
}
