//! A training set as a Parquet file or as an Arrow IPC stream.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::Path,
};

use arrow::ipc::writer::StreamWriter;
use futures::StreamExt;
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

use super::{TrainingSet, engine_error};
use crate::{Error, run::blocking};

/// Writes the set; the file appears whole or not at all, and in the place of what had its name: a
/// caller that would not lose that, or is given a link, says so before. Tells the rows.
pub async fn write_parquet(mut set: TrainingSet, path: &Path) -> Result<u64, Error> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid("out", format!("{} names no file", path.display()), "name a file")
    })?;
    // Beside the target, because a rename does not cross file systems.
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", uuid::Uuid::now_v7().simple()));
    let unfinished = path.with_file_name(hidden);
    let cleanup = Unfinished(unfinished.clone());
    let file = File::create(&unfinished).map_err(Error::io("write", &unfinished))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let failed = {
        let path = path.to_owned();
        move |error: parquet::errors::ParquetError| Error::Io {
            doing: "write",
            path: path.clone(),
            source: std::io::Error::other(error),
        }
    };
    let mut writer =
        ArrowWriter::try_new(file, set.schema.clone(), Some(properties)).map_err(&failed)?;
    let mut rows = 0;
    while let Some(batch) = set.rows.next().await {
        let batch = batch.map_err(engine_error)?;
        rows += batch.num_rows() as u64;
        let failed = failed.clone();
        writer = blocking(move || {
            writer.write(&batch).map_err(failed)?;
            Ok(writer)
        })
        .await?;
    }
    let path = path.to_owned();
    blocking(move || {
        let file = writer.into_inner().map_err(failed)?;
        file.sync_all().map_err(Error::io("write", &path))?;
        fs::rename(&unfinished, &path).map_err(Error::io("write", &path))?;
        Ok(rows)
    })
    .await
    .inspect(|_| drop(cleanup))
}

/// Removes what was not finished.
struct Unfinished(std::path::PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing to remove.
        drop(fs::remove_file(&self.0));
    }
}

/// The set as one Arrow IPC stream, handed on in pieces as it is made. `send` answers false where
/// nobody reads on.
pub async fn write_ipc<F, S>(mut set: TrainingSet, mut send: F) -> Result<(), Error>
where
    F: FnMut(Vec<u8>) -> S,
    S: Future<Output = bool>,
{
    let mut writer = StreamWriter::try_new(Vec::new(), &set.schema)?;
    while let Some(batch) = set.rows.next().await {
        writer.write(&batch.map_err(engine_error)?)?;
        let piece = std::mem::take(writer.get_mut());
        if !send(piece).await {
            return Ok(());
        }
    }
    writer.finish()?;
    let last = std::mem::take(writer.get_mut());
    send(last).await;
    Ok(())
}
