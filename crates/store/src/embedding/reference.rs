//! How a row names its document.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Document;

/// What a row holds in the place of an embedding. The rev finds the document; the digest knows it.
///
/// *Why a digest*: an id can be taken again after the sweeper has freed it, by a writer that drew it long
/// ago and stalled. That writer's row will be refused, but its document stands there, for a reader that
/// read the older row before the sweep and asks for the document after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentRef {
    /// The document's rev.
    pub rev: u64,
    /// Of the vector's bits.
    pub digest: u64,
}

impl DocumentRef {
    /// Bytes of a reference in a row.
    pub const BYTES: usize = 16;

    /// The reference to a document.
    pub fn of(document: &Document) -> Self {
        let bytes: Vec<u8> =
            document.vector.iter().flat_map(|component| component.to_le_bytes()).collect();
        let rev = document.id.rev;
        Self { rev, digest: xxh3_64_with_seed(&bytes, rev) }
    }

    /// Whether a document is the one that is meant. Where it is not, the row has moved since it was read.
    pub fn names(&self, document: &Document) -> bool {
        *self == Self::of(document)
    }

    /// As it stands in a row: rev, then digest, little-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.rev.to_le_bytes());
        bytes[8..].copy_from_slice(&self.digest.to_le_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` where it is not that.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rev, digest) = bytes.split_first_chunk::<8>()?;
        let digest = u64::from_le_bytes(digest.try_into().ok()?);
        Some(Self { rev: u64::from_le_bytes(*rev), digest })
    }
}
