//! Feast's Python server on the same Valkey, with the same values.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use trivium_bench_serving::{
    figures::Sample,
    load::{self, Protocol, Requests},
    process::cpu_seconds,
    wide,
};
use trivium_codec::ValueRef;

use crate::{
    cases::{Keys, Shape, node},
    world::World,
};

/// It answers some requests a second: a turn must hold many.
const TURN: Duration = Duration::from_secs(5);
const ROUNDS: usize = 2;
/// Makes the repository, writes the rows, and serves; says its port.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/feast_server.py");

/// A case, and what was measured of both.
pub struct Compared {
    pub name: String,
    pub ours: Sample,
    pub feast: Sample,
}

struct Feast {
    child: Child,
    address: String,
}

impl Drop for Feast {
    fn drop(&mut self) {
        // It holds nothing that needs a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Feast {
    fn start(world: &World, python: &Path, rows: usize) -> Result<Self> {
        ensure!(python.exists(), "{} is not there: run scripts/bench-env", python.display());
        let folder = world.folder.path().join("feast");
        std::fs::create_dir_all(&folder)?;
        write_values(&folder.join("rows.csv"), rows)?;
        let mut child = Command::new(python)
            .arg(SCRIPT)
            .arg(&folder)
            .arg(world.valkey.address())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut said)?;
        let feast = Self { address: said.trim().to_owned(), child };
        ensure!(!feast.address.is_empty(), "Feast did not start");
        Ok(feast)
    }
}

/// The rows as a table that Feast's script reads.
fn write_values(path: &Path, rows: usize) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let names: Vec<String> = wide::features().map(|(name, _)| name).collect();
    writeln!(file, "user_id,{}", names.join(","))?;
    for row in 0..rows {
        write!(file, "{}", wide::user(row))?;
        for value in wide::values(row) {
            match value {
                Some(ValueRef::Int64(value)) => write!(file, ",{value}")?,
                Some(ValueRef::Float64(value)) => write!(file, ",{value}")?,
                _ => write!(file, ",")?,
            }
        }
        writeln!(file)?;
    }
    Ok(file.flush()?)
}

/// Both servers in turns.
pub async fn compare(world: &World, python: &Path, rows: usize) -> Result<Vec<Compared>> {
    eprintln!("Feast: writing {rows} rows");
    let feast = Feast::start(world, python, rows)?;
    let mut compared = Vec::new();
    for (entities, connections) in [(1, 8), (100, 1), (100, 8)] {
        let shape = Shape { protocol: Protocol::Rest, keys: Keys::Uniform, entities, connections };
        let ours = node(world, &shape);
        let theirs = requests(&feast, &ours, entities, rows);
        let (mut own, mut other) = (Sample::default(), Sample::default());
        for _ in 0..ROUNDS {
            other.add(
                load::drive(&theirs, connections, TURN, || cpu_seconds(feast.child.id())).await?,
            );
            own.add(load::drive(&ours, connections, TURN / 5, || world.cpu()).await?);
        }
        compared.push(Compared { name: shape.name(), ours: own, feast: other });
    }
    Ok(compared)
}

/// The same features of as many users.
fn requests(feast: &Feast, ours: &Requests, entities: usize, rows: usize) -> Requests {
    let features: Vec<String> =
        wide::features().map(|(name, _)| format!("\"wide:{name}\"")).collect();
    let features = features.join(",");
    let body = |number: usize| -> Bytes {
        let users = (0..entities)
            .map(|index| format!("\"{}\"", wide::user((number * 7_919 + index * 104_729) % rows)));
        let users: Vec<String> = users.collect();
        let users = users.join(",");
        load::http_post(
            "/get-online-features",
            &format!("{{\"features\":[{features}],\"entities\":{{\"user_id\":[{users}]}}}}"),
        )
    };
    Requests {
        protocol: Protocol::Rest,
        address: feast.address.clone(),
        method: String::new(),
        bodies: Arc::new((0..ours.bodies.len()).map(body).collect()),
    }
}
