//! Who asks.

use crate::config::snapshot::{Key, Keys};
use crate::error::{Failure, Reason};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The key a request carries: as a bearer token, or in the headers that other vendors' SDKs use.
/// `Ok(None)`: nobody is asked.
pub fn recognise(keys: &Keys, headers: &HeaderMap) -> Result<Option<Arc<Key>>, Failure> {
    let Keys::Known(known) = keys else {
        return Ok(None);
    };
    let Some(presented) = presented(headers) else {
        return Err(Failure::new(
            Reason::PolicyKey,
            "no API key: send `authorization: Bearer <key>`",
        ));
    };
    // Looked up by its digest: how long that takes says nothing about the key.
    let digest: [u8; 32] = Sha256::digest(presented).into();
    match known.get(&digest) {
        Some(key) => Ok(Some(Arc::clone(key))),
        None => Err(Failure::new(
            Reason::PolicyKey,
            "this API key is not known here: check it, or ask the gateway's operator for one",
        )),
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.as_bytes();
        let (scheme, token) = value.split_at_checked(7)?;
        return scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| token.trim_ascii())
            .filter(|token| !token.is_empty());
    }
    ["x-api-key", "api-key"]
        .into_iter()
        .find_map(|name| headers.get(name))
        .map(|value| value.as_bytes().trim_ascii())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::Rules;
    use http::HeaderValue;
    use std::collections::HashMap;

    fn keys() -> Keys {
        let key = Key {
            name: "mobile".into(),
            models: Vec::new(),
            rules: Rules::default(),
            prefer: vec![],
            explain: false,
            budget: None,
        };
        let digest: [u8; 32] = Sha256::digest(b"sk-right").into();
        Keys::Known(HashMap::from([(digest, Arc::new(key))]))
    }

    fn with(name: &'static str, value: &'static str) -> Result<Option<Arc<Key>>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        recognise(&keys(), &headers)
    }

    #[test]
    fn only_the_right_key_is_let_in() {
        assert!(with("authorization", "Bearer sk-right").unwrap().is_some());
        assert!(
            with("authorization", "bearer  sk-right ")
                .unwrap()
                .is_some()
        );
        assert!(with("x-api-key", "sk-right").unwrap().is_some());
        for wrong in ["Bearer sk-wrong", "Bearer", "Bearer ", "Basic sk-right", ""] {
            assert!(with("authorization", wrong).is_err(), "{wrong:?}");
        }
        assert!(recognise(&keys(), &HeaderMap::new()).is_err());
        assert!(recognise(&Keys::Open, &HeaderMap::new()).unwrap().is_none());
    }
}
