//! The embedding index in OpenSearch.
