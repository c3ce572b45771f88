//! Passwords: hashed with argon2id, checked off the async threads and never more than a few at once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};

use super::Denied;
use super::line::{Turns, Waiting};

/// Longest password that is looked at.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password that is taken for a new identity.
const PASSWORD_BYTES_MIN: usize = 8;
/// Logins that succeeded and are answered without argon2 when they come again.
const REMEMBERED_MAX: usize = 20_000;
/// Costs that a hash in the file may ask for: one login must not take the machine.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 16;
/// A check allocates at least so many KiB, of which it touches what it needs: glibc maps what has more than 32 MiB by itself, and
/// gives it back to the system when it is freed. Of less it keeps one for each thread that ever checked.
const MAPPED_BLOCKS: usize = 33 << 10;

/// Why a password was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")]
    Length,
    /// The system gives no random numbers, or the hash cannot be made.
    #[error("cannot hash the password: {0}")]
    Hash(String),
    /// What the file has is no argon2id hash.
    #[error(
        "not an argon2id hash in PHC format with at most {MEMORY_KIB_MAX} KiB and {PASSES_MAX} passes"
    )]
    Format,
}

/// Hashes a new password to a PHC string.
///
/// # Errors
/// When it is too short or too long, or there is no randomness.
pub fn hash_password(password: &[u8]) -> Result<String, PasswordError> {
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Err(PasswordError::Length);
    }
    let hash = Argon2::default().hash_password_with_salt(password, &random::<16>()?);
    hash.map(|hash: PasswordHash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// Makes a password of 160 random bits, in hexadecimal digits.
///
/// # Errors
/// When there is no randomness.
pub fn new_password() -> Result<String, PasswordError> {
    Ok(random::<20>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| PasswordError::Hash("no random numbers".into()))?;
    Ok(bytes)
}

/// Checks that a PHC string is an argon2id hash of bearable cost.
pub(crate) fn check_hash(hash: &str) -> Result<(), PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|_| PasswordError::Format)?;
    let params = Params::try_from(&parsed).map_err(|_| PasswordError::Format)?;
    let bearable = params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX;
    match parsed.algorithm.as_str() == "argon2id" && parsed.hash.is_some() && bearable {
        true => Ok(()),
        false => Err(PasswordError::Format),
    }
}

fn verify(hash: &str, password: &[u8]) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let (Some(salt), Some(right)) = (&hash.salt, &hash.hash) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
    let Ok(version) = version else { return false };
    let mut memory = Vec::with_capacity(params.block_count().max(MAPPED_BLOCKS));
    memory.resize(params.block_count(), Block::new());
    let mut found = vec![0; right.as_bytes().len()];
    let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
    let done = argon2.hash_password_into_with_memory(password, salt, &mut found, &mut memory);
    done.is_ok() && verify_slices_are_equal(&found, right.as_bytes()).is_ok()
}

/// Checks passwords of clients.
pub(super) struct PasswordChecks {
    /// Each check takes 19 MiB and a core for a while.
    turns: Turns,
    /// Unknown names are checked against this, so that the time of a refusal does not tell which names exist.
    decoy: String,
    /// Codes of (hash, password) pairs that were right: devices that all reconnect at once are not hashed again. The key
    /// is made at start and never leaves memory.
    remembered: Mutex<HashSet<[u8; 32]>>,
    key: hmac::Key,
}

impl PasswordChecks {
    pub(crate) fn new(at_once: usize) -> Result<Self, PasswordError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| PasswordError::Hash("no random numbers".into()))?;
        Ok(Self {
            turns: Turns::new(at_once),
            decoy: hash_password(new_password()?.as_bytes())?,
            remembered: Mutex::default(),
            key,
        })
    }

    /// Tells whether a password is the one of a hash; without a hash takes as long and says no. `may` is asked when it is this
    /// check's turn.
    ///
    /// # Errors
    /// When `may` says so, or too many wait.
    pub(super) async fn check(
        &self,
        hash: Option<&str>,
        password: &[u8],
        who: Waiting,
        may: impl FnOnce() -> Result<(), Denied>,
    ) -> Result<bool, Denied> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let code = self.code(hash.unwrap_or(&self.decoy), password);
        if self.remembered.lock().unwrap_or_else(PoisonError::into_inner).contains(&code) {
            return Ok(true);
        }
        let turn = self.turns.take(who).await.map_err(|_| Denied::Crowded)?;
        may()?;
        let (against, password) = (hash.unwrap_or(&self.decoy).to_owned(), password.to_owned());
        let right = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that has gone must not make room for another one before its check ends.
            let _turn = turn;
            verify(&against, &password)
        });
        let right = right.await.unwrap_or(false) && hash.is_some();
        if right {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(code);
        }
        Ok(right)
    }

    fn code(&self, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(hash.len() as u64).to_le_bytes());
        context.update(hash.as_bytes());
        context.update(password);
        let mut code = [0; 32];
        code.copy_from_slice(context.sign().as_ref());
        code
    }
}

impl fmt::Debug for PasswordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordChecks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_or_not_and_an_unknown_name_never() {
        let hash = hash_password(b"correct horse").unwrap();
        let checks = PasswordChecks::new(1).unwrap();
        let who = Waiting { address: 1, known: false };
        let check = async |hash: Option<&str>, password: &[u8]| {
            checks.check(hash, password, who, || Ok(())).await.unwrap()
        };
        for _ in 0..2 {
            assert!(check(Some(&hash), b"correct horse").await);
            assert!(!check(Some(&hash), b"correct hors").await);
            assert!(!check(None, b"correct horse").await);
        }
        let later = checks.check(Some(&hash), b"other horse", who, || Err(Denied::Expired)).await;
        assert_eq!(later, Err(Denied::Expired));
        assert_eq!(checks.remembered.lock().unwrap().len(), 1, "right ones are remembered");
        let other = hash_password(b"correct horse").unwrap();
        assert_ne!(hash, other, "salted");
        assert!(!check(Some(&hash), &[b'x'; PASSWORD_BYTES_MAX + 1]).await);
    }

    #[test]
    fn hashes_are_argon2id_of_bearable_cost() {
        assert_eq!(check_hash(&hash_password(b"12345678").unwrap()), Ok(()));
        let costly = "$argon2id$v=19$m=4000000,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        for bad in ["", "secret", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g", costly] {
            assert_eq!(check_hash(bad), Err(PasswordError::Format), "{bad}");
        }
        assert_eq!(hash_password(b"short"), Err(PasswordError::Length));
    }

    #[test]
    fn new_passwords_differ() {
        let (one, other) = (new_password().unwrap(), new_password().unwrap());
        assert!(one != other && one.len() == 40);
    }
}
