//! `cargo:paseto`: a token that is signed anew for each use, so that the secret never leaves the machine (RFC 3231 of Rust,
//! PASETO version 3, public).
//!
//! The curve and the hash are those of the TLS library; what is here is how PASETO puts texts together.

use aws_lc_rs::agreement::{ECDH_P384, PrivateKey};
use aws_lc_rs::digest::{SHA384, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use bulkhead_schema::credential::Secret;
use zeroize::Zeroizing;

/// What the token begins with.
const HEADER: &str = "v3.public.";

/// A token for reading from the registry with this index, made now (seconds since 1970). `key` is `k3.secret.…`.
///
/// # Errors
/// The key is none. It is not quoted.
pub fn signed_token(key: &Secret, subject: Option<&str>, index: &str, now: u64) -> Result<Secret, &'static str> {
    let invalid = "the secret key is not a key of the form `k3.secret.…`";
    let encoded = key.expose().strip_prefix("k3.secret.").ok_or(invalid)?;
    let secret = Zeroizing::new(BASE64.decode(encoded).map_err(|_| invalid)?);
    let public = PrivateKey::from_private_key(&ECDH_P384, &secret).ok().and_then(|key| key.compute_public_key().ok());
    let public = public.ok_or(invalid)?;
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P384_SHA384_FIXED_SIGNING, &secret, public.as_ref())
            .map_err(|_| invalid)?;
    let point = compressed(public.as_ref()).ok_or(invalid)?;
    let mut payload = serde_json::json!({ "iat": bulkhead_schema::time::rfc3339(now) });
    if let Some(subject) = subject {
        payload["sub"] = subject.into();
    }
    let payload = payload.to_string();
    let footer = serde_json::json!({ "url": index, "kip": key_id(&point) }).to_string();
    let message = joined(&[&point, HEADER.as_bytes(), payload.as_bytes(), footer.as_bytes(), b""]);
    let signature = pair.sign(&SystemRandom::new(), &message).map_err(|_| "the token cannot be signed")?;
    let body = [payload.as_bytes(), signature.as_ref()].concat();
    Secret::token(format!("{HEADER}{}.{}", BASE64.encode(body), BASE64.encode(footer)))
}

/// A point of the curve as one coordinate and the sign of the other.
fn compressed(uncompressed: &[u8]) -> Option<Vec<u8>> {
    let coordinates = uncompressed.strip_prefix(&[4]).filter(|coordinates| coordinates.len() == 96)?;
    let sign = 2 + (coordinates.last()? & 1);
    Some([&[sign], coordinates.get(..48)?].concat())
}

/// The name by which registries know a key (PASERK, "pid").
fn key_id(point: &[u8]) -> String {
    let named = format!("k3.pid.k3.public.{}", BASE64.encode(point));
    let digest = digest(&SHA384, named.as_bytes());
    format!("k3.pid.{}", BASE64.encode(digest.as_ref().get(..33).unwrap_or_default()))
}

/// What is signed: each part with its length before it, so that no two lists of parts look the same.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = (parts.len() as u64).to_le_bytes().to_vec();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_le_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::{BASE64, compressed, joined, key_id, signed_token};
    use aws_lc_rs::agreement::{ECDH_P384, PrivateKey};
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
    use base64::Engine as _;
    use bulkhead_schema::credential::Secret;

    const KEY: &str = "k3.secret.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

    /// What a nightly cargo sent for this key.
    const OF_CARGO: &str = "v3.public.eyJpYXQiOiIyMDI2LTExLTI2VDAyOjQ4OjExLjE4Njk0ODc2WiIsInN1YiI6Im1lIn3S5iFLAELbRQBoYyoIgOiPODHMvZnOIcai-m5FbTXm2F4_vPgzi7gx38KpodzW0_Bo9sJ5_8qht9pwZ4bCw_fp3cS8mVu9K9S6ZK5ieuKRSTzH36JPkRGwY-18I-tGjiI.eyJ1cmwiOiJzcGFyc2UraHR0cDovLzEyNy4wLjAuMTo0NDcxMS9pbmRleC8iLCJraXAiOiJrMy5waWQuWWVnbkNEZHdzZk1YZnltNVBLai1vdHZXa2t6R1RkY3lKZnZWTnVyOUZXOGEifQ";

    /// Payload and footer, if the signature is right.
    fn verified(token: &str) -> (String, String) {
        let mut parts = token.strip_prefix("v3.public.").unwrap().split('.');
        let mut next = || BASE64.decode(parts.next().unwrap()).unwrap();
        let (body, footer) = (next(), next());
        let (payload, signature) = body.split_at(body.len() - 96);
        let public = PrivateKey::from_private_key(&ECDH_P384, &[1; 48]).unwrap().compute_public_key().unwrap();
        let point = compressed(public.as_ref()).unwrap();
        let message = joined(&[&point, b"v3.public.", payload, &footer, b""]);
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public.as_ref()).verify(&message, signature).unwrap();
        (String::from_utf8(payload.to_vec()).unwrap(), String::from_utf8(footer).unwrap())
    }

    #[test]
    fn tokens_are_signed_as_cargo_signs_them() {
        let (payload, footer) = verified(OF_CARGO);
        assert_eq!(payload, r#"{"iat":"2026-11-26T02:48:11.18694876Z","sub":"me"}"#);
        let key = Secret::token(KEY.to_owned()).unwrap();
        let ours = signed_token(&key, Some("me"), "sparse+http://127.0.0.1:44711/index/", 1_795_661_291).unwrap();
        assert_eq!(verified(ours.expose()), (r#"{"iat":"2026-11-26T02:48:11Z","sub":"me"}"#.to_owned(), footer));
        let public = BASE64.decode("AkPjryoNuQhnUJdod2UPQm0hV6ReEN5kb_hXGYsibfDUsiQ0COA7pxHZw0xRyzREEw").unwrap();
        assert_eq!(key_id(&public), "k3.pid.YegnCDdwsfMXfym5PKj-otvWkkzGTdcyJfvVNur9FW8a");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        for bad in ["x", "k3.secret.x", "k3.secret.AQEB", "k3.public.AQEB", &KEY.replace("k3", "k4")] {
            let error = signed_token(&Secret::token(bad.to_owned()).unwrap(), None, "x", 0).unwrap_err();
            assert!(!error.contains("AQEB"));
        }
        let zero = format!("k3.secret.{}", BASE64.encode([0; 48]));
        assert!(signed_token(&Secret::token(zero).unwrap(), None, "x", 0).is_err());
    }
}
