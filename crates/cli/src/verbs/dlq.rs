//! `trivium dlq`

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value as Json, json};
use trivium_api::ApiError;
use trivium_ingest_node::{
    Config,
    letters::{self, Filter, Outcome, Stored, Waiting},
};
use trivium_runtime::{
    Kind, Shutdown,
    telemetry::{self, LogFormat},
};

use crate::{
    args::{Global, Output},
    args_dlq::{DlqArgs, DlqVerb, DropArgs, LsArgs, ReplayArgs, ShowArgs},
    failure::{self, Failure},
    output,
};

/// Lists, shows, replays or drops dead letters.
pub async fn run(global: &Global, args: &DlqArgs) -> Result<(), Failure> {
    let config = Config::read(&args.config).map_err(|error| {
        // Whoever has no such file has not looked for one.
        if error.kind == Kind::NotFound {
            error.help("name the worker's with --config")
        } else {
            error
        }
    })?;
    match &args.verb {
        DlqVerb::Ls(args) => ls(global, &config, args).await,
        DlqVerb::Show(args) => show(global, &config, args).await,
        DlqVerb::Replay(args) => replay(global, &config, args).await,
        DlqVerb::Drop(args) => discard(global, &config, args).await,
    }
}

/// Bytes as text where they are one, else in base64.
fn bytes_json(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} (base64)", BASE64_STANDARD.encode(bytes)),
    }
}

fn about(waiting: &Waiting) -> Map<String, Json> {
    let letter = &waiting.letter;
    let mut row = Map::new();
    for (name, value) in &letter.about {
        row.insert(name.replace('-', "_"), value.as_str().into());
    }
    row.insert("place".to_owned(), letter.place.to_string().into());
    if let Some(key) = &letter.record.key {
        row.insert("key".to_owned(), bytes_json(key));
    }
    row
}

async fn ls(global: &Global, config: &Config, args: &LsArgs) -> Result<(), Failure> {
    let (shown, total) = letters::list(config, &args.which.filter(), args.limit).await?;
    if global.output == Output::Json {
        let rows: Vec<Json> = shown.iter().map(|each| about(each).into()).collect();
        output::json(&json!({ "letters": rows, "total": total }));
        return Ok(());
    }
    if total == 0 {
        output::note("there are none");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = shown.iter().map(|each| row(&each.letter)).collect();
    let headings = ["place", "first seen", "reason", "view", "from", "what is wrong"];
    output::table(&headings, &rows, |_, column, _| match column {
        2 => output::BAD,
        1 | 4 => output::FAINT,
        _ => anstyle::Style::new(),
    });
    if shown.len() < total {
        output::note(format!("{} of {total}; --limit shows more", shown.len()));
    }
    Ok(())
}

/// Where a letter's message came from.
fn source(letter: &Stored) -> String {
    format!("{}/{}:{}", letter.says("topic"), letter.says("partition"), letter.says("offset"))
}

fn wrong(letter: &Stored) -> String {
    match letter.says("field") {
        "" => letter.says("message").to_owned(),
        field => format!("{field}: {}", letter.says("message")),
    }
}

fn row(letter: &Stored) -> Vec<String> {
    let said = |name| letter.says(name).to_owned();
    vec![
        letter.place.to_string(),
        said("first-seen"),
        said("reason"),
        said("view"),
        source(letter),
        wrong(letter),
    ]
}

async fn show(global: &Global, config: &Config, args: &ShowArgs) -> Result<(), Failure> {
    let filter = Filter { places: args.places.clone(), ..Filter::default() };
    let (found, _) = letters::list(config, &filter, usize::MAX).await?;
    if let Some(place) =
        args.places.iter().find(|place| !found.iter().any(|each| each.places.contains(place)))
    {
        let error = ApiError::new(Kind::NotFound, format!("no letter waits at {place}"));
        return Err(error.at("PLACE").help("`trivium dlq ls` lists them").into());
    }
    if global.output == Output::Json {
        let rows: Vec<Json> = found.iter().map(whole).collect();
        output::json(&json!({ "letters": rows }));
        return Ok(());
    }
    for Waiting { letter, .. } in &found {
        output::line(output::paint(output::STRONG, letter.place));
        let line = |name: &str, text: &str| {
            if !text.is_empty() {
                output::line(format!("  {name:<11} {}", output::shown(text)));
            }
        };
        line("reason", letter.says("reason"));
        line("wrong", &wrong(letter));
        line("help", letter.says("help"));
        line("view", letter.says("view"));
        line("from", &source(letter));
        line("time", letter.says("time"));
        line("first seen", letter.says("first-seen"));
        for (name, value) in &letter.record.headers {
            let value = value.as_deref().map(bytes_text).unwrap_or_default();
            line("header", &format!("{name}: {value}"));
        }
        line("key", &letter.record.key.as_deref().map(bytes_text).unwrap_or_default());
        match (&letter.record.value, letter.says("value-bytes")) {
            (Some(value), _) => line("value", &bytes_text(value)),
            (None, "") => line("value", "none"),
            (None, bytes) => {
                line("value", &format!("{bytes} bytes, which are where it came from"));
            }
        }
    }
    Ok(())
}

fn whole(waiting: &Waiting) -> Json {
    let mut row = about(waiting);
    let record = &waiting.letter.record;
    let headers: Vec<Json> = record
        .headers
        .iter()
        .map(|(name, value)| json!([name, value.as_deref().map(bytes_json)]))
        .collect();
    row.insert("headers".to_owned(), headers.into());
    row.insert("value".to_owned(), record.value.as_deref().map_or(Json::Null, bytes_json));
    row.into()
}

/// Says how many letters are meant, and does nothing to them.
async fn count(global: &Global, config: &Config, filter: &Filter) -> Result<(), Failure> {
    let found = letters::count(config, filter).await?;
    match global.output {
        Output::Json => output::json(&json!({ "letters": found })),
        Output::Table => output::line(format!("{found} letters; nothing is done to them")),
    }
    Ok(())
}

async fn replay(global: &Global, config: &Config, args: &ReplayArgs) -> Result<(), Failure> {
    let filter = args.which.filter();
    if args.dry_run {
        return count(global, config, &filter).await;
    }
    let stop = Shutdown::on_signals().map_err(|error| failure::io("signals", &error))?;
    // What is waited for is said meanwhile: serving may be away, or refuse the worker's key.
    telemetry::init_logs("warn", LogFormat::Text);
    let Outcome { replayed, applied, left, uncut } =
        letters::replay_letters(config, &filter, &stop).await?;
    tell_uncut(uncut);
    if global.output == Output::Json {
        let rows: Vec<Json> = left
            .iter()
            .map(|left| json!({ "place": left.place.to_string(), "why": left.why }))
            .collect();
        output::json(&json!({ "replayed": replayed, "applied": applied, "left": rows }));
    } else {
        output::line(format!("{replayed} letters replayed, {applied} rows are now the newest"));
        for left in &left {
            let place = output::paint(output::BAD, left.place);
            output::line(format!("  {place} stays: {}", output::shown(&left.why)));
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let message = format!("{} letters still cannot become rows", left.len());
    let help = "mend what is said of them and replay again, or `trivium dlq drop` them";
    Err(ApiError::new(Kind::FailedPrecondition, message).help(help).into())
}

/// The letters are dealt with; only their bytes are not gone yet.
fn tell_uncut(why: Option<String>) {
    if let Some(why) = why {
        output::note(format!(
            "the letters' bytes stay in the topic until its retention ends them: {why}; the worker's user needs the right to delete records"
        ));
    }
}

async fn discard(global: &Global, config: &Config, args: &DropArgs) -> Result<(), Failure> {
    let filter = args.which.filter();
    if filter.is_all() && !args.all {
        let error = ApiError::invalid("nothing says which letters to drop");
        return Err(error.help("name places, or what they have in common; or --all").into());
    }
    if args.dry_run {
        return count(global, config, &filter).await;
    }
    let (dropped, uncut) = letters::discard(config, &filter).await?;
    tell_uncut(uncut);
    match global.output {
        Output::Json => output::json(&json!({ "dropped": dropped })),
        Output::Table => output::line(format!("{dropped} letters dropped")),
    }
    Ok(())
}
