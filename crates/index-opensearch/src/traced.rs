//! Requests of a caller who is followed, as spans: the endpoint's name, the index, the status. The path has
//! more, such as ids of documents, and is not told.

use opensearch::http::Method;
use trivium_runtime::trace::{self, Call, CallSpan, Value};
use trivium_store::Error;

use crate::client::Answer;

pub(crate) fn begin(method: Method, path: &str) -> CallSpan {
    trace::call(|| {
        let (operation, collection) = named(method, path);
        Call { system: "opensearch", operation, collection }
    })
}

pub(crate) fn end(mut span: CallSpan, answer: &Result<Answer, Error>) {
    match answer {
        Ok(answer) => {
            span.tell("http.response.status_code", || Value::I64(i64::from(answer.status)));
            if answer.status >= 400 {
                span.failed(|| answer.status.to_string());
            }
        }
        Err(Error::Unknown(_)) => span.failed(|| "unknown".to_owned()),
        Err(_) => span.failed(|| "unavailable".to_owned()),
    }
}

/// The endpoint and the index, which is ours to name.
fn named(method: Method, path: &str) -> (&'static str, &str) {
    /// The endpoints that are asked; whatever else a path holds is not told.
    const ENDPOINTS: [&str; 9] = [
        "_alias",
        "_bulk",
        "_count",
        "_doc",
        "_mapping",
        "_mget",
        "_refresh",
        "_search",
        "_settings",
    ];
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/');
    let index = parts.clone().next().filter(|part| !part.starts_with('_')).unwrap_or_default();
    let endpoint = parts.find_map(|part| ENDPOINTS.iter().find(|known| **known == part));
    let operation = match (endpoint, method) {
        (Some(endpoint), _) => endpoint.trim_start_matches('_'),
        (None, Method::Put) => "indices.create",
        (None, Method::Delete) => "indices.delete",
        (None, _) => "_OTHER",
    };
    (operation, index)
}

#[cfg(test)]
mod tests {
    use opensearch::http::Method;

    use super::named;

    #[test]
    fn only_endpoints_and_indexes_have_names() {
        let search = "/trivium-shop.products.1.picture/_search?allow_partial_search_results=false";
        assert_eq!(named(Method::Post, search), ("search", "trivium-shop.products.1.picture"));
        assert_eq!(named(Method::Post, "/_bulk?refresh=wait_for"), ("bulk", ""));
        assert_eq!(named(Method::Get, "/index/_doc/user%237"), ("doc", "index"));
        assert_eq!(named(Method::Get, "/index/secret"), ("_OTHER", "index"));
        assert_eq!(named(Method::Put, "/index"), ("indices.create", "index"));
    }
}
