//! `man`: the manual page, all commands in one.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

use super::{Context, Text};
use crate::args::Cli;
use crate::exit::{Exit, TABLE};
use crate::failure::Failure;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let text = page().map_err(|error| Failure::new(Exit::IO, "cannot write the manual page").because(&error))?;
    context.show(Exit::DONE, "unchanged", &Text { text })
}

fn page() -> io::Result<String> {
    let mut cli = Cli::command().after_help("").disable_version_flag(true);
    cli.build();
    let man = Man::new(cli.clone()).source(format!("treewal {}", env!("CARGO_PKG_VERSION"))).manual("treewal");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([bold(usage(&cli))]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(command, &mut page)?;
        for action in command.get_subcommands().filter(|action| action.get_name() != "help") {
            section(action, &mut page)?;
        }
    }
    let mut rest = Roff::new();
    exit_status(&mut rest);
    environment(&mut rest);
    files(&mut rest);
    rest.to_writer(&mut page)?;
    Ok(tidied(&String::from_utf8_lossy(&page)))
}

/// A command as a section of its own, its options without those that every command has.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let own = command.clone().mut_args(|arg| {
        let hide = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
        arg.hide(hide)
    });
    let mut head = Roff::new();
    head.control("SH", [usage(command).split(" [").next().unwrap_or_default().to_uppercase().as_str()]);
    head.text([bold(usage(command))]);
    head.to_writer(page)?;
    let has_options = own.get_arguments().any(|arg| !arg.is_hide_set());
    let man = Man::new(own);
    let mut body = Vec::new();
    man.render_description_section(&mut body)?;
    if has_options {
        man.render_options_section(&mut body)?;
    }
    // What are sections of a page of its own are paragraphs here.
    let body = String::from_utf8_lossy(&body).replace(".SH DESCRIPTION\n", ".PP\n").replace(".SH OPTIONS\n", "");
    page.extend_from_slice(body.as_bytes());
    Ok(())
}

fn usage(command: &Command) -> String {
    command.clone().render_usage().to_string().trim_start_matches("Usage: ").trim().to_owned()
}

/// One preamble rather than one for every part, and indented lines kept as they are.
fn tidied(page: &str) -> String {
    const PREAMBLE: [&str; 2] = [".ie \\n(.g .ds Aq \\(aq", ".el .ds Aq '"];
    let mut text = PREAMBLE.join("\n");
    let mut indented = false;
    for line in page.lines().filter(|line| !line.is_empty() && !PREAMBLE.contains(line)) {
        if line.starts_with("  ") != indented {
            indented = !indented;
            text.push_str(if indented { "\n.nf" } else { "\n.fi" });
        }
        text.push('\n');
        text.push_str(line);
    }
    text.push('\n');
    text
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in TABLE {
        entry(roff, code, meaning);
    }
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    entry(roff, "NO_COLOR", "No colors, whatever the terminal can do; --color=always wins over it.");
}

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    entry(roff, ".treewal", "The directory that treewal keeps in a tree: journal, stage, snapshots, quarantine.");
}

fn entry(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", [] as [&str; 0]);
    roff.text([bold(term)]);
    roff.text([plain(text)]);
}

fn plain(text: &str) -> Inline {
    roman(text.replace('`', ""))
}
