//! `tidemark certs dev`: an authority and everything that is signed by it, for trying things out.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use gateway::access::{Entry, Identities};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use service_runtime::Clock;
use time::{Duration, OffsetDateTime};

use crate::options::path;
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Certs {
    #[command(subcommand)]
    pub(crate) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Makes an authority, certificates for the gateway and one client of each role, their identities, and a configuration
    /// that uses them. For trying things out: the authority's key lies beside them.
    Dev(CertsDev),
}

#[derive(Debug, Args)]
pub(crate) struct CertsDev {
    /// Folder for it all; made if missing.
    #[arg(value_parser = path)]
    pub(crate) dir: PathBuf,
    /// Name or address that the gateway is reached by, beside localhost. May be given several times; with any, the gateway
    /// listens on all addresses.
    #[arg(long = "host")]
    pub(crate) hosts: Vec<String>,
    /// Port where the gateway listens by TLS.
    #[arg(long, default_value_t = 8883)]
    pub(crate) port: u16,
    /// Device id of the device.
    #[arg(long, default_value = "device-1")]
    pub(crate) device: String,
    /// Site of the device.
    #[arg(long, default_value = "lab")]
    pub(crate) site: String,
    /// Days that the certificates are valid.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) days: u16,
}

impl CertsDev {
    /// The address to listen on: this machine's, unless others are to reach it.
    pub(crate) fn listen(&self) -> IpAddr {
        if self.hosts.is_empty() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0].into() }
    }
}

/// Clocks differ, and a certificate must not be from the future.
const BACKDATED: Duration = Duration::hours(1);
/// Where the simulator's devices are.
const SIMULATED_SITE: &str = "sim";

/// Does what was asked.
pub(crate) fn run(options: &Certs) -> anyhow::Result<()> {
    let CertsCommand::Dev(options) = &options.command;
    let ca_file = options.dir.join("ca.pem");
    anyhow::ensure!(
        !ca_file.exists(),
        "{} is there already: choose another folder, or delete this one",
        ca_file.display()
    );
    fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let dir = options.dir.canonicalize()?;
    make(options, &dir)?;
    print::line(&next_steps(options))?;
    Ok(())
}

/// The clients: name, role, site.
fn clients(options: &CertsDev) -> [(&str, &str, Option<&str>); 6] {
    [
        (&options.device, "device", Some(&options.site)),
        ("agent", "agent", None),
        ("ingest", "ingest", None),
        ("operator", "operator", None),
        ("analyst", "analyst", None),
        ("simulator", "fleet", Some(SIMULATED_SITE)),
    ]
}

fn make(options: &CertsDev, dir: &Path) -> anyhow::Result<()> {
    let now = OffsetDateTime::from_unix_timestamp(Clock::default().now_us() / 1_000_000)?;
    let valid = (now - BACKDATED, now + Duration::days(options.days.into()));
    let issuer = CertifiedIssuer::self_signed(authority(valid), KeyPair::generate()?)?;
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts: Vec<_> = hosts.into_iter().chain(options.hosts.iter().cloned()).collect();
    let server = leaf(hosts, "tidemark gateway", ExtendedKeyUsagePurpose::ServerAuth, valid)?;
    issue(dir, "server", &server, &issuer)?;
    let identities = dir.join("identities.toml");
    for (name, role, site) in clients(options) {
        let entry =
            Entry { roles: vec![role.into()], site: site.map(str::to_owned), ..Entry::default() };
        // First: it says whether the name is one.
        Identities::add(&identities, name, entry)?;
        let names = vec![name.to_owned()];
        let mut params = leaf(names, name, ExtendedKeyUsagePurpose::ClientAuth, valid)?;
        if let Some(site) = site {
            params.distinguished_name.push(DnType::OrganizationalUnitName, site);
        }
        issue(dir, name, &params, &issuer)?;
    }
    write(&dir.join("tidemark.toml"), &configuration(options, dir)?, 0o644)?;
    write(&dir.join("ca.key"), &issuer.key().serialize_pem(), 0o600)?;
    // Last: its presence says that everything is there.
    write(&dir.join("ca.pem"), &issuer.pem(), 0o644)
}

fn authority((from, until): (OffsetDateTime, OffsetDateTime)) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (from, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "tidemark development authority");
    params
}

fn leaf(
    names: Vec<String>,
    common_name: &str,
    purpose: ExtendedKeyUsagePurpose,
    (from, until): (OffsetDateTime, OffsetDateTime),
) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    (params.not_before, params.not_after) = (from, until);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn issue(
    dir: &Path,
    name: &str,
    params: &CertificateParams,
    issuer: &CertifiedIssuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    write(&dir.join(format!("{name}.key")), &key.serialize_pem(), 0o600)?;
    write(&dir.join(format!("{name}.pem")), &certificate.pem(), 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A configuration in which everybody proves who it is, also on this machine.
fn configuration(options: &CertsDev, dir: &Path) -> anyhow::Result<String> {
    let file = |name: &str| -> anyhow::Result<String> {
        let path: PathBuf = dir.join(name);
        let path = path.to_str().context("the folder's name is not UTF-8")?;
        Ok(toml::Value::String(path.to_owned()).to_string())
    };
    let (listen, port) = (options.listen(), options.port);
    let ca = file("ca.pem")?;
    let client = |prefix: &str, name: &str| -> anyhow::Result<String> {
        let (cert, key) = (file(&format!("{name}.pem"))?, file(&format!("{name}.key"))?);
        Ok(format!(
            "{prefix}ca_file = {ca}\n{prefix}cert_file = {cert}\n{prefix}key_file = {key}\n"
        ))
    };
    let (ingest, agent) = (client("tls_", "ingest")?, client("", "agent")?);
    let simulator = client("", "simulator")?;
    let (cert, key) = (file("server.pem")?, file("server.key")?);
    let identities = file("identities.toml")?;
    Ok(format!(
        r#"# Written by `tidemark certs dev`: every client proves who it is by its certificate.

[gateway.access]
anonymous_on_loopback = false
identities_file = {identities}

[gateway.tls]
cert_file = {cert}
key_file = {key}
client_certificates = "required"
client_ca_file = {ca}

[[gateway.listeners]]
listen = "{listen}:{port}"
transport = "tls"

[ingest]
broker = "localhost:{port}"
client_id = "ingest"
{ingest}
[agent]
source_id = "agent"

[agent.gateway]
host = "localhost"
port = {port}
tls = true
{agent}
[simulator]
gateway = "localhost:{port}"
username = "simulator"
site = "{SIMULATED_SITE}"

[simulator.tls]
{simulator}"#
    ))
}

fn next_steps(options: &CertsDev) -> String {
    let CertsDev { device, site, port, .. } = options;
    let dir = options.dir.display();
    let reading = r#"{"metric":"heart_rate","value":72,"unit":"/min"}"#;
    format!(
        "certificates for the gateway and for {device}, agent, ingest, operator, analyst and simulator are in {dir}\n\n\
         start everything:\n  tidemark up --config {dir}/tidemark.toml\n\n\
         publish as {device}:\n  mosquitto_pub -h localhost -p {port} --cafile {dir}/ca.pem --cert {dir}/{device}.pem --key \
         {dir}/{device}.key -i {device} -q 1 -t dt/{site}/{device}/readings -m '{reading}'"
    )
}
