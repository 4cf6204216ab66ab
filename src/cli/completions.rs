//! `seqfit completions` and `seqfit man`: shell completions and manual pages, generated from the clap options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::output;
use super::output_files::{self, FileKind, OutputFile};

/// Options of `seqfit completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell [default: the one in $SHELL]
    shell: Option<Shell>,
}

/// Options of `seqfit man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// A folder to write one page per command into, such as ~/.local/share/man/man1; without it the main
    /// page is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `seqfit completions`; `command` is the whole program.
pub fn run(args: &Args, mut command: Command) -> anyhow::Result<ExitCode> {
    let Some(shell) = args.shell.or_else(Shell::from_env) else {
        let rule = "completions are for bash, elvish, fish, powershell or zsh, and $SHELL names none of \
                    them: name the shell";
        return Err(output::Usage(rule.to_owned()).into());
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "seqfit", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `seqfit man`; `command` is the whole program.
pub fn man(args: &ManArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    command.build();
    let Some(folder) = &args.out else {
        output::print(&page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut all = vec![command];
    let mut pages = Vec::new();
    while let Some(command) = all.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        pages.push((folder.join(format!("{name}.1")), page(&command)?));
        all.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
    }
    let files =
        pages.iter().map(|(path, _)| OutputFile { option: "--out", path, kind: FileKind::ManPage });
    output_files::check(&files.collect::<Vec<_>>())?;
    for (path, page) in pages {
        seqfit::files::write(&path, page.as_bytes())?;
    }
    output::print_status(format_args!("wrote the pages into {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn page(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
