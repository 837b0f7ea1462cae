//! One conditional write of one item, as a table is asked for it. Every write of a store goes through
//! [`Table::act`], which adds what must hold of an item whatever is done to it: that it has not moved to
//! another table, and is not merely staged for one.

use std::time::Instant;

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use trivium_store::Error;

use crate::{
    expression::Expression,
    item::{Item, PK},
    marks::{MOVED, STAGED},
    store::{Failure, Pauses, Table},
};

/// Tries of a write that meets a transaction on its item: it is soon over.
const CONFLICTS_MAX: usize = 8;

/// A write that may have to be tried in two tables.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) key: Item,
    pub(crate) change: Change,
    /// What stands for the item while it is made in a table that rows are moving out of: an item that
    /// is none to every reader.
    pub(crate) stub: Item,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// An update, and which attributes it returns.
    Update(Expression, ReturnValue),
    /// The whole item, where the conditions hold.
    Put(Item, Expression),
}

/// How an update that was answered ended.
pub(crate) enum Updated {
    /// Attributes as it was asked to return them; none of a put.
    Done(Item),
    /// The item as the condition saw it, if there is one.
    Refused(Option<Item>),
}

/// Whether the item has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Must {
    /// It may be made.
    Nothing,
    /// Only an item that is there is changed.
    Exist,
}

impl Table {
    /// Sends it, once; again only where a transaction had the item in hand.
    pub(crate) async fn act(
        &self,
        step: &Step,
        must: Must,
        end: Instant,
    ) -> Result<Updated, Error> {
        match &step.change {
            Change::Update(expression, returned) => {
                let expression = guarded(expression, must);
                self.update(step.key.clone(), expression, returned.clone(), end).await
            }
            Change::Put(item, expression) => {
                self.put(item.clone(), guarded(expression, must), end).await
            }
        }
    }

    /// An update with exactly these conditions: for migrations.
    pub(crate) async fn update(
        &self,
        key: Item,
        expression: Expression,
        returned: ReturnValue,
        end: Instant,
    ) -> Result<Updated, Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.options.table)
            .set_key(Some(key))
            .update_expression(expression.update())
            .set_condition_expression(expression.condition())
            .set_expression_attribute_values(expression.into_values())
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut pauses = Pauses::until(end);
        for conflicts in 1.. {
            let error = match self.send(end, request.clone().send()).await {
                Ok(answer) => return Ok(Updated::Done(answer.attributes.unwrap_or_default())),
                Err(Failure::Sdk(error)) => error,
                Err(failure) => return Err(failure.of_write()),
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    return Ok(Updated::Refused(refusal.item.clone()));
                }
                // Rejected before anything was done.
                Some(UpdateItemError::TransactionConflictException(_))
                    if conflicts < CONFLICTS_MAX && pauses.sleep().await => {}
                _ => return Err(Failure::Sdk(error).of_write()),
            }
        }
        Err(Error::Throttled("a transaction has the row in hand".to_owned()))
    }

    /// A put with exactly these conditions: for migrations.
    pub(crate) async fn put(
        &self,
        item: Item,
        expression: Expression,
        end: Instant,
    ) -> Result<Updated, Error> {
        let request = self
            .client
            .put_item()
            .table_name(&self.options.table)
            .set_item(Some(item))
            .set_condition_expression(expression.condition())
            .set_expression_attribute_values(expression.into_values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut pauses = Pauses::until(end);
        for conflicts in 1.. {
            let error = match self.send(end, request.clone().send()).await {
                Ok(_) => return Ok(Updated::Done(Item::new())),
                Err(Failure::Sdk(error)) => error,
                Err(failure) => return Err(failure.of_write()),
            };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    return Ok(Updated::Refused(refusal.item.clone()));
                }
                Some(PutItemError::TransactionConflictException(_))
                    if conflicts < CONFLICTS_MAX && pauses.sleep().await => {}
                _ => return Err(Failure::Sdk(error).of_write()),
            }
        }
        Err(Error::Throttled("a transaction has the item in hand".to_owned()))
    }

    /// A delete where this holds; whether it did.
    pub(crate) async fn delete(
        &self,
        key: Item,
        expression: Expression,
        end: Instant,
    ) -> Result<bool, Error> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(key))
            .set_condition_expression(expression.condition())
            .set_expression_attribute_values(expression.into_values());
        match self.send(end, request.send()).await {
            Ok(_) => Ok(true),
            Err(Failure::Sdk(error))
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(failure) => Err(failure.of_write()),
        }
    }
}

/// What every write of a store demands, in every table, whether or not it knows of a migration.
pub(crate) fn when_here(expression: &mut Expression) {
    expression.when(format!("attribute_not_exists({MOVED})"));
    expression.when(format!("attribute_not_exists({STAGED})"));
}

fn guarded(expression: &Expression, must: Must) -> Expression {
    let mut expression = expression.clone();
    when_here(&mut expression);
    if must == Must::Exist {
        expression.when(format!("attribute_exists({PK})"));
    }
    expression
}
