//! gRPC: `OnlineService` and `PipelineService`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use tonic::{Request, Response, Status, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};
use trivium_api::ApiError;
use trivium_codec::{Fingerprint, Row, RowKey};
use trivium_model::{Lane, Timestamp};
use trivium_proto::v1::{
    BatchGetRequest, BatchGetResponse, BatchPutRequest, BatchPutResponse, CachedRead,
    Consistency as WireConsistency, DeleteRequest, DeleteResponse, EncodedRow, EncodedRows,
    EraseSubjectRequest, EraseSubjectResponse, FeatureSelection, GetErasureRequest,
    GetErasureResponse, GetRequest, GetResponse, KeyValue, Lane as WireLane, LoadCheckpointRequest,
    LoadCheckpointResponse, PutRequest, PutResponse, PutRow, SearchNearestRequest,
    SearchNearestResponse, StoreCheckpointRequest, StoreCheckpointResponse, WriteResult,
    batch_put_request, consistency,
    online_service_server::{OnlineService, OnlineServiceServer, SERVICE_NAME},
    pipeline_service_server::{PipelineService, PipelineServiceServer, SERVICE_NAME as PIPELINE},
    write_result::Outcome,
};
use trivium_proto::wire::{key_from_wire, value_from_wire};
use trivium_store::{Consistency, DoorOutcome, Order, WriteOutcome, embedding::Visible};

use crate::{
    Serving,
    answer_grpc::answer_one,
    answer_wire,
    definitions::{Selection, ViewDefinition},
    door::{check_lane, check_row},
    entity::{KeyCell, check_complete, push_row_keys, row_key},
    error::{of_door, of_store},
    limits,
    on_demand::Inputs,
    plan::{KeySet, ReadPlan},
    request::{
        RowMeta, RowPath, check_event_time, check_row_count, check_value_count, check_values,
        delete_id, write_id,
    },
    rest::{live_rev, row_field},
    rpc_batch::EncodedBatches,
    rpc_in::{KeyColumns, key_ref_of_proto},
    write::{Op, Write},
};

impl Serving {
    /// The gRPC surface: online and pipeline services, health and reflection. Other services are
    /// added to it; [`trivium_api::grpc::finish_grpc`] comes last.
    pub fn grpc(&self) -> Routes {
        self.grpc_with_health().0
    }

    /// The same, and what says on the health service that no new calls should come.
    pub fn grpc_with_health(&self) -> (Routes, GrpcHealth) {
        let online = OnlineServiceServer::new(self.clone())
            .max_decoding_message_size(limits::GRPC_MESSAGE_BYTES_MAX)
            // The answer's own limit is told in our shape; this one only must not come before it.
            .max_encoding_message_size(2 * limits::RESPONSE_BYTES_MAX);
        let pipeline = PipelineServiceServer::new(self.clone())
            .max_decoding_message_size(limits::GRPC_MESSAGE_BYTES_MAX);
        let (reporter, health) = tonic_health::server::health_reporter();
        // Nobody else holds the reporter yet: both are ready at once.
        let _ = reporter.set_serving::<OnlineServiceServer<Self>>().now_or_never();
        let _ = reporter.set_serving::<PipelineServiceServer<Self>>().now_or_never();
        let online = EncodedBatches::new(self.clone(), online);
        let routes = Routes::new(online).add_service(pipeline).add_service(health);
        let health = GrpcHealth(reporter);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trivium_proto::v1::DESCRIPTORS)
            .build_v1();
        match reflection {
            Ok(reflection) => (routes.add_service(reflection), health),
            Err(error) => {
                tracing::error!(%error, "no reflection: the descriptors cannot be read");
                (routes, health)
            }
        }
    }

    fn selection(&self, selection: Option<FeatureSelection>) -> Result<Arc<ReadPlan>, ApiError> {
        let FeatureSelection { features, service } = selection.unwrap_or_default();
        let selection = match (features.is_empty(), service.is_empty()) {
            (false, true) => Selection::Features(features),
            (true, false) => Selection::Service(service),
            (false, false) => {
                return Err(ApiError::invalid("both features and a service are named")
                    .at("selection.service")
                    .help("name one of the two"));
            }
            (true, true) => {
                return Err(ApiError::invalid("neither features nor a service is named")
                    .at("selection")
                    .help("name one of the two"));
            }
        };
        self.definitions().plan(&selection)
    }

    async fn get_one(&self, request: GetRequest) -> Result<GetResponse, ApiError> {
        let _entered = self.enter("grpc")?;
        let plan = self.selection(request.selection)?;
        let consistency = consistency(request.consistency);
        let cells = cells_of_map(&plan.keys, &request.entity, || "entity".to_owned())?;
        let mut keys = Vec::with_capacity(plan.views.len());
        push_row_keys(&plan, &cells, &mut keys, || "entity".to_owned())?;
        let inputs = Inputs::of_map(&plan, request.inputs)?;
        let rows = self.read_rows(&plan, &keys, consistency).await;
        let states = rows.states(&plan);
        Ok(answer_one(&plan, &states, &inputs))
    }

    /// The encoded `BatchGetResponse`.
    pub(crate) async fn get_many(&self, request: BatchGetRequest) -> Result<Bytes, ApiError> {
        let _entered = self.enter("grpc")?;
        let plan = self.selection(request.selection)?;
        let consistency = consistency(request.consistency);
        let columns = KeyColumns::new(&plan.keys, &request.entities)?;
        check_row_count(columns.entities, limits::ENTITIES_MAX, "entities")?;
        check_value_count(columns.entities, plan.names.len())?;
        let inputs = Inputs::of_columns(&plan, request.inputs, columns.entities)?;
        let mut keys: Vec<RowKey> = Vec::with_capacity(columns.entities * plan.views.len());
        for entity in 0..columns.entities {
            for planned in &plan.views {
                let values = planned.key_slots.iter().map(|slot| columns.value(*slot, entity));
                let key = planned.view.keys.encode_iter(values).map_err(|error| {
                    ApiError::invalid(error.to_string()).at(format!("entities[{entity}]"))
                })?;
                keys.push(key);
            }
        }
        let rows = self.read_rows(&plan, &keys, consistency).await;
        let states = rows.states(&plan);
        debug_assert_eq!(rows.entities, columns.entities);
        answer_wire::encode_columns(&plan, &states, &inputs)
    }

    async fn put_many(&self, request: BatchPutRequest) -> Result<Vec<WriteResult>, ApiError> {
        let _entered = self.enter("grpc")?;
        let view = self.definitions().view(&request.view, "view")?.clone();
        let visible = self.visible(&view, request.wait_for_search)?;
        let (lane, writes) = match request.rows {
            None => {
                return Err(ApiError::invalid("no rows are given")
                    .at("rows")
                    .help("send `values` or `encoded` rows"));
            }
            Some(batch_put_request::Rows::Values(rows)) => {
                check_row_count(rows.rows.len(), limits::WRITE_ROWS_MAX, "rows")?;
                let rows = rows.rows.into_iter().enumerate();
                let writes =
                    rows.map(|(index, row)| self.put_write(&view, row, RowPath::At(index)));
                (Lane::Direct, writes.collect::<Result<Vec<_>, _>>()?)
            }
            Some(batch_put_request::Rows::Encoded(rows)) => self.encoded_writes(&view, rows)?,
        };
        Ok(results(&self.execute(&view, lane, writes, visible, self.deadline()).await))
    }

    async fn put_one(&self, request: PutRequest) -> Result<WriteResult, ApiError> {
        let _entered = self.enter("grpc")?;
        let view = self.definitions().view(&request.view, "view")?.clone();
        let row = request.row.ok_or_else(|| ApiError::invalid("no row is given").at("row"))?;
        let visible = self.visible(&view, request.wait_for_search)?;
        let write = self.put_write(&view, row, RowPath::Only)?;
        let deadline = self.deadline();
        let outcomes = self.execute(&view, Lane::Direct, vec![write], visible, deadline).await;
        match outcomes.first() {
            Some(Err(error)) => Err(of_door(error)),
            _ => results(&outcomes)
                .pop()
                .ok_or_else(|| ApiError::internal("the write has no outcome")),
        }
    }

    async fn delete_many(&self, request: DeleteRequest) -> Result<Vec<WriteResult>, ApiError> {
        let _entered = self.enter("grpc")?;
        check_row_count(request.rows.len(), limits::WRITE_ROWS_MAX, "rows")?;
        let view = self.definitions().view(&request.view, "view")?.clone();
        let keys = KeySet::of_view(&view);
        let mut writes = Vec::with_capacity(request.rows.len());
        for (index, row) in request.rows.iter().enumerate() {
            let path = RowPath::At(index);
            let entity_path = || format!("{path}.entity");
            let cells = cells_of_map(&keys, &row.entity, entity_path)?;
            let meta = RowMeta {
                event_time: row.event_time_micros.map(Timestamp),
                sequence: row.sequence,
                if_rev: row.if_rev,
                write_id: write_id(&row.idempotency_key, || format!("{path}.idempotency_key"))?,
            };
            writes.push(Write {
                key: row_key(&view, &cells, entity_path)?,
                op: Op::Delete,
                order: meta.order(self, path)?,
                condition: meta.condition(),
                write_id: delete_id(meta.write_id),
            });
        }
        let (lane, visible) = (Lane::Direct, Visible::Later);
        Ok(results(&self.execute(&view, lane, writes, visible, self.deadline()).await))
    }

    fn put_write(
        &self,
        view: &Arc<ViewDefinition>,
        row: PutRow,
        path: RowPath,
    ) -> Result<Write, ApiError> {
        let entity_path = || format!("{path}.entity");
        let cells = cells_of_map(&KeySet::of_view(view), &row.entity, entity_path)?;
        let meta = RowMeta {
            event_time: row.event_time_micros.map(Timestamp),
            sequence: row.sequence,
            if_rev: row.if_rev,
            write_id: write_id(&row.idempotency_key, || format!("{path}.idempotency_key"))?,
        };
        let key = row_key(view, &cells, entity_path)?;
        let values = check_values(view, row.values, path, value_from_wire)?;
        self.check_embeddings(view, &values, path)?;
        Ok(Write {
            key,
            op: Op::Values(values),
            order: meta.order(self, path)?,
            condition: meta.condition(),
            write_id: meta.write_id,
        })
    }

    fn encoded_writes(
        &self,
        view: &Arc<ViewDefinition>,
        request: EncodedRows,
    ) -> Result<(Lane, Vec<Write>), ApiError> {
        check_row_count(request.rows.len(), limits::ENCODED_ROWS_MAX, "rows")?;
        let lane = match WireLane::try_from(request.lane) {
            Ok(WireLane::Batch) => Lane::Batch,
            Ok(WireLane::Stream) => Lane::Stream,
            Ok(WireLane::Direct) => Lane::Direct,
            Ok(WireLane::Unspecified) | Err(_) => {
                return Err(ApiError::invalid("the lane is not named").at("lane"));
            }
        };
        check_lane(view, lane)?;
        let schema = Fingerprint(request.schema_fingerprint);
        let rows = request.rows.into_iter().enumerate();
        let writes =
            rows.map(|(index, row)| self.encoded_write(view, row, schema, RowPath::At(index)));
        Ok((lane, writes.collect::<Result<Vec<_>, _>>()?))
    }

    fn encoded_write(
        &self,
        view: &Arc<ViewDefinition>,
        row: EncodedRow,
        schema: Fingerprint,
        path: RowPath,
    ) -> Result<Write, ApiError> {
        let event_time = Timestamp(row.event_time_micros);
        check_event_time(self, event_time, || format!("{path}.event_time_micros"))?;
        let order = match row.replacing {
            None => Order::At { event_time, sequence: Some(row.sequence) },
            Some(replaced) => Order::Replacing {
                event_time: Timestamp(replaced.event_time_micros),
                sequence: replaced.sequence,
                new_event_time: event_time,
                new_sequence: row.sequence,
            },
        };
        let field = || format!("{path}.entity");
        let entity: Option<Vec<_>> = row.entity.iter().map(key_from_wire).collect();
        let missing = || ApiError::invalid("the join key has no value").at(field());
        let entity = entity.ok_or_else(missing)?;
        let key = view
            .keys
            .encode(&entity)
            .map_err(|error| ApiError::invalid(error.to_string()).at(field()))?;
        let op = match row.row {
            None => Op::Delete,
            Some(bytes) => {
                let broken = |error: trivium_codec::Error| {
                    ApiError::invalid(error.to_string())
                        .at(format!("{path}.row"))
                        .help("rows are encoded as docs/row-format.md says")
                };
                let row = check_row(view, Row::from_bytes(bytes).map_err(broken)?, schema, path)?;
                // Bytes from outside are read through once, so that nothing unreadable is stored.
                if let Some(schema) = view.layouts.schema(schema) {
                    row.reader(schema).and_then(|reader| reader.verify()).map_err(broken)?;
                }
                Op::Row(row)
            }
        };
        let write_id = write_id(&row.write_id, || format!("{path}.write_id"))?;
        Ok(Write { key, op, order, condition: trivium_store::Condition::None, write_id })
    }
}

/// What `grpc.health.v1.Health` answers.
#[derive(Debug, Clone)]
pub struct GrpcHealth(HealthReporter);

impl GrpcHealth {
    /// Not serving any more, by any name: the process is being stopped.
    pub async fn stop(&self) {
        let not = ServingStatus::NotServing;
        self.0.set_service_status("", not).await;
        self.0.set_service_status(SERVICE_NAME, not).await;
        self.0.set_service_status(PIPELINE, not).await;
    }
}

fn consistency(wire: Option<WireConsistency>) -> Consistency {
    match wire.and_then(|wire| wire.mode) {
        None | Some(consistency::Mode::Strong(_)) => Consistency::Strong,
        Some(consistency::Mode::Cached(CachedRead { max_staleness_ms })) => {
            Consistency::Cached { max_staleness: Duration::from_millis(max_staleness_ms) }
        }
    }
}

pub(crate) fn cells_of_map<'a>(
    keys: &KeySet,
    entity: &'a BTreeMap<String, KeyValue>,
    path: impl Fn() -> String,
) -> Result<Vec<Option<KeyCell<'a>>>, ApiError> {
    let mut cells = vec![None; keys.len()];
    for (name, value) in entity {
        let field = || format!("{}.{name}", path());
        let Some(index) = keys.index_of(name) else { return Err(keys.unknown(name, field())) };
        let value =
            key_ref_of_proto(value).map_err(|message| ApiError::invalid(message).at(field()))?;
        let (_, key_type) = &keys.as_slice()[index];
        if value.key_type() != *key_type {
            return Err(ApiError::invalid(format!(
                "expected {key_type}, found {}",
                value.key_type()
            ))
            .at(field()));
        }
        cells[index] = Some(KeyCell::Borrowed(value));
    }
    check_complete(keys, &cells, path)?;
    Ok(cells)
}

fn results(outcomes: &[DoorOutcome]) -> Vec<WriteResult> {
    let result = |(index, outcome): (usize, &DoorOutcome)| {
        let (outcome, rev, event_time) = match outcome {
            Ok(WriteOutcome::Applied(stamp)) => (Outcome::Applied, stamp.rev, stamp.event_time.0),
            Ok(WriteOutcome::Superseded(stamp)) => {
                (Outcome::Superseded, live_rev(stamp), stamp.event_time.0)
            }
            Ok(WriteOutcome::Conflict(stamp)) => (
                Outcome::Conflict,
                stamp.as_ref().map_or(0, live_rev),
                stamp.map_or(0, |stamp| stamp.event_time.0),
            ),
            Ok(WriteOutcome::Erased(up_to)) => (Outcome::Erased, 0, up_to.0),
            Err(error) => {
                let mut error = of_door(error);
                error.field = row_field(index, &error.field);
                return WriteResult {
                    outcome: Outcome::Failed as i32,
                    error: Some(error.detail()),
                    ..WriteResult::default()
                };
            }
        };
        WriteResult { outcome: outcome as i32, rev, event_time_micros: event_time, error: None }
    };
    outcomes.iter().enumerate().map(result).collect()
}

#[tonic::async_trait]
impl OnlineService for Serving {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        Ok(Response::new(self.get_one(request.into_inner()).await?))
    }
    async fn batch_get(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Result<Response<BatchGetResponse>, Status> {
        // Calls that come over the wire are answered by `rpc_batch`, which leaves the answer as it is.
        Ok(Response::new(answer_wire::decoded(self.get_many(request.into_inner()).await?)?))
    }
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let result = self.put_one(request.into_inner()).await?;
        Ok(Response::new(PutResponse { result: Some(result) }))
    }
    async fn batch_put(
        &self,
        request: Request<BatchPutRequest>,
    ) -> Result<Response<BatchPutResponse>, Status> {
        let results = self.put_many(request.into_inner()).await?;
        Ok(Response::new(BatchPutResponse { results }))
    }
    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let results = self.delete_many(request.into_inner()).await?;
        Ok(Response::new(DeleteResponse { results }))
    }
    async fn search_nearest(
        &self,
        request: Request<SearchNearestRequest>,
    ) -> Result<Response<SearchNearestResponse>, Status> {
        Ok(Response::new(self.search_nearest_proto(request.into_inner()).await?))
    }
    async fn erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        self.rpc_erase_subject(request).await
    }
    async fn get_erasure(
        &self,
        request: Request<GetErasureRequest>,
    ) -> Result<Response<GetErasureResponse>, Status> {
        self.rpc_get_erasure(request).await
    }
}

fn check_checkpoint_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > limits::CHECKPOINT_NAME_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "a checkpoint's name has 1 to {} bytes",
            limits::CHECKPOINT_NAME_BYTES_MAX
        ))
        .at("name"));
    }
    Ok(())
}

#[tonic::async_trait]
impl PipelineService for Serving {
    async fn load_checkpoint(
        &self,
        request: Request<LoadCheckpointRequest>,
    ) -> Result<Response<LoadCheckpointResponse>, Status> {
        let _entered = self.enter("grpc")?;
        let request = request.into_inner();
        check_checkpoint_name(&request.name)?;
        let value =
            self.checkpoints().load(&request.name).await.map_err(|error| of_store(&error))?;
        Ok(Response::new(LoadCheckpointResponse { value }))
    }

    async fn store_checkpoint(
        &self,
        request: Request<StoreCheckpointRequest>,
    ) -> Result<Response<StoreCheckpointResponse>, Status> {
        let _entered = self.enter("grpc")?;
        let StoreCheckpointRequest { name, expected, value } = request.into_inner();
        check_checkpoint_name(&name)?;
        if value.len() > limits::CHECKPOINT_BYTES_MAX {
            return Err(ApiError::too_large(format!(
                "the checkpoint is larger than {} bytes",
                limits::CHECKPOINT_BYTES_MAX
            ))
            .at("value")
            .into());
        }
        let stored = self
            .checkpoints()
            .store(&name, expected.as_deref(), value)
            .await
            .map_err(|error| of_store(&error))?;
        Ok(Response::new(StoreCheckpointResponse { stored }))
    }
}
