use super::*;

fn read(text: &str) -> Result<Sources, Failure> {
    #[derive(Deserialize)]
    struct Document {
        sources: BTreeMap<String, SourceSection>,
    }
    let text = text.replace("\n[", "\n[sources.").replacen('[', "[sources.", 1);
    let document: Document = toml::from_str(&text).unwrap();
    Sources::read(document.sources, &Lines::new("trivium.toml", &text), Path::new("/project"))
}

#[test]
fn a_source_is_files_or_a_view() {
    let sources = read(
        "[orders]\nformat = \"parquet\"\npath = \"orders\"\n[daily]\nview = \"shop/daily@2\"\n",
    )
    .unwrap();
    assert_eq!(sources.view("DAILY").unwrap().to_string(), "shop/daily@2");
    assert!(sources.view("orders").is_none());
    assert_eq!(sources.views().count(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, place, says) in [
        ("[x]\nview = \"shop/daily\"\n", "sources.x.view", "is no view"),
        ("[x]\nview = \"shop/daily@1\"\npath = \"a\"\n", "sources.x.path", "beside `view`"),
        ("[x]\nview = \"shop/daily@1\"\nready = \"a\"\n", "sources.x.ready", "beside `view`"),
        ("[x]\nformat = \"csv\"\n", "sources.x", "where its rows are"),
        ("[x]\nformat = \"csv\"\npath = []\n", "sources.x", "no path"),
        ("[Staged]\nformat = \"csv\"\npath = \"a\"\n", "sources.Staged", "own queries"),
        ("[x]\nformat = \"csv\"\npath = [\"a\", \"\"]\n", "sources.x.path", "empty"),
        ("[x]\nformat = \"csv\"\npath = \"a\"\nready = \"\"\n", ":4:1: sources.x.ready", "no file"),
        (
            "[x]\nformat = \"csv\"\npath = \"a\"\nready = \"{{ hour }}\"\n",
            "sources.x.ready",
            "another parameter",
        ),
        ("[x]\nformat = \"parquet\"\npath = \"a\"\nnull = \"NA\"\n", "sources.x.null", "null"),
    ] {
        let failure = read(text).unwrap_err();
        assert!(!failure.error.help.is_empty(), "{text}");
        assert!(failure.error.field.ends_with(place), "{text}: {}", failure.error.field);
        assert!(failure.error.message.contains(says), "{text}: {}", failure.error.message);
    }
}
