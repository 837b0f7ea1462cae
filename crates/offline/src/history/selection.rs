//! Which features: listed, or by service.

use trivium_model::{FeatureRef, ServiceRef, ViewRef};
use trivium_registry::Snapshot;

use crate::Error;

/// The most features of one training set; the widest models have some thousands.
pub const FEATURES_MAX: usize = 10_000;

/// Which features, as a request names them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// `flights/carrier_daily@1:flights`, or `flights/carrier_daily@1` for all of a view.
    pub features: Vec<String>,
    /// `flights/delay_model@1`; in place of `features`.
    pub service: Option<String>,
}

impl Selection {
    /// The features, in order; every name is known to the snapshot.
    pub fn resolve(&self, snapshot: &Snapshot) -> Result<Vec<FeatureRef>, Error> {
        let wrong = |field: &str, error: &dyn std::fmt::Display| {
            Error::invalid(field, error.to_string(), "see `trivium ls` for what there is")
        };
        let mut resolved = Vec::new();
        match (&self.service, self.features.is_empty()) {
            (Some(_), false) => {
                return Err(Error::invalid(
                    "service",
                    "both `features` and `service` are given",
                    "give one of the two",
                ));
            }
            (None, true) => {
                return Err(Error::invalid(
                    "features",
                    "no feature is asked for",
                    "list features (`flights/carrier_daily@1:flights`), views or one service",
                ));
            }
            (Some(service), true) => {
                let reference: ServiceRef =
                    service.parse().map_err(|error| wrong("service", &error))?;
                let stored = snapshot.services.get(&reference).ok_or_else(|| {
                    wrong("service", &format!("{reference} is not in the registry"))
                })?;
                for feature in stored.service.feature_refs() {
                    check(snapshot, &feature, "service")?;
                    resolved.push(feature);
                }
            }
            (None, false) => {
                for (index, text) in self.features.iter().enumerate() {
                    let field = format!("features[{index}]");
                    if text.contains(':') {
                        let feature: FeatureRef =
                            text.parse().map_err(|error| wrong(&field, &error))?;
                        check(snapshot, &feature, &field)?;
                        resolved.push(feature);
                    } else {
                        let view: ViewRef = text.parse().map_err(|error| wrong(&field, &error))?;
                        let stored = snapshot.views.get(&view).ok_or_else(|| {
                            wrong(&field, &format!("{view} is not in the registry"))
                        })?;
                        resolved.extend(
                            stored.view.served_features().into_iter().map(|served| FeatureRef {
                                view: view.clone(),
                                feature: served.name,
                            }),
                        );
                    }
                }
            }
        }
        if resolved.len() > FEATURES_MAX {
            return Err(Error::invalid(
                "features",
                format!("{} features are more than {FEATURES_MAX}", resolved.len()),
                "ask for them in pieces",
            ));
        }
        Ok(resolved)
    }
}

fn check(snapshot: &Snapshot, feature: &FeatureRef, field: &str) -> Result<(), Error> {
    let Some(stored) = snapshot.views.get(&feature.view) else {
        return Err(Error::invalid(
            field,
            format!("{} is not in the registry", feature.view),
            "see `trivium ls` for what there is",
        ));
    };
    let served = stored.view.served_features();
    if served.iter().any(|served| served.name == feature.feature) {
        return Ok(());
    }
    let names: Vec<&str> = served.iter().map(|served| served.name.as_str()).collect();
    Err(Error::invalid(
        field,
        format!("{} has no feature `{}`", feature.view, feature.feature),
        format!("it has {}", names.join(", ")),
    ))
}
