//! gRPC: `EraseSubject` and `GetErasure` of `OnlineService`.

use std::collections::BTreeMap;

use tonic::{Extensions, Request, Response, Status};
use trivium_api::{ApiError, auth::Caller};
use trivium_model::{KeyValue, json::key_from_json};
use trivium_proto::v1::{
    self, EarlierErasure, EraseSubjectRequest, EraseSubjectResponse, ErasedRows, ErasureReport,
    GetErasureRequest, GetErasureResponse, erasure_report::State as WireState,
    key_value::Kind as WireKey,
};
use trivium_proto::wire::key_from_wire;

use super::{
    job::{Asked, Person},
    report::{Report, State},
};
use crate::Serving;

impl Serving {
    pub(crate) async fn rpc_erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        let _entered = self.enter("grpc")?;
        let by = name_of_caller(request.extensions());
        let EraseSubjectRequest { namespace, subject, reason, requested_by, request_id } =
            request.into_inner();
        let (join_key, value) = self.subject_of_wire(&namespace, subject)?;
        let asked = Asked { request_id, by, requested_by, reason };
        let report = self.erase(&namespace, (&join_key, &value), asked).await?;
        Ok(Response::new(EraseSubjectResponse { report: Some(wire_report(report)) }))
    }

    pub(crate) async fn rpc_get_erasure(
        &self,
        request: Request<GetErasureRequest>,
    ) -> Result<Response<GetErasureResponse>, Status> {
        let _entered = self.enter("grpc")?;
        let GetErasureRequest { namespace, subject } = request.into_inner();
        let (join_key, value) = self.subject_of_wire(&namespace, subject)?;
        let report = self.erasure(&namespace, (&join_key, &value)).await?;
        Ok(Response::new(GetErasureResponse { report: Some(wire_report(report)) }))
    }

    fn subject_of_wire(
        &self,
        namespace: &str,
        subject: BTreeMap<String, v1::KeyValue>,
    ) -> Result<(String, KeyValue), ApiError> {
        let count = subject.len();
        let mut keys = subject.into_iter();
        let (Some((join_key, value)), None) = (keys.next(), keys.next()) else {
            return Err(super::not_one_key(count));
        };
        let key_type = self.definitions().subject_type(namespace, &join_key)?;
        let at = || format!("subject.{join_key}");
        let value = key_from_wire(&value)
            .ok_or_else(|| ApiError::invalid("the join key has no value").at(at()))?;
        if value.key_type() != key_type {
            let found = value.key_type();
            return Err(ApiError::invalid(format!("expected {key_type}, found {found}")).at(at()));
        }
        Ok((join_key, value))
    }
}

fn name_of_caller(extensions: &Extensions) -> String {
    extensions.get::<Caller>().map_or_else(String::new, |Caller(name)| name.to_string())
}

fn wire_key(person: &Person) -> v1::KeyValue {
    let kind = match key_from_json(person.key_type, &person.value) {
        Ok(KeyValue::String(text)) => Some(WireKey::String(text)),
        Ok(KeyValue::Int64(number)) => Some(WireKey::Int64(number)),
        Ok(KeyValue::Bool(flag)) => Some(WireKey::Bool(flag)),
        Ok(KeyValue::Bytes(bytes)) => Some(WireKey::Bytes(bytes.into())),
        Ok(KeyValue::Date(days)) => Some(WireKey::Date(days)),
        Ok(KeyValue::Timestamp(at)) => Some(WireKey::TimestampMicros(at.0)),
        // It was read by its type when the erasure began.
        Err(_) => None,
    };
    v1::KeyValue { kind }
}

fn wire_report(report: Report) -> ErasureReport {
    let state = match report.state {
        State::InProgress => WireState::InProgress,
        State::AwaitingRegistry => WireState::AwaitingRegistry,
        State::Done => WireState::Done,
    };
    let key = wire_key(&report.person);
    let views = report
        .views
        .into_iter()
        .map(|(view, rows)| (view, ErasedRows { deleted: rows.deleted, newer: rows.newer }));
    let earlier = report.earlier.into_iter().map(|earlier| EarlierErasure {
        erasure: earlier.erasure,
        request_id: earlier.request_id,
        by: earlier.by,
        requested_by: earlier.requested_by,
        requested_at_micros: earlier.requested_at_micros,
        done: earlier.done,
    });
    ErasureReport {
        state: state.into(),
        erasure: report.erasure,
        request_id: report.request_id,
        namespace: report.namespace,
        subject: BTreeMap::from([(report.person.join_key, key)]),
        by: report.by,
        requested_by: report.requested_by,
        reason: report.reason,
        requested_at_micros: report.micros.requested_at,
        up_to_micros: report.micros.up_to,
        finished_at_micros: report.micros.finished_at,
        views: views.collect(),
        embeddings: report.embeddings,
        rows_verified: report.rows_verified,
        offline_order_left: report.offline_order_left,
        sweeps: report.sweeps,
        index_calls: report.index_calls,
        item_calls: report.item_calls,
        problem: report.problem,
        earlier: earlier.collect(),
    }
}
