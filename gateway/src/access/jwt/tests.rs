//! Tokens of each kind, and everything that is wrong with one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW_US: i64 = 1_800_000_000_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn seconds(after: i64) -> i64 {
    NOW_US / SECOND_US + after
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({"sub": "mon-1", "exp": seconds(600), "iss": "auth", "aud": ["tidemark", "x"],
        "roles": ["device"], "site": "icu"});
    change(&mut claims);
    claims
}

fn config(algorithm: Algorithm) -> JwtConfig {
    JwtConfig {
        algorithms: vec![algorithm],
        issuer: Some("auth".into()),
        audience: Some("tidemark".into()),
        ..JwtConfig::default()
    }
}

fn keys(config: JwtConfig, keys: Vec<u8>, set: bool) -> Result<TokenKeys, JwtError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, keys).unwrap();
    let (key_file, jwks_file) = if set { (None, Some(path)) } else { (Some(path), None) };
    TokenKeys::load(&JwtConfig { key_file, jwks_file, ..config }).map(Option::unwrap)
}

fn hs() -> TokenKeys {
    keys(config(Algorithm::HS256), SECRET.to_vec(), false).unwrap()
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn hs_token(claims: &Value) -> String {
    sign(Algorithm::HS256, None, claims, &EncodingKey::from_secret(SECRET))
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value)) -> TokenError {
    hs().check(hs_token(&claims(change)).as_bytes(), NOW_US).unwrap_err()
}

#[test]
fn a_valid_token_says_who_it_is() {
    let token = hs_token(&claims(|_| ()));
    assert!(looks_like_token(token.as_bytes()));
    let found = hs().check(token.as_bytes(), NOW_US).unwrap();
    assert_eq!((found.identity.as_str(), found.site.as_deref()), ("mon-1", Some("icu")));
    assert_eq!(
        (found.roles, found.expires_us),
        (vec!["device".to_owned()], (seconds(660)) * SECOND_US)
    );
    let token = hs_token(&claims(|claims| claims["roles"] = json!("device fleet")));
    assert_eq!(hs().check(token.as_bytes(), NOW_US).unwrap().roles, ["device", "fleet"]);
}

#[test]
fn times_and_claims_are_checked() {
    assert_eq!(refused(|claims| claims["exp"] = json!(seconds(-60))), TokenError::Expired);
    assert_eq!(refused(|claims| claims["nbf"] = json!(seconds(61))), TokenError::NotYet);
    assert_eq!(refused(|claims| drop(claims["exp"].take())), TokenError::Claim("exp".into()));
    assert_eq!(refused(|claims| claims["exp"] = json!("soon")), TokenError::Claim("exp".into()));
    assert_eq!(refused(|claims| claims["sub"] = json!(7)), TokenError::Claim("sub".into()));
    assert_eq!(refused(|claims| claims["roles"] = json!([7])), TokenError::Claim("roles".into()));
    assert_eq!(refused(|claims| claims["iss"] = json!("x")), TokenError::Invalid("issuer".into()));
    assert_eq!(
        refused(|claims| claims["aud"] = json!("x")),
        TokenError::Invalid("audience".into())
    );
    let missing = refused(|claims| drop(claims.as_object_mut().unwrap().remove("aud")));
    assert_eq!(missing, TokenError::Invalid("no claim `aud`".into()));
    // Within the leeway.
    let token = hs_token(&claims(|claims| claims["exp"] = json!(seconds(-59))));
    assert!(hs().check(token.as_bytes(), NOW_US).is_ok());
}

#[test]
fn a_key_of_a_set_is_for_its_own_algorithm_and_use() {
    let secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    let set = |member: &str| {
        let key = format!("{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"{secret}\"{member}}}");
        let both = vec![Algorithm::HS256, Algorithm::HS384];
        let config = JwtConfig { algorithms: both, ..config(Algorithm::HS256) };
        keys(config, format!("{{\"keys\":[{key}]}}").into_bytes(), true)
    };
    let check = |keys: &TokenKeys, algorithm| {
        let token = sign(algorithm, Some("a"), &claims(|_| ()), &EncodingKey::from_secret(SECRET));
        keys.check(token.as_bytes(), NOW_US).map(drop)
    };
    let any = set("").unwrap();
    let only = set(",\"alg\":\"HS384\",\"key_ops\":[\"verify\"]").unwrap();
    assert_eq!(check(&any, Algorithm::HS256), Ok(()));
    assert_eq!(check(&only, Algorithm::HS384), Ok(()));
    assert_eq!(check(&only, Algorithm::HS256), Err(TokenError::Invalid("algorithm".into())));
    for unfit in [
        ",\"alg\":\"HS512\"",
        ",\"alg\":\"RSA-OAEP\"",
        ",\"alg\":\"none\"",
        ",\"key_ops\":[\"sign\"]",
        ",\"key_ops\":[\"encrypt\"]",
        ",\"use\":\"enc\"",
    ] {
        assert!(set(unfit).is_err(), "{unfit}");
    }
}

#[test]
fn broken_and_forged_tokens_are_refused() {
    let token = hs_token(&claims(|_| ()));
    let mut forged = token.clone().into_bytes();
    let at = forged.len() - 10;
    forged[at] ^= 1;
    assert!(matches!(hs().check(&forged, NOW_US), Err(TokenError::Invalid(_))));
    for cut in 0..token.len() {
        assert!(hs().check(&token.as_bytes()[..cut], NOW_US).is_err(), "{cut}");
    }
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(hs().check(long.as_bytes(), NOW_US), Err(TokenError::Malformed));
    // Unsigned, or signed otherwise than the settings allow.
    let body = token.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
    assert!(hs().check(unsigned.as_bytes(), NOW_US).is_err());
    let other = sign(Algorithm::HS384, None, &claims(|_| ()), &EncodingKey::from_secret(SECRET));
    assert!(hs().check(other.as_bytes(), NOW_US).is_err());
    let header = Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::HS256) };
    let critical = encode(&header, &claims(|_| ()), &EncodingKey::from_secret(SECRET)).unwrap();
    assert!(hs().check(critical.as_bytes(), NOW_US).is_err());
}

#[test]
fn a_public_key_is_never_a_secret() {
    let pem = rcgen::KeyPair::generate().unwrap().public_key_pem();
    assert!(keys(config(Algorithm::HS256), pem.clone().into_bytes(), false).is_err());
    assert!(keys(config(Algorithm::HS256), b"short".to_vec(), false).is_err());
    assert!(keys(config(Algorithm::RS256), pem.clone().into_bytes(), false).is_err());
    let ec = keys(config(Algorithm::ES256), pem.clone().into_bytes(), false).unwrap();
    let forged =
        sign(Algorithm::HS256, None, &claims(|_| ()), &EncodingKey::from_secret(pem.as_bytes()));
    assert!(ec.check(forged.as_bytes(), NOW_US).is_err());
}

#[test]
fn tokens_of_elliptic_curves_and_rsa_are_taken() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let ec = keys(config(Algorithm::ES256), pair.public_key_pem().into_bytes(), false).unwrap();
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let token = sign(Algorithm::ES256, Some("any"), &claims(|_| ()), &key);
    assert!(ec.check(token.as_bytes(), NOW_US).is_ok());

    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed = keys(config(Algorithm::EdDSA), pair.public_key_pem().into_bytes(), false).unwrap();
    let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
    let token = sign(Algorithm::EdDSA, None, &claims(|_| ()), &key);
    assert!(ed.check(token.as_bytes(), NOW_US).is_ok());

    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa = keys(config(Algorithm::RS256), pair.public_key_pem().into_bytes(), false).unwrap();
    let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
    let token = sign(Algorithm::RS256, None, &claims(|_| ()), &key);
    assert!(rsa.check(token.as_bytes(), NOW_US).is_ok());
}

#[test]
fn a_key_set_has_keys_by_id() {
    let random = SystemRandom::new();
    let pairs: Vec<_> = (0..2)
        .map(|_| EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap())
        .collect();
    let jwk = |number: usize| {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pairs[number].as_ref());
        let pair = pair.unwrap();
        let point = pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": format!("key-{number}"),
            "x": base64(&point[1..33]), "y": base64(&point[33..65])})
    };
    let ed = Ed25519KeyPair::generate().unwrap();
    let other = json!({"kty": "OKP", "crv": "Ed25519", "x": base64(ed.public_key().as_ref())});
    let set = json!({"keys": [jwk(0), jwk(1), other]}).to_string();
    let loaded = keys(config(Algorithm::ES256), set.into_bytes(), true).unwrap();
    assert_eq!(loaded.keys.len(), 2, "keys of other kinds are passed over");
    let signed = |number: usize, kid| {
        let key = EncodingKey::from_ec_der(pairs[number].as_ref());
        sign(Algorithm::ES256, kid, &claims(|_| ()), &key)
    };
    let check = |token: String| loaded.check(token.as_bytes(), NOW_US);
    let found = check(signed(1, Some("key-1"))).unwrap();
    assert!(loaded.has(&found.key) && !loaded.has(&[0; 32]));
    assert!(matches!(check(signed(1, Some("key-0"))), Err(TokenError::Invalid(_))));
    assert_eq!(check(signed(1, Some("key-2"))), Err(TokenError::UnknownKey));
    assert_eq!(check(signed(1, None)), Err(TokenError::UnknownKey));
}

#[test]
fn broken_key_sets_are_refused_without_quoting_them() {
    let secret = "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}";
    let error = keys(config(Algorithm::HS256), secret.into(), true).err().unwrap().to_string();
    assert!(error.contains("at least 32 bytes") && !error.contains("c2VjcmV0"), "{error}");
    for bad in ["", "{}", "[]", "{\"keys\": []}", "{\"keys\": [7]}"] {
        assert!(keys(config(Algorithm::ES256), bad.into(), true).is_err(), "{bad}");
    }
}

/// base64url without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}
