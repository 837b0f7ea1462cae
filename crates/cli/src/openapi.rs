//! The OpenAPI document of everything that `trivium dev` serves; checked in as `docs/openapi.json`.

/// The document, as pretty JSON.
pub fn document() -> String {
    let mut document = trivium_serving::openapi();
    document.merge(trivium_registry_api::openapi());
    document.merge(trivium_history_api::openapi());
    document.info = utoipa::openapi::InfoBuilder::new()
        .title("Trivium")
        .version("v1")
        .description(Some(
            "Features: read, write, define. Errors have one shape; see docs/errors.md.",
        ))
        .build();
    // Our own tree serialises.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn openapi_is_up_to_date() {
        expect_test::expect_file!["../../../docs/openapi.json"].assert_eq(&super::document());
    }
}
