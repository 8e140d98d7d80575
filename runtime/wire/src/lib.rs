//! What robot and fleet say to each other: postcard messages, topics, chunk arithmetic.
//!
//! No heap and no operating system: the same code runs in the coordinator, in the Linux agent
//! and on a Cortex-M4. Whatever arrives is a claim until [`decode`] has checked it.
//!
//! | message | topic kind | from → to | QoS | retained |
//! |---|---|---|---|---|
//! | [`Presence`] (`Born`, or `Gone` as the will) | `birth` | robot → fleet | 1 | yes |
//! | [`State`] | `state` | robot → fleet | 1 | yes |
//! | [`Inference`] | `result` | robot → fleet | 1 | no |
//! | [`Health`] | `health` | robot → fleet | 0 | no |
//! | [`Need`] | `need` | robot → fleet | 1 | no |
//! | [`Chunk`] | `chunk` | fleet → robot | 1 | no |
//! | [`Cmd`] | `cmd` | fleet → robot | 1 | no |
//! | [`Signed`] around a [`Desired`] (which carries [`Manifest`]s) | group topic `desired` | fleet → group | 1 | yes |
//! | [`Roots`] | group topic `root` | fleet → group | 1 | yes |
//!
//! Every message starts with one version byte; see [`encode`] and [`decode`].
//!
//! Between a microcontroller and the agent that speaks for it there is a serial line: [`serial`].
//!
//! # Rules of the conversation
//!
//! * A robot connects with a will on its `birth` topic ([`Presence::Gone`]) that carries the session
//!   number of the birth that follows. The number grows with every connection ([`Session`]), so a
//!   will that arrives late names an older session and changes nothing.
//! * A robot also listens to its own `birth` topic: seeing a `Gone` there while it lives, it
//!   publishes its birth again. After a [`Order::Rebirth`] it does so too.
//! * Model bytes are pulled: the coordinator sends a [`Chunk`] only for a [`Need`], and never more
//!   chunks than the credit that the last `Need` gave.
//! * A result is safe when the fleet says so: a robot keeps each [`Inference`] in its outbox until an
//!   [`Order::Receipt`] covers its frame. A broker's acknowledgement alone does not remove it.
//! * What a robot with a root installs is signed: the desired state by the fleet key, each release in it
//!   by release keys, and the root that names them by the root before (crate `sanderling-trust`).
//! * What a robot runs is what its [`State`] says, never what was sent to it.
#![no_std]
#![forbid(unsafe_code)]

mod birth;
mod chunk;
mod cmd;
mod desired;
mod digest;
mod envelope;
mod evidence;
mod health;
mod held;
mod inference;
mod layout;
mod manifest;
mod name;
mod need;
mod root;
mod run;
pub mod serial;
mod signed;
mod state;
mod text;
mod topic;

pub use birth::{Birth, MAX_TARGETS, Presence, Session};
pub use chunk::Chunk;
pub use cmd::{Cmd, FrameRange, MAX_RECEIPT_RANGES, Order, Refusal};
pub use desired::{Arm, Desired, MAX_ARMS, MAX_DESIRED, MAX_RELEASES, SERIAL_LIMIT};
pub use digest::{Digest, DigestError};
pub use envelope::{
    DecodeError, EncodeError, MAX_MESSAGE, MAX_SMALL_MESSAGE, Message, VERSION, decode, encode,
};
pub use evidence::{Evidence, MAX_CLASSES, Shadow};
pub use health::Health;
pub use held::{Held, HeldError};
pub use inference::{
    Dtype, FrameId, Inference, MAX_CLASSES_OF_ROW, MAX_DIMS, MAX_RAW_OUTPUT, Output, Unsendable,
    fits_raw, is_row_of_classes, sendable,
};
pub use layout::{ChunkRange, DEFAULT_CHUNK, Layout, LayoutError, MAX_CHUNK, MIN_CHUNK, Misfit};
pub use manifest::{Artifact, Delta, MAX_ARTIFACTS, MAX_DELTAS, MAX_MANIFEST, MAX_URL, Manifest};
pub use name::{MAX_NAME, Name, NameError};
pub use need::{MAX_NEED_RANGES, Need};
pub use root::{
    MAX_EPOCH, MAX_KEYS, MAX_ROLE_KEYS, MAX_ROOT, MAX_ROOT_SIGNATURES, RoleKeys, Root, Roots,
};
pub use run::{RUN_PROPERTY, RunId, RunIdError};
pub use signed::{KeyId, MAX_SIGNATURES, Signature, Signed};
pub use state::{Anchor, Failure, FailureCode, Phase, Progress, Running, State};
pub use text::{Printable, Text, is_unprintable};
pub use topic::{Kind, MAX_TOPIC, Topic, TopicError, TopicText};
