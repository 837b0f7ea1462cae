//! What failures of a step are told as.

use trivium_runtime::Kind;
use trivium_store_dynamodb::Error;

use super::failed;

#[test]
fn who_was_overtaken_is_not_sent_to_look_at_the_network() {
    let of = |source| failed(Error::Store { table: "rows".to_owned(), source });
    let overtaken = of(trivium_store::Error::Invalid("a newer migration has begun".to_owned()));
    assert_eq!(overtaken.kind, Kind::FailedPrecondition);
    assert!(overtaken.help.contains("migrate status"), "{overtaken}");
    let away = of(trivium_store::Error::Unavailable("refused".to_owned()));
    assert_eq!(away.kind, Kind::Unavailable);
    assert!(away.help.contains("endpoint"), "{away}");
}
