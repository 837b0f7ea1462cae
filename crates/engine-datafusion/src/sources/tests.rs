//! Files that hold something else than their format says are told from files that cannot be read.

use std::{
    io::Read,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use parquet::file::reader::Length;

use super::*;

fn refused(file: &str, bytes: &[u8]) -> (String, Option<u64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    let paths = vec![path.clone()];
    let source = match file.ends_with(".csv") {
        true => Source::Csv { paths, null: None },
        false => Source::Parquet(paths),
    };
    match Sources::new(1 << 20).provider(&source, None).unwrap_err() {
        Error::Malformed { path: told, line, message } => {
            assert_eq!(told, path.display().to_string());
            (file.to_owned(), line, message)
        }
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn what_a_file_holds_is_told_with_its_line() {
    for (file, bytes, at, said) in [
        ("ragged.csv", &b"a,b\n1,2\n1,2,3\n"[..], Some(3), "expected 2"),
        ("short.csv", b"a,b\n1,2\n1,2\n1\n", Some(4), "expected 2"),
        ("latin.csv", b"a,b\n1,2\n1,\xe9\n", Some(3), "UTF-8"),
        ("twice.csv", b"a,A\n1,2\n", Some(1), "`a` is there twice"),
        ("empty.csv", b"", None, "no header line"),
        // Records, and the lines that people see: of fields over several lines, of empty lines, of any line's end.
        ("quoted.csv", b"a,b\n\"x\ny\",2\n1,2,3\n", Some(4), "line 4, expected 2"),
        ("quotes.csv", b"a,b\n\"x\"\"\n,\"\"\ny\",2\n1\"\n1\n", Some(5), "line 5, expected 2"),
        ("blank.csv", b"\n\na,b\n\n1,2\n\n\n1\n", Some(8), "line 8, expected 2"),
        ("crlf.csv", b"a,b\r\n\r\n1,2\r\n1\r\n", Some(4), "line 4, expected 2"),
        ("old.csv", b"a,b\r\r1,2\r1\r", Some(4), "line 4, expected 2"),
        ("blank-latin.csv", b"a,b\n\n\"1\n\",2\n1,\xe9\n", Some(5), "line 5 and field"),
        ("head-latin.csv", b"\n\xe9,b\n1,2\n", Some(2), "line 2"),
        ("text.parquet", b"a,b\n1,2\n", None, "Parquet"),
        ("cut.parquet", b"PAR1", None, "too small"),
    ] {
        let (file, line, message) = refused(file, bytes);
        assert!(message.contains(said), "{file}: {message}");
        assert_eq!(line, at, "{file}: {message}");
    }
}

#[test]
fn a_line_far_down_is_told_too() {
    let mut text = String::from("a,b\n");
    for _ in 0..20_000 {
        text.push_str("1,2\n");
    }
    text.push_str("1\n");
    assert_eq!(refused("long.csv", text.as_bytes()).1, Some(20_002));
}

/// Gives what it has, and then the system refuses.
struct Breaks<R>(R, Arc<AtomicBool>);

impl<R: Read> Read for Breaks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other("the disk is gone")),
            some => Ok(some),
        }
    }
}

impl Length for Breaks<Bytes> {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Breaks<Bytes> {
    type T = Breaks<<Bytes as ChunkReader>::T>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let is_broken = self.1.load(Relaxed);
        let start = if is_broken { Length::len(&self.0) } else { start };
        Ok(Breaks(self.0.get_read(start)?, Arc::clone(&self.1)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if self.1.load(Relaxed) {
            return Err(std::io::Error::other("the disk is gone").into());
        }
        self.0.get_bytes(start, length)
    }
}

fn is_of_the_disk(error: &Error) -> bool {
    matches!(error, Error::Source { message, .. } if message.contains("the disk is gone"))
}

#[test]
fn a_disk_that_fails_in_the_middle_is_no_malformed_file() {
    let path = Path::new("table");
    let text = "a,b\n".to_owned() + &"1,2\n".repeat(20_000);
    let broken = Breaks(text.as_bytes(), Arc::default());
    let names = ["a", "b"].map(str::to_owned);
    let mut batches = csv::texts_of(path, broken, &names, None).unwrap();
    assert!(batches.next().unwrap().is_ok());
    // The reader would say so for ever.
    let refused = batches.find_map(Result::err).unwrap();
    assert!(is_of_the_disk(&refused), "{refused:?}");

    let column: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..10_000));
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let is_broken = Arc::new(AtomicBool::new(false));
    let opened = builder_of(path, Breaks(Bytes::from(bytes.clone()), is_broken.clone())).unwrap();
    // What it says of itself was read; its rows are not.
    is_broken.store(true, Relaxed);
    let read = batches_of(path, opened, &batch.schema(), None).unwrap();
    let refused = { read }.next().unwrap().unwrap_err();
    assert!(is_of_the_disk(&refused), "{refused:?}");
    let refused = builder_of(path, Breaks(Bytes::from(bytes), is_broken)).err().unwrap();
    assert!(is_of_the_disk(&refused), "{refused:?}");
}

#[test]
fn a_folder_in_a_files_place_is_no_malformed_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = vec![folder.path().to_owned()];
    for source in [Source::Csv { paths: paths.clone(), null: None }, Source::Parquet(paths)] {
        let error = Sources::new(0).provider(&source, None).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_no_malformed_one() {
    let paths = vec![PathBuf::from("/nowhere/a.csv")];
    for source in [Source::Csv { paths: paths.clone(), null: None }, Source::Parquet(paths)] {
        let error = Sources::new(0).provider(&source, None).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
    }
}
