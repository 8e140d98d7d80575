//! The registry and the fleet's memory: one SQLite file, or a PostgreSQL database that several
//! coordinators share; changed only by the SQL in this folder, which both understand.
//!
//! Everything that a restart needs is here or in the object store. Every commit is synced to the
//! disk, because receipts are sent for what was committed. Numbers are `BIGINT` (`i64`) throughout,
//! sums are cast to it, and a column that stands on both sides of an `ON CONFLICT` is named with
//! its table: PostgreSQL asks for all three.

pub mod audit;
pub mod credentials;
pub mod deltas;
pub mod devices;
pub mod evaluations;
pub mod events;
pub mod groups;
pub mod holdouts;
pub mod models;
pub mod policies;
pub mod results;
pub mod rollouts;
pub mod runs;

use std::path::Path;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyPool, Connection};

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Connections of one coordinator to its database.
const CONNECTIONS: u32 = 4;
/// What a transaction that writes takes first in PostgreSQL, so that coordinators write by
/// turns: any number, as long as nobody else uses it in this database.
const WRITERS: i64 = 0x5A4D;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error(
        "the registry's database failed: {0}; check free space and rights in the data directory, or the server of --database"
    )]
    Sql(sqlx::Error),
    /// There is no room for what was to be written.
    #[error("the registry cannot be written, because its disk is full; free some space")]
    Full,
    /// Somebody else has the file.
    #[error(
        "another program holds the registry's file locked; close it (a database browser, a backup), and see `fuser` for which one it is"
    )]
    Locked,
    /// What --database says is no PostgreSQL database.
    #[error(
        "--database is no address of a PostgreSQL database; write postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Address,
    /// The file is of another version of this program, or damaged.
    #[error(
        "the registry's database cannot be brought to this program's version: {0}; use the newer program, or another --data-dir"
    )]
    Migrate(#[from] MigrateError),
    /// A row holds what this program never writes.
    #[error(
        "the registry's database holds {what}, which this program does not write; restore a backup, or use another --data-dir"
    )]
    Corrupt {
        /// What was found.
        what: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        // SQLite's codes for a damaged file, and for one that never was a database.
        let damaged = |e: &dyn DatabaseError| matches!(e.code().as_deref(), Some("11" | "26"));
        // The lowest byte of SQLite's codes is the class: 5 and 6 for locks, 13 for a full disk. PostgreSQL's have five
        // characters, of which 53100 is a full disk.
        let class = |e: &dyn DatabaseError| match e.code().as_deref() {
            Some("53100") => Some(13),
            Some(code) if code.len() < 5 => code.parse::<u32>().ok().map(|code| code & 0xff),
            _ => None,
        };
        match error.as_database_error() {
            Some(e) if class(e) == Some(13) => StoreError::Full,
            Some(e) if matches!(class(e), Some(5 | 6)) => StoreError::Locked,
            Some(e) if damaged(e) => StoreError::corrupt(format!("damage ({})", e.message())),
            _ => StoreError::Sql(error),
        }
    }
}

impl StoreError {
    pub(crate) fn corrupt(what: impl ToString) -> StoreError {
        StoreError::Corrupt {
            what: what.to_string(),
        }
    }
}

/// Where the registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// A file of one coordinator.
    Sqlite,
    /// A server that several coordinators share.
    Postgres,
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
}

/// A connection inside a transaction.
pub type Tx = sqlx::Transaction<'static, sqlx::Any>;

impl Store {
    /// Opens or makes the file, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        let path = path.display().to_string();
        let url = format!("sqlite://{}?mode=rwc", escaped(&path));
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // Neither reads the file, so that a damaged one is found below. That every commit
                    // is synced (`synchronous = FULL`) is SQLite's default.
                    let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON";
                    sqlx::raw_sql(pragmas).execute(connection).await?;
                    Ok(())
                })
            })
            .after_release(|connection, _| {
                Box::pin(async move {
                    // A commit that fails on a full disk ends the transaction in SQLite, and not in
                    // sqlx: the next one on that connection would be a savepoint that never ends, and
                    // what it reads would stay the same for ever. The answer to the ping comes after
                    // the rollback that a dropped transaction asks for.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            });
        Store::connect(pool, &url, Dialect::Sqlite).await
    }

    /// Connects to a PostgreSQL database, and brings its tables up to date.
    pub async fn at(url: &str) -> Result<Store, StoreError> {
        // Whatever else would be said of another address would show the password in it.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::Address);
        }
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS);
        Store::connect(pool, url, Dialect::Postgres).await
    }

    async fn connect(
        pool: AnyPoolOptions,
        url: &str,
        dialect: Dialect,
    ) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse()?;
        let pool = pool.connect_with(options).await?;
        match dialect {
            Dialect::Sqlite => {
                // The first statement that reads the file comes before the migrations, which
                // would hide why it cannot be read.
                sqlx::query("PRAGMA schema_version").execute(&pool).await?;
                sqlx::query("PRAGMA journal_mode = WAL")
                    .execute(&pool)
                    .await?;
                SQLITE.run(&pool).await?;
            }
            Dialect::Postgres => POSTGRES.run(&pool).await?,
        }
        Ok(Store { pool, dialect })
    }

    /// Whether other coordinators write to it too, so that nothing that was read stays true.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// Begins a transaction that writes. Writers wait for each other here, not in the middle.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        match self.dialect {
            Dialect::Sqlite => Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?),
            Dialect::Postgres => {
                let mut tx = self.pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(WRITERS)
                    .execute(&mut *tx)
                    .await?;
                Ok(tx)
            }
        }
    }

    /// Begins a transaction that reads one moment.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        match self.dialect {
            Dialect::Sqlite => Ok(self.pool.begin().await?),
            Dialect::Postgres => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Ok(self.pool.begin_with(begin).await?)
            }
        }
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A path as a part of a URL.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
