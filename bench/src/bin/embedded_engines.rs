//! Which engine for the embedded store: fjall, redb and SQLite under the store's own pattern. Rows of
//! some 200 bytes under keys of some 50; batches of 1,000; one writer (the engines have one anyway).
//!
//! What an acknowledged batch survives is said for each: the death of the process, or a failure of
//! the machine too (fsync). redb has nothing between losing a commit with the process and an fsync.
//! docs/decisions/0002-embedded-store.md keeps the figures that the choice was made on.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fjall::{KeyspaceCreateOptions, PersistMode};
use redb::{Durability, ReadableDatabase, TableDefinition};
use sqlx::{
    Connection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::runtime::Runtime;

/// Compares embedded key-value engines.
#[derive(Debug, Parser)]
struct Args {
    /// Rows in all.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Bytes of a row.
    #[arg(long, default_value_t = 200)]
    row_bytes: usize,
    /// Rows of a batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Where to put the databases; a temporary folder if absent.
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

type Pair = (Vec<u8>, Vec<u8>);

/// One engine, opened.
trait Engine {
    fn put(&mut self, batch: &[Pair]) -> Result<()>;
    /// Reads keys one after the other; how many were there.
    fn get(&mut self, keys: &[Vec<u8>]) -> Result<usize>;
    /// Reads each key, then writes all: what a store's atomic step does.
    fn get_put(&mut self, batch: &[Pair]) -> Result<usize>;
}

struct Fjall {
    database: fjall::Database,
    rows: fjall::Keyspace,
    persist: PersistMode,
}

impl Fjall {
    fn open(path: &Path, persist: PersistMode) -> Result<Self> {
        let database = fjall::Database::builder(path).open()?;
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
        Ok(Self { database, rows, persist })
    }
}

impl Engine for Fjall {
    fn put(&mut self, batch: &[Pair]) -> Result<()> {
        let mut write = self.database.batch().durability(Some(self.persist));
        for (key, row) in batch {
            write.insert(&self.rows, key.as_slice(), row.as_slice());
        }
        Ok(write.commit()?)
    }
    fn get(&mut self, keys: &[Vec<u8>]) -> Result<usize> {
        let mut found = 0;
        for key in keys {
            found += usize::from(self.rows.get(key)?.is_some());
        }
        Ok(found)
    }
    fn get_put(&mut self, batch: &[Pair]) -> Result<usize> {
        let mut found = 0;
        for (key, _) in batch {
            found += usize::from(self.rows.get(key)?.is_some());
        }
        self.put(batch)?;
        Ok(found)
    }
}

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

struct Redb {
    database: redb::Database,
    durability: Durability,
}

impl Redb {
    fn open(path: &Path, durability: Durability) -> Result<Self> {
        let database = redb::Database::create(path.join("redb"))?;
        let write = database.begin_write()?;
        write.open_table(ROWS)?;
        write.commit()?;
        Ok(Self { database, durability })
    }
    fn write(&mut self, batch: &[Pair], read: bool) -> Result<usize> {
        let mut write = self.database.begin_write()?;
        write.set_durability(self.durability)?;
        let mut found = 0;
        {
            let mut table = write.open_table(ROWS)?;
            for (key, row) in batch {
                // An insert gives the old row: the read costs nothing extra.
                let old = table.insert(key.as_slice(), row.as_slice())?;
                found += usize::from(read && old.is_some());
            }
        }
        write.commit()?;
        Ok(found)
    }
}

impl Engine for Redb {
    fn put(&mut self, batch: &[Pair]) -> Result<()> {
        self.write(batch, false).map(|_| ())
    }
    fn get(&mut self, keys: &[Vec<u8>]) -> Result<usize> {
        let mut found = 0;
        let read = self.database.begin_read()?;
        let table = read.open_table(ROWS)?;
        for key in keys {
            found += usize::from(table.get(key.as_slice())?.is_some());
        }
        Ok(found)
    }
    fn get_put(&mut self, batch: &[Pair]) -> Result<usize> {
        self.write(batch, true)
    }
}

struct Sqlite {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Sqlite {
    fn open(path: &Path, synchronous: SqliteSynchronous) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let options = SqliteConnectOptions::new()
            .filename(path.join("sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous);
        let connection = runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let table = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID";
            sqlx::query(table).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        })?;
        Ok(Self { runtime, connection })
    }
    fn write(&mut self, batch: &[Pair], read: bool) -> Result<usize> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let mut found = 0;
            let mut transaction = connection.begin().await?;
            for (key, row) in batch {
                if read {
                    found += usize::from(read_sqlite(&mut transaction, key).await?);
                }
                sqlx::query("INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row")
                    .bind(key.as_slice())
                    .bind(row.as_slice())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(found)
        })
    }
}

async fn read_sqlite(connection: &mut SqliteConnection, key: &[u8]) -> Result<bool> {
    let row = sqlx::query("SELECT row FROM rows WHERE key = ?")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some_and(|row| !row.get::<&[u8], _>(0).is_empty()))
}

impl Engine for Sqlite {
    fn put(&mut self, batch: &[Pair]) -> Result<()> {
        self.write(batch, false).map(|_| ())
    }
    fn get(&mut self, keys: &[Vec<u8>]) -> Result<usize> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let mut found = 0;
            for key in keys {
                found += usize::from(read_sqlite(connection, key).await?);
            }
            Ok(found)
        })
    }
    fn get_put(&mut self, batch: &[Pair]) -> Result<usize> {
        self.write(batch, true)
    }
}

/// Keys as real ones look, in an order of their own.
fn key(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("flights#tailnum#s:N{mixed:016x}\0plane_daily#1").into_bytes()
}

fn row(number: u64, generation: u64, bytes: usize) -> Vec<u8> {
    let mut row = vec![0; bytes];
    let mut state = number ^ (generation << 40) ^ 0x5851_f42d_4c95_7f2d;
    for byte in &mut row {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Half of it compresses, as rows do.
        *byte = if state >> 63 == 0 { (state >> 40) as u8 } else { 0 };
    }
    row
}

fn folder_bytes(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            // What it takes, not what a sparse file claims.
            std::os::unix::fs::MetadataExt::blocks(&data) * 512
        };
    }
    Ok(bytes)
}

type Open = fn(&Path) -> Result<Box<dyn Engine>>;

fn main() -> Result<()> {
    let args = Args::parse();
    let engines: [(&str, &str, Open); 6] = [
        ("fjall", "process", |path| Ok(Box::new(Fjall::open(path, PersistMode::Buffer)?))),
        ("sqlite", "process", |path| Ok(Box::new(Sqlite::open(path, SqliteSynchronous::Normal)?))),
        ("redb", "nothing", |path| Ok(Box::new(Redb::open(path, Durability::None)?))),
        ("fjall", "power", |path| Ok(Box::new(Fjall::open(path, PersistMode::SyncAll)?))),
        ("sqlite", "power", |path| Ok(Box::new(Sqlite::open(path, SqliteSynchronous::Full)?))),
        ("redb", "power", |path| Ok(Box::new(Redb::open(path, Durability::Immediate)?))),
    ];
    println!(
        "{} rows of {} bytes, batches of {}; rates in thousand rows a second",
        args.rows, args.row_bytes, args.batch
    );
    println!("engine  survives    put    get  get+put  reopen ms   disk MB");
    for (name, survives, open) in engines {
        let folder = match &args.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let path = folder.path();
        let batches = |generation: u64| {
            let numbers: Vec<u64> = (0..args.rows).collect();
            let pair = move |&number: &u64| (key(number), row(number, generation, args.row_bytes));
            numbers
                .chunks(args.batch)
                .map(|chunk| chunk.iter().map(pair).collect::<Vec<Pair>>())
                .collect::<Vec<_>>()
        };
        let rate = |elapsed: Duration| args.rows as f64 / elapsed.as_secs_f64() / 1_000.0;

        let first = batches(1);
        let mut engine = open(path).with_context(|| format!("opening {name}"))?;
        let started = Instant::now();
        for batch in &first {
            engine.put(batch)?;
        }
        let put = rate(started.elapsed());
        drop(first);

        // In another order than they were written.
        let keys: Vec<Vec<u8>> =
            (0..args.rows).map(|number| key(number.wrapping_mul(7_919) % args.rows)).collect();
        let started = Instant::now();
        let mut found = 0;
        for keys in keys.chunks(100) {
            found += engine.get(keys)?;
        }
        let get = rate(started.elapsed());
        ensure!(found == keys.len(), "{name} found {found} of {} rows", keys.len());

        let second = batches(2);
        let started = Instant::now();
        let mut found = 0;
        for batch in &second {
            found += engine.get_put(batch)?;
        }
        let get_put = rate(started.elapsed());
        ensure!(found as u64 == args.rows, "{name} found {found} rows to replace");

        drop(engine);
        let started = Instant::now();
        let mut engine = open(path).with_context(|| format!("opening {name} again"))?;
        ensure!(engine.get(&keys[..1])? == 1, "{name} lost a row");
        let reopen = started.elapsed();
        let disk = folder_bytes(path)? as f64 / 1e6;
        println!(
            "{name:<7} {survives:<8} {put:>6.0} {get:>6.0} {get_put:>8.0} {:>10.0} {disk:>9.0}",
            reopen.as_secs_f64() * 1e3
        );
    }
    Ok(())
}
