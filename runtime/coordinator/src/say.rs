//! What the fleet says to robots, as messages on their topics.

use sanderling_wire::{Cmd, Kind, MAX_SMALL_MESSAGE, Name, Order, Topic, encode};

use crate::clock::now_ms;
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
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    let payload = match encode(cmd, &mut buffer) {
        Ok(bytes) => bytes.to_vec(),
        Err(error) => {
            tracing::error!("an order to {device}: {error}");
            return Ok(());
        }
    };
    let topic = Topic::device(fleet, device, Kind::Cmd).to_string();
    link.publish(Outgoing {
        topic,
        payload,
        at_least_once: true,
        retain: false,
    })
    .await
}

/// A number for an order: from the clock, so that it grows over restarts without being stored.
pub fn order_id(order: &Order) -> u64 {
    match order {
        Order::Receipt(_) | Order::Refused(..) => 0,
        _ => u64::try_from(now_ms()).unwrap_or(1).max(1),
    }
}
