//! Which stores may be asked beside which, and that the others say so.

use trivium_store::{
    Authority as _, Barrier, Checkpoints as _, Error, OnlineRead as _, OnlineWrite as _,
    ReadOptions, WriteOutcome,
};

use super::{
    held::{applied, complete, read, start, write},
    moving::{alone, another, copy, moving, pair},
    support::{SEED, SERVER, delete, key, new_table_name, number, open, put},
};
use crate::{DynamoStore, State};

/// Whoever knows one table only is told so, and never that a row is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_one_table_refuse() {
    let store = pair().await;
    applied(&store, 4).await;
    store.store("c", None, "1".into()).await.unwrap();
    let forgotten = alone(&store, true);
    forgotten.check().await.unwrap();
    assert!(forgotten.epoch().await.unwrap().is_none());
    start(&store).await;
    copy(&store).await;
    applied(&store, 5).await;
    let refuses = async |store: &DynamoStore, word: &str| {
        let read = read(store).await;
        assert!(matches!(&read, Err(Error::Unavailable(why)) if why.contains(word)), "{read:?}");
        let wrote = store.write(vec![put(&key("v", 1), 9, 0)], SEED, None).await.pop().unwrap();
        assert!(matches!(&wrote, Err(Error::Unavailable(why)) if why.contains(word)), "{wrote:?}");
        let deleted = store.write(vec![delete(&key("v", 1), 9)], SEED, None).await.pop().unwrap();
        assert!(matches!(&deleted, Err(Error::Unavailable(_))), "{deleted:?}");
        let raised =
            store.raise_barrier(&key("v", 1), Barrier { epoch: 9, deadline: 0 }, SEED, None).await;
        assert!(matches!(&raised, Err(Error::Unavailable(_))), "{raised:?}");
        let loaded = store.load("c").await;
        assert!(matches!(&loaded, Err(Error::Unavailable(_))), "{loaded:?}");
    };
    // By the row itself, before it has looked around.
    refuses(&forgotten, "has moved to").await;
    // What it could take for absent, too, once it has.
    assert!(forgotten.epoch().await.is_err());
    let absent = forgotten.get(&[key("v", 7)], &ReadOptions::default()).await.pop().unwrap();
    assert!(matches!(absent, Err(Error::Unavailable(_))), "{absent:?}");
    let error = forgotten.check().await.unwrap_err().to_string();
    assert!(error.contains("moving to"), "{error}");
    // Too early.
    let early = alone(&store, false);
    let error = early.check().await.unwrap_err().to_string();
    assert!(error.contains("on their way"), "{error}");
    let migrator = store.migrator().unwrap();
    complete(&store).await;
    assert_eq!(migrator.finish().await.unwrap().state, State::Settled);
    early.check().await.unwrap();
    assert_eq!(read(&early).await.unwrap(), Some(5));
    assert_eq!(early.load("c").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert!(forgotten.check().await.is_err());
    // Made by whoever knows the second one alone, and found by whoever knows both.
    let outcome = write(&early, put(&key("v", 8), 8, 0)).await;
    assert!(matches!(outcome, WriteOutcome::Applied(_)), "{outcome:?}");
    let found = another(&store).get(&[key("v", 8)], &ReadOptions::default()).await.pop().unwrap();
    assert_eq!(found.unwrap().as_ref().map(number), Some(8));
}

/// A second table that is not empty, or is in a migration with another, is refused before anything moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_pairs_are_refused() {
    let store = pair().await;
    applied(&store, 4).await;
    let options = store.options().clone();
    let second = options.moving_to.clone().unwrap().table;
    let port = SERVER.server().port();
    let swapped = open(moving(&second, &options.table, port));
    let error = swapped.check().await.unwrap_err().to_string();
    assert!(error.contains("holds rows already"), "{error}");
    assert!(swapped.migrator().unwrap().start().await.is_err());
    assert!(store.migrator().unwrap().back().await.is_err(), "nothing has been moved");
    assert!(store.migrator().unwrap().verify().await.is_err(), "nothing has been begun");
    start(&store).await;
    let third = pair().await.options().table.clone();
    let other = open(moving(&options.table, &third, port));
    assert!(other.migrator().unwrap().start().await.is_err());
    assert!(matches!(read(&other).await, Err(Error::Unavailable(_))));
    let unmoved = store.migrator().unwrap().finish().await.unwrap_err().to_string();
    assert!(unmoved.contains("have not moved"), "{unmoved}");
    // Both know both: the order in which a node names them matters only to rows that are made.
    copy(&store).await;
    let swapped = open(moving(&second, &options.table, port));
    assert_eq!(read(&swapped).await.unwrap(), Some(4));
    let made = swapped.write(vec![put(&key("v", 9), 1, 0)], SEED, None).await.pop().unwrap();
    assert!(matches!(&made, Err(Error::Unavailable(why)) if why.contains("wrong one")), "{made:?}");
}

/// The rows have moved on, to a third table: who knows the first two is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_have_moved_on_are_not_taken_for_absent() {
    let store = pair().await;
    applied(&store, 4).await;
    start(&store).await;
    copy(&store).await;
    store.migrator().unwrap().finish().await.unwrap();
    let second = store.options().moving_to.clone().unwrap().table;
    let third = new_table_name();
    let next = open(moving(&second, &third, SERVER.server().port()));
    next.init().await.unwrap();
    start(&next).await;
    copy(&next).await;
    assert_eq!(read(&next).await.unwrap(), Some(4));
    let left_behind = read(&store).await;
    assert!(
        matches!(&left_behind, Err(Error::Unavailable(why)) if why.contains(&third)),
        "{left_behind:?}"
    );
}
