//! The MQTT topics: built from checked names, parsed back into them.
//!
//! ```text
//! sanderling/1/{fleet}/d/{device}/{birth|state|result|health|need|chunk|cmd}
//! sanderling/1/{fleet}/g/{group}/{desired|root}
//! ```
//!
//! The `1` is the version of this tree. Names hold no `/`, `+` or `#` ([`Name`]), so a name can
//! never reach into another robot's topics or become a wildcard.

use core::fmt::{self, Write};
use core::str::FromStr;

use heapless::String;

use crate::name::{MAX_NAME, Name, NameError};

/// The longest topic or filter, in bytes.
pub const MAX_TOPIC: usize = "sanderling/1//d//health".len() + 2 * MAX_NAME;

/// A topic or filter as text.
pub type TopicText = String<MAX_TOPIC>;

const ROOT: &str = "sanderling";
const TREE: &str = "1";

/// The last level of a device's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`crate::Presence`], retained.
    Birth,
    /// [`crate::State`], retained.
    State,
    /// [`crate::Inference`].
    Result,
    /// [`crate::Health`].
    Health,
    /// [`crate::Need`].
    Need,
    /// [`crate::Chunk`].
    Chunk,
    /// [`crate::Cmd`].
    Cmd,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Birth,
        Kind::State,
        Kind::Result,
        Kind::Health,
        Kind::Need,
        Kind::Chunk,
        Kind::Cmd,
    ];

    /// The level's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Birth => "birth",
            Kind::State => "state",
            Kind::Result => "result",
            Kind::Health => "health",
            Kind::Need => "need",
            Kind::Chunk => "chunk",
            Kind::Cmd => "cmd",
        }
    }

    /// True for the two kinds that a broker retains; for these a robot sets the retain flag.
    pub const fn is_retained(self) -> bool {
        matches!(self, Kind::Birth | Kind::State)
    }
}

/// One topic of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// One kind of message of one device.
    Device {
        /// The fleet the device belongs to.
        fleet: Name,
        /// The device.
        device: Name,
        /// What is said there.
        kind: Kind,
    },
    /// The desired state of a group, retained.
    Desired {
        /// The fleet the group belongs to.
        fleet: Name,
        /// The group.
        group: Name,
    },
    /// The roots that the fleet's robots believe, retained; the same for every group.
    Root {
        /// The fleet the group belongs to.
        fleet: Name,
        /// The group.
        group: Name,
    },
}

/// Why a text is not a topic of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It does not begin with `sanderling/1/`.
    Foreign,
    /// It has another shape, or a last level that is unknown.
    Shape,
    /// A name in it is not a name.
    Name(NameError),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Foreign => write!(f, "the topic does not begin with {ROOT}/{TREE}/"),
            TopicError::Shape => write!(
                f,
                "the topic is neither {ROOT}/{TREE}/FLEET/d/DEVICE/KIND nor {ROOT}/{TREE}/FLEET/g/GROUP/desired or root"
            ),
            TopicError::Name(e) => write!(f, "a name in the topic is wrong: {e}"),
        }
    }
}

impl core::error::Error for TopicError {}

impl From<NameError> for TopicError {
    fn from(e: NameError) -> TopicError {
        TopicError::Name(e)
    }
}

impl Topic {
    /// The topic of one kind of message of one device.
    pub fn device(fleet: &Name, device: &Name, kind: Kind) -> Topic {
        Topic::Device {
            fleet: fleet.clone(),
            device: device.clone(),
            kind,
        }
    }

    /// The topic of a group's desired state.
    pub fn desired(fleet: &Name, group: &Name) -> Topic {
        Topic::Desired {
            fleet: fleet.clone(),
            group: group.clone(),
        }
    }

    /// The topic of the roots, as a group's robots read them.
    pub fn root(fleet: &Name, group: &Name) -> Topic {
        Topic::Root {
            fleet: fleet.clone(),
            group: group.clone(),
        }
    }

    /// The topic as text, without a heap.
    pub fn text(&self) -> TopicText {
        format(format_args!("{self}"))
    }

    /// The filter that matches one kind of message of every device of a fleet.
    pub fn every_device(fleet: &Name, kind: Kind) -> TopicText {
        format(format_args!("{ROOT}/{TREE}/{fleet}/d/+/{}", kind.as_str()))
    }
}

fn format(arguments: fmt::Arguments<'_>) -> TopicText {
    let mut text = TopicText::new();
    // MAX_TOPIC is computed from the longest names, so the write always fits.
    let _ = text.write_fmt(arguments);
    text
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Device {
                fleet,
                device,
                kind,
            } => {
                write!(f, "{ROOT}/{TREE}/{fleet}/d/{device}/{}", kind.as_str())
            }
            Topic::Desired { fleet, group } => write!(f, "{ROOT}/{TREE}/{fleet}/g/{group}/desired"),
            Topic::Root { fleet, group } => write!(f, "{ROOT}/{TREE}/{fleet}/g/{group}/root"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Topic, TopicError> {
        let mut levels = text.split('/');
        if levels.next() != Some(ROOT) || levels.next() != Some(TREE) {
            return Err(TopicError::Foreign);
        }
        let (Some(fleet), Some(what), Some(who), Some(last), None) = (
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
        ) else {
            return Err(TopicError::Shape);
        };
        let fleet = Name::new(fleet)?;
        let who = Name::new(who)?;
        match (what, last) {
            ("g", "desired") => Ok(Topic::Desired { fleet, group: who }),
            ("g", "root") => Ok(Topic::Root { fleet, group: who }),
            ("d", _) => {
                let kind = Kind::ALL.into_iter().find(|k| k.as_str() == last);
                let kind = kind.ok_or(TopicError::Shape)?;
                Ok(Topic::Device {
                    fleet,
                    device: who,
                    kind,
                })
            }
            _ => Err(TopicError::Shape),
        }
    }
}
