//! The stores that serving works on, by their ports.

use std::sync::Arc;

use trivium_store::{Checkpoints, EmbeddingIndex, OnlineRead, OnlineWrite};

/// The stores of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    /// Rows, to be read.
    pub reader: Arc<dyn OnlineRead>,
    /// Rows, to be written.
    pub writer: Arc<dyn OnlineWrite>,
    /// How far producers came.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Embeddings, which rows name. `None`: embeddings stand in the rows, and cannot be searched.
    pub embeddings: Option<Arc<dyn EmbeddingIndex>>,
}

impl Stores {
    /// One store for rows, none for embeddings.
    pub fn of<S: OnlineRead + OnlineWrite + Checkpoints + 'static>(store: Arc<S>) -> Self {
        Self { reader: store.clone(), writer: store.clone(), checkpoints: store, embeddings: None }
    }

    /// With an index of embeddings.
    pub fn with_embeddings(mut self, index: Arc<dyn EmbeddingIndex>) -> Self {
        self.embeddings = Some(index);
        self
    }
}
