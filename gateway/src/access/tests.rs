//! Who is let in, under which name, and for how long.

use std::fs;
use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::certificate::ClientCertificate;
use super::config::JwtConfig;
use service_runtime::Stop;

use super::login::Credentials;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Setup {
    folder: tempfile::TempDir,
    config: AccessConfig,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identities = folder.path().join("identities.toml");
        let (device, key) = (vec!["device".to_owned()], folder.path().join("key"));
        let entry = Entry {
            roles: device,
            site: Some("icu".into()),
            password: Some(hash_password(b"correct horse").unwrap()),
            ..Entry::default()
        };
        Identities::add(&identities, "mon-1", entry).unwrap();
        fs::write(&key, SECRET).unwrap();
        let jwt = JwtConfig {
            key_file: Some(key),
            algorithms: vec![Algorithm::HS256],
            ..JwtConfig::default()
        };
        let config =
            AccessConfig { identities_file: Some(identities), jwt, ..AccessConfig::default() };
        Self { folder, config }
    }

    fn identities(&self) -> &Path {
        self.config.identities_file.as_deref().unwrap()
    }

    fn open(&self) -> Access {
        let names = Names { control: "tm/v1".into(), gateway: "gateway".into() };
        Access::open(&self.config, names, Clock::default(), &Metrics::default()).unwrap().0
    }
}

fn offer<'a>(username: Option<&'a str>, password: Option<&'a str>) -> Credentials<'a> {
    Credentials {
        peer: ([10, 0, 0, 7], 1234).into(),
        is_local: false,
        client_id: "",
        username,
        password: password.map(str::as_bytes),
        certificate: None,
    }
}

fn offer_from<'a>(last: u8, name: &'a str, password: &'a str) -> Credentials<'a> {
    Credentials { peer: ([10, 0, 0, last], 1).into(), ..offer(Some(name), Some(password)) }
}

fn token(identity: &str, seconds: i64, roles: &[&str]) -> String {
    let exp = Clock::default().now_us() / 1_000_000 + seconds;
    let claims = serde_json::json!({"sub": identity, "exp": exp, "roles": roles, "site": "lab"});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

fn certificate(change: impl FnOnce(&mut rcgen::CertificateParams)) -> ClientCertificate {
    let mut params = rcgen::CertificateParams::new(vec!["mon-1".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "icu");
    change(&mut params);
    let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    ClientCertificate::read(&[made.der().clone()]).unwrap()
}

#[tokio::test]
async fn a_password_proves_a_name() {
    let access = Setup::new().open();
    let found = access.authenticate(&offer(Some("mon-1"), Some("correct horse"))).await.unwrap();
    assert_eq!((found.name(), found.site(), found.kind()), ("mon-1", Some("icu"), "password"));
    assert_eq!(found.roles(), ["device"]);
    for (name, password) in [
        (Some("mon-1"), Some("wrong horse")),
        (Some("mon-2"), Some("correct horse")),
        (Some("mon-1"), None),
        (None, Some("correct horse")),
        (Some(""), Some("correct horse")),
        (Some("mon-1"), Some("")),
    ] {
        let refused = access.authenticate(&offer(name, password)).await;
        assert!(matches!(refused, Err(Denied::BadLogin(_))), "{name:?} {refused:?}");
    }
}

#[tokio::test]
async fn failed_logins_make_the_next_wait_but_not_the_owners_elsewhere() {
    let access = Setup::new().open();
    let try_from = async |last: u8, name, password| {
        let from =
            Credentials { peer: ([10, 0, 0, last], 1).into(), ..offer(Some(name), Some(password)) };
        access.authenticate(&from).await
    };
    try_from(8, "mon-1", "correct horse").await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(try_from(7, "mon-1", "wrong horse").await.unwrap_err());
    }
    assert!(matches!(answers.first(), Some(Denied::BadLogin(_))), "{answers:?}");
    assert!(matches!(answers.last(), Some(Denied::Throttled { .. })), "{answers:?}");
    let right = try_from(7, "mon-1", "correct horse").await;
    assert!(matches!(right, Err(Denied::Throttled { .. })), "it is not looked at: {right:?}");
    try_from(8, "mon-1", "correct horse").await.unwrap();
    try_from(9, "mon-1", "correct horse").await.unwrap();
    let counted = access.metrics().logins("password", "throttled");
    assert!(counted >= 4, "{counted}");
}

#[tokio::test]
async fn wrong_passwords_from_many_sockets_do_not_keep_right_ones_waiting() {
    let mut setup = Setup::new();
    setup.config.password_checks_max = 1;
    let access = setup.open();
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..1200 {
        let access = access.clone();
        guesses.spawn(async move {
            let name = format!("guess-{n}");
            let from = Credentials {
                peer: ([10, 0, 0, 7], 1).into(),
                ..offer(Some(&name), Some("wrong horse"))
            };
            access.authenticate(&from).await
        });
    }
    // All of them have said their password before the right one comes.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    access.authenticate(&offer_from(8, "mon-1", "correct horse")).await.unwrap();
    let mut checked = 0;
    while let Some(Ok(refused)) = guesses.try_join_next() {
        checked += u32::from(matches!(refused, Err(Denied::BadLogin(_))));
    }
    assert!(checked <= 3, "{checked} wrong ones were checked before it");
    let mut said = Vec::new();
    while let Some(Ok(refused)) = guesses.join_next().await {
        said.push(refused.unwrap_err());
    }
    assert!(said.iter().any(|denied| matches!(denied, Denied::BadLogin(_))));
}

#[tokio::test]
async fn nobody_is_anonymous_except_from_here_and_if_the_settings_say_so() {
    let mut setup = Setup::new();
    let here =
        Credentials { peer: ([127, 0, 0, 1], 1).into(), is_local: true, ..offer(None, None) };
    let mapped = Credentials { peer: "[::ffff:127.0.0.1]:1".parse().unwrap(), ..here };
    assert!(setup.open().authenticate(&here).await.is_err(), "identities are known");
    setup.config.anonymous_on_loopback = Some(true);
    let access = setup.open();
    assert_eq!(access.authenticate(&here).await.unwrap().roles(), ["anonymous"]);
    assert!(access.authenticate(&mapped).await.is_ok());
    // From elsewhere, by a listener for elsewhere, or by a web page.
    assert!(access.authenticate(&Credentials { is_local: false, ..here }).await.is_err());
    let remote = Credentials { peer: ([10, 0, 0, 7], 1).into(), ..here };
    assert!(access.authenticate(&remote).await.is_err());
    // A wrong proof is not ignored.
    let wrong = Credentials { username: Some("mon-1"), password: Some(b"wrong horse"), ..here };
    assert!(matches!(access.authenticate(&wrong).await, Err(Denied::BadLogin(_))));
    setup.config.anonymous_on_loopback = Some(false);
    assert!(setup.open().authenticate(&here).await.is_err());
}

#[tokio::test]
async fn a_token_proves_a_name() {
    let access = Setup::new().open();
    let check = async |username, token: String| {
        access.authenticate(&offer(username, Some(token.as_str()))).await
    };
    let found = check(None, token("van-7", 60, &["agent"])).await.unwrap();
    assert_eq!((found.name(), found.site(), found.kind()), ("van-7", Some("lab"), "jwt"));
    // The entry decides about a name that has one.
    let listed = check(Some("mon-1"), token("mon-1", 60, &["operator"])).await.unwrap();
    assert_eq!((listed.roles(), listed.site()), (&["device".to_owned()][..], Some("icu")));
    assert_eq!(check(None, token("van-7", -61, &[])).await, Err(Denied::Expired));
    let other = check(Some("van-8"), token("van-7", 60, &[])).await;
    assert!(matches!(other, Err(Denied::BadLogin(_))));
    for name in ["a/b", "+", "", "anonymous"] {
        let refused = check(None, token(name, 60, &["device"])).await;
        assert!(matches!(refused, Err(Denied::NotAuthorized(_))), "{name}");
    }
    let refused = check(None, token("van-7", 60, &["anonymous"])).await;
    assert!(matches!(refused, Err(Denied::NotAuthorized(_))));
}

#[tokio::test]
async fn a_certificate_proves_a_name() {
    let mut setup = Setup::new();
    let access = setup.open();
    let check = async |access: &Access, certificate: &ClientCertificate, login: Credentials<'_>| {
        access.authenticate(&Credentials { certificate: Some(certificate), ..login }).await
    };
    let mon = certificate(|_| ());
    let found = check(&access, &mon, offer(None, None)).await.unwrap();
    assert_eq!((found.name(), found.site(), found.kind()), ("mon-1", Some("icu"), "certificate"));
    assert_eq!(found.expires_us, Some(mon.not_after_us));
    // A login beside it must be right and the same.
    let right = offer(Some("mon-1"), Some("correct horse"));
    assert!(check(&access, &mon, right).await.is_ok());
    assert!(check(&access, &mon, offer(Some("mon-1"), None)).await.is_ok());
    for login in
        [offer(Some("mon-1"), Some("x")), offer(Some("mon-2"), None), offer(None, Some("x"))]
    {
        assert!(matches!(check(&access, &mon, login).await, Err(Denied::BadLogin(_))));
    }
    // Without an entry its roles are those of the settings, its site is its unit.
    let new = certificate(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("mon-9".try_into().unwrap())];
    });
    let refused = check(&access, &new, offer(None, None)).await;
    assert!(matches!(refused, Err(Denied::NotAuthorized(_))));
    setup.config.certificate_roles = vec!["device".into()];
    let access = setup.open();
    let found = check(&access, &new, offer(None, None)).await.unwrap();
    assert_eq!((found.name(), found.site()), ("mon-9", Some("icu")));
    // No name, two names, a name that is a pattern.
    for names in [vec![], vec!["a", "b"], vec!["*"]] {
        let odd = certificate(|params| {
            let names =
                names.iter().map(|name| rcgen::SanType::DnsName((*name).try_into().unwrap()));
            params.subject_alt_names = names.collect();
        });
        let refused = check(&access, &odd, offer(None, None)).await;
        assert!(matches!(refused, Err(Denied::NotAuthorized(_))), "{names:?}");
    }
    let old = certificate(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(check(&access, &old, offer(None, None)).await, Err(Denied::Expired));
}

#[tokio::test]
async fn a_client_id_belongs_to_its_identity() {
    let mut setup = Setup::new();
    let access = setup.open();
    let with = |client_id| Credentials { client_id, ..offer(Some("mon-1"), Some("correct horse")) };
    for own in ["", "mon-1", "mon-1@b"] {
        assert!(access.authenticate(&with(own)).await.is_ok(), "{own}");
    }
    for other in ["mon-2", "mon-10", "x"] {
        assert_eq!(access.authenticate(&with(other)).await, Err(Denied::ClientId), "{other}");
    }
    setup.config.client_ids = ClientIds::Any;
    assert!(setup.open().authenticate(&with("x")).await.is_ok());
}

/// Puts a file in place as an operator should: whoever reads at the same moment sees the old one or the new one.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_files_reaches_those_who_are_connected() {
    let setup = Setup::new();
    let access = setup.open();
    let mon = access.authenticate(&offer(Some("mon-1"), Some("correct horse"))).await.unwrap();
    let van =
        access.authenticate(&offer(None, Some(&token("van-7", 60, &["agent"])))).await.unwrap();
    let mut generation = access.generation();
    let stop = Stop::new();
    let running = reload::run(
        access.watched(),
        access.audit().clone(),
        access.metrics().clone(),
        stop.clone(),
    );
    let scenario = async {
        assert_eq!(access.refresh(&mon), Ok(mon.clone()));
        let revoked = setup.folder.path().join("revoked.toml");
        fs::copy(setup.identities(), &revoked).unwrap();
        Identities::revoke(&revoked, "mon-1").unwrap();
        // A broken file changes nothing.
        replace(setup.identities(), "[identities");
        while access.metrics().reloads("identities", "failed") == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(!generation.has_changed().unwrap());
        fs::rename(&revoked, setup.identities()).unwrap();
        generation.changed().await.unwrap();
        assert_eq!(access.refresh(&mon), Err(Denied::Revoked));
        assert_eq!(
            access.authenticate(&offer(Some("mon-1"), Some("correct horse"))).await,
            Err(Denied::Revoked)
        );
        // Another key: what the old one signed is worth nothing.
        assert_eq!(access.refresh(&van), Ok(van.clone()));
        replace(&setup.folder.path().join("key"), &(SECRET.to_uppercase() + "x"));
        generation.changed().await.unwrap();
        assert_eq!(access.refresh(&van), Err(Denied::Revoked));
        stop.cancel();
    };
    let (running, ()) = tokio::join!(running, scenario);
    running.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_began() {
    let setup = Setup::new();
    let access = setup.open();
    let mon = access.authenticate(&offer(Some("mon-1"), Some("correct horse"))).await.unwrap();
    let entry = Entry {
        roles: vec!["analyst".into()],
        password: Some(hash_password(b"another horse").unwrap()),
        ..Entry::default()
    };
    let hash = mon.clone();
    let same = Entry {
        password: access.tables().identities.get("mon-1").unwrap().password.clone(),
        ..entry.clone()
    };
    Identities::add(setup.identities(), "mon-1", same).unwrap();
    let reread = setup.open();
    assert_eq!(reread.refresh(&hash).unwrap().roles(), ["analyst"], "roles follow the file");
    Identities::add(setup.identities(), "mon-1", entry).unwrap();
    assert_eq!(setup.open().refresh(&mon), Err(Denied::Revoked));
}
