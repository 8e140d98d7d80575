//! Robots whose messages are of a version that this program does not read: they are listed all the same, with the reason.

use sanderling_wire::{Kind, Name, Session};
use sqlx::AnyConnection;

use super::{Fleet, about};
use crate::decide::presence::Known;
use crate::store::events::add as note;
use crate::store::{StoreError, devices};

impl Fleet {
    /// Writes down that a robot speaks another version. Its connection's number cannot be read, so whatever it says
    /// counts as a sign of life.
    pub(super) async fn stranger(
        &mut self,
        tx: &mut AnyConnection,
        (device, kind): (&Name, Kind),
        message: &[u8],
        version: u8,
        retained: bool,
    ) -> Result<(), StoreError> {
        let known = self.known(tx, device).await?;
        let known = known.unwrap_or(Known {
            session: Session(0),
            online: false,
        });
        let online = known.online || !retained;
        self.change(tx, device, Known { online, ..known }, !retained)
            .await?;
        let before = devices::get(tx, device).await?;
        match kind {
            Kind::Birth => devices::set_unread_birth(tx, device, message, !retained).await?,
            _ => devices::set_state(tx, device, message, !retained).await?,
        }
        if before.is_none_or(|before| before.unreadable != Some(version)) {
            let text = format!("speaks version {version} of the messages, which is not read here");
            note(tx, about("unreadable", device, &text)).await?;
        }
        Ok(())
    }
}
