//! Making the table, and looking whether it is the right one.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
    TimeToLiveDescription, TimeToLiveSpecification, TimeToLiveStatus,
};

use crate::{
    DynamoStore, Error,
    item::{EXPIRES_AT, PK, SK, SUBJECT},
    store::{Failure, Table},
};

/// Its partition key is the attribute of the same name.
pub(crate) const SUBJECT_INDEX: &str = "subject";
/// Making a table takes some ten seconds.
const READY: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);

impl DynamoStore {
    /// Makes the table with its index and expiry, pay per request, and waits until it can be used; the
    /// one that rows may move to as well. What is there already and right stays as it is.
    pub async fn init(&self) -> Result<(), Error> {
        let inner = &*self.0;
        for table in [Some(&inner.first), inner.second.as_ref()].into_iter().flatten() {
            table.init().await?;
        }
        self.check().await
    }

    /// Looks whether the table is there and is made as this store needs it, and so with the one that rows
    /// may move to; says all that is wrong with one. Then, whether it may be served by these options.
    pub async fn check(&self) -> Result<(), Error> {
        let inner = &*self.0;
        for table in [Some(&inner.first), inner.second.as_ref()].into_iter().flatten() {
            table.check().await?;
        }
        let end = inner.end_of(None);
        let looked = inner.look_around(end).await;
        looked.map_err(|source| inner.first.failed(source))?;
        match self.away() {
            None => Ok(()),
            Some(why) => Err(Error::Migration { table: inner.options.table.clone(), why }),
        }
    }
}

impl Table {
    async fn init(&self) -> Result<(), Error> {
        if self.describe().await?.is_none() {
            self.create_table().await?;
        }
        let end = Instant::now() + READY;
        while !self.describe().await?.as_ref().is_some_and(is_active) {
            if Instant::now() > end {
                return Err(Error::NotReady { table: self.options.table.clone() });
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !expires(&self.describe_expiry().await?) {
            self.enable_expiry().await?;
        }
        self.check().await
    }

    async fn check(&self) -> Result<(), Error> {
        let table = self.options.table.clone();
        let Some(found) = self.describe().await? else { return Err(Error::NoTable { table }) };
        let mut wrong = wrong_with(&found);
        if !expires(&self.describe_expiry().await?) {
            wrong.push(format!("its time to live is not enabled on `{EXPIRES_AT}`"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Schema { table, wrong }) }
    }

    pub(crate) fn failed(&self, source: trivium_store::Error) -> Error {
        Error::Store { table: self.options.table.clone(), source }
    }
    /// Calls about the table itself are slower than those about rows.
    fn patience(&self) -> Instant {
        Instant::now() + self.options.limit()
    }

    async fn describe(&self) -> Result<Option<TableDescription>, Error> {
        let request = self.client.describe_table().table_name(&self.options.table);
        match self.send(self.patience(), request.send()).await {
            Ok(answer) => Ok(answer.table),
            Err(Failure::Sdk(error))
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(failure) => Err(self.failed(failure.of_read())),
        }
    }

    async fn describe_expiry(&self) -> Result<Option<TimeToLiveDescription>, Error> {
        let request = self.client.describe_time_to_live().table_name(&self.options.table);
        let answer = self.send(self.patience(), request.send()).await;
        let answer = answer.map_err(|failure| self.failed(failure.of_read()))?;
        Ok(answer.time_to_live_description)
    }

    async fn enable_expiry(&self) -> Result<(), Error> {
        let specification =
            TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
        let specification = specification.map_err(|error| self.failed(invalid(&error)))?;
        let request = self
            .client
            .update_time_to_live()
            .table_name(&self.options.table)
            .time_to_live_specification(specification);
        match self.send(self.patience(), request.send()).await {
            Ok(_) => Ok(()),
            // Somebody else may have enabled it at this moment, which is refused as invalid: what
            // counts is how it stands.
            Err(_) if expires(&self.describe_expiry().await?) => Ok(()),
            Err(failure) => Err(self.failed(failure.of_write())),
        }
    }

    async fn create_table(&self) -> Result<(), Error> {
        let failed = |error| self.failed(invalid(&error));
        let key =
            |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let mut request = self
            .client
            .create_table()
            .table_name(&self.options.table)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key(PK, KeyType::Hash).map_err(failed)?)
            .key_schema(key(SK, KeyType::Range).map_err(failed)?);
        for name in [PK, SK, SUBJECT] {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build();
            request = request.attribute_definitions(attribute.map_err(failed)?);
        }
        let index = GlobalSecondaryIndex::builder()
            .index_name(SUBJECT_INDEX)
            .key_schema(key(SUBJECT, KeyType::Hash).map_err(failed)?)
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build();
        request = request.global_secondary_indexes(index.map_err(failed)?);
        match self.send(self.patience(), request.send()).await {
            Ok(_) => Ok(()),
            // Somebody else is making it at this moment: `init` waits for it, then looks at it.
            Err(Failure::Sdk(error))
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_in_use_exception()) =>
            {
                Ok(())
            }
            Err(failure) => Err(self.failed(failure.of_write())),
        }
    }
}

fn invalid(error: &aws_sdk_dynamodb::error::BuildError) -> trivium_store::Error {
    trivium_store::Error::Invalid(error.to_string())
}

fn is_active(table: &TableDescription) -> bool {
    let indexes = table.global_secondary_indexes();
    table.table_status() == Some(&TableStatus::Active)
        && indexes.iter().all(|index| index.index_status() == Some(&IndexStatus::Active))
}

fn expires(expiry: &Option<TimeToLiveDescription>) -> bool {
    expiry.as_ref().is_some_and(|expiry| {
        expiry.attribute_name() == Some(EXPIRES_AT)
            && matches!(
                expiry.time_to_live_status(),
                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
            )
    })
}

fn wrong_with(table: &TableDescription) -> Vec<String> {
    let mut wrong = Vec::new();
    if table.table_status() != Some(&TableStatus::Active) {
        let status = table.table_status().map_or("unknown", TableStatus::as_str);
        wrong.push(format!("its status is {status}, not ACTIVE"));
    }
    let keys = described(table, table.key_schema());
    let needed = format!("{PK} S HASH, {SK} S RANGE");
    if keys != needed {
        wrong.push(format!("its key is `{keys}`, not `{needed}`"));
    }
    let indexes = table.global_secondary_indexes();
    match indexes.iter().find(|index| index.index_name() == Some(SUBJECT_INDEX)) {
        None => wrong.push(format!("it has no global secondary index `{SUBJECT_INDEX}`")),
        Some(index) => {
            let keys = described(table, index.key_schema());
            let needed = format!("{SUBJECT} S HASH");
            if keys != needed {
                wrong.push(format!(
                    "the key of its index `{SUBJECT_INDEX}` is `{keys}`, not `{needed}`"
                ));
            }
            if index.index_status() != Some(&IndexStatus::Active) {
                wrong.push(format!("its index `{SUBJECT_INDEX}` is not ACTIVE"));
            }
        }
    }
    wrong
}

fn described(table: &TableDescription, keys: &[KeySchemaElement]) -> String {
    let type_of = |name: &str| {
        let attributes = table.attribute_definitions();
        let found = attributes.iter().find(|attribute| attribute.attribute_name() == name);
        found.map_or("?", |attribute| attribute.attribute_type().as_str())
    };
    let keys = keys.iter().map(|key| {
        format!(
            "{} {} {}",
            key.attribute_name(),
            type_of(key.attribute_name()),
            key.key_type().as_str()
        )
    });
    keys.collect::<Vec<String>>().join(", ")
}
