//! `trivium delete`

use serde_json::{Map, json};

use crate::{
    args::{DeleteArgs, Global},
    entity,
    failure::Failure,
    verbs::put,
};

/// Removes an entity's row.
pub async fn run(global: &Global, args: &DeleteArgs) -> Result<(), Failure> {
    let body = put::send(global, "/v1/features/online/delete", |catalog| {
        let view = catalog.view(&args.view)?;
        let mut row = Map::new();
        row.insert("entity".into(), entity::entity(&args.entity, &[view])?.into());
        put::add_terms(&mut row, &args.terms);
        Ok(json!({ "view": args.view, "rows": [row] }))
    })
    .await?;
    put::print(global, &args.view, &body)
}
