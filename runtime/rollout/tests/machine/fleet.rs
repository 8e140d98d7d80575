//! Robots that do what the arms tell them, at once.

use sanderling_rollout::{
    Act, Audit, Digest, Event, Fault, Key, Phase, Policy, Refusal, Release, Report, State,
    StrategyName, Version, arms, step,
};

pub const fn base() -> Digest {
    [1; 32]
}

pub const fn candidate() -> Digest {
    [2; 32]
}

/// The robot's key; the multiplication scatters places as a hash does.
pub fn key(n: u64) -> Key {
    Key((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))
}

pub fn policy(strategy: &str) -> Policy {
    let strategy: StrategyName = serde_json::from_value(serde_json::json!(strategy)).unwrap();
    let policy = Policy {
        soak_s: Some(120),
        ..Policy::new(strategy)
    };
    policy.check().unwrap();
    policy
}

fn release(version: u32, digest: Digest) -> Release {
    Release {
        model: "terrain".into(),
        version,
        digests: vec![digest],
    }
}

pub struct Fleet {
    pub state: State,
    pub now: u64,
    pub robots: u64,
    pub audit: Vec<Audit>,
}

impl Fleet {
    pub fn new(policy: Policy, robots: u64) -> Fleet {
        let state = State::draft(policy, Some(release(1, base())), release(2, candidate()));
        let mut fleet = Fleet {
            state,
            now: 1_000_000,
            robots,
            audit: Vec::new(),
        };
        for n in 0..robots {
            let report = Report {
                running: Some(Some(base())),
                ..Report::of(key(n), 1)
            };
            fleet.send(Event::Report(Box::new(report)));
        }
        fleet
    }

    pub fn send(&mut self, event: Event) -> Option<Refusal> {
        let placeholder = State {
            devices: Default::default(),
            ..self.state.clone_head()
        };
        let state = std::mem::replace(&mut self.state, placeholder);
        let next = step(state, event, self.now);
        self.state = next.state;
        self.audit.extend(next.audit);
        next.refused
    }

    pub fn start(&mut self) {
        self.send(Event::Start { by: "anna".into() });
    }

    pub fn tick(&mut self, ms: u64) {
        self.now += ms;
        self.send(Event::Tick);
    }

    pub fn acts(&self, act: Act) -> usize {
        self.audit.iter().filter(|a| a.act == act).count()
    }

    /// What a robot runs.
    pub fn version(&self, n: u64) -> Version {
        let runs = self.state.devices.get(&key(n)).map(|d| d.runs);
        if runs == Some(sanderling_rollout::Runs::Candidate) {
            Version::Candidate
        } else {
            Version::Base
        }
    }

    /// Every robot that is there takes what its arm says, or fails as `fault` says of its place.
    pub fn robots_follow(&mut self, fault: impl Fn(u32) -> Option<Fault>) {
        let arms = arms(&self.state);
        for n in 0..self.robots {
            let key = key(n);
            let device = &self.state.devices[&key];
            if !device.online {
                continue;
            }
            let arm = arms.iter().find(|arm| key.place() <= arm.upto).unwrap();
            let mut report = Report {
                phase: Some(Phase::Resting),
                ..Report::of(key, device.order)
            };
            match (arm.run, fault(key.place())) {
                (None, _) => continue,
                (Some(Version::Candidate), Some(fault)) => {
                    report.running = Some(Some(base()));
                    report.failure = Some((candidate(), fault));
                }
                (Some(Version::Candidate), None) => report.running = Some(Some(candidate())),
                (Some(Version::Base), _) => report.running = Some(Some(base())),
            }
            self.send(Event::Report(Box::new(report)));
        }
    }
}

trait CloneHead {
    fn clone_head(&self) -> State;
}

impl CloneHead for State {
    fn clone_head(&self) -> State {
        State {
            head: self.head.clone(),
            devices: Default::default(),
        }
    }
}
