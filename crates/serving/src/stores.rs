//! The stores that serving works on, by their ports.

use std::sync::Arc;

use trivium_registry::ErasureOrders;
use trivium_store::{Checkpoints, EmbeddingIndex, OnlineRead, OnlineWrite, SubjectStore};

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
    /// Whose rows there are, and subjects' tombstones. `None`: nobody can be erased.
    pub subjects: Option<Arc<dyn SubjectStore>>,
    /// Where orders for the offline store are left. `None`: there is no offline store.
    pub orders: Option<Arc<dyn ErasureOrders>>,
}

impl Stores {
    /// One store for rows, none for embeddings.
    pub fn of<S: OnlineRead + OnlineWrite + Checkpoints + 'static>(store: Arc<S>) -> Self {
        Self {
            reader: store.clone(),
            writer: store.clone(),
            checkpoints: store,
            embeddings: None,
            subjects: None,
            orders: None,
        }
    }

    /// With an index of embeddings.
    pub fn with_embeddings(mut self, index: Arc<dyn EmbeddingIndex>) -> Self {
        self.embeddings = Some(index);
        self
    }

    /// With the store that the rows are in, to erase in.
    pub fn with_subjects(mut self, subjects: Arc<dyn SubjectStore>) -> Self {
        self.subjects = Some(subjects);
        self
    }

    /// With a keeper of orders for the offline store.
    pub fn with_orders(mut self, orders: Arc<dyn ErasureOrders>) -> Self {
        self.orders = Some(orders);
        self
    }
}
