//! `overspill mock`: a provider that misbehaves on request.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::mock::{Behaviour, serve};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    pub name: String,
    /// Between two chunks of a stream.
    pub pace: Duration,
    /// What goes wrong where a model name says nothing, in the words of a model name.
    pub fault: Option<String>,
}

/// Serves on a runtime of its own until the process ends.
pub fn run_alone(options: Options) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the mock provider cannot serve: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    let mut behaviour = Behaviour::named(options.name).pace(options.pace);
    if let Some(words) = &options.fault {
        let wrong = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
        behaviour = behaviour.fault(words).map_err(wrong)?;
    }
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    println!(
        "mock provider on http://{address}/v1; ask for model \"ok\", or \"429\", \"cut\", …: \
         GET /v1/models lists them, GET /__mock/stats tells what was asked"
    );
    serve(listener, behaviour).await;
    Ok(())
}
