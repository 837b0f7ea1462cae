mod golden;
mod reads;
mod tree;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use trivium_registry::project::{File, ProjectView};

use crate::{
    Settings,
    dag::{Generated, Origin, Renderer, origin},
    python,
    source::{self, Loaded, Source},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A view of the example project, its texts changed.
fn view(stem: &str, change: impl Fn(&str) -> String) -> Box<ProjectView> {
    let pairs = Source::Folder(repository().join("configs")).read().unwrap().pairs;
    let files: Vec<File> = pairs[stem]
        .iter()
        .map(|file| File {
            path: file.path.clone(),
            text: if file.path.ends_with(".json") { change(&file.text) } else { file.text.clone() },
        })
        .collect();
    match source::load(stem, &files) {
        Loaded::View(view) => view,
        other => panic!("{other:?}"),
    }
}

fn render(view: &ProjectView) -> Generated {
    Renderer::new(Settings::default()).unwrap().render(view).unwrap().unwrap()
}

#[test]
fn only_batch_views_have_dags() {
    let direct = view("flights/ground_stop.v1", str::to_owned);
    assert!(Renderer::new(Settings::default()).unwrap().render(&direct).unwrap().is_none());
}

#[test]
fn the_same_files_give_the_same_text() {
    let one = view("flights/carrier_daily.v1", str::to_owned);
    assert_eq!(render(&one), render(&one));
    let other = view("flights/carrier_daily.v1", |text| text.replace("Punctuality", "Lateness"));
    let (one, other) = (render(&one), render(&other));
    assert_ne!(one.text, other.text);
    assert_ne!(one.definition[0].0, other.definition[0].0, "each keeps its own definition");
}

#[test]
fn an_edit_by_hand_is_noticed() {
    let text = render(&view("flights/carrier_daily.v1", str::to_owned)).text;
    assert_eq!(origin(&text), Origin::Ours);
    for (from, to) in [
        ("\"retries\": 3", "\"retries\": 9"),
        ("# sources: sha256:", "# sources: sha256:0"),
        ("# content: sha256:", "# content: sha256:0"),
        (": change its sources", ": change this"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(origin(&text.replacen(from, to, 1)), Origin::Edited, "{from}");
    }
    assert_eq!(origin(text.lines().next().unwrap()), Origin::Edited);
    assert_eq!(origin("import airflow\n"), Origin::Foreign);
}

#[test]
fn schedules_become_timetables_whose_intervals_are_the_periods() {
    let timetable = |every: &str, start: &str| {
        let view = view("flights/route_daily.v1", |text| {
            let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
            json["schedule"] = serde_json::json!({ "every": every, "start": start });
            json.as_object_mut().unwrap().remove("rollup");
            json["carryover"] = serde_json::json!({ "mode": "none" });
            json.to_string()
        });
        let text = render(&view).text;
        let line = |start: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
            line.trim().trim_end_matches(',').to_owned()
        };
        (line("schedule="), line("start_date="))
    };
    let cron = |expression: &str| {
        format!("schedule=CronDataIntervalTimetable(\"{expression}\", timezone=\"UTC\")")
    };
    assert_eq!(
        timetable("1d", "2013-01-01"),
        (cron("0 0 * * *"), "start_date=pendulum.datetime(2013, 1, 1, 0, 0, 0, tz=\"UTC\")".into())
    );
    assert_eq!(timetable("7d", "2013-01-01").0, cron("0 0 * * 2"), "a Tuesday");
    assert_eq!(timetable("1h", "2013-01-01").0, cron("0 * * * *"));
    assert_eq!(timetable("6h", "2013-01-01T06:00:00Z").0, cron("0 */6 * * *"));
    assert_eq!(timetable("15m", "2013-01-01").0, cron("*/15 * * * *"));
    assert_eq!(
        timetable("2d", "2013-01-01").0,
        "schedule=DeltaDataIntervalTimetable(timedelta(seconds=172800))",
        "no cron expression counts two days over the end of a month"
    );
}

#[test]
fn tiers_and_settings() {
    let settings = Settings::parse(
        "trivium.toml",
        "[airflow]\ntables = true\npool = \"features\"\ndeadline_callback = \"company.late\"\n[airflow.tiers.2]\nretry_delay = \"1s\"\nrows_per_second = 500\nspark_pool = \"jvms\"\n[airflow.tiers.1]\npool = \"hurried\"\n[spark.conf]\n\"spark.sql.shuffle.partitions\" = \"2\"\n[sources.Flights]\nview = \"flights/upstream@2\"\n[sources.orders]\nformat = \"csv\"\n[lineage]\nopenlineage = \"file:events\"\n",
    )
    .unwrap();
    let renderer = Renderer::new(settings).unwrap();
    let loaded = view("flights/carrier_daily.v1", str::to_owned);
    let text = renderer.render(&loaded).unwrap().unwrap().text;
    for part in [
        "\"retry_delay\": timedelta(seconds=1)",
        "\"retries\": 3",
        "\"pool\": \"features\"",
        "pool=\"jvms\"",
        "    deadline=None if \"TRIVIUM_DAGS_TEST\" in os.environ else LATE,\n",
        "\"spark.sql.shuffle.partitions\": \"2\"",
        "update_table = spark(\"update_table\", \"table\")",
        "--rows-per-second 500",
        // A day's run is late a day after the day is over, not when it is.
        "interval=timedelta(seconds=172800)",
        "UPSTREAM = [\n    \"trivium://flights/upstream/v2\",\n]",
        "inlets=[Asset(view) for view in UPSTREAM],",
        "failed = [TRIVIUM, \"record\", VIEW,",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let mistyped = Settings::read(Path::new("trivum.toml")).unwrap_err().to_string();
    assert!(mistyped.contains("trivum.toml"), "{mistyped}");
}

#[test]
fn settings_that_cannot_be_are_told_where_they_stand() {
    let sources = "[sources.Daily]\nview = \"shop/a@1\"\n[sources.daily]\nformat = \"csv\"\n";
    for (wrong, place, said) in [
        ("\n[airflow]\npol = \"x\"\n", "3:1", "unknown field `pol`, expected one of `command`"),
        ("[airflow]\ncommand = \"trivium; rm\"\n", "2:1: airflow.command", "a shell may read"),
        ("[airflow]\ncatalog = \"tags\"\n", "2:1: airflow.catalog", "the path is relative"),
        (
            "[airflow]\ndeadline_callback = \"\"\n",
            "2:1: airflow.deadline_callback",
            "no dotted path",
        ),
        ("[airflow]\ndeadline_callback = \"late\"\n", ".deadline_callback", "no dotted path"),
        ("[airflow]\ndeadline_callback = \"a..b\"\n", ".deadline_callback", "no dotted path"),
        ("[airflow]\ndeadline_callback = \"a.b()\"\n", ".deadline_callback", "no dotted path"),
        ("[airflow]\ntags = [\"a\", \"\"]\n", "2:1: airflow.tags", "a tag is empty"),
        ("[airflow]\ntags = [\" \"]\n", "2:1: airflow.tags", "a tag is empty"),
        ("[airflow]\ntags = [\"a\\nb\"]\n", "2:1: airflow.tags", "does not show"),
        ("[sources.x]\nview = \"daily\"\n", "2:1: sources.x.view", "`daily` is no view"),
        (sources, "3:10: sources.daily", "`daily` from `Daily` of line 1"),
        ("[airflow.tiers.4]\n", "1:16: airflow.tiers.4", "urgency tiers are 0, 1, 2 and 3"),
        ("[airflow.tiers.0]\nretries = 0\n", "2:1: airflow.tiers.0.retries", "at least 1"),
        ("[airflow.tiers.0]\nretry_delay = \"soon\"\n", "2:15", "soon"),
        (
            "[airflow.tiers.2]\nrows_per_second = 0\n",
            "2:1: airflow.tiers.2.rows_per_second",
            "no row would ever",
        ),
        ("[airflow.tiers.0]\npool = \"\"\n", "2:1: airflow.tiers.0.pool", "a shell may read"),
        (
            "[airflow.tiers.0]\nspark_pool = \"a'b\"\n",
            "2:1: airflow.tiers.0.spark_pool",
            "a shell may read",
        ),
        (
            "[airflow.tiers.1]\nwait_timeout = \"1h\"\nwait_interval = \"2h\"\n",
            "3:1: airflow.tiers.1.wait_interval",
            "wait_interval is 7200 s, wait_timeout 3600 s",
        ),
        // Shorter than the tier's own interval.
        (
            "[airflow.tiers.3]\nwait_timeout = \"5m\"\n",
            "2:1: airflow.tiers.3.wait_timeout",
            "300 s",
        ),
        ("[spark.conf]\na = \"b\\nc\"\n", "2:1: spark.conf.a", "a line's end"),
        ("[spark.conf]\n\"a\\nb\" = \"c\"\n", "2:1: spark.conf.\"a\\nb\"", "a line's end"),
        ("[spark.conf]\n\"\" = \"c\"\n", "2:1: spark.conf.\"\"", "is empty"),
    ] {
        let error = Settings::parse("trivium.toml", wrong).unwrap_err();
        let crate::Error::Settings { place: at, message, help } = &error else { panic!("{error}") };
        assert!(at.starts_with("trivium.toml:") && at.ends_with(place), "{wrong}: {at}");
        assert!(message.contains(said), "{wrong}: {message}");
        assert!(
            !help.is_empty() && !at.contains('\n') && !message.contains('\n'),
            "{wrong}: {error}"
        );
        assert_eq!(error.kind(), trivium_runtime::Kind::InvalidArgument);
    }
    // As long as each other is still a second look.
    let equal = "[airflow.tiers.1]\nwait_timeout = \"1h\"\nwait_interval = \"1h\"\n";
    assert!(Settings::parse("trivium.toml", equal).is_ok());
}

/// What Python makes of a literal, as far as [`python::string`] writes any.
fn read_back(literal: &str) -> String {
    let mut chars = literal.chars();
    let quote = chars.next().unwrap();
    assert!(quote == '"' || quote == '\'');
    let mut out = String::new();
    loop {
        let c = chars.next().unwrap();
        let code = |chars: &mut std::str::Chars<'_>, digits: usize| {
            let digits: String = chars.by_ref().take(digits).collect();
            char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
        };
        if c == quote {
            assert_eq!(chars.next(), None, "an end before the end");
            return out;
        }
        assert!(!c.is_control());
        out.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code(&mut chars, 2),
                'u' => code(&mut chars, 4),
                'U' => code(&mut chars, 8),
                other => other,
            },
            other => other,
        });
    }
}

/// What could end a literal, turn its reading round, or be taken for a template's; between spaces.
const PIECES: &str = "\" ' \"\"\" ''' \\ \\\\ \\n \\x41 \\N{BULLET} { } {{ }} {{ti}} {% %} {%raw%} {%endraw%} {# #} \
    \n \r \r\n \t \0 \u{1} \u{1b}[31m \u{7f} \u{85} \u{a0} \u{ad} \u{200b} \u{202e} \u{2028} \u{2029} \u{2066} \
    \u{feff} \u{fffe} \u{301} \u{6f22} \u{1d54f} \u{1f6e9} \u{e0041} a";

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(PIECES.split(' ').collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_value_is_assigned_on_the_lines_that_ruff_would_have() {
    let lines = |text: &str| {
        let assigned = python::assignment("OWNER", &minijinja::Value::from(text)).unwrap();
        assigned.lines().count()
    };
    // `OWNER = ` and two quotes are ten columns of 88; in parentheses the indentation and they are six.
    let letters = |count: usize| "x".repeat(count);
    assert_eq!([78, 79, 82, 83, 200].map(|count| lines(&letters(count))), [1, 3, 3, 1, 1]);
    let wide = |count: usize| "\u{6f22}".repeat(count);
    assert_eq!([39, 40, 41, 42].map(|count| lines(&wide(count))), [1, 3, 3, 1], "two columns each");
}

proptest! {
    #[test]
    fn no_text_ends_its_literal(text in texts()) {
        let literal = python::string(&text);
        prop_assert!(literal.is_ascii() || literal.chars().all(|c| c.is_ascii() || c.is_alphanumeric()));
        prop_assert_eq!(read_back(&literal), text);
    }
}
