//! gRPC: `RegistryService`.

use tonic::{Request, Response, Status};
use trivium_api::ApiError;
use trivium_model::Name;
use trivium_proto::v1::{
    ApplyRequest, ApplyResponse, AuditRecord, Change as WireChange, ConfigFile,
    Diagnostic as WireDiagnostic, GetServiceRequest, GetServiceResponse, GetViewRequest,
    GetViewResponse, LeaveErasureOrderRequest, LeaveErasureOrderResponse, ListAuditRequest,
    ListAuditResponse, ListErasureOrdersRequest, ListErasureOrdersResponse, ListPartitionsRequest,
    ListPartitionsResponse, ListServicesRequest, ListServicesResponse, ListViewsRequest,
    ListViewsResponse, PlanRequest, PlanResponse, RecordPartitionsRequest,
    RecordPartitionsResponse, ServiceRecord, ViewRecord, change,
    registry_service_server::{RegistryService, RegistryServiceServer},
};
use trivium_registry::{Change, Class, File, Revision, StoredService, StoredView};

use crate::{
    RegistryApi,
    erasure::{order_of_wire, order_to_wire},
    limits::REQUEST_BYTES_MAX,
    operations::{ApplyInput, Planned},
    partitions::{list_of_wire, record_of_wire},
    shapes::{DiagnosticAnswer, errors},
};

impl RegistryApi {
    /// The gRPC surface, to be added to the others.
    pub fn grpc(&self) -> RegistryServiceServer<Self> {
        RegistryServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES_MAX)
    }
}

#[async_trait::async_trait]
impl RegistryService for RegistryApi {
    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let files = files(request.into_inner().files);
        Ok(Response::new(match self.plan_files(files).await? {
            Planned::Plan(plan) => PlanResponse {
                base_revision: plan.base.0,
                changes: plan.changes.iter().map(wire_change).collect(),
                errors: errors(&plan.errors).into_iter().map(wire_diagnostic).collect(),
                notices: plan.notices,
            },
            Planned::Wrong(base, found) => PlanResponse {
                base_revision: base.0,
                changes: Vec::new(),
                errors: errors(&found).into_iter().map(wire_diagnostic).collect(),
                notices: Vec::new(),
            },
        }))
    }

    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<ApplyResponse>, Status> {
        let request = request.into_inner();
        let (revision, changes) = self
            .apply_files(ApplyInput {
                files: files(request.files),
                base: Revision(request.base_revision),
                author: request.author,
                reason: request.reason,
            })
            .await?;
        let changes = changes.iter().map(wire_change).collect();
        Ok(Response::new(ApplyResponse { revision: revision.0, changes }))
    }

    async fn list_views(
        &self,
        request: Request<ListViewsRequest>,
    ) -> Result<Response<ListViewsResponse>, Status> {
        let namespace = namespace(&request.into_inner().namespace)?;
        let (revision, views) = self.views(namespace.as_ref()).await?;
        let views = views.iter().map(|stored| wire_view(stored)).collect();
        Ok(Response::new(ListViewsResponse { revision: revision.0, views }))
    }

    async fn get_view(
        &self,
        request: Request<GetViewRequest>,
    ) -> Result<Response<GetViewResponse>, Status> {
        let reference = reference(&request.into_inner().reference)?;
        let revisions = self.view_history(&reference).await?.iter().map(wire_view).collect();
        Ok(Response::new(GetViewResponse { revisions }))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let namespace = namespace(&request.into_inner().namespace)?;
        let (revision, services) = self.services(namespace.as_ref()).await?;
        let services = services.iter().map(|stored| wire_service(stored)).collect();
        Ok(Response::new(ListServicesResponse { revision: revision.0, services }))
    }

    async fn get_service(
        &self,
        request: Request<GetServiceRequest>,
    ) -> Result<Response<GetServiceResponse>, Status> {
        let reference = reference(&request.into_inner().reference)?;
        let revisions = self.service_history(&reference).await?.iter().map(wire_service).collect();
        Ok(Response::new(GetServiceResponse { revisions }))
    }

    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        let ListAuditRequest { subject, since_revision, limit } = request.into_inner();
        // Protobuf cannot tell 0 from absent: 0 asks for the default.
        let limit = (limit != 0).then_some(limit);
        let entries = self.audit(&subject, since_revision, limit).await?;
        let entries = entries.into_iter().map(|entry| AuditRecord {
            revision: entry.revision.0,
            ordinal: entry.ordinal,
            action: entry.action.action,
            subject: entry.action.subject,
            detail: entry.action.detail,
            author: entry.author,
            at_micros: entry.at.0,
            reason: entry.reason,
        });
        Ok(Response::new(ListAuditResponse { entries: entries.collect() }))
    }

    async fn record_partitions(
        &self,
        request: Request<RecordPartitionsRequest>,
    ) -> Result<Response<RecordPartitionsResponse>, Status> {
        Ok(Response::new(record_of_wire(self, request.into_inner()).await?))
    }

    async fn list_partitions(
        &self,
        request: Request<ListPartitionsRequest>,
    ) -> Result<Response<ListPartitionsResponse>, Status> {
        Ok(Response::new(list_of_wire(self, request.into_inner()).await?))
    }

    async fn leave_erasure_order(
        &self,
        request: Request<LeaveErasureOrderRequest>,
    ) -> Result<Response<LeaveErasureOrderResponse>, Status> {
        let missing = || ApiError::invalid("no order is given").at("order");
        let order = order_of_wire(request.into_inner().order.ok_or_else(missing)?)?;
        let number = self.leave(&order).await?;
        Ok(Response::new(LeaveErasureOrderResponse { number }))
    }

    async fn list_erasure_orders(
        &self,
        request: Request<ListErasureOrdersRequest>,
    ) -> Result<Response<ListErasureOrdersResponse>, Status> {
        let ListErasureOrdersRequest { after, limit } = request.into_inner();
        let orders = self.list(after, (limit != 0).then_some(limit)).await?;
        let orders = orders.into_iter().map(|(number, order)| order_to_wire(number, order));
        Ok(Response::new(ListErasureOrdersResponse { orders: orders.collect() }))
    }
}

fn files(files: Vec<ConfigFile>) -> Vec<File> {
    files.into_iter().map(|file| File::new(file.path, file.text)).collect()
}

fn namespace(text: &str) -> Result<Option<Name>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = Name::new(text);
    name.map(Some).map_err(|error| ApiError::invalid(error.to_string()).at("namespace"))
}

fn reference<T>(text: &str) -> Result<T, ApiError>
where
    T: std::str::FromStr<Err = trivium_model::NameError>,
{
    text.parse().map_err(|error: T::Err| ApiError::invalid(error.to_string()).at("reference"))
}

fn wire_change(change: &Change) -> WireChange {
    let class = match change.class {
        Class::New => change::Class::New,
        Class::Cosmetic => change::Class::Cosmetic,
        Class::Compatible => change::Class::Compatible,
        Class::Behaviour => change::Class::Behaviour,
        Class::Breaking => change::Class::Breaking,
    };
    WireChange {
        subject: change.subject.clone(),
        class: class.into(),
        reasons: change.reasons.iter().map(ToString::to_string).collect(),
        allowed: change.is_allowed(),
        diff: change.diff.clone(),
        refusal: change.refusal.clone().unwrap_or_default(),
    }
}

fn wire_diagnostic(found: DiagnosticAnswer) -> WireDiagnostic {
    let DiagnosticAnswer { path, line, column, code, message, help } = found;
    WireDiagnostic { path, line, column, code, message, help }
}

fn wire_view(stored: &StoredView) -> ViewRecord {
    ViewRecord {
        reference: stored.view.reference().to_string(),
        config: stored.config_text.clone(),
        sql: stored.sql_text.clone().unwrap_or_default(),
        revision: stored.revision.0,
        author: stored.author.clone(),
        at_micros: stored.at.0,
        reason: stored.reason.clone(),
    }
}

fn wire_service(stored: &StoredService) -> ServiceRecord {
    ServiceRecord {
        reference: stored.service.reference().to_string(),
        config: stored.config_text.clone(),
        revision: stored.revision.0,
        author: stored.author.clone(),
        at_micros: stored.at.0,
        reason: stored.reason.clone(),
    }
}
