//! Embeddings beside the rows: they live in an index, and a row names its documents there. One row write
//! changes scalars and embeddings together; `docs/decisions/0008-embeddings.md` says why that holds
//! whatever crashes in between. Without an index embeddings stand in the rows, and nothing here runs.

mod create;
mod documents;
mod draft;
mod fetch;
mod filter;
mod indexes;
mod leftovers;
mod owners;
mod put;
mod search;
mod search_grpc;
mod search_json;
mod stored;
mod sweep;

pub use indexes::IndexProblem;
pub use sweep::SweepOptions;

pub(crate) use indexes::Indexes;
pub(crate) use owners::RowOwners;
#[cfg(test)]
pub(crate) use search::{Near, Question};
pub(crate) use search_json::search;
pub(crate) use stored::stored_layouts;
