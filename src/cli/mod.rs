//! The command line: one file a command. Exit codes: 0 fine, 1 the configuration or the answer is
//! bad, 2 usage.

pub mod catalog;
pub mod check;
pub mod demo;
pub mod explain;
pub mod import;
pub mod mock;
pub mod rank;
pub mod serve;
mod table;
mod unconfigured;

use crate::explain::Question;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(
    name = "overspill",
    version,
    about = "An edge gateway for large language models"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a configuration file says
    Serve {
        /// The configuration file; else ./overspill.yaml, /etc/overspill/overspill.yaml, or the
        /// providers whose keys stand in the environment
        #[arg(short, long)]
        config: Option<PathBuf>,
        /// Take the ports over from a gateway that runs and is sent SIGQUIT
        #[arg(long)]
        upgrade: bool,
    },
    /// Check a configuration file and say everything that is wrong with it
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Say who would serve a model, in which order, and why not the others
    Explain {
        /// The configuration file
        #[arg(short, long, default_value = "overspill.yaml")]
        config: PathBuf,
        /// The model asked for, `:nitro` or `:floor` included
        #[arg(long)]
        model: String,
        /// The name of the key that asks
        #[arg(long)]
        key: Option<String>,
        /// What the request has in x-overspill-tags
        #[arg(long)]
        tags: Option<String>,
        /// What the request has in x-overspill-route
        #[arg(long)]
        route: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Rank who serves a model by a requirement file, and say who falls short of it
    Rank(rank::Options),
    /// List what is known of providers and models by name
    Catalog {
        /// A provider's name or a model's canonical id
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write another gateway's configuration as ours, with a comment for every decision
    Import {
        #[command(subcommand)]
        from: import::From,
    },
    /// Serve three mock providers through the gateway: something to try without a key
    Demo {
        /// Where the gateway listens
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where its health and metrics are
        #[arg(long, default_value = "127.0.0.1:9090")]
        admin: SocketAddr,
    },
    /// Serve a provider that misbehaves on request, for tests and load
    Mock {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
        /// What it calls itself
        #[arg(long, default_value = "mock")]
        name: String,
        /// Between two chunks of a stream: `20ms`
        #[arg(long, default_value = "0ms", value_parser = pace)]
        pace: Duration,
        /// What goes wrong where a model's name says nothing: `429`, `cut`, …
        #[arg(long)]
        fault: Option<String>,
    },
}

pub fn run() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            // Asking for help or the version is no misuse.
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match line.command {
        Command::Serve { config, upgrade } => serve::run(config, upgrade),
        Command::Check { file } => check::run(&file),
        Command::Explain {
            config,
            model,
            key,
            tags,
            route,
            json,
        } => {
            let question = Question {
                model,
                key,
                tags,
                route,
                ..Question::default()
            };
            explain::run(&config, &question, json)
        }
        Command::Rank(options) => rank::run(&options),
        Command::Catalog { name, json } => catalog::run(name.as_deref(), json),
        Command::Import { from } => import::run(&from),
        Command::Demo { listen, admin } => demo::run(listen, admin),
        Command::Mock {
            listen,
            name,
            pace,
            fault,
        } => mock::run_alone(mock::Options {
            listen,
            name,
            pace,
            fault,
        }),
    }
}

fn pace(text: &str) -> Result<Duration, String> {
    crate::config::units::Time::parse(text).map(|time| time.0)
}
