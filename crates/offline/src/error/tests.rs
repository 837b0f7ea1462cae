//! Whose fault a file is that nobody can read.

use super::*;

#[test]
fn a_file_that_is_no_table_is_the_sources_or_the_lakes() {
    let malformed = |line| trivium_engine::Error::Malformed {
        path: "a.csv".to_owned(),
        line,
        message: "one field too many".to_owned(),
    };
    let view: ViewRef = "shop/daily@1".parse().unwrap();
    let run = Error::Engine {
        view,
        period: "-".to_owned(),
        doing: "the query",
        source: Box::new(malformed(Some(3))),
    };
    assert_eq!((run.kind(), run.place().as_deref()), (Kind::InvalidArgument, Some("a.csv:3")));
    assert_eq!(run.help(), Some(MALFORMED_HELP));
    // Whoever asks for a training set did not write the lake's files.
    let join = Error::History { source: malformed(None) };
    assert_eq!((join.kind(), join.place().as_deref()), (Kind::DataLoss, Some("a.csv")));
}
