//! What the fleet says to robots, as messages on their topics.

use sanderling_wire::{Cmd, Kind, MAX_SMALL_MESSAGE, Name, Order, RunId, Topic, encode};

use crate::link::{Link, LinkClosed, Outgoing};
use crate::signer::Signer;

/// Publishes a group's desired state, retained.
pub async fn send_desired(
    link: &Link,
    fleet: &Name,
    group: &Name,
    message: Vec<u8>,
) -> Result<(), LinkClosed> {
    let topic = Topic::desired(fleet, group).to_string();
    link.publish(Outgoing {
        topic,
        payload: message,
        at_least_once: true,
        retain: true,
    })
    .await
}

/// Publishes the roots to a group, retained, where the fleet has any.
pub async fn send_roots(
    link: &Link,
    fleet: &Name,
    group: &Name,
    signer: &Signer,
) -> Result<(), LinkClosed> {
    let Some(chain) = signer.chain() else {
        return Ok(());
    };
    link.publish(Outgoing {
        topic: Topic::root(fleet, group).to_string(),
        payload: chain,
        at_least_once: true,
        retain: true,
    })
    .await
}

/// Publishes an order to one robot.
pub async fn send_order(
    link: &Link,
    fleet: &Name,
    device: &Name,
    cmd: &Cmd,
) -> Result<(), LinkClosed> {
    match order(fleet, device, cmd) {
        Some(message) => link.publish(message).await,
        None => Ok(()),
    }
}

/// Publishes a receipt for results of one start of a robot; none: of a start that says its boot counter alone.
pub async fn send_receipt(
    link: &Link,
    fleet: &Name,
    device: &Name,
    cmd: &Cmd,
    run: Option<RunId>,
) -> Result<(), LinkClosed> {
    match order(fleet, device, cmd) {
        Some(message) => link.publish_of(message, run).await,
        None => Ok(()),
    }
}

fn order(fleet: &Name, device: &Name, cmd: &Cmd) -> Option<Outgoing> {
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    match encode(cmd, &mut buffer) {
        Ok(bytes) => Some(Outgoing {
            topic: Topic::device(fleet, device, Kind::Cmd).to_string(),
            payload: bytes.to_vec(),
            at_least_once: true,
            retain: false,
        }),
        Err(error) => {
            tracing::error!("an order to {device}: {error}");
            None
        }
    }
}

/// A number for an order, which a robot carries out once: random, because two orders may be given at one moment, and
/// no clock is sure to go forward.
pub fn order_id(order: &Order) -> u64 {
    match order {
        Order::Receipt(_) | Order::Refused(..) => 0,
        // JSON's numbers are exact up to here.
        _ => random() >> 11 | 1,
    }
}

/// 64 random bits of the system's.
pub(crate) fn random() -> u64 {
    // The system's source fails on no Linux that runs this; a hasher's keys come from the same place.
    getrandom::u64().unwrap_or_else(|_| {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(std::time::Instant::now())
    })
}
