//! `tidemark completions` and `tidemark man`: what shells complete, and pages for `man`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::options::path;
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell that is to complete.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManPages {
    /// Folder for a page of each command; else the main page is printed.
    #[arg(long, value_parser = path)]
    out: Option<PathBuf>,
}

/// Prints what a shell reads to complete `tidemark`.
pub(crate) fn complete(options: &Completions, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "tidemark", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Writes a page for each command, or prints the main one.
pub(crate) fn man(options: &ManPages, command: Command) -> anyhow::Result<()> {
    let pages = pages(command)?;
    let Some(folder) = &options.out else {
        let main = pages.last().map(|(_, page)| page.as_slice());
        return Ok(io::stdout().lock().write_all(main.unwrap_or_default())?);
    };
    write(folder, &pages).with_context(|| format!("cannot write to {}", folder.display()))?;
    let folder = folder.display();
    Ok(print::line(&format!("{} pages in {folder}: man {folder}/tidemark.1", pages.len()))?)
}

fn write(folder: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, page) in pages {
        std::fs::write(folder.join(name), page)?;
    }
    Ok(())
}

/// File name and text of each page; the main one is last.
fn pages(command: Command) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!("tidemark {}", command.get_version().unwrap_or_default());
    let mut pages = Vec::new();
    each(&command, &source, &mut pages).context("cannot write a page")?;
    Ok(pages)
}

fn each(command: &Command, source: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        each(below, source, pages)?;
    }
    let man = Man::new(command.clone()).source(source).manual("Tidemark");
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::{Command as Process, Stdio};

    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::args::Arguments;

    fn names(command: &Command, found: &mut BTreeSet<String>) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        found.insert(format!("{name}.1"));
        for below in command.get_subcommands() {
            names(below, found);
        }
    }

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        let mut expected = BTreeSet::new();
        names(&command, &mut expected);
        assert!(expected.contains("tidemark-map-try.1") && expected.contains("tidemark-tap.1"));
        let pages = pages(Arguments::command()).unwrap();
        assert_eq!(pages.last().unwrap().0, "tidemark.1");
        assert_eq!(pages.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), expected);
        for (name, page) in &pages {
            let page = String::from_utf8(page.clone()).unwrap();
            assert!(page.contains(".SH DESCRIPTION"), "{name} says nothing of what it does");
            assert!(page.contains("Tidemark"), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("man1"), &pages).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("man1")).unwrap().count(), expected.len());
    }

    #[test]
    fn every_shell_has_a_script_and_bash_can_read_its_own() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "tidemark", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("dead-letters"), "{shell}: {script}");
            if *shell != Shell::Bash {
                continue;
            }
            let bash =
                Process::new("bash").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn();
            // There are machines without it.
            let Ok(mut bash) = bash else { continue };
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
}
