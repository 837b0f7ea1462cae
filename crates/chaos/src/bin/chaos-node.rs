//! What `make chaos` starts as a serving node: `trivium-serving` itself, unless the harness wants one
//! that breaks the protocol.

use std::{io::Write as _, path::Path, process::ExitCode};

use trivium_chaos::{
    node::{FENCING, OFF},
    spoilt::{WithoutBarriers, WithoutFences},
};
use trivium_serving_node::{Config, run_with};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, config]
            if flag == "--config" && std::env::var(FENCING).is_ok_and(|is| is == OFF) =>
        {
            let served = spoilt(Path::new(config));
            if let Err(error) = served {
                let _ = writeln!(std::io::stderr(), "{error}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        _ => trivium_serving_node::main(),
    }
}

fn spoilt(config: &Path) -> anyhow::Result<()> {
    let config = Config::read(config).map_err(|error| anyhow::anyhow!("{error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(Box::pin(run_with(config, WithoutBarriers, WithoutFences)));
    served.map_err(|error| anyhow::anyhow!("{error}"))
}
