//! `trivium init`: a small project that runs.

use std::{fs, path::Path};

use serde_json::json;
use trivium_api::ApiError;
use trivium_runtime::Kind;

use crate::{
    args::{Global, InitArgs, Output},
    failure::{self, Failure},
    output,
};

/// What is written, by path; docs and tests of the template are in `init/`.
const FILES: [(&str, &str); 6] = [
    ("trivium.toml", include_str!("../../init/trivium.toml")),
    (".gitignore", include_str!("../../init/gitignore")),
    ("data/orders.csv", include_str!("../../init/orders.csv")),
    ("configs/shop/customer_daily.v1.json", include_str!("../../init/customer_daily.v1.json")),
    ("configs/shop/customer_daily.v1.sql", include_str!("../../init/customer_daily.v1.sql")),
    (
        "configs/shop/churn_model.v1.service.json",
        include_str!("../../init/churn_model.v1.service.json"),
    ),
];

/// Writes the project.
pub fn run(global: &Global, args: &InitArgs) -> Result<(), Failure> {
    let dir = &args.dir;
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(ApiError::new(Kind::FailedPrecondition, "the folder is not empty")
                    .at(dir.display().to_string())
                    .help("name a new folder")
                    .into());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failure::file(dir, &error)),
    }
    for (path, text) in FILES {
        write(&dir.join(path), text)?;
    }
    match global.output {
        Output::Json => output::json(&json!({
            "project": dir.display().to_string(),
            "files": FILES.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        })),
        Output::Table => {
            for (path, _) in FILES {
                output::line(format!(
                    "{} {}",
                    output::paint(output::GOOD, "+"),
                    dir.join(path).display()
                ));
            }
            output::line("");
            output::line("Next:");
            let go = output::shell_word(dir);
            for next in [
                &format!("cd {go}"),
                "trivium validate",
                "trivium apply --reason \"first view\"",
                "trivium run",
                "trivium materialize",
                "trivium get shop/customer_daily@1 --entity customer_id=1",
            ] {
                output::line(format!("  {next}"));
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failure::file(folder, &error))?;
    }
    fs::write(path, text).map_err(|error| failure::file(path, &error))
}
