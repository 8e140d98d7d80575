//! Which chunks a robot gets for its request: those it asked for, in its order, up to its credit; and whose turn it is.

use std::collections::{HashMap, VecDeque};

use sanderling_wire::{ChunkRange, Digest, Layout, Name, Need, Refusal};

/// One request being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The release asked for.
    pub release: Digest,
    /// How it is cut.
    pub layout: Layout,
    ranges: Vec<ChunkRange>,
    at: usize,
    offset: u32,
    credit: u16,
}

impl Job {
    /// Checks a request against the size of the file that it names.
    pub fn new(need: &Need, size: u64) -> Result<Job, Refusal> {
        let layout = Layout::new(size, need.chunk_size).map_err(|_| Refusal::BadRange)?;
        if !need.ranges.iter().all(|r| layout.contains(*r)) {
            return Err(Refusal::BadRange);
        }
        Ok(Job {
            release: need.release,
            layout,
            ranges: need.ranges.to_vec(),
            at: 0,
            offset: 0,
            credit: need.credit,
        })
    }
}

/// The chunks still to be sent.
impl Iterator for Job {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let range = self.ranges.get(self.at)?;
        self.credit = self.credit.checked_sub(1)?;
        let index = range.first + self.offset;
        self.offset += 1;
        if self.offset == range.count {
            self.at += 1;
            self.offset = 0;
        }
        Some(index)
    }
}

/// Whose turn it is. Each robot has one turn in a round, however often it asks: its newest request replaces the earlier
/// ones, those that nobody looked at included.
#[derive(Debug, Default)]
pub struct Turns {
    order: VecDeque<Name>,
    robots: HashMap<Name, Robot>,
}

#[derive(Debug, Default)]
struct Robot {
    asked: Option<Need>,
    job: Option<Job>,
}

/// What is to be done in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The robot's request is to be looked at.
    Asked(Need),
    /// A chunk is to be sent.
    Chunk {
        /// Of this release.
        release: Digest,
        /// Which is cut so.
        layout: Layout,
        /// Its number.
        index: u32,
    },
}

impl Turns {
    /// Whether nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// A robot asks.
    pub fn ask(&mut self, device: Name, need: Need) {
        if !self.robots.contains_key(&device) {
            self.order.push_back(device.clone());
        }
        self.robots.entry(device).or_default().asked = Some(need);
    }

    /// A robot's request was looked at and is served from now on, in place of its earlier one.
    pub fn serve(&mut self, device: &Name, job: Job) {
        if let Some(robot) = self.robots.get_mut(device) {
            robot.job = Some(job);
        }
    }

    /// Nothing more is sent for what a robot asked for last.
    pub fn end(&mut self, device: &Name) {
        if let Some(robot) = self.robots.get_mut(device) {
            robot.job = None;
        }
    }

    /// The next turn, and whose it is. A request that is looked at ends the one that was served.
    pub fn take(&mut self) -> Option<(Name, Turn)> {
        while let Some(device) = self.order.pop_front() {
            let Some(robot) = self.robots.get_mut(&device) else {
                continue;
            };
            let turn = match robot.asked.take() {
                Some(need) => {
                    robot.job = None;
                    Some(Turn::Asked(need))
                }
                None => robot.job.as_mut().and_then(|job| {
                    let index = job.next()?;
                    Some(Turn::Chunk {
                        release: job.release,
                        layout: job.layout,
                        index,
                    })
                }),
            };
            match turn {
                Some(turn) => {
                    self.order.push_back(device.clone());
                    return Some((device, turn));
                }
                None => {
                    self.robots.remove(&device);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use sanderling_wire::Session;

    use super::*;

    fn need(credit: u16, ranges: &[(u32, u32)]) -> Need {
        Need {
            session: Session(1),
            release: Digest([1; 32]),
            chunk_size: 1000,
            credit,
            ranges: ranges
                .iter()
                .map(|&(first, count)| ChunkRange { first, count })
                .collect(),
        }
    }

    #[test]
    fn never_more_than_the_credit_and_never_unasked() {
        let sent = |credit, ranges: &[_]| {
            Job::new(&need(credit, ranges), 9500)
                .unwrap()
                .collect::<Vec<_>>()
        };
        assert_eq!(sent(99, &[(4, 2), (0, 1)]), [4, 5, 0]);
        assert_eq!(sent(2, &[(4, 2), (0, 1)]), [4, 5]);
        assert_eq!(sent(1, &[(4, 2)]), [4]);
        assert!(sent(0, &[(4, 2)]).is_empty());
        assert!(sent(9, &[]).is_empty());
        assert_eq!(sent(9, &[(9, 1)]), [9]);
    }

    #[test]
    fn ranges_past_the_end_are_refused() {
        assert_eq!(Job::new(&need(1, &[(9, 2)]), 9500), Err(Refusal::BadRange));
        assert_eq!(Job::new(&need(1, &[(0, 1)]), 0), Err(Refusal::BadRange));
    }

    /// A robot that asks for everything at once ties up no memory and is served by its credit.
    #[test]
    fn overlapping_ranges_cost_only_credit() {
        let job = Job::new(&need(3, &[(0, 10), (0, 10)]), 9500).unwrap();
        assert_eq!(job.collect::<Vec<_>>(), [0, 1, 2]);
    }

    /// One robot that asks without end has as many turns as one that asks once.
    #[test]
    fn who_asks_more_often_is_not_served_more_often() {
        let name = |text: &str| Name::new(text).unwrap();
        let (loud, quiet) = (name("loud"), name("quiet"));
        let mut turns = Turns::default();
        turns.ask(quiet.clone(), need(9, &[(0, 9)]));
        let mut sent = Vec::new();
        let mut looked = 0;
        for _ in 0..20 {
            for _ in 0..1000 {
                turns.ask(loud.clone(), need(9, &[(0, 9)]));
            }
            match turns.take().unwrap() {
                (device, Turn::Asked(need)) => {
                    looked += usize::from(device == loud);
                    turns.serve(&device, Job::new(&need, 9500).unwrap());
                }
                (device, Turn::Chunk { index, .. }) => {
                    assert_eq!(device, quiet);
                    sent.push(index);
                }
            }
        }
        assert_eq!(sent, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(looked, 10);
    }

    #[test]
    fn turns_end_with_what_was_asked_for() {
        let robot = Name::new("r").unwrap();
        let mut turns = Turns::default();
        turns.ask(robot.clone(), need(2, &[(0, 9)]));
        let asked = turns.take();
        assert!(matches!(asked, Some((_, Turn::Asked(_)))), "{asked:?}");
        // It is refused: nothing more is to be done for it.
        assert_eq!(turns.take(), None);
        assert!(turns.is_empty());
        turns.ask(robot.clone(), need(1, &[(3, 1)]));
        turns.take();
        turns.serve(&robot, Job::new(&need(1, &[(3, 1)]), 9500).unwrap());
        let chunk = turns.take();
        assert!(matches!(chunk, Some((_, Turn::Chunk { index: 3, .. }))));
        assert_eq!(turns.take(), None);
    }
}
