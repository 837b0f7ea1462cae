//! The shared row cache in Valkey: one server, or a cluster without replicas.
//!
//! # Keys
//! `t1:<epoch>:{<bucket>}:` and the row key's bytes; the marker is `t1:<epoch>:{<bucket>}:marker-<hex>`
//! (no row key: those have a `#`). A row's bucket is a hash of its entity, one of [`keys::BUCKETS`], the
//! same in every process and whether or not the servers are a cluster. In a cluster the bucket decides
//! the slot, so that **the marker of a bucket lies, moves and is lost together with its rows**, and
//! can be read in one `MGET` or script with them, which a marker for each shard could not.
//!
//! # Values
//! Strings, so that one `MGET` reads whatever is there:
//! * `V` row: the row's bytes, tombstones included. A jittered TTL: may be evicted.
//! * `L` token: 16 bytes. A TTL of seconds.
//! * `F` count (4 bytes), writes (id 16, deadline 8 bytes each), newest row seen (or nothing); numbers
//!   little-endian. No TTL, so that `volatile-lru` never evicts it.
//!
//! # Which server answers
//! A server that restarted from an old snapshot, or a replica that was promoted, has the marker and
//! older rows. Neither has the *scripts*: Valkey keeps those in memory alone and copies them to nobody.
//! So the scripts of an epoch carry its marker in their text, hence in their name, [`mark`] loads
//! them, and nothing else ever does: a server that doesn't know an epoch's scripts is not the
//! one that was marked. Every step is one of these scripts; a look asks for them in the same round
//! trip, after its `MGET`. On a [connection that only reads](reads) the first one does: afterwards the
//! connection itself is the proof, since a server that ends, ends it. (After `SCRIPT FLUSH` no step works, and the next writer has the
//! epoch ended; what is there is as it was, and is read until then. Something between node and server
//! that keeps a connection while it changes servers would break this.) A primary that was
//! demoted and came back is told by `INFO`: see [`ValkeyCache::check`]. What `INFO` said last is compared
//! with the servers that were [admitted](trivium_store::RowCache::admit).
//!
//! # What is sent again
//! Nothing whose answer was lost. A command that could not be sent at all is refused at once, not kept
//! for a later connection.
//!
//! [`mark`]: trivium_store::RowCache::mark

mod admission;
mod cache;
mod client;
mod entry;
mod error;
mod failure;
mod fences;
mod keys;
mod options;
mod reads;
mod scripts;
mod servers;
mod sweep;
mod traced;

pub use cache::ValkeyCache;
pub use error::Error;
pub use options::Options;

#[cfg(test)]
mod tests;
