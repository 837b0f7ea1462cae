//! What every keeper of orders must do; it is empty at first.

use trivium_model::{KeyType, Timestamp};

use crate::{
    Error,
    erasure::{ErasureOrder, ErasureOrders},
};

fn order(number: i64) -> ErasureOrder {
    ErasureOrder {
        erasure: format!("erasure-{number}"),
        namespace: "shop".to_owned(),
        join_key: "user_id".to_owned(),
        key_type: KeyType::Int64,
        value: number.into(),
        up_to: Timestamp(number),
        requested_at: Timestamp(-number),
        by: "delay-model".to_owned(),
        requested_by: "anna@example.com".to_owned(),
        reason: "she asked; 'quoted'".to_owned(),
    }
}

/// Panics where one does something else than it must; an error is one that it gave.
#[expect(clippy::missing_panics_doc, reason = "a check")]
pub async fn keeps_orders(orders: &(impl ErasureOrders + ?Sized)) -> Result<(), Error> {
    assert_eq!(orders.orders(0, 10).await?, []);
    for number in 1..=5 {
        let at = orders.leave(&order(number)).await?;
        assert_eq!(at, number.unsigned_abs());
    }
    let again = ErasureOrder { reason: "other".to_owned(), ..order(2) };
    assert_eq!(orders.leave(&again).await?, 2);
    let found = orders.orders(1, 2).await?;
    assert_eq!(found, [(2, order(2)), (3, order(3))]);
    assert_eq!(orders.orders(5, 10).await?, []);
    let wrong = ErasureOrder { value: "x".into(), ..order(9) };
    assert!(matches!(orders.leave(&wrong).await, Err(Error::Invalid(_))));
    let wrong = ErasureOrder { join_key: "User".to_owned(), ..order(9) };
    assert!(matches!(orders.leave(&wrong).await, Err(Error::Invalid(_))));
    assert_eq!(orders.orders(0, 10).await?.len(), 5);
    Ok(())
}
