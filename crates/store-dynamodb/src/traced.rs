//! Requests of a caller who is followed, as spans: the operation, the table, the kind of a failure. Neither
//! keys nor the SDK's messages, which may hold some.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        batch_get_item::BatchGetItemError, batch_write_item::BatchWriteItemError,
        create_table::CreateTableError, delete_item::DeleteItemError,
        describe_table::DescribeTableError, describe_time_to_live::DescribeTimeToLiveError,
        get_item::GetItemError, put_item::PutItemError, query::QueryError, scan::ScanError,
        transact_get_items::TransactGetItemsError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError, update_time_to_live::UpdateTimeToLiveError,
    },
};
use trivium_runtime::trace::{self, Call, CallSpan};

use crate::{Options, store::Failure};

/// The operation that fails in this way.
pub(crate) trait Operation: ProvideErrorMetadata {
    /// What the conventions call it: DynamoDB's own name.
    const NAME: &'static str;
}

macro_rules! operations {
    ($($error:ty => $name:literal,)*) => {
        $(impl Operation for $error {
            const NAME: &'static str = $name;
        })*
    };
}

operations! {
    BatchGetItemError => "BatchGetItem",
    BatchWriteItemError => "BatchWriteItem",
    CreateTableError => "CreateTable",
    DeleteItemError => "DeleteItem",
    DescribeTableError => "DescribeTable",
    DescribeTimeToLiveError => "DescribeTimeToLive",
    GetItemError => "GetItem",
    PutItemError => "PutItem",
    QueryError => "Query",
    ScanError => "Scan",
    TransactGetItemsError => "TransactGetItems",
    TransactWriteItemsError => "TransactWriteItems",
    UpdateItemError => "UpdateItem",
    UpdateTimeToLiveError => "UpdateTimeToLive",
}

pub(crate) fn begin<E: Operation>(options: &Options) -> CallSpan {
    let (operation, collection) = (E::NAME, options.table.as_str());
    trace::call(|| Call { system: "aws.dynamodb", operation, collection })
}

/// Tells how it ended. That a condition did not hold is an answer, and no failure.
pub(crate) fn end<T, E: Operation>(mut span: CallSpan, answer: &Result<T, Failure<E>>) {
    const CONDITION: &str = "ConditionalCheckFailedException";
    let Err(failure) = answer else { return };
    let kind = match failure {
        Failure::Store(_) => "timeout",
        Failure::Sdk(error) => match &**error {
            SdkError::ServiceError(answer) => answer.err().code().unwrap_or("_OTHER"),
            SdkError::TimeoutError(_) => "timeout",
            SdkError::DispatchFailure(_) => "connection",
            _ => "_OTHER",
        },
    };
    if kind == CONDITION {
        span.tell("aws.dynamodb.condition_failed", || true.into());
    } else {
        span.failed(|| kind.to_owned());
    }
}
