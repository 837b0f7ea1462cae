//! The embedding index in one directory of this machine, for `trivium dev` and small installations.
//!
//! # Layout
//! A fjall database of its own, three keyspaces: `meta` (the layout's version), `indexes` (name →
//! [`IndexSpec`](trivium_store::embedding::IndexSpec) as JSON) and `documents` (index name, NUL, rev
//! big-endian, row key → the document, see [`codec`]). In memory, per index: ids, metadata
//! by field, and every vector in one block (of unit length under cosine).
//!
//! # Searching
//! By looking at every vector. That finds exactly the nearest, under any filter, needs no building and
//! forgets what is deleted; it was faster than the graphs tried wherever a filter was given, and takes
//! some 0.4 ms for 20,000 vectors of 128 components (`docs/decisions/0008-embeddings.md` has the figures). It grows
//! with the number of vectors: beyond some hundred thousand, take OpenSearch.
//!
//! # The atomic step
//! The index's lock is held from looking whether an id is taken, over the engine's commit, to the change in
//! memory. Searches share the lock.
//!
//! # What a crash leaves
//! A commit is in the operating system's hands before it is acknowledged, so that killing the process loses
//! nothing. Memory is rebuilt from the documents when the directory is opened; nothing else is kept.

pub mod codec;
mod columns;
mod error;
mod index;
mod shelf;

pub use error::Error;
pub use index::EmbeddedIndex;

#[cfg(test)]
mod tests;
