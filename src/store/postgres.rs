//! Records in PostgreSQL, where several gateways may write to one database.

use crate::config::secret::Secret;
use crate::store::database::Connection;
use crate::store::fault::Fault;
use crate::store::schema;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// A connection that writes, its tables made.
pub async fn open(url: &Secret) -> Result<Connection, Fault> {
    let mut connection = read(url).await?;
    schema::prepare(&mut connection).await?;
    Ok(connection)
}

/// A connection that reads what is there.
pub async fn read(url: &Secret) -> Result<Connection, Fault> {
    let options: PgConnectOptions = url.expose().parse()?;
    let connection: PgConnection = options
        .application_name("overspill")
        .disable_statement_logging()
        .connect()
        .await?;
    Ok(Connection::Postgres(Box::new(connection)))
}
