//! The calls, one method each.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use trivium_model::{DataType, Name, ViewRef, config::parse_view};
use trivium_proto::v1::{
    self, history_service_client::HistoryServiceClient, online_service_client::OnlineServiceClient,
    pipeline_service_client::PipelineServiceClient, registry_service_client::RegistryServiceClient,
};
use trivium_runtime::Kind;

use crate::{Error, Options};

/// A connection to a server. Cheap to clone; clones share the connection, which carries many calls
/// at once and is made anew when it breaks.
#[derive(Clone)]
pub struct Client {
    address: Arc<str>,
    channel: Channel,
    key: SendKey,
    options: Options,
    views: Arc<Mutex<HashMap<ViewRef, Arc<KnownView>>>>,
}

/// What the door needs of a view: join key names never change within a version, features are only
/// added.
#[derive(Debug)]
pub(crate) struct KnownView {
    /// Sorted: the order of a door row's join key values.
    pub(crate) keys: Vec<Name>,
    pub(crate) types: HashMap<Name, DataType>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

macro_rules! call {
    ($client:ident.$method:ident, $request:expr) => {
        match $client.$method($request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(Error::from_status(&status)),
        }
    };
}

impl Client {
    /// Connects to `http://host:port` (the scheme may be left out).
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, Options::default()).await
    }

    /// The same with other limits.
    pub async fn connect_with(address: &str, options: Options) -> Result<Self, Error> {
        let (endpoint, key) = (endpoint(address, &options)?, SendKey::new(&options)?);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Error::Connect { address: address.to_owned(), why: causes(&error) })?;
        Ok(Self::from_channel(address, channel, key, options))
    }

    /// Connects with the first call only: nothing is tried here.
    pub fn connect_lazily(address: &str, options: Options) -> Result<Self, Error> {
        let key = SendKey::new(&options)?;
        let channel = endpoint(address, &options)?.connect_lazy();
        Ok(Self::from_channel(address, channel, key, options))
    }

    fn from_channel(address: &str, channel: Channel, key: SendKey, options: Options) -> Self {
        Self { address: Arc::from(address), channel, key, options, views: Arc::default() }
    }

    fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.key.clone())
    }

    /// The address that was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn online(&self) -> OnlineServiceClient<Wire> {
        OnlineServiceClient::new(self.wire())
            .max_decoding_message_size(self.options.response_bytes_max)
    }
    fn pipeline(&self) -> PipelineServiceClient<Wire> {
        PipelineServiceClient::new(self.wire())
            .max_decoding_message_size(self.options.response_bytes_max)
    }
    fn registry(&self) -> RegistryServiceClient<Wire> {
        RegistryServiceClient::new(self.wire())
            .max_decoding_message_size(self.options.response_bytes_max)
    }

    /// Features of one entity.
    pub async fn get(&self, request: v1::GetRequest) -> Result<v1::GetResponse, Error> {
        let mut client = self.online();
        call!(client.get, request)
    }
    /// Features of many entities, in the order of the request.
    pub async fn batch_get(
        &self,
        request: v1::BatchGetRequest,
    ) -> Result<v1::BatchGetResponse, Error> {
        let mut client = self.online();
        call!(client.batch_get, request)
    }
    /// Sets features of one entity.
    pub async fn put(&self, request: v1::PutRequest) -> Result<v1::WriteResult, Error> {
        let mut client = self.online();
        let response: v1::PutResponse = call!(client.put, request)?;
        response.result.ok_or_else(|| incomplete("the put has no result"))
    }
    /// Sets features of many entities; one result a row.
    pub async fn batch_put(
        &self,
        request: v1::BatchPutRequest,
    ) -> Result<Vec<v1::WriteResult>, Error> {
        let mut client = self.online();
        let response: v1::BatchPutResponse = call!(client.batch_put, request)?;
        Ok(response.results)
    }
    /// Removes rows; one result a row.
    pub async fn delete(&self, request: v1::DeleteRequest) -> Result<Vec<v1::WriteResult>, Error> {
        let mut client = self.online();
        let response: v1::DeleteResponse = call!(client.delete, request)?;
        Ok(response.results)
    }

    /// The entities whose embeddings are nearest.
    pub async fn search_nearest(
        &self,
        request: v1::SearchNearestRequest,
    ) -> Result<v1::SearchNearestResponse, Error> {
        let mut client = self.online();
        call!(client.search_nearest, request)
    }

    /// The value of a checkpoint.
    pub async fn load_checkpoint(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let mut client = self.pipeline();
        let request = v1::LoadCheckpointRequest { name: name.to_owned() };
        let response: v1::LoadCheckpointResponse = call!(client.load_checkpoint, request)?;
        Ok(response.value)
    }
    /// Replaces a checkpoint if it still is `expected`; tells whether it did.
    pub async fn store_checkpoint(
        &self,
        name: &str,
        expected: Option<Bytes>,
        value: Bytes,
    ) -> Result<bool, Error> {
        let mut client = self.pipeline();
        let request = v1::StoreCheckpointRequest { name: name.to_owned(), expected, value };
        let response: v1::StoreCheckpointResponse = call!(client.store_checkpoint, request)?;
        Ok(response.stored)
    }

    /// What applying these files would do.
    pub async fn plan(&self, request: v1::PlanRequest) -> Result<v1::PlanResponse, Error> {
        let mut client = self.registry();
        call!(client.plan, request)
    }
    /// Applies all of the files, or nothing.
    pub async fn apply(&self, request: v1::ApplyRequest) -> Result<v1::ApplyResponse, Error> {
        let mut client = self.registry();
        call!(client.apply, request)
    }
    /// The newest revision of every view version of a namespace, or of all where it is empty.
    pub async fn list_views(&self, namespace: &str) -> Result<v1::ListViewsResponse, Error> {
        let mut client = self.registry();
        call!(client.list_views, v1::ListViewsRequest { namespace: namespace.to_owned() })
    }
    /// Every accepted revision of a view version, oldest first.
    pub async fn get_view(&self, reference: &str) -> Result<Vec<v1::ViewRecord>, Error> {
        let mut client = self.registry();
        let request = v1::GetViewRequest { reference: reference.to_owned() };
        let response: v1::GetViewResponse = call!(client.get_view, request)?;
        Ok(response.revisions)
    }
    /// The newest revision of every service version of a namespace, or of all where it is empty.
    pub async fn list_services(&self, namespace: &str) -> Result<v1::ListServicesResponse, Error> {
        let mut client = self.registry();
        call!(client.list_services, v1::ListServicesRequest { namespace: namespace.to_owned() })
    }
    /// Every accepted revision of a service version, oldest first.
    pub async fn get_service(&self, reference: &str) -> Result<Vec<v1::ServiceRecord>, Error> {
        let mut client = self.registry();
        let request = v1::GetServiceRequest { reference: reference.to_owned() };
        let response: v1::GetServiceResponse = call!(client.get_service, request)?;
        Ok(response.revisions)
    }
    /// The audit log.
    pub async fn list_audit(
        &self,
        request: v1::ListAuditRequest,
    ) -> Result<Vec<v1::AuditRecord>, Error> {
        let mut client = self.registry();
        let response: v1::ListAuditResponse = call!(client.list_audit, request)?;
        Ok(response.entries)
    }

    /// A point-in-time join; the answer is an Arrow IPC stream in pieces.
    pub async fn get_historical(
        &self,
        request: v1::GetHistoricalRequest,
    ) -> Result<HistoryStream, Error> {
        let mut client = HistoryServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.response_bytes_max)
            .max_encoding_message_size(self.options.response_bytes_max);
        let stream = call!(client.get_historical, request)?;
        Ok(HistoryStream(stream))
    }

    /// The newest config of a view, from the registry; kept. `fresh` asks again.
    pub(crate) async fn view(&self, view: &ViewRef, fresh: bool) -> Result<Arc<KnownView>, Error> {
        let lock = || self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if !fresh && let Some(known) = lock().get(view) {
            return Ok(Arc::clone(known));
        }
        let revisions = self.get_view(&view.to_string()).await?;
        let newest = revisions.last().ok_or_else(|| Error::Refused {
            kind: Kind::NotFound,
            message: format!("there is no feature view `{view}`"),
            field: "view".to_owned(),
            help: String::new(),
            pause: None,
        })?;
        let path = format!("{}/{}.v{}.json", view.namespace, view.view, view.version);
        let parsed = parse_view(&path, &newest.config).map_err(|diagnostics| {
            let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
            incomplete(&format!("the registry's config of `{view}` cannot be read here: {first}"))
        })?;
        let served = parsed.served_features().into_iter();
        let known = Arc::new(KnownView {
            keys: parsed.sorted_entities().into_iter().map(|key| key.name.clone()).collect(),
            types: served.map(|feature| (feature.name, feature.data_type)).collect(),
        });
        lock().insert(view.clone(), Arc::clone(&known));
        Ok(known)
    }
}

/// The pieces of a training set.
#[derive(Debug)]
pub struct HistoryStream(tonic::Streaming<v1::GetHistoricalResponse>);

impl HistoryStream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.0.message().await {
            Ok(piece) => Ok(piece.map(|piece| piece.data)),
            Err(status) => Err(Error::from_status(&status)),
        }
    }
}

fn incomplete(message: &str) -> Error {
    Error::Refused {
        kind: Kind::Internal,
        message: message.to_owned(),
        field: String::new(),
        help: "server and client may be of different versions".to_owned(),
        pause: None,
    }
}

fn endpoint(address: &str, options: &Options) -> Result<Endpoint, Error> {
    let wrong = |why: String| Error::Address { address: address.to_owned(), why };
    let full = match address.split_once("://") {
        None => format!("http://{address}"),
        Some(("http", _)) => address.to_owned(),
        Some((scheme, _)) => return Err(wrong(format!("`{scheme}` is not supported"))),
    };
    let endpoint = Endpoint::from_shared(full).map_err(|error| wrong(causes(&error)))?;
    if endpoint.uri().port().is_none() {
        return Err(wrong("it has no port".to_owned()));
    }
    Ok(endpoint
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .tcp_nodelay(true))
}

/// A connection that says who calls.
type Wire = InterceptedService<Channel, SendKey>;

/// Adds the API key to every call.
#[derive(Clone)]
struct SendKey(Option<MetadataValue<Ascii>>);

impl SendKey {
    fn new(options: &Options) -> Result<Self, Error> {
        let Some(key) = &options.api_key else { return Ok(Self(None)) };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {key}").parse().map_err(|_| Error::ApiKey)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for SendKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

/// The whole chain: tonic's own text is only `transport error`.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
