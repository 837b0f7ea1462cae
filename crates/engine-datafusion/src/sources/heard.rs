//! Readers of tables tell of what the system refused as they tell of a file that is wrong, some by its words
//! alone. So it is heard where the file is read.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// The first refusal of the system, if there was one.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// Whatever it was; then it is told.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: &io::Error) {
        // Who is interrupted tries again.
        if error.kind() != io::ErrorKind::Interrupted {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.to_string());
        }
    }
}

/// A reader whose refusals are heard.
#[derive(Debug)]
pub(super) struct Heard<R> {
    reader: R,
    refusal: Refusal,
}

impl<R> Heard<R> {
    pub(super) fn new(reader: R) -> (Self, Refusal) {
        let refusal = Refusal::default();
        (Self { reader, refusal: refusal.clone() }, refusal)
    }
}

impl<R: Read> Read for Heard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).inspect_err(|error| self.refusal.note(error))
    }
}

impl<R: Length> Length for Heard<R> {
    fn len(&self) -> u64 {
        self.reader.len()
    }
}

impl<R: ChunkReader> ChunkReader for Heard<R> {
    type T = Heard<R::T>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let reader = self.reader.get_read(start).inspect_err(|error| self.hear(error))?;
        Ok(Heard { reader, refusal: self.refusal.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        self.reader.get_bytes(start, length).inspect_err(|error| self.hear(error))
    }
}

impl<R> Heard<R> {
    fn hear(&self, error: &ParquetError) {
        if let ParquetError::External(inner) = error
            && let Some(error) = inner.downcast_ref::<io::Error>()
        {
            self.refusal.note(error);
        }
    }
}
