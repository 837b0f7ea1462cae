//! Small files of a day become one.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use trivium_model::Timestamp;

use crate::{Change, Error, FileEntry, Outcome, Shape, State, StreamLog, files::merged, types};

/// Which files are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactOptions {
    /// A day with fewer small files is left alone.
    pub files_min: usize,
    /// A file of more bytes is not small.
    pub small_bytes: u64,
    /// Bytes of files that are put together at once.
    pub at_once_bytes: u64,
    /// Once rows take so much memory no further file is put together with them; the first two are. While they are
    /// written some four times as much is taken.
    pub memory_bytes: usize,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self {
            files_min: 8,
            small_bytes: 64 << 20,
            at_once_bytes: 128 << 20,
            memory_bytes: 128 << 20,
        }
    }
}

impl StreamLog {
    /// Puts small files of one day together; of rows that are the same in everything one is kept. Returns
    /// how many files have become one; 0: no day has enough, or another was first.
    pub fn compact(
        &self,
        state: &mut State,
        shape: &Shape,
        options: &CompactOptions,
        at: Timestamp,
    ) -> Result<usize, Error> {
        self.refresh(state)?;
        let fitting = self.fitting(state, shape)?;
        let Some(mut chosen) = choose(state, options, &fitting) else { return Ok(0) };
        let (mut batches, mut bytes, mut read) = (Vec::new(), 0, 0);
        for file in &chosen {
            if read >= 2 && bytes >= options.memory_bytes {
                break;
            }
            let rows = self.read(file, shape.columns())?;
            bytes += rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
            batches.extend(rows);
            read += 1;
        }
        chosen.truncate(read);
        let rows = merged(shape, &batches)?;
        drop(batches);
        let day = chosen.first().map(|file| file.day().to_owned()).unwrap_or_default();
        let added = self.write_sorted(shape, &day, &rows)?;
        let change = Change {
            added: vec![added],
            removed: chosen.iter().map(|file| file.path.clone()).collect(),
            ..Change::default()
        };
        match self.commit(state, change, at)? {
            Outcome::Done => Ok(chosen.len()),
            Outcome::Lost(why) => {
                tracing::info!(why, folder = %self.folder().display(), "not compacted");
                Ok(0)
            }
        }
    }

    /// The ids of columns that files have whose values all stand in this shape. A worker may hold the view as it
    /// was: in what it put together the columns of newer files would be gone.
    fn fitting(&self, state: &State, shape: &Shape) -> Result<BTreeSet<String>, Error> {
        let mut one_of: BTreeMap<&str, &FileEntry> = BTreeMap::new();
        for file in state.files.values() {
            one_of.entry(&file.columns).or_insert(file);
        }
        let mut fitting = BTreeSet::new();
        for (id, file) in one_of {
            if id == shape.columns_id() || types::fits(&self.columns(file)?, shape.columns()) {
                fitting.insert(id.to_owned());
            } else {
                tracing::info!(file = file.path, folder = %self.folder().display(),
                    "not compacted: it has columns that the view lacks as it is known here");
            }
        }
        Ok(fitting)
    }
}

/// The smallest files, of columns that fit, of the day that has most small ones; without those that are larger than all the smaller
/// ones together, so that a row is written again a few times, and not with every file that comes to its day.
fn choose(
    state: &State,
    options: &CompactOptions,
    fitting: &BTreeSet<String>,
) -> Option<Vec<FileEntry>> {
    let mut days: BTreeMap<&str, Vec<&FileEntry>> = BTreeMap::new();
    let is_small = |file: &&FileEntry| file.bytes <= options.small_bytes;
    for file in state.files.values().filter(is_small).filter(|file| fitting.contains(&file.columns))
    {
        days.entry(file.day()).or_default().push(file);
    }
    let mut files = days.into_values().max_by_key(Vec::len)?;
    if files.len() < options.files_min.max(2) {
        return None;
    }
    files.sort_by_key(|file| file.bytes);
    let mut bytes = 0;
    files.retain(|file| {
        bytes += file.bytes;
        bytes <= options.at_once_bytes
    });
    let sum = |files: &[&FileEntry]| files.iter().map(|file| file.bytes).sum::<u64>();
    while let [smaller @ .., largest] = files.as_slice()
        && smaller.len() >= options.files_min
        && largest.bytes > sum(smaller)
    {
        files.pop();
    }
    (files.len() >= 2).then(|| files.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of what is chosen, smallest first.
    fn chosen(sizes: &[(&str, u64)], options: CompactOptions) -> Vec<u64> {
        let mut state = State::default();
        for (number, (day, bytes)) in sizes.iter().enumerate() {
            let path = format!("ds=2026-01-{day}/{number}.parquet");
            let file = FileEntry {
                path: path.clone(),
                rows: 1,
                bytes: *bytes,
                sha256: String::new(),
                event_time_min_micros: Timestamp(0),
                event_time_max_micros: Timestamp(0),
                columns: String::new(),
            };
            state.files.insert(path, file);
        }
        let fitting = BTreeSet::from([String::new()]);
        let files = choose(&state, &options, &fitting).unwrap_or_default();
        files.iter().map(|file| file.bytes).collect()
    }

    #[test]
    fn small_files_of_one_day_are_chosen() {
        let options = CompactOptions {
            files_min: 3,
            small_bytes: 50,
            at_once_bytes: 100,
            ..CompactOptions::default()
        };
        assert!(chosen(&[("01", 1), ("01", 2), ("02", 1)], options).is_empty());
        let two_days = [("01", 5), ("01", 2), ("02", 1), ("01", 4), ("02", 3)];
        assert_eq!(chosen(&two_days, options), [2, 4, 5]);
        // One that is not small does not count; what is too much at once waits.
        assert!(chosen(&[("01", 1), ("01", 2), ("01", 51)], options).is_empty());
        let many = [("01", 30), ("01", 40), ("01", 35), ("01", 20)];
        assert_eq!(chosen(&many, options), [20, 30, 35]);
        // What is larger than the rest together is not written again for their sake, where they are enough.
        let grown = [("01", 2), ("01", 2), ("01", 3), ("01", 8), ("01", 40)];
        assert_eq!(chosen(&grown, options), [2, 2, 3]);
        assert_eq!(chosen(&[("01", 2), ("01", 2), ("01", 3), ("01", 7)], options), [2, 2, 3, 7]);
        assert_eq!(chosen(&[("01", 2), ("01", 2), ("01", 30)], options), [2, 2, 30]);
    }
}
