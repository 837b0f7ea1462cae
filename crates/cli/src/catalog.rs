//! What the registry holds, as far as the command needs it to type keys and values.

use std::collections::BTreeMap;

use axum::http::Method;
use trivium_api::{ApiError, suggest};
use trivium_model::{FeatureService, FeatureView, ServiceRef, ViewRef, config};
use trivium_registry::Snapshot;
use trivium_registry_api::shapes::{ServicesAnswer, ViewsAnswer};
use trivium_runtime::Kind;

use crate::{failure::Failure, target::Target};

/// Views and services that are current.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Views.
    pub views: BTreeMap<ViewRef, FeatureView>,
    /// Services.
    pub services: BTreeMap<ServiceRef, FeatureService>,
}

/// What a read asks for.
#[derive(Debug)]
pub enum Selected {
    /// Views and features, by full name.
    Features(Vec<String>),
    /// A service.
    Service(ServiceRef),
}

impl From<&Snapshot> for Catalog {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            views: snapshot
                .views
                .iter()
                .map(|(name, stored)| (name.clone(), stored.view.clone()))
                .collect(),
            services: snapshot
                .services
                .iter()
                .map(|(name, stored)| (name.clone(), stored.service.clone()))
                .collect(),
        }
    }
}

impl Catalog {
    /// What a registry answers, here or over the network.
    pub async fn ask(target: &Target) -> Result<Self, Failure> {
        let views: ViewsAnswer = target.ask(Method::GET, "/v1/feature-views", None).await?;
        let services: ServicesAnswer =
            target.ask(Method::GET, "/v1/feature-services", None).await?;
        Self::read(
            views.views.iter().map(|view| (view.reference.as_str(), view.config.as_str())),
            services
                .services
                .iter()
                .map(|service| (service.reference.as_str(), service.config.as_str())),
        )
    }

    /// From the authors' JSON, by reference.
    pub fn read<'t>(
        views: impl Iterator<Item = (&'t str, &'t str)>,
        services: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, Failure> {
        let mut catalog = Self::default();
        for (reference, text) in views {
            let path = format!("{}.json", reference.replace('@', ".v"));
            let view = config::parse_view(&path, text).map_err(|_| not_understood(reference))?;
            catalog.views.insert(view.reference(), view);
        }
        for (reference, text) in services {
            let path = format!("{}.service.json", reference.replace('@', ".v"));
            let service =
                config::parse_service(&path, text).map_err(|_| not_understood(reference))?;
            catalog.services.insert(service.reference(), service);
        }
        Ok(catalog)
    }

    /// The view of this name.
    pub fn view(&self, name: &str) -> Result<&FeatureView, Failure> {
        let reference: ViewRef = parse(name, "a view is named `namespace/view@version`")?;
        self.views.get(&reference).ok_or_else(|| match self.service_named(name) {
            Some(service) => {
                let mut views: Vec<String> =
                    service.feature_refs().map(|feature| format!("`{}`", feature.view)).collect();
                views.dedup();
                is_service(name, format!("name a view; it reads {}", views.join(", ")))
            }
            None => self.unknown(name),
        })
    }

    fn service_named(&self, name: &str) -> Option<&FeatureService> {
        self.services.get(&name.parse().ok()?)
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> Result<&FeatureService, Failure> {
        let reference: ServiceRef = parse(name, "a service is named `namespace/service@version`")?;
        self.services.get(&reference).ok_or_else(|| {
            let is_view = name.parse::<ViewRef>().is_ok_and(|view| self.views.contains_key(&view));
            if !is_view {
                return self.unknown(name);
            }
            ApiError::invalid(format!("`{name}` is a feature view, not a feature service"))
                .at("--service")
                .help(format!("write `--features {name}`"))
                .into()
        })
    }

    /// What `get` and `history` name: a service alone, or views and features.
    pub fn select(
        &self,
        names: &[String],
        features: &[String],
        service: Option<&str>,
    ) -> Result<(Selected, Vec<&FeatureView>), Failure> {
        let service = match (service, names) {
            (Some(service), _) => Some(self.service(service)?),
            // A view and a service may share a name; then the name means the view.
            (None, [name]) if features.is_empty() && !name.contains(':') => {
                let view =
                    name.parse::<ViewRef>().ok().filter(|view| self.views.contains_key(view));
                let service = name.parse::<ServiceRef>().ok();
                if view.is_some() {
                    None
                } else {
                    service.and_then(|service| self.services.get(&service))
                }
            }
            _ => None,
        };
        let mut views: Vec<&FeatureView> = Vec::new();
        if let Some(service) = service {
            for feature in service.feature_refs() {
                add(&mut views, self.view(&feature.view.to_string())?);
            }
            return Ok((Selected::Service(service.reference()), views));
        }
        let mut listed = Vec::new();
        for name in
            names.iter().chain(features).map(|name| name.trim()).filter(|name| !name.is_empty())
        {
            let (view_name, feature) = match name.split_once(':') {
                Some((view, feature)) => (view, Some(feature)),
                None => (name, None),
            };
            let known = view_name.parse().ok().and_then(|view: ViewRef| self.views.get(&view));
            let view = match (known, self.service_named(view_name)) {
                (Some(view), _) => view,
                (None, None) => self.view(view_name)?,
                (None, Some(_)) => {
                    let help = format!("write `--service {view_name}`; a service is read alone");
                    return Err(is_service(name, help));
                }
            };
            if let Some(feature) = feature {
                let served = view.served_features();
                if !served.iter().any(|known| known.name == *feature) {
                    let known = served.iter().map(|known| known.name.as_str());
                    return Err(ApiError::not_found(format!(
                        "{view_name} has no feature `{feature}`"
                    ))
                    .at(name)
                    .help(suggest::hint(feature, known))
                    .into());
                }
            }
            add(&mut views, view);
            listed.push(name.to_owned());
        }
        if listed.is_empty() {
            return Err(ApiError::invalid("no features are named")
                .at("--features")
                .help("name views or features, as in `flights/carrier_daily@1:flights`")
                .into());
        }
        Ok((Selected::Features(listed), views))
    }

    fn unknown(&self, name: &str) -> Failure {
        let names: Vec<String> = self
            .views
            .keys()
            .map(ToString::to_string)
            .chain(self.services.keys().map(ToString::to_string))
            .collect();
        let help = match suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? `trivium ls` lists what is there"),
            None if names.is_empty() => "nothing is applied yet: run `trivium apply`".to_owned(),
            None => "`trivium ls` lists what is there".to_owned(),
        };
        ApiError::not_found(format!("`{name}` is not in the registry")).at(name).help(help).into()
    }
}

fn is_service(name: &str, help: String) -> Failure {
    ApiError::invalid("this names a feature service, not a feature view").at(name).help(help).into()
}

/// Each view once.
fn add<'c>(views: &mut Vec<&'c FeatureView>, view: &'c FeatureView) {
    if !views.iter().any(|known| std::ptr::eq(*known, view)) {
        views.push(view);
    }
}

fn not_understood(reference: &str) -> Failure {
    ApiError::new(Kind::FailedPrecondition, "the registry's definition is not understood")
        .at(reference)
        .help("the server is of a newer version: use its `trivium`")
        .into()
}

fn parse<T: std::str::FromStr>(name: &str, help: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    name.parse()
        .map_err(|error: T::Err| ApiError::invalid(error.to_string()).at(name).help(help).into())
}
