//! The registry and the fleet's memory: one SQLite file, changed only by the SQL in this folder.
//!
//! Everything that a restart needs is here or in the object store. Every commit is synced to the
//! disk, because receipts are sent for what was committed.

pub mod credentials;
pub mod devices;
pub mod events;
pub mod groups;
pub mod models;
pub mod results;

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error(
        "the registry's database failed: {0}; check free space and rights in the data directory"
    )]
    Sql(sqlx::Error),
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
        match error.as_database_error() {
            Some(e) if damaged(e) => StoreError::corrupt(format!("damage ({})", e.message())),
            _ => StoreError::Sql(error),
        }
    }
}

impl StoreError {
    fn corrupt(what: impl ToString) -> StoreError {
        StoreError::Corrupt {
            what: what.to_string(),
        }
    }
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// A connection inside a transaction.
pub type Tx = sqlx::Transaction<'static, sqlx::Sqlite>;

impl Store {
    /// Opens or makes the file, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        // The first statement that reads the file comes before the migrations, which would hide why
        // it cannot be read.
        sqlx::query("PRAGMA schema_version").execute(&pool).await?;
        MIGRATIONS.run(&pool).await?;
        Ok(Store { pool })
    }

    /// Begins a transaction that writes. Writers wait for each other here, not in the middle.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a transaction that reads one moment.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
