//! What ends on a day of its own: certificates, authorities and revocation lists in files. It is metered, and said before it ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use service_runtime::Stop;
use tracing::{error, info, warn};
use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_crl};

use super::Access;
use super::config::TlsConfig;
use super::trust::{TlsError, certificates, revocation_lists};

/// How often the ends are looked at.
const PERIOD: Duration = Duration::from_secs(30);
/// How often an end that is near is spoken of.
const AGAIN_US: i64 = 24 * 3600 * 1_000_000;
/// An end is near when a quarter of the whole time is left, and this at most.
const NEAR_MAX_US: i64 = 30 * AGAIN_US;

/// What a file holds of these, the one that ends first. Times are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) what: &'static str,
    pub(crate) file: PathBuf,
    pub(crate) from_us: i64,
    pub(crate) until_us: i64,
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is time.
    Good,
    /// A quarter of the whole time is left, and a month at most.
    Near,
    /// It has ended.
    Over,
}

/// Returns the stage of something that is valid for a time.
pub(crate) fn stage(from_us: i64, until_us: i64, now_us: i64) -> Stage {
    let near = (until_us.saturating_sub(from_us) / 4).clamp(0, NEAR_MAX_US);
    match until_us.saturating_sub(now_us) {
        left if left <= 0 => Stage::Over,
        left if left <= near => Stage::Near,
        _ => Stage::Good,
    }
}

/// Says how long that is, in the largest unit that fits.
pub(crate) fn in_words(left_us: i64) -> String {
    let seconds = left_us / 1_000_000;
    match seconds.abs() {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Reads when what the settings of TLS name ends.
pub(crate) fn endings(config: &TlsConfig) -> Result<Vec<Ending>, TlsError> {
    let mut found = Vec::new();
    let files =
        [("server_certificate", &config.cert_file), ("client_authority", &config.client_ca_file)];
    for (what, file) in files {
        let Some(file) = file else { continue };
        let times = certificates(file)?;
        found.extend(first(what, file, times.iter().filter_map(|one| validity(one))));
    }
    for file in &config.crl_files {
        let lists = revocation_lists(file)?;
        let times = lists.iter().filter_map(|list| {
            let (_, list) = parse_x509_crl(list).ok()?;
            Some((list.last_update().timestamp(), list.next_update()?.timestamp()))
        });
        found.extend(first("revocation_list", file, times));
    }
    Ok(found)
}

fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

fn first(
    what: &'static str,
    file: &Path,
    times: impl Iterator<Item = (i64, i64)>,
) -> Option<Ending> {
    let (from, until) = times.min_by_key(|(_, until)| *until)?;
    let [from_us, until_us] = [from, until].map(|seconds| seconds.saturating_mul(1_000_000));
    Some(Ending { what, file: file.to_owned(), from_us, until_us })
}

/// What was said last of each file.
#[derive(Debug, Default)]
struct Said(HashMap<PathBuf, (Stage, i64)>);

impl Said {
    /// Returns what is to be said now: each change, and once a day what is near or over.
    fn due(&mut self, endings: &[Ending], now_us: i64) -> Vec<(Ending, Stage)> {
        self.0.retain(|file, _| endings.iter().any(|ending| ending.file == *file));
        let mut due = Vec::new();
        for ending in endings {
            let now = stage(ending.from_us, ending.until_us, now_us);
            let (before, at) = self.0.get(&ending.file).copied().unwrap_or((Stage::Good, i64::MIN));
            let again = now != Stage::Good && now_us.saturating_sub(at) >= AGAIN_US;
            if now != before || again {
                self.0.insert(ending.file.clone(), (now, now_us));
                due.push((ending.clone(), now));
            }
        }
        due
    }
}

/// Looks at the ends until `stop`.
pub(crate) async fn run(access: Access, stop: Stop) -> anyhow::Result<()> {
    let mut said = Said::default();
    loop {
        let (endings, now_us) = (access.endings(), access.clock().now_us());
        access.metrics().set_left(endings.iter().map(|one| (one.what, one.until_us - now_us)));
        for (ending, stage) in said.due(&endings, now_us) {
            write(&ending, stage, now_us);
        }
        access.say_proofs_near_their_end();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

fn write(ending: &Ending, stage: Stage, now_us: i64) {
    let Ending { what, file, until_us, .. } = ending;
    let (file, left) = (file.display(), in_words(until_us - now_us));
    match stage {
        Stage::Good => info!(what, %file, %left, "renewed"),
        Stage::Near => warn!(what, %file, %left, "ends soon: put a new one in its place"),
        Stage::Over => error!(
            what, %file, over = %in_words(now_us - until_us),
            "has ended: clients are refused until there is a new one in its place"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = AGAIN_US;

    fn ending(file: &str, from_day: i64, until_day: i64) -> Ending {
        let (from_us, until_us) = (from_day * DAY, until_day * DAY);
        Ending { what: "revocation_list", file: file.into(), from_us, until_us }
    }

    #[test]
    fn an_end_is_near_in_its_last_quarter_and_a_month_at_most() {
        for (until, now, expected) in [
            (8, 5, Stage::Good),
            (8, 6, Stage::Near),
            (8, 8, Stage::Over),
            (8, 9, Stage::Over),
            (3650, 3619, Stage::Good),
            (3650, 3620, Stage::Near),
        ] {
            assert_eq!(stage(0, until * DAY, now * DAY), expected, "{until} {now}");
        }
        assert_eq!(stage(5 * DAY, 4 * DAY, 0), Stage::Good, "ends before it begins");
    }

    #[test]
    fn each_change_is_said_once_and_what_is_near_once_a_day() {
        let mut said = Said::default();
        let list = [ending("a", 0, 8)];
        let stages = |said: &mut Said, list: &[Ending], hours: i64| {
            let due = said.due(list, hours * DAY / 24);
            due.into_iter().map(|(_, stage)| stage).collect::<Vec<_>>()
        };
        assert_eq!(stages(&mut said, &list, 24), []);
        assert_eq!(stages(&mut said, &list, 6 * 24), [Stage::Near]);
        assert_eq!(stages(&mut said, &list, 6 * 24 + 23), []);
        assert_eq!(stages(&mut said, &list, 7 * 24), [Stage::Near]);
        assert_eq!(stages(&mut said, &list, 8 * 24), [Stage::Over]);
        assert_eq!(stages(&mut said, &list, 8 * 24 + 1), []);
        let renewed = [ending("a", 8, 16)];
        assert_eq!(stages(&mut said, &renewed, 8 * 24 + 2), [Stage::Good]);
        assert_eq!(stages(&mut said, &[], 8 * 24 + 3), []);
        assert!(said.0.is_empty(), "files that are no longer named are forgotten");
    }

    #[test]
    fn times_are_said_in_words() {
        let words = [5, 600, 10_000, 1_000_000].map(|seconds| in_words(seconds * 1_000_000));
        assert_eq!(words, ["5 s", "10 min", "2 h", "11 days"]);
    }
}
