//! The folder of a run: what its tasks pass on to each other.
//!
//! ```text
//! <data_dir>/runs/<namespace>/<view>/v<N>/<period>/<run>/run.json    the period
//!                                                       /definition/ the view's two files, as the run has them
//!                                                       /extract/    job.json, result.json and what Spark wrote
//!                                                       /publish/    the same, and publications.json
//!                                                       /table/      the same
//! ```
//! A run keeps the definition that it began with: a change of the files in between changes nothing in it.
//! A new run of a period takes the folders of earlier ones away, as [`RunFolder::finish`] does at the end;
//! nothing that counts is kept here.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use trivium_model::FeatureView;
use trivium_offline::{
    Lake, Period,
    run::steps::{Publication, Steps},
};
use trivium_registry::project::{ProjectView, load_project, read_folder};
use uuid::Uuid;

use crate::{Error, job::write_json};

const FORMAT: u32 = 1;
const RUN_FILE: &str = "run.json";
const DEFINITION: &str = "definition";
const PUBLICATIONS_FILE: &str = "publications.json";

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format: u32,
    period: Period,
}

/// The folder of one run of one period.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    period: Period,
    steps: Steps,
}

impl RunFolder {
    /// Begins a run of a period: its folder, with the definition in it.
    pub fn start(
        data_dir: &Path,
        lake: Lake,
        loaded: &ProjectView,
        period: Period,
    ) -> Result<Self, Error> {
        let steps = steps(lake, loaded)?;
        steps.extraction(period)?;
        let reference = loaded.view.reference();
        let runs = data_dir
            .join("runs")
            .join(reference.namespace.as_str())
            .join(reference.view.as_str())
            .join(format!("v{}", reference.version))
            .join(period.folder());
        remove(&runs)?;
        let path = runs.join(Uuid::now_v7().simple().to_string());
        let definition = path.join(DEFINITION).join(reference.namespace.as_str());
        fs::create_dir_all(&definition).map_err(Error::io("create", &definition))?;
        let stem = format!("{}.v{}", reference.view, reference.version);
        let mut texts = vec![(format!("{stem}.json"), loaded.config_text.as_str())];
        texts.extend(loaded.sql.as_ref().map(|sql| (format!("{stem}.sql"), sql.text.as_str())));
        for (name, text) in texts {
            let file = definition.join(name);
            fs::write(&file, text).map_err(Error::io("write", &file))?;
        }
        write_json(&path.join(RUN_FILE), &Document { format: FORMAT, period })?;
        Ok(Self { path, period, steps })
    }

    /// Goes on with a run.
    pub fn open(path: &Path, lake: Lake) -> Result<Self, Error> {
        let document: Document = read_json(&path.join(RUN_FILE))?;
        if document.format != FORMAT {
            let message = format!("format {} is not known to this version", document.format);
            return Err(Error::corrupt(path, message));
        }
        let definition = path.join(DEFINITION);
        let loaded = read_definition(&definition)?;
        Ok(Self { path: path.to_owned(), period: document.period, steps: steps(lake, &loaded)? })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The run's period.
    pub fn period(&self) -> Period {
        self.period
    }
    /// Its steps.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }
    /// Its view.
    pub fn view(&self) -> &Arc<FeatureView> {
        self.steps.view()
    }
    /// Where the extraction's job and result are.
    pub fn extract(&self) -> PathBuf {
        self.path.join("extract")
    }
    /// Where the publication's job and result are.
    pub fn publish(&self) -> PathBuf {
        self.path.join("publish")
    }
    /// Where the job and the result of the metastore's table are.
    pub fn table(&self) -> PathBuf {
        self.path.join("table")
    }

    /// Keeps what is to be published.
    pub fn keep_publications(&self, publications: &[Publication]) -> Result<(), Error> {
        let folder = self.publish();
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        write_json(&folder.join(PUBLICATIONS_FILE), &publications)
    }

    /// What is to be published, as [`Self::keep_publications`] kept it.
    pub fn publications(&self) -> Result<Vec<Publication>, Error> {
        read_json(&self.publish().join(PUBLICATIONS_FILE))
    }

    /// Takes the folder away.
    pub fn finish(path: &Path) -> Result<(), Error> {
        // Only what a run made: a mistyped path costs nothing.
        if path.exists() && !path.join(RUN_FILE).exists() {
            return Err(Error::Invalid {
                message: format!("{} is no folder of a run", path.display()),
                help: "name the folder that `trivium step start` printed".to_owned(),
            });
        }
        // In one step first: what a kill leaves of it is no run any more, and goes with the period's next one.
        let gone = path.with_extension(format!("{}.gone", Uuid::now_v7().simple()));
        match fs::rename(path, &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("remove", path)(error)),
            Ok(()) => remove(&gone),
        }
    }
}

fn steps(lake: Lake, loaded: &ProjectView) -> Result<Steps, Error> {
    let Some(sql) = &loaded.sql else {
        return Err(Error::Invalid {
            message: format!("{} has no SQL", loaded.view.reference()),
            help: "only batch views are run".to_owned(),
        });
    };
    let view = Arc::new(loaded.view.clone());
    Ok(Steps::new(lake, view, Arc::new(sql.query.clone()), "spark")?)
}

/// The one view in a folder of definitions, as a run or a generated DAG keeps it.
pub fn read_definition(folder: &Path) -> Result<ProjectView, Error> {
    let found = read_folder(folder).map_err(Error::io("read", folder))?;
    if let Some(finding) = found.findings.first() {
        return Err(Error::corrupt(folder, finding));
    }
    let project = load_project(&found.files).map_err(|found| {
        let first = found.first().map(ToString::to_string).unwrap_or_default();
        Error::corrupt(folder, first)
    })?;
    let mut views = project.views.into_values();
    match (views.next(), views.next()) {
        (Some(view), None) => Ok(view),
        _ => Err(Error::corrupt(folder, "it does not hold exactly one view")),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text).map_err(|error| Error::corrupt(path, error))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}
