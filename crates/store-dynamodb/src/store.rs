//! The store and how requests are sent.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use rand::RngExt as _;
use tokio::time::timeout;
use trivium_store::{Error, check_deadline};

use crate::{
    Options, client, failure,
    fresh::Fresh,
    guards::Guards,
    traced::{self, Operation},
};

/// Pauses before another try of a read grow up to this.
const PAUSE_MS_MAX: u64 = 400;
const PAUSE_MS_FIRST: u64 = 20;

/// A store in a table. Cheap to clone. Making one asks nobody: see [`DynamoStore::check`].
#[derive(Clone)]
pub struct DynamoStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) first: Table,
    /// Where rows are moving to, or may.
    pub(crate) second: Option<Table>,
    pub(crate) guards: Guards,
    pub(crate) fresh: Fresh,
    /// Why this store must not be asked for rows, if it must not: see [`DynamoStore::away`].
    pub(crate) away: Mutex<Option<Arc<str>>>,
}

/// One table and how it is reached.
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) options: Options,
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl DynamoStore {
    /// A store that takes its credentials from the environment.
    pub fn new(options: Options) -> Result<Self, crate::Error> {
        Self::with_credentials(options, SharedCredentialsProvider::new(client::Environment))
    }

    /// A store that asks this provider for credentials (an instance's role, say).
    pub fn with_credentials(
        options: Options,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, crate::Error> {
        options.check()?;
        let table = |options: Options| {
            let client = client::client(&options, credentials.clone());
            Table { client, options }
        };
        Ok(Self(Arc::new(Inner {
            first: table(options.clone()),
            second: options.of_second().map(table),
            options,
            guards: Guards::default(),
            fresh: Fresh::default(),
            away: Mutex::default(),
        })))
    }

    /// How it was made.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Why this store serves no rows, if it must not: they have moved to a table that its options do not
    /// name, or are still on their way into it. Known since [`DynamoStore::check`], and looked at again
    /// whenever the epoch record is read.
    pub fn away(&self) -> Option<String> {
        self.0.away.lock().unwrap_or_else(PoisonError::into_inner).as_deref().map(str::to_owned)
    }
}

impl Inner {
    pub(crate) fn end_of(&self, deadline: Option<Instant>) -> Instant {
        self.first.end_of(deadline)
    }

    pub(crate) fn may_serve(&self) -> Result<(), Error> {
        match &*self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(why) => Err(Error::Unavailable(why.to_string())),
        }
    }
}

impl Table {
    /// When to give up on one row, or one chunk of rows, that is begun now.
    pub(crate) fn end_of(&self, deadline: Option<Instant>) -> Instant {
        let limit = Instant::now() + self.options.limit();
        deadline.map_or(limit, |deadline| deadline.min(limit))
    }

    /// Sends one request, once. A deadline that has passed is certain: nothing is sent.
    pub(crate) async fn send<T, E: Operation>(
        &self,
        end: Instant,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Failure<E>> {
        check_deadline(Some(end)).map_err(Failure::Store)?;
        let patience =
            self.options.attempt_timeout().min(end.saturating_duration_since(Instant::now()));
        let span = traced::begin::<E>(&self.options);
        let answer = match timeout(patience, request).await {
            Ok(answer) => answer.map_err(|error| Failure::Sdk(Box::new(error))),
            Err(_) => Err(Failure::Store(failure::no_answer(patience))),
        };
        traced::end(span, &answer);
        answer
    }
}

/// Why a request failed, with the SDK's own error where it has one.
pub(crate) enum Failure<E> {
    Store(Error),
    Sdk(Box<SdkError<E, HttpResponse>>),
}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> Failure<E> {
    pub(crate) fn of_write(self) -> Error {
        match self {
            Self::Store(error) => error,
            Self::Sdk(error) => failure::sort(&error),
        }
    }
    pub(crate) fn of_read(self) -> Error {
        match self {
            Self::Store(error) => error,
            Self::Sdk(error) => failure::sort_read(&error),
        }
    }
}

/// Does what may be done twice until it is answered, or there is no time left.
pub(crate) async fn repeat<T, F>(end: Instant, work: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut pauses = Pauses::until(end);
    loop {
        match work().await {
            Err(error) if error.is_retryable() && pauses.sleep().await => {}
            answer => return answer,
        }
    }
}

/// Pauses between tries of a read: random up to a limit that doubles, so that readers who were
/// throttled together do not come back together.
pub(crate) struct Pauses {
    end: Instant,
    limit_ms: u64,
}

impl Pauses {
    pub(crate) fn until(end: Instant) -> Self {
        Self { end, limit_ms: PAUSE_MS_FIRST }
    }
    /// Something was answered: begin small again.
    pub(crate) fn reset(&mut self) {
        self.limit_ms = PAUSE_MS_FIRST;
    }
    /// Sleeps; `false` where there is no time left for another try.
    pub(crate) async fn sleep(&mut self) -> bool {
        let pause = Duration::from_millis(rand::rng().random_range(1..=self.limit_ms));
        self.limit_ms = (self.limit_ms * 2).min(PAUSE_MS_MAX);
        if Instant::now() + pause >= self.end {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}
