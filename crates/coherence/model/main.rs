//! The long form of the model: every world with all guards in force, then each guard taken out, in
//! one world after the other until a violation is found. It fails where a world with all guards has
//! a violation, or a guard that should be needed is not.
//!
//! `explore --paths` prints the steps to each violation; `explore forgotten` only explores the
//! worlds with that word in their names.

#[path = "mod.rs"]
mod model;

use std::process::ExitCode;

use model::{Guards, NEEDLESS, check, worlds};

/// The worlds in which a guard that is taken out must show. The larger ones take minutes each.
const GUARD_WORLDS: usize = 6;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed = false;
    let wanted = arguments.iter().find(|word| !word.starts_with("--"));
    let worlds: Vec<_> = worlds()
        .into_iter()
        .filter(|(name, _)| wanted.is_none_or(|word| name.contains(word.as_str())))
        .collect();
    println!("| world, all guards | states | seconds | violation |\n| --- | --- | --- | --- |");
    for (name, bounds) in &worlds {
        let found = check(*bounds, Guards::all(), threads);
        let seconds = found.elapsed.as_secs_f32();
        let violation =
            found.violation.as_ref().map_or("none".to_owned(), |path| format!("{path:?}"));
        println!("| {name} | {} | {seconds:.1} | {violation} |", found.states);
        failed |= found.violation.is_some() || !found.is_live;
    }
    if wanted.is_some() {
        return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    println!("\n| without | violation after | in | states |\n| --- | --- | --- | --- |");
    for (guard, bit, _) in Guards::EACH {
        let mut states = 0;
        let hit = worlds.iter().take(GUARD_WORLDS).find_map(|(name, bounds)| {
            let found = check(*bounds, Guards::all().without(*bit), threads);
            states += found.states;
            found.violation.map(|path| (name, path))
        });
        match hit {
            Some((name, path)) => {
                println!("| `{guard}` | {} steps | {name} | {states} |", path.len());
                if arguments.iter().any(|word| word == "--paths") {
                    println!("  {path:?}");
                }
            }
            None => {
                println!("| `{guard}` | none | {GUARD_WORLDS} worlds | {states} |");
                failed |= !NEEDLESS.contains(guard);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
