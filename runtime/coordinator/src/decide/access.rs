//! What a user of the broker may publish and read. The same rules in words for Mosquitto: [`super::mosquitto`].

use sanderling_wire::{Kind, Name, Topic};

/// A robot, as it was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// Its name.
    pub device: Name,
    /// The group whose topics it reads.
    pub group: Name,
}

/// What a robot says: these kinds of its own topics.
pub const SAYS: [Kind; 5] = [
    Kind::Birth,
    Kind::State,
    Kind::Result,
    Kind::Health,
    Kind::Need,
];

/// What a robot hears: these kinds of its own topics. Its birth is among them, so that it sees an old
/// connection's will and can contradict it.
pub const HEARS: [Kind; 3] = [Kind::Birth, Kind::Chunk, Kind::Cmd];

/// Words about a robot (docked, battery, …), said by it or by the fleet's owner and heard by its agent. They are no
/// message of the wire: programs write them.
pub const CONDITION: &str = "condition";

/// Whether it is the topic for words about this robot.
fn is_condition(fleet: &Name, robot: &Robot, topic: &str) -> bool {
    let birth = Topic::device(fleet, &robot.device, Kind::Birth).text();
    let folder = birth.strip_suffix(Kind::Birth.as_str());
    topic
        .strip_suffix(CONDITION)
        .is_some_and(|above| Some(above) == folder)
}

/// Whether a robot may publish there.
pub fn may_publish(fleet: &Name, robot: &Robot, topic: &str) -> bool {
    // Results for other programs lie one level below.
    let topic = topic.strip_suffix("/json").map_or(topic, |above| {
        let results = Topic::device(fleet, &robot.device, Kind::Result);
        if above == results.text().as_str() {
            above
        } else {
            topic
        }
    });
    let own = |kind: Kind| Topic::device(fleet, &robot.device, kind).text().as_str() == topic;
    SAYS.into_iter().any(own) || is_condition(fleet, robot, topic)
}

/// Whether a robot may read there. A filter with a wildcard is no topic of ours, so it never may.
pub fn may_subscribe(fleet: &Name, robot: &Robot, filter: &str) -> bool {
    let own = |kind: Kind| Topic::device(fleet, &robot.device, kind).text().as_str() == filter;
    HEARS.into_iter().any(own)
        || is_condition(fleet, robot, filter)
        || Topic::desired(fleet, &robot.group).text().as_str() == filter
        || Topic::root(fleet, &robot.group).text().as_str() == filter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_robot_touches_its_own_topics_and_reads_its_group_s() {
        let fleet = name("main");
        let robot = Robot {
            device: name("r1"),
            group: name("all"),
        };
        let all = |last: &str| format!("sanderling/1/main/{last}");
        for (last, publishes, reads) in [
            ("d/r1/birth", true, true),
            ("d/r1/state", true, false),
            ("d/r1/result", true, false),
            ("d/r1/result/json", true, false),
            ("d/r1/health", true, false),
            ("d/r1/need", true, false),
            ("d/r1/chunk", false, true),
            ("d/r1/cmd", false, true),
            ("d/r1/condition", true, true),
            ("d/r2/condition", false, false),
            ("d/r1/x/condition", false, false),
            ("d/r1/state/json", false, false),
            ("d/r1/result/json/json", false, false),
            ("d/r2/birth", false, false),
            ("d/r2/state", false, false),
            ("d/r2/cmd", false, false),
            ("d/r11/state", false, false),
            ("g/all/desired", false, true),
            ("g/all/root", false, true),
            ("g/others/desired", false, false),
            ("g/others/root", false, false),
            ("d/+/state", false, false),
            ("d/r1/+", false, false),
            ("d/r1/#", false, false),
            ("#", false, false),
        ] {
            let topic = all(last);
            assert_eq!(may_publish(&fleet, &robot, &topic), publishes, "{topic}");
            assert_eq!(may_subscribe(&fleet, &robot, &topic), reads, "{topic}");
        }
        for topic in [
            "",
            "#",
            "+/#",
            "$SYS/#",
            "$share/g/sanderling/1/main/d/r1/cmd",
            "sanderling/1/other/d/r1/state",
            "sanderling/1/other/g/all/desired",
        ] {
            assert!(!may_publish(&fleet, &robot, topic), "{topic}");
            assert!(!may_subscribe(&fleet, &robot, topic), "{topic}");
        }
    }
}
