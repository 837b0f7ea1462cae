//! Rows of one entity, kept together.

use trivium_store::Together;

use super::*;

fn other(row: i64) -> RowKey {
    key(row).sibling("w#1")
}

fn put_other(row: i64, number: i64) -> RowWrite {
    RowWrite { key: other(row), ..put(row, number) }
}

impl Node {
    /// Both views of these entities, as a precomputed service reads them.
    async fn read_both(&self, rows: &[i64]) -> Vec<Option<i64>> {
        self.read_views(rows, &["v#1", "w#1"]).await
    }

    async fn read_views(&self, rows: &[i64], kept: &[&str]) -> Vec<Option<i64>> {
        let keys: Vec<RowKey> = rows.iter().flat_map(|row| [key(*row), other(*row)]).collect();
        let together = Together::new(kept.iter().map(|view| ("n#k", *view)));
        let options = ReadOptions { together: Some(Arc::new(together)), ..ReadOptions::default() };
        let found = self.store.get(&keys, &options).await;
        pass(1).await;
        found.into_iter().map(|row| row.unwrap().as_ref().map(number)).collect()
    }

    async fn put_other(&self, row: i64, number: i64) {
        let outcomes = self.write(vec![put_other(row, number)]).await;
        assert!(matches!(outcomes.as_slice(), [Ok(WriteOutcome::Applied(_))]), "{outcomes:?}");
        pass(1).await;
    }

    async fn is_joined(&self, row: i64) -> bool {
        let epoch = self.rows.inner.epoch().await.unwrap().unwrap();
        let epoch = CacheEpoch { number: epoch.number, marker: epoch.marker };
        let found = self.cells.inner.look(epoch, &[key(row).entity()]).await;
        matches!(found.as_slice(), [Ok(CacheEntry::Value(_))])
    }
}

/// Two nodes; entity 1 with both rows.
async fn with_rows() -> [Node; 2] {
    let [one, two] = nodes().await;
    one.put(1, 11).await;
    one.put_other(1, 12).await;
    one.calls.take();
    [one, two]
}

#[tokio::test(start_paused = true)]
async fn rows_of_an_entity_become_one_key() {
    let [one, two] = with_rows().await;
    assert_eq!(one.read_both(&[1]).await, [Some(11), Some(12)]);
    assert_eq!(one.calls.take(), "fill 1, lease 1, look 3", "joined behind the answer");
    for node in [&one, &two] {
        node.calls.take();
        assert_eq!(node.read_both(&[1]).await, [Some(11), Some(12)]);
        assert_eq!(node.calls.take(), "look 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_of_any_row_takes_the_entity_apart() {
    let [one, two] = with_rows().await;
    one.read_both(&[1]).await;
    assert!(one.is_joined(1).await);
    two.put_other(1, 22).await;
    assert!(!one.is_joined(1).await);
    assert_eq!(one.read_both(&[1]).await, [Some(11), Some(22)]);
    assert!(one.is_joined(1).await);
    // Also of a view that no reader reads together with others.
    let third = RowWrite { key: key(1).sibling("x#1"), ..put(1, 33) };
    two.write(vec![third]).await.pop().unwrap().unwrap();
    pass(1).await;
    assert!(!one.is_joined(1).await);
}

#[tokio::test(start_paused = true)]
async fn an_entity_with_an_absent_row_stays_apart() {
    let [one, _] = nodes().await;
    one.put(1, 11).await;
    for _ in 0..3 {
        assert_eq!(one.read_both(&[1]).await, [Some(11), None]);
        assert!(!one.is_joined(1).await);
        pass(10_000).await;
        one.store.keep().await.unwrap();
    }
    assert_eq!(one.read_both(&[7]).await, [None, None], "nothing at all");
}

/// A view that definitions have added since.
#[tokio::test(start_paused = true)]
async fn what_lacks_a_view_is_joined_anew() {
    let [one, two] = with_rows().await;
    let third = RowWrite { key: key(1).sibling("x#1"), ..put(1, 33) };
    one.write(vec![third]).await.pop().unwrap().unwrap();
    pass(1).await;
    one.read_views(&[1], &["v#1", "x#1"]).await;
    assert!(one.is_joined(1).await);
    // The row of `w` is not among them: answered by itself, then all three joined.
    let all = ["v#1", "w#1", "x#1"];
    assert_eq!(two.read_views(&[1], &all).await, [Some(11), Some(12)]);
    two.calls.take();
    assert_eq!(two.read_views(&[1], &all).await, [Some(11), Some(12)]);
    assert_eq!(two.calls.take(), "look 1");
}

#[tokio::test(start_paused = true)]
async fn a_dead_writer_does_not_keep_an_entity_apart() {
    let [one, two] = with_rows().await;
    one.read_both(&[1]).await;
    *one.rows.writes.lock().unwrap() = Writes::Dies;
    let dying = one.clone();
    let dying = tokio::spawn(async move { dying.write(vec![put(1, 99)]).await });
    pass(1).await;
    assert_eq!(two.read_both(&[1]).await, [Some(11), Some(12)], "by row, past the fence");
    assert!(!two.is_joined(1).await);
    pass(20_000).await;
    for _ in 0..3 {
        two.store.keep().await.unwrap();
        assert_eq!(two.read_both(&[1]).await, [Some(11), Some(12)]);
    }
    assert!(two.is_joined(1).await, "repaired with the row");
    dying.abort();
}
