//! JSON Web Tokens: keys from a file, claims checked against the gateway's clock.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::config::JwtConfig;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Most keys of a set.
const KEYS_MAX: usize = 100;
/// Shortest secret for HS algorithms: shorter ones can be guessed from a token.
const SECRET_BYTES_MIN: usize = 32;
const SECOND_US: i64 = 1_000_000;

/// Why keys were refused.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// The file cannot be read.
    #[error("cannot read the token keys {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The keys cannot be used.
    #[error("the token keys {} cannot be used: {problem}", path.display())]
    Keys {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    /// The only algorithm that it is for, if a set says so.
    algorithm: Option<KeyAlgorithm>,
    fingerprint: [u8; 32],
}

/// The keys that tokens are checked with.
pub(crate) struct TokenKeys {
    keys: Vec<Key>,
    validation: Validation,
    identity_claim: String,
    leeway_us: i64,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) identity: String,
    pub(crate) roles: Vec<String>,
    pub(crate) site: Option<String>,
    pub(crate) expires_us: i64,
    /// Which key signed it.
    pub(crate) key: [u8; 32],
}

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("token is not well-formed")]
    Malformed,
    #[error("token is signed with an unknown key")]
    UnknownKey,
    #[error("token is not valid: {0}")]
    Invalid(String),
    #[error("token has no usable claim `{0}`")]
    Claim(String),
    #[error("token has expired")]
    Expired,
    #[error("token is not valid yet")]
    NotYet,
}

impl TokenKeys {
    /// Reads the keys of a configuration; `None` when tokens are off.
    pub(crate) fn load(config: &JwtConfig) -> Result<Option<Self>, JwtError> {
        let (path, keys) = match (&config.key_file, &config.jwks_file) {
            (Some(path), _) => (path, one_key(&read(path)?, config)),
            (None, Some(path)) => (path, key_set(&read(path)?, config)),
            (None, None) => return Ok(None),
        };
        let keys = keys.map_err(|problem| JwtError::Keys { path: path.clone(), problem })?;
        let mut required = Vec::new();
        let mut validation = Validation {
            algorithms: config.algorithms.clone(),
            // Times are ours to check: this gateway's clock is not always the system's.
            validate_exp: false,
            validate_nbf: false,
            validate_aud: config.audience.is_some(),
            ..Validation::default()
        };
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let leeway_us = i64::from(config.leeway_s) * SECOND_US;
        let identity_claim = config.identity_claim.clone();
        Ok(Some(Self { keys, validation, identity_claim, leeway_us }))
    }

    /// Checks a token.
    pub(crate) fn check(&self, token: &[u8], now_us: i64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Invalid("it asks for extensions".into()));
        }
        let key = self.key(header.kid.as_deref()).ok_or(TokenError::UnknownKey)?;
        if key.algorithm.is_some_and(|only| only != header.alg.into()) {
            return Err(TokenError::Invalid("algorithm".into()));
        }
        let decoded = decode::<Map<String, Value>>(token, &key.key, &self.validation)
            // Never with the token's own text: a broken one may be a password.
            .map_err(|error| TokenError::Invalid(what(error.kind())))?;
        self.read(&decoded.claims, key.fingerprint, now_us)
    }

    /// Tells whether the key of a fingerprint is still there.
    pub(crate) fn has(&self, fingerprint: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint)
    }

    fn key(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            // A key file has no id: it is for every token.
            (Some(_), [only]) if only.id.is_none() => Some(only),
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, _) => None,
        }
    }

    fn read(
        &self,
        claims: &Map<String, Value>,
        key: [u8; 32],
        now_us: i64,
    ) -> Result<Claims, TokenError> {
        let expires_us = time(claims, "exp")?.ok_or_else(|| TokenError::Claim("exp".into()))?;
        let expires_us = expires_us.saturating_add(self.leeway_us);
        if expires_us <= now_us {
            return Err(TokenError::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|from| from.saturating_sub(self.leeway_us) > now_us) {
            return Err(TokenError::NotYet);
        }
        let identity = text(claims, &self.identity_claim)?
            .ok_or_else(|| TokenError::Claim(self.identity_claim.clone()))?;
        Ok(Claims { identity, roles: roles(claims)?, site: text(claims, "site")?, expires_us, key })
    }
}

/// Tells whether a password looks like a token: three parts, the first a JSON object in base64.
pub(crate) fn looks_like_token(password: &[u8]) -> bool {
    password.starts_with(b"eyJ") && password.iter().filter(|byte| **byte == b'.').count() == 2
}

fn what(kind: &jsonwebtoken::errors::ErrorKind) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "signature".into(),
        ErrorKind::InvalidAlgorithm => "algorithm".into(),
        ErrorKind::InvalidIssuer => "issuer".into(),
        ErrorKind::InvalidAudience => "audience".into(),
        ErrorKind::MissingRequiredClaim(claim) => format!("no claim `{claim}`"),
        _ => "form".into(),
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Claim(name.to_owned())),
    }
}

fn roles(claims: &Map<String, Value>) -> Result<Vec<String>, TokenError> {
    let wrong = || TokenError::Claim("roles".into());
    match claims.get("roles") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(list)) => {
            let texts = list.iter().map(|role| role.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// A time claim in microseconds. RFC 7519 allows fractions; they are cut off.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and any such time is far away")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    let seconds = seconds.ok_or_else(|| TokenError::Claim(name.to_owned()))?;
    Ok(Some(seconds.saturating_mul(SECOND_US)))
}

fn read(path: &Path) -> Result<Vec<u8>, JwtError> {
    std::fs::read(path).map_err(|source| JwtError::Read { path: path.to_owned(), source })
}

fn family(config: &JwtConfig) -> Result<AlgorithmFamily, String> {
    config.algorithms.first().map(|first| first.family()).ok_or("no algorithms are set".into())
}

/// A PEM public key, or a secret. Which one it is depends on the algorithms alone, so that a public key is never a secret.
fn one_key(bytes: &[u8], config: &JwtConfig) -> Result<Vec<Key>, String> {
    let wrong = |error: jsonwebtoken::errors::Error| error.to_string();
    let key = match family(config)? {
        AlgorithmFamily::Hmac => secret(bytes.trim_ascii_end())?,
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(bytes).map_err(wrong)?,
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(bytes).map_err(wrong)?,
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(bytes).map_err(wrong)?,
    };
    Ok(vec![Key { id: None, key, algorithm: None, fingerprint: fingerprint(bytes) }])
}

fn secret(bytes: &[u8]) -> Result<DecodingKey, String> {
    if bytes.starts_with(b"-----BEGIN") {
        return Err("HS algorithms need a secret, and this is a PEM key".into());
    }
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(format!("a secret has at least {SECRET_BYTES_MIN} bytes"));
    }
    Ok(DecodingKey::from_secret(bytes))
}

fn key_set(bytes: &[u8], config: &JwtConfig) -> Result<Vec<Key>, String> {
    // Not with serde's error: it quotes the file.
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|_| "not a JSON Web Key Set")?;
    let family = family(config)?;
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        // A set may have keys for others; one that does not fit is passed over.
        let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
        let verifies = jwk.common.key_operations.as_ref();
        let verifies = verifies.is_none_or(|ops| ops.contains(&KeyOperations::Verify));
        let algorithm = jwk.common.key_algorithm;
        let allowed = |only: KeyAlgorithm| config.algorithms.iter().any(|it| only == (*it).into());
        if !is_for_signatures
            || !verifies
            || key.family() != family
            || !algorithm.is_none_or(allowed)
        {
            continue;
        }
        if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            secret(key.try_get_as_bytes().map_err(|error| error.to_string())?)?;
        }
        let own = serde_json::to_vec(jwk).map_err(|_| "not a JSON Web Key Set")?;
        let id = jwk.common.key_id.clone();
        keys.push(Key { id, key, algorithm, fingerprint: fingerprint(&own) });
    }
    match keys.len() {
        0 => Err("no key of it fits the algorithms".into()),
        1..=KEYS_MAX => Ok(keys),
        many => Err(format!("{many} keys: at most {KEYS_MAX} are taken")),
    }
}

fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    fingerprint
}

#[cfg(test)]
mod tests;
