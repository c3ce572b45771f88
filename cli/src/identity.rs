//! `tidemark identity`: keeps the file of identities, and asks it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use gateway::access::{Entry, Identities, Names, check_login, hash_password, new_password};
use serde::Serialize;

use crate::options::{Format, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Identity {
    #[command(subcommand)]
    pub(crate) command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Adds an identity, or replaces it. Without a password it proves itself by certificate or token.
    Add(IdentityAdd),
    /// Lists the identities.
    List(IdentityList),
    /// Removes an identity. One that is added later with its name is another one, and has nothing of the first.
    Remove(IdentityRemove),
    /// Refuses an identity from now on, however it proves itself; a running gateway disconnects it within seconds.
    Revoke(IdentityRevoke),
    /// Tells who a client would be that shows a password, token or certificate. Exits with 1 if it would be refused.
    Test(IdentityTest),
}

/// Where identities are kept.
#[derive(Debug, Args)]
pub(crate) struct IdentityFile {
    /// The file of identities [default: identities_file in [gateway.access] of the configuration].
    #[arg(long, value_parser = path)]
    pub(crate) file: Option<PathBuf>,
    /// TOML file with the configuration.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityAdd {
    /// Its name: letters, digits, `.`, `_`, `-` and `:`. An agent's is its source_id, a device's its device id.
    pub(crate) name: String,
    /// What it is to the rules: device, fleet, agent, ingest, operator, analyst, or a role of your own. May be given several
    /// times.
    #[arg(long = "role", required = true)]
    pub(crate) roles: Vec<String>,
    /// Its site, for {site} in rules; devices need one.
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// File with its password; `-` for standard input.
    #[arg(long, group = "secret", value_parser = path)]
    pub(crate) password_file: Option<PathBuf>,
    /// Makes a password and prints it.
    #[arg(long, group = "secret")]
    pub(crate) generate_password: bool,
    #[command(flatten)]
    pub(crate) file: IdentityFile,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityList {
    #[command(flatten)]
    pub(crate) file: IdentityFile,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityRevoke {
    /// Its name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) file: IdentityFile,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityRemove {
    /// Its name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) file: IdentityFile,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityTest {
    /// User name that it sends; may be left out with a certificate or token.
    #[arg(required_unless_present_any = ["certificate", "password_file"])]
    pub(crate) name: Option<String>,
    /// File with the password or token that it sends; `-` for standard input.
    #[arg(long, value_parser = path)]
    pub(crate) password_file: Option<PathBuf>,
    /// Certificate that it shows (PEM).
    #[arg(long, value_parser = path)]
    pub(crate) certificate: Option<PathBuf>,
    /// TOML file with the configuration.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}

/// Longest password or token that is read.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Does what was asked; false when the answer is no.
pub(crate) async fn run(options: &Identity) -> anyhow::Result<bool> {
    match &options.command {
        IdentityCommand::Add(options) => add(options)?,
        IdentityCommand::List(options) => list(options)?,
        IdentityCommand::Revoke(options) => {
            let said = match Identities::revoke(&file(&options.file)?, &options.name)? {
                true => "revoked",
                false => "was revoked already",
            };
            print::line(&format!("{} {said}", options.name))?;
        }
        IdentityCommand::Remove(options) => {
            let file = file(&options.file)?;
            anyhow::ensure!(
                Identities::remove(&file, &options.name)?,
                "there is no identity `{}` in {}",
                options.name,
                file.display()
            );
            print::line(&format!("{} removed", options.name))?;
        }
        IdentityCommand::Test(options) => return test(options).await,
    }
    Ok(true)
}

fn file(options: &IdentityFile) -> anyhow::Result<PathBuf> {
    if let Some(file) = &options.file {
        return Ok(file.clone());
    }
    config::load(options.config.as_deref())?
        .gateway
        .access
        .identities_file
        .context("which file? say --file, or --config with identities_file set in [gateway.access]")
}

fn add(options: &IdentityAdd) -> anyhow::Result<()> {
    let file = file(&options.file)?;
    let generated = options.generate_password.then(new_password).transpose()?;
    let password = match (&generated, &options.password_file) {
        (Some(password), _) => Some(hash_password(password.as_bytes())?),
        (None, Some(path)) => Some(hash_password(secret(path)?.as_bytes())?),
        (None, None) => None,
    };
    let entry = Entry {
        roles: options.roles.clone(),
        site: options.site.clone(),
        password,
        ..Entry::default()
    };
    let said = if Identities::add(&file, &options.name, entry)? { "added" } else { "replaced" };
    print::line(&format!("{} {said} in {}", options.name, file.display()))?;
    if let Some(password) = generated {
        print::line(&format!("its password, shown this once: {password}"))?;
    }
    Ok(())
}

/// Reads a secret from a file, or from standard input, without the end of its line.
fn secret(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text),
        _ => std::fs::File::open(path)
            .and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is shown of an identity: never its hash.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    roles: &'a [String],
    site: Option<&'a str>,
    has_password: bool,
    revoked: bool,
}

fn list(options: &IdentityList) -> anyhow::Result<()> {
    let identities = Identities::load(&file(&options.file)?)?;
    let shown: Vec<_> = identities
        .iter()
        .map(|(name, entry)| Shown {
            name,
            roles: &entry.roles,
            site: entry.site.as_deref(),
            has_password: entry.password.is_some(),
            revoked: entry.revoked,
        })
        .collect();
    if options.format == Format::Json {
        return Ok(print::json(&shown)?);
    }
    let yes = |is: bool, word: &str| if is { word.to_owned() } else { String::new() };
    let rows = shown.iter().map(|it| {
        let site = it.site.unwrap_or_default().to_owned();
        let (password, revoked) = (yes(it.has_password, "password"), yes(it.revoked, "revoked"));
        vec![it.name.to_owned(), it.roles.join(" "), site, password, revoked]
    });
    let header = ["identity", "roles", "site", "proof", ""];
    Ok(print::columns(&header, &rows.collect::<Vec<_>>())?)
}

async fn test(options: &IdentityTest) -> anyhow::Result<bool> {
    let gateway = config::load(options.config.as_deref())?.gateway;
    let names = Names::new(&gateway.check()?, gateway.source_id.as_str());
    let password = options.password_file.as_deref().map(secret).transpose()?;
    let answer = check_login(
        &gateway.access,
        &gateway.tls,
        names,
        options.certificate.as_deref(),
        options.name.as_deref(),
        password.as_deref().map(str::as_bytes),
    )
    .await?;
    match &answer {
        Ok(who) => print::line(&format!(
            "yes: {} by {}, roles {}, site {}",
            who.name(),
            who.kind(),
            who.roles().join(" "),
            who.site().unwrap_or("none")
        ))?,
        Err(denied) => print::line(&format!("no: {denied}"))?,
    }
    Ok(answer.is_ok())
}
