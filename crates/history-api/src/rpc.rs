//! gRPC: `HistoryService`.

use std::pin::Pin;

use arrow::{ipc::reader::StreamReader, record_batch::RecordBatch};
use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use trivium_api::ApiError;
use trivium_engine::Source;
use trivium_offline::{
    HistoryQuery, Selection,
    history::{EVENT_TIMESTAMP, write_ipc},
};
use trivium_proto::v1::{
    GetHistoricalRequest, GetHistoricalResponse,
    history_service_server::{HistoryService, HistoryServiceServer},
};

use crate::{HistoryApi, error::of_offline, limits};

impl HistoryApi {
    /// The gRPC service, to be added to the server's others.
    pub fn grpc(&self) -> HistoryServiceServer<Self> {
        HistoryServiceServer::new(self.clone())
            .max_decoding_message_size(limits::GRPC_MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl HistoryService for HistoryApi {
    type GetHistoricalStream =
        Pin<Box<dyn Stream<Item = Result<GetHistoricalResponse, Status>> + Send>>;

    async fn get_historical(
        &self,
        request: Request<GetHistoricalRequest>,
    ) -> Result<Response<Self::GetHistoricalStream>, Status> {
        let permit = self.enter()?;
        let request = request.into_inner();
        let selection = request.selection.unwrap_or_default();
        let event_timestamp = if request.event_timestamp.is_empty() {
            EVENT_TIMESTAMP.to_owned()
        } else {
            request.event_timestamp
        };
        let bytes = request.frame;
        let frame = tokio::task::spawn_blocking(move || decode(&bytes))
            .await
            .map_err(|error| ApiError::internal(error.to_string()))??;
        let query = HistoryQuery {
            selection: Selection {
                features: selection.features,
                service: Some(selection.service).filter(|service| !service.is_empty()),
            },
            frame,
            event_timestamp,
            full_names: false,
        };
        let history = self.history(self.snapshot());
        let set = history.join(query).await.map_err(|error| of_offline(&error))?;
        let (sender, receiver) = mpsc::channel(limits::PIECES_AHEAD);
        tokio::spawn(async move {
            let _permit = permit;
            let sent = write_ipc(set, |piece| {
                let sender = sender.clone();
                async move {
                    let mut rest = Bytes::from(piece);
                    while !rest.is_empty() {
                        let data = rest.split_to(limits::PIECE_BYTES.min(rest.len()));
                        let message = GetHistoricalResponse { data };
                        if sender.send(Ok(message)).await.is_err() {
                            return false;
                        }
                    }
                    true
                }
            })
            .await;
            if let Err(error) = sent {
                drop(sender.send(Err(of_offline(&error).into())).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// The entity frame.
fn decode(bytes: &[u8]) -> Result<Source, ApiError> {
    let wrong = |error: arrow::error::ArrowError| {
        ApiError::invalid(format!("the frame is no Arrow IPC stream: {error}"))
            .at("frame")
            .help("send the frame as an Arrow IPC stream (not as a file)")
    };
    if bytes.is_empty() {
        return Err(ApiError::invalid("there is no frame")
            .at("frame")
            .help("send the entity frame as an Arrow IPC stream"));
    }
    let reader = StreamReader::try_new(bytes, None).map_err(wrong)?;
    let schema = reader.schema();
    let mut taken = 0_usize;
    let mut batches: Vec<RecordBatch> = Vec::new();
    for batch in reader {
        let batch = batch.map_err(wrong)?;
        taken += batch.get_array_memory_size();
        if taken > limits::FRAME_BYTES_MAX {
            return Err(ApiError::too_large(format!(
                "the frame takes more than {} bytes",
                limits::FRAME_BYTES_MAX
            ))
            .at("frame")
            .help("send it in pieces, or use `trivium history`"));
        }
        batches.push(batch);
    }
    Ok(Source::Batches { schema, batches })
}
