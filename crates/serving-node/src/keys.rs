//! Making API keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use trivium_api::{ApiError, auth::line_of};

/// A fresh key and the line for the keys file. 256 random bits: a plain digest gives nothing away.
pub fn new(name: &str) -> Result<String, ApiError> {
    let key = format!("tk_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let line = line_of(name, &key)?;
    Ok(format!("key (shown only now): {key}\nline for the keys file: {line}"))
}
