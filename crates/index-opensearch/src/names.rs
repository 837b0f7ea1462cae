//! What things are called in OpenSearch.

use sha2::{Digest as _, Sha256};
use trivium_codec::RowKey;
use trivium_store::embedding::{DocumentId, IndexSpec};

/// OpenSearch's limit of a document's id.
const ID_BYTES_MAX: usize = 512;

/// What the index is spoken to by. Names have no `.`, so that no two features share one.
pub(crate) fn alias(prefix: &str, spec: &IndexSpec) -> String {
    let view = &spec.view;
    format!("{prefix}{}.{}.{}.{}", view.namespace, view.view, view.version, spec.feature)
}

/// The index behind the alias. The number leaves room for a rebuild beside it.
pub(crate) fn index(alias: &str) -> String {
    format!("{alias}-000001")
}

/// The document's id.
pub(crate) fn id(id: &DocumentId) -> String {
    let plain = format!("{}#{}", id.key.partition(), id.rev);
    if plain.len() <= ID_BYTES_MAX {
        return plain;
    }
    let hash = Sha256::digest(id.key.partition().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    // A partition starts with a name, never with `~`.
    format!("~{hash}#{}", id.rev)
}

/// The row key of a partition of the index's view; `None` where it is none.
pub(crate) fn key(spec: &IndexSpec, partition: &str) -> Option<RowKey> {
    let text = format!("{partition}\0{}#{}", spec.view.view, spec.view.version);
    RowKey::from_bytes(text.as_bytes()).ok()
}
