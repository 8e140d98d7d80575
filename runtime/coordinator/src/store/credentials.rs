//! Who may talk to the broker, with digests of their passwords.

use sanderling_wire::Name;
use sqlx::{AnyConnection, Row};

use super::StoreError;
use crate::clock::now_ms;

/// A login.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user name: a device's name, or the coordinator's.
    pub user: Name,
    /// The device's group; none: it is the coordinator.
    pub group: Option<Name>,
    /// The password's digest for the embedded broker.
    pub hash: [u8; 32],
    /// The password's digest for Mosquitto.
    pub mosquitto: String,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
}

/// Every login, by user name.
pub async fn list(tx: &mut AnyConnection) -> Result<Vec<Credential>, StoreError> {
    let query = "SELECT login, grp, hash, mosquitto, created_ms FROM credentials ORDER BY login";
    let rows = sqlx::query(query).fetch_all(tx).await?;
    let name = |text: &str| Name::new(text).map_err(StoreError::corrupt);
    rows.iter()
        .map(|row| {
            let hash: &[u8] = row.try_get(2)?;
            let wrong = |_| StoreError::corrupt("a digest of another length");
            Ok(Credential {
                user: name(row.try_get(0)?)?,
                group: row.try_get::<Option<&str>, _>(1)?.map(name).transpose()?,
                hash: hash.try_into().map_err(wrong)?,
                mosquitto: row.try_get(3)?,
                created_ms: row.try_get(4)?,
            })
        })
        .collect()
}

/// Keeps a login; one of the same name is replaced.
pub async fn set(tx: &mut AnyConnection, credential: &Credential) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO credentials (login, grp, hash, mosquitto, created_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (login) DO UPDATE SET grp = $2, hash = $3, mosquitto = $4, created_ms = $5",
    )
    .bind(credential.user.as_str())
    .bind(credential.group.as_ref().map(Name::as_str))
    .bind(&credential.hash[..])
    .bind(&credential.mosquitto)
    .bind(now_ms())
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a login away. True when there was one.
pub async fn remove(tx: &mut AnyConnection, user: &Name) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM credentials WHERE login = $1")
        .bind(user.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}
