//! What serving knows of views and services: built from a registry snapshot, never changed, swapped
//! as a whole. A request works with the definitions that it began with.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use trivium_api::{ApiError, suggest};
use trivium_codec::{Field, KeyShape, Layouts, RowKey, Schema};
use trivium_expr::OnDemand;
use trivium_model::{
    DataType, FeatureRef, KeyType, Lane, Name, ServiceRef, Timestamp, Value, ViewRef,
};
use trivium_registry::{Revision, Snapshot};
use trivium_runtime::Kind;
use trivium_store::{
    Together,
    embedding::{Hnsw, IndexSpec, MetaType},
};

use crate::{
    embedding::stored_layouts, limits, metrics::ViewMetrics, on_demand, plan::ReadPlan, traced,
};

/// One view version, ready to be read and written.
#[derive(Debug)]
pub struct ViewDefinition {
    /// `namespace/view@version`.
    pub reference: ViewRef,
    /// The same as text.
    pub name: String,
    /// The lane that produces its rows.
    pub lane: Lane,
    /// Whether it is served.
    pub online: bool,
    /// How long a row counts after its event time, in microseconds; `None`: for ever.
    pub ttl_micros: Option<i64>,
    /// How its keys are made.
    pub keys: KeyShape,
    /// The schema of its rows, and older ones that rows may still have.
    pub layouts: Layouts,
    /// What each feature shows where there is no value; null where nothing was said.
    pub defaults: Vec<Value>,
    /// Which join key names the person whose data a row is, by its place among the sorted ones, and
    /// what stands before its value in the name of a subject.
    subject: Option<(usize, String)>,
    /// Its embedding features, each with its index.
    pub embeddings: Vec<EmbeddingFeature>,
    /// How its rows are stored where embeddings live in an index; `None`: it has no embeddings.
    pub(crate) stored: Option<Layouts>,
    pub(crate) metrics: ViewMetrics,
}

/// An embedding feature of a view.
#[derive(Debug, Clone)]
pub struct EmbeddingFeature {
    /// Its index in the view's current schema.
    pub field: usize,
    /// The index of embeddings that holds it.
    pub spec: IndexSpec,
}

impl ViewDefinition {
    /// The features, in the order of the row.
    pub fn fields(&self) -> &[Field] {
        self.layouts.current().fields()
    }

    /// Whether a row of this event time counts no more.
    pub(crate) fn is_expired(&self, event_time: Timestamp, now: Timestamp) -> bool {
        let oldest = self.ttl_micros.map(|ttl| now.0.saturating_sub(ttl));
        oldest.is_some_and(|oldest| event_time.0 < oldest)
    }

    /// How long a row may be seen, for stores that forget rows by themselves.
    pub(crate) fn row_ttl(&self) -> Option<Duration> {
        self.ttl_micros.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros)
    }

    /// The join key that names the person whose data its rows are.
    pub(crate) fn subject_key(&self) -> Option<(&Name, KeyType)> {
        let (index, _) = self.subject.as_ref()?;
        Some((self.keys.key_names().get(*index)?, *self.keys.key_types().get(*index)?))
    }

    /// Whose data a row is: `namespace#join-key#value`, the value spelled as in row keys. The same
    /// person has the same name in every view of the namespace, whatever else its key holds.
    pub(crate) fn subject_of(&self, key: &RowKey) -> Option<Arc<str>> {
        let (index, prefix) = self.subject.as_ref()?;
        let value = self.keys.part(key, *index)?;
        Some(format!("{prefix}{value}").into())
    }
}

/// One service version: its features in the model's order.
#[derive(Debug)]
struct ServiceDefinition {
    features: Vec<FeatureRef>,
    /// Full names of what is computed.
    computed: Vec<String>,
    /// How; or why it cannot be.
    on_demand: Result<Option<Arc<OnDemand>>, String>,
    is_precomputed: bool,
}

/// Why definitions could not be built from a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("`{view}` cannot be served: {source}")]
pub struct DefinitionError {
    view: ViewRef,
    source: trivium_codec::Error,
}

/// Every view and service of one revision of the registry.
#[derive(Debug, Default)]
pub struct Definitions {
    revision: Revision,
    views: HashMap<String, Arc<ViewDefinition>>,
    services: HashMap<String, ServiceDefinition>,
    /// What precomputed services read. One for all of them: an entity is kept as one.
    together: Option<Arc<Together>>,
    plans: Plans,
}

/// The views that precomputed services read.
fn together(
    views: &HashMap<String, Arc<ViewDefinition>>,
    services: &HashMap<String, ServiceDefinition>,
) -> Option<Arc<Together>> {
    let precomputed = services.values().filter(|service| service.is_precomputed);
    let read = precomputed
        .flat_map(|service| &service.features)
        .filter_map(|feature| views.get(&feature.view.to_string()));
    let together = Together::new(read.map(|view| (view.keys.entity_type(), view.keys.sort())));
    (!together.is_empty()).then(|| Arc::new(together))
}

/// The types of these features; `None` if one of them is nowhere.
fn types_of(
    views: &HashMap<String, Arc<ViewDefinition>>,
    features: &[FeatureRef],
) -> Option<Vec<DataType>> {
    let types = features.iter().map(|feature| {
        let view = views.get(&feature.view.to_string())?;
        let index = view.layouts.current().index_of(&feature.feature)?;
        Some(view.fields()[index].data_type.clone())
    });
    types.collect()
}

/// Each embedding feature's index; all features that can be filtered by stand beside the vectors.
fn embeddings_of(view: &ViewRef, schema: &Schema) -> Vec<EmbeddingFeature> {
    let metadata = || {
        let fields = schema.fields().iter();
        fields
            .filter_map(|field| Some((field.name.clone(), MetaType::of(&field.data_type)?)))
            .collect()
    };
    let fields = schema.fields().iter().enumerate();
    fields
        .filter_map(|(index, field)| {
            let DataType::Embedding { dimension, metric } = field.data_type else { return None };
            let spec = IndexSpec {
                view: view.clone(),
                feature: field.name.clone(),
                dimension,
                metric,
                hnsw: Hnsw::default(),
                metadata: metadata(),
            };
            Some(EmbeddingFeature { field: index, spec })
        })
        .collect()
}

/// What a read asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<S> {
    /// Features and whole views, by name.
    Features(Vec<S>),
    /// The features of a service.
    Service(S),
}

impl Definitions {
    /// Builds what serving needs. Fails where a view's layouts do not fit together, which a registry
    /// does not accept.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Self, DefinitionError> {
        let mut views = HashMap::with_capacity(snapshot.views.len());
        for (reference, stored) in &snapshot.views {
            let failed = |source| DefinitionError { view: reference.clone(), source };
            let view = &stored.view;
            let schema = Schema::of_view(view).map_err(failed)?;
            let mut older = Vec::new();
            for layout in snapshot.layouts.get(reference).into_iter().flatten() {
                let fields =
                    layout.iter().map(|feature| (feature.name.clone(), feature.data_type.clone()));
                older.push(Schema::new(fields).map_err(failed)?);
            }
            let name = reference.to_string();
            let defaults = view
                .served_features()
                .into_iter()
                .map(|feature| feature.default.unwrap_or(Value::Null))
                .collect();
            let keys = KeyShape::new(view);
            let subject = view.subject.as_ref().and_then(|subject| {
                let index = keys.key_names().iter().position(|name| name == subject)?;
                Some((index, format!("{}#{subject}#", view.namespace)))
            });
            let definition = ViewDefinition {
                reference: reference.clone(),
                subject,
                embeddings: embeddings_of(reference, &schema),
                stored: stored_layouts(&schema, &older).map_err(failed)?,
                lane: view.lane,
                online: view.online,
                ttl_micros: view.ttl.map(|ttl| ttl.micros()),
                keys,
                layouts: Layouts::new(schema, older).map_err(failed)?,
                defaults,
                metrics: ViewMetrics::new(&name),
                name: name.clone(),
            };
            views.insert(name, Arc::new(definition));
        }
        let services: HashMap<String, ServiceDefinition> = snapshot
            .services
            .iter()
            .map(|(reference, stored)| {
                let service = &stored.service;
                let features: Vec<FeatureRef> = service.feature_refs().collect();
                let computed = service.derived.iter();
                let definition = ServiceDefinition {
                    computed: computed.map(|one| service.derived_ref(one).to_string()).collect(),
                    on_demand: on_demand::compile(service, types_of(&views, &features)),
                    features,
                    is_precomputed: service.precomputed,
                };
                (reference.to_string(), definition)
            })
            .collect();
        let together = together(&views, &services);
        let (revision, plans) = (snapshot.revision, Plans::default());
        Ok(Self { revision, views, services, together, plans })
    }

    /// The indexes that the embeddings of all views live in.
    pub fn indexes(&self) -> impl Iterator<Item = &IndexSpec> {
        self.views.values().flat_map(|view| &view.embeddings).map(|embedding| &embedding.spec)
    }

    /// Every view, served online or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ViewDefinition>> {
        self.views.values()
    }

    /// The registry's revision that these are of.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A view that is served online, or an error that says what there is instead.
    pub fn view(&self, name: &str, field: &str) -> Result<&Arc<ViewDefinition>, ApiError> {
        let Some(view) = self.views.get(name) else { return Err(self.unknown_view(name, field)) };
        if !view.online {
            return Err(ApiError::new(
                Kind::FailedPrecondition,
                format!("`{name}` is not served online"),
            )
            .at(field)
            .help("its config says `\"online\": false`; its history can be read"));
        }
        Ok(view)
    }

    /// The view, whether or not it is online; for the write door's own errors.
    pub fn find(&self, view: &ViewRef) -> Option<&Arc<ViewDefinition>> {
        self.views.get(view.to_string().as_str())
    }

    #[cold]
    fn unknown_view(&self, name: &str, field: &str) -> ApiError {
        let reference = match name.parse::<ViewRef>() {
            Ok(reference) => reference,
            Err(error) => return ApiError::invalid(error.to_string()).at(field),
        };
        let mut versions: Vec<u32> = self
            .views
            .values()
            .map(|view| &view.reference)
            .filter(|known| known.namespace == reference.namespace && known.view == reference.view)
            .map(|known| known.version)
            .collect();
        versions.sort_unstable();
        let help = if versions.is_empty() {
            suggest::hint(name, sorted(self.views.keys()).iter().copied())
        } else {
            format!("its versions are {versions:?}")
        };
        ApiError::not_found(format!("there is no feature view `{name}`")).at(field).help(help)
    }

    /// The plan of a read, from the cache if it was asked for before.
    pub fn plan<S: AsRef<str>>(&self, selection: &Selection<S>) -> Result<Arc<ReadPlan>, ApiError> {
        let plan = self.plans.get_or_make(selection, || {
            let (names, fields) = self.columns(selection)?;
            let mut plan = ReadPlan::new(names, fields)?;
            let service = match selection {
                Selection::Service(name) => self.services.get(name.as_ref()),
                Selection::Features(_) => None,
            };
            let Some(service) = service else { return Ok(plan) };
            if service.is_precomputed {
                plan.together.clone_from(&self.together);
            }
            match &service.on_demand {
                Ok(None) => Ok(plan),
                Ok(Some(on_demand)) => Ok(plan.computing(on_demand.clone())),
                Err(wrong) => Err(ApiError::new(
                    Kind::FailedPrecondition,
                    format!("the service's derived features cannot be computed: {wrong}"),
                )
                .at("service")
                .help("mend its config, and apply it")),
            }
        })?;
        if let Selection::Service(name) = selection {
            traced::service(name.as_ref());
        }
        Ok(plan)
    }

    /// Each column's full name, view and field.
    #[allow(clippy::type_complexity, reason = "one use, right above")]
    fn columns<S: AsRef<str>>(
        &self,
        selection: &Selection<S>,
    ) -> Result<(Vec<String>, Vec<(Arc<ViewDefinition>, usize)>), ApiError> {
        let mut names = Vec::new();
        let mut columns = Vec::new();
        match selection {
            Selection::Features(features) => {
                if features.is_empty() {
                    return Err(ApiError::invalid("no feature is named")
                        .at("features")
                        .help("name at least one, as in `flights/carrier_daily@1:flights`"));
                }
                for (index, text) in features.iter().enumerate() {
                    let text = text.as_ref();
                    let field = format!("features[{index}]");
                    match text.split_once(':') {
                        Some((view, feature)) => {
                            if !self.views.contains_key(view) {
                                // The whole reference says more than the view's part of it.
                                text.parse::<FeatureRef>().map_err(|error| {
                                    ApiError::invalid(error.to_string()).at(&field)
                                })?;
                            }
                            let view = self.view(view, &field)?;
                            columns.push((view.clone(), feature_index(view, feature, &field)?));
                            names.push(text.to_owned());
                        }
                        None => {
                            let view = self.view(text, &field)?;
                            for (index, listed) in view.fields().iter().enumerate() {
                                columns.push((view.clone(), index));
                                names.push(format!("{text}:{}", listed.name));
                            }
                        }
                    }
                    check_count(columns.len(), "features")?;
                }
            }
            Selection::Service(name) => {
                let name = name.as_ref();
                let service = self.services.get(name).ok_or_else(|| self.unknown_service(name))?;
                for feature in &service.features {
                    let view = self.view(&feature.view.to_string(), "service")?;
                    columns.push((view.clone(), feature_index(view, &feature.feature, "service")?));
                    names.push(feature.to_string());
                }
                names.extend_from_slice(&service.computed);
                check_count(names.len(), "service")?;
            }
        }
        Ok((names, columns))
    }

    #[cold]
    fn unknown_service(&self, name: &str) -> ApiError {
        match name.parse::<ServiceRef>() {
            Ok(_) => ApiError::not_found(format!("there is no feature service `{name}`"))
                .at("service")
                .help(suggest::hint(name, sorted(self.services.keys()).iter().copied())),
            Err(error) => ApiError::invalid(error.to_string()).at("service"),
        }
    }
}

/// The index of a feature of a view, or an error with the nearest name.
pub(crate) fn feature_index(
    view: &ViewDefinition,
    feature: &str,
    field: &str,
) -> Result<usize, ApiError> {
    view.layouts.current().index_of(feature).ok_or_else(|| {
        let known = view.fields().iter().map(|field| field.name.as_str());
        ApiError::not_found(format!("`{}` has no feature `{feature}`", view.name))
            .at(field)
            .help(suggest::hint(feature, known))
    })
}

fn check_count(columns: usize, field: &str) -> Result<(), ApiError> {
    if columns <= limits::FEATURES_MAX {
        return Ok(());
    }
    Err(ApiError::invalid(format!("more than {} features are asked for", limits::FEATURES_MAX))
        .at(field)
        .help("split the request"))
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What was asked for, and its plan.
type KeptPlan = (Selection<String>, Arc<ReadPlan>);

/// Plans by what was asked for. A model asks for the same list again and again; when more lists
/// than [`limits::PLANS_MAX`] come, all are made anew: simpler than aging, and callers that never
/// ask twice gain nothing from either.
#[derive(Debug, Default)]
struct Plans {
    hasher: RandomState,
    kept: RwLock<BTreeMap<u64, KeptPlan>>,
}

impl Plans {
    fn get_or_make<S: AsRef<str>>(
        &self,
        selection: &Selection<S>,
        make: impl FnOnce() -> Result<ReadPlan, ApiError>,
    ) -> Result<Arc<ReadPlan>, ApiError> {
        let hash = match selection {
            Selection::Service(name) => self.hasher.hash_one((0_u8, name.as_ref())),
            Selection::Features(names) => {
                use std::hash::{Hash, Hasher};
                let mut hasher = self.hasher.build_hasher();
                names.iter().for_each(|name| name.as_ref().hash(&mut hasher));
                hasher.finish()
            }
        };
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, plan)) = kept.get(&hash)
            && same(asked, selection)
        {
            return Ok(plan.clone());
        }
        drop(kept);
        let plan = Arc::new(make()?);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::PLANS_MAX {
            kept.clear();
        }
        kept.insert(hash, (owned(selection), plan.clone()));
        Ok(plan)
    }
}

fn same<S: AsRef<str>>(a: &Selection<String>, b: &Selection<S>) -> bool {
    match (a, b) {
        (Selection::Service(a), Selection::Service(b)) => a == b.as_ref(),
        (Selection::Features(a), Selection::Features(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b.as_ref())
        }
        _ => false,
    }
}

fn owned<S: AsRef<str>>(selection: &Selection<S>) -> Selection<String> {
    match selection {
        Selection::Service(name) => Selection::Service(name.as_ref().to_owned()),
        Selection::Features(names) => {
            Selection::Features(names.iter().map(|name| name.as_ref().to_owned()).collect())
        }
    }
}
