//! Whether a broker that hangs up on MQTT 5 speaks MQTT 3.1.1, so that people read the cause and not "connection aborted".

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the broker may take for each of two answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// The client id of the question; nobody else's, so that no connection is taken over.
const CLIENT: &[u8; 16] = b"sanderling-probe";
/// The protocol levels of a CONNECT packet.
const MQTT_3_1_1: u8 = 4;
const MQTT_5: u8 = 5;
/// A CONNACK of MQTT 3.1.1: its type and length, then flags and a code, of which 1 refuses the protocol's version.
const CONNACK: [u8; 2] = [0x20, 0x02];
const VERSION_REFUSED: u8 = 1;

/// True where the broker answers MQTT 5 with the refusal of MQTT 3.1.1, or not at all, and MQTT 3.1.1 with an answer.
/// Asked without TLS.
pub async fn is_older(host: &str, port: u16) -> bool {
    match answer(host, port, MQTT_5).await {
        Some([a, b, _, code]) if [a, b] == CONNACK => code == VERSION_REFUSED,
        Some(_) => false,
        None => {
            matches!(answer(host, port, MQTT_3_1_1).await, Some([a, b, ..]) if [a, b] == CONNACK)
        }
    }
}

/// The first four bytes of the answer to a CONNECT of this level.
async fn answer(host: &str, port: u16, level: u8) -> Option<[u8; 4]> {
    let ask = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(&connect(level)).await.ok()?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.ok()?;
        Some(bytes)
    };
    tokio::time::timeout(PATIENCE, ask).await.ok().flatten()
}

/// A CONNECT packet with a clean session, a keep-alive of 10 s, and neither will nor login.
fn connect(level: u8) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0x02, 0, 10];
    if level == MQTT_5 {
        // The length of the properties.
        body.push(0);
    }
    body.extend([0, CLIENT.len() as u8]);
    body.extend(CLIENT);
    let mut packet = vec![0x10, body.len() as u8];
    packet.append(&mut body);
    packet
}
