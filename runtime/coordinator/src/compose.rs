//! From registered models to a group's desired state.

use sanderling_wire::{
    self as wire, Arm, Artifact, Desired, Digest, MAX_DELTAS, MAX_MANIFEST, MAX_SMALL_MESSAGE,
    Manifest, Name, Signed, decode, encode,
};
use sqlx::AnyConnection;

use crate::clock::now_ms;
use crate::signer::Signer;
use crate::store::StoreError;
use crate::store::deltas::{self, Delta};
use crate::store::groups::{self, Group};
use crate::store::models::{self, Model};

/// Why there is no desired state.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Not registered.
    #[error(
        "{name} v{version} is not registered; `sanderling models` lists what is, `sanderling register` adds to it"
    )]
    NoModel {
        /// The model.
        name: Name,
        /// The version.
        version: u32,
    },
    /// The fleet has a root, and no release key signed this.
    #[error(
        "{name} v{version} has no manifest that this fleet's release keys signed ({why}); `sanderling sign {name} --version {version} --key release.key` signs it"
    )]
    Unsigned {
        /// The model.
        name: Name,
        /// The version.
        version: u32,
        /// Why.
        why: String,
    },
    /// It is no message.
    #[error("{0}")]
    Message(String),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a group should do, by name.
#[derive(Clone, Debug)]
pub struct Order {
    /// The group.
    pub group: Name,
    /// The size of a chunk, in bytes.
    pub chunk_size: u32,
    /// What robots' places are made of.
    pub salt: [u8; 16],
    /// Models and versions.
    pub releases: Vec<(Name, u32)>,
    /// Who does what with them.
    pub arms: Vec<Arm>,
}

impl Order {
    /// Everybody runs one release.
    pub fn everybody(group: Name, model: Name, version: u32, chunk_size: u32) -> Order {
        Order {
            group,
            chunk_size,
            salt: [0; 16],
            releases: vec![(model, version)],
            arms: vec![Arm {
                upto: u32::MAX,
                run: Some(0),
                shadow: None,
            }],
        }
    }
}

/// Makes the group's next desired state, signed where the fleet has a root. Nothing is stored.
pub async fn compose(
    tx: &mut AnyConnection,
    signer: &Signer,
    order: &Order,
) -> Result<Group, ComposeError> {
    let message = |error: &dyn std::fmt::Display| ComposeError::Message(error.to_string());
    let mut releases = Vec::new();
    for (name, version) in &order.releases {
        releases.push(release(tx, signer, name, *version).await?);
    }
    let signed: Result<_, _> = releases.iter().map(|bytes| decode(bytes)).collect();
    let full = || ComposeError::Message("a desired state holds 2 releases and 4 arms".to_owned());
    let signed: Vec<Signed<'_>> = signed.map_err(|error| message(&error))?;
    let desired = Desired {
        group: order.group.clone(),
        serial: groups::next_serial(tx, &order.group, signer.epoch()).await?,
        issued_s: 0,
        expires_s: None,
        chunk_size: order.chunk_size,
        salt: order.salt,
        releases: heapless::Vec::from_slice(&signed).map_err(|_| full())?,
        arms: heapless::Vec::from_slice(&order.arms).map_err(|_| full())?,
    };
    let bytes = signer.message(&desired).map_err(|error| message(&error))?;
    Ok(groups::read(bytes, now_ms())?)
}

/// A release's manifest with its signatures, as a message.
async fn release(
    tx: &mut AnyConnection,
    signer: &Signer,
    name: &Name,
    version: u32,
) -> Result<Vec<u8>, ComposeError> {
    let unsigned = |why: String| ComposeError::Unsigned {
        name: name.clone(),
        version,
        why,
    };
    let Some(model) = models::get(tx, name, version).await? else {
        let name = name.clone();
        return Err(ComposeError::NoModel { name, version });
    };
    match models::manifest(tx, name, version).await? {
        Some(bytes) => {
            let signed: Signed<'_> =
                decode(&bytes).map_err(|error| ComposeError::Message(error.to_string()))?;
            signer
                .check_release(&signed)
                .map_err(|refusal| unsigned(refusal.to_string()))?;
            Ok(bytes)
        }
        None if signer.epoch().is_some() => Err(unsigned("it was registered without one".into())),
        None => {
            let mut offers = Vec::new();
            for plan in &model.artifacts {
                let digest = plan.digest.parse().map_err(StoreError::corrupt)?;
                offers.push(deltas::offers(tx, name, &digest).await?);
            }
            unsigned_manifest(&model, name, &offers)
        }
    }
}

/// The manifest of a version as it is registered, without signatures. `offers` are the deltas to each plan, the best first.
fn unsigned_manifest(
    model: &Model,
    name: &Name,
    offers: &[Vec<Delta>],
) -> Result<Vec<u8>, ComposeError> {
    let wrong = |error: &dyn std::fmt::Display| ComposeError::Message(error.to_string());
    let mut artifacts = heapless::Vec::new();
    for plan in &model.artifacts {
        let artifact = Artifact {
            target: Name::new(&plan.target).map_err(|error| wrong(&error))?,
            digest: plan.digest.parse().map_err(|error| wrong(&error))?,
            size: plan.size,
            arena: plan.arena,
            flash: plan.size,
            golden: plan.golden.parse().unwrap_or(Digest([0; 32])),
        };
        if artifacts.push(artifact).is_err() {
            let text = format!(
                "{name} v{} has more packing targets than a manifest holds",
                model.version
            );
            return Err(ComposeError::Message(text));
        }
    }
    let mut manifest = Manifest {
        model: name.clone(),
        version: model.version,
        floor: 0,
        expires_s: None,
        artifacts,
        deltas: by_turns(offers),
        url: None,
    };
    let mut inner = [0; MAX_MANIFEST];
    let mut outer = [0; MAX_SMALL_MESSAGE];
    // Plans for many targets leave less room for deltas.
    while encode(&manifest, &mut inner).is_err() && manifest.deltas.pop().is_some() {}
    let statement = encode(&manifest, &mut inner).map_err(|error| wrong(&error))?;
    let signed: Signed<'_> = Signed::unsigned(statement);
    let bytes = encode(&signed, &mut outer).map_err(|error| wrong(&error))?;
    Ok(bytes.to_vec())
}

/// As many deltas as a manifest holds: the best to each plan, then the second best to each, and so on.
fn by_turns(offers: &[Vec<Delta>]) -> heapless::Vec<wire::Delta, MAX_DELTAS> {
    let mut deltas = heapless::Vec::new();
    let most = offers.iter().map(Vec::len).max().unwrap_or(0);
    for turn in 0..most {
        for (artifact, offers) in (0u8..).zip(offers) {
            let offer = offers.get(turn).and_then(|offer| {
                Some(wire::Delta {
                    artifact,
                    base: offer.base,
                    digest: offer.digest?,
                    size: offer.size,
                })
            });
            if let Some(offer) = offer
                && deltas.push(offer).is_err()
            {
                return deltas;
            }
        }
    }
    deltas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(count: u8, plan: u8) -> Vec<Delta> {
        let offer = |base| Delta {
            plan: Digest([plan; 32]),
            base: Digest([base; 32]),
            digest: Some(Digest([base ^ plan; 32])),
            size: u64::from(base) + 1,
        };
        (0..count).map(offer).collect()
    }

    #[test]
    fn each_plan_gets_its_best_delta_before_another_gets_its_second() {
        let list = [offers(3, 100), offers(1, 101), vec![], offers(9, 103)];
        let of: Vec<(u8, u8)> = by_turns(&list)
            .iter()
            .map(|delta| (delta.artifact, delta.base.0[0]))
            .collect();
        let all = [
            (0, 0),
            (1, 0),
            (3, 0),
            (0, 1),
            (3, 1),
            (0, 2),
            (3, 2),
            (3, 3),
        ];
        assert_eq!(of, all);
    }

    #[test]
    fn deltas_yield_to_plans_where_a_manifest_is_full() {
        let target = |i: usize| format!("target-{i}-{}", "x".repeat(38));
        let plan = |i| models::Plan {
            target: target(i),
            digest: Digest([i as u8; 32]).to_string(),
            source: String::new(),
            golden: Digest([9; 32]).to_string(),
            size: 1 << 40,
            arena: 1 << 40,
            macs: 0,
        };
        let model = Model {
            name: "m".into(),
            version: 1,
            stage: String::new(),
            labels: Default::default(),
            metrics: Default::default(),
            provenance: Default::default(),
            created_ms: 0,
            signed: false,
            artifacts: (0..8).map(plan).collect(),
        };
        let name = Name::new("m").expect("a name");
        let bytes = unsigned_manifest(&model, &name, &vec![offers(2, 100); 8]).expect("it fits");
        let signed: Signed<'_> = decode(&bytes).expect("a message");
        let manifest: Manifest = signed.read().expect("a manifest");
        assert_eq!(manifest.artifacts.len(), 8);
        assert!(
            (1..8).contains(&manifest.deltas.len()),
            "{}",
            manifest.deltas.len()
        );
    }
}
