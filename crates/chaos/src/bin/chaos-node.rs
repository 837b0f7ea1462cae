//! What `make chaos` starts as a serving node: `trivium-serving` itself, unless the harness wants one
//! that breaks the protocol.

use std::{io::Write as _, path::Path, process::ExitCode};

use trivium_chaos::{
    node::SPOILT,
    spoilt::{Spoilt, SpoiltTable, WithoutFences},
};
use trivium_serving_node::{Config, run_with};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = std::env::var(SPOILT).unwrap_or_default();
    let how = Spoilt::ALL.into_iter().find(|spoilt| spoilt.name() == wanted);
    match (arguments.as_slice(), how) {
        // Copies of any age are what the harness asks for.
        (_, None | Some(Spoilt::Bounds)) => trivium_serving_node::main(),
        ([flag, config], Some(how)) if flag == "--config" => {
            if let Err(error) = spoilt(Path::new(config), how) {
                let _ = writeln!(std::io::stderr(), "{error}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        _ => trivium_serving_node::main(),
    }
}

fn spoilt(config: &Path, how: Spoilt) -> anyhow::Result<()> {
    let config = Config::read(config).map_err(|error| anyhow::anyhow!("{error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let table = |table| SpoiltTable {
            table,
            barriers: how != Spoilt::Fences,
            tombstones: how != Spoilt::Tombstones,
            vectors: how != Spoilt::Vectors,
        };
        let only_entities = how == Spoilt::Entities;
        match how {
            Spoilt::Fences | Spoilt::Entities => {
                let cache = |cache| WithoutFences { cache, only_entities };
                Box::pin(run_with(config, table, cache)).await
            }
            _ => Box::pin(run_with(config, table, |cache| cache)).await,
        }
    });
    served.map_err(|error| anyhow::anyhow!("{error}"))
}
