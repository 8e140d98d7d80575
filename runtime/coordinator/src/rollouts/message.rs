//! From a rollout to the message that its group gets.

use sanderling_rollout::{Arm as Part, Release, Version};
use sanderling_wire::{Arm, Digest, Manifest, Name};
use sqlx::AnyConnection;

use super::OrderError;
use crate::compose::{ComposeError, Order, compose};
use crate::signer::Signer;
use crate::store::rollouts::Rollout;
use crate::store::{StoreError, models};

/// What a group should do: only the releases that an arm names.
pub(super) fn order(
    rollout: &Rollout,
    base: Option<&Release>,
    candidate: &Release,
    parts: &[Part],
) -> Result<Order, StoreError> {
    let mut named: Vec<Version> = Vec::new();
    for version in parts.iter().flat_map(|arm| [arm.run, arm.shadow]).flatten() {
        if !named.contains(&version) {
            named.push(version);
        }
    }
    let index = |version: Option<Version>| {
        let at = named.iter().position(|named| Some(*named) == version)?;
        u8::try_from(at).ok()
    };
    let arm = |arm: &Part| Arm {
        upto: arm.upto,
        run: index(arm.run),
        shadow: index(arm.shadow),
    };
    let name = |release: &Release| -> Result<(Name, u32), StoreError> {
        Ok((
            Name::new(&release.model).map_err(StoreError::corrupt)?,
            release.version,
        ))
    };
    let release = |version: &Version| match version {
        Version::Base => base.map(name),
        Version::Candidate => Some(name(candidate)),
    };
    let releases: Result<Vec<(Name, u32)>, StoreError> = named.iter().filter_map(release).collect();
    Ok(Order {
        group: rollout.group.clone(),
        chunk_size: rollout.chunk_size,
        salt: rollout.salt,
        releases: releases?,
        arms: parts.iter().map(arm).collect(),
    })
}

pub(super) fn release_of(manifest: &Manifest) -> Release {
    Release {
        model: manifest.model.to_string(),
        version: manifest.version,
        digests: manifest
            .artifacts
            .iter()
            .map(|artifact| artifact.digest.0)
            .collect(),
    }
}

pub(super) async fn registered(
    tx: &mut AnyConnection,
    model: &Name,
    version: u32,
) -> Result<Release, OrderError> {
    let Some(found) = models::get(tx, model, version).await? else {
        let name = model.clone();
        return Err(ComposeError::NoModel { name, version }.into());
    };
    let digest = |plan: &models::Plan| {
        plan.digest
            .parse::<Digest>()
            .map(|d| d.0)
            .map_err(StoreError::corrupt)
    };
    let digests: Result<Vec<_>, StoreError> = found.artifacts.iter().map(digest).collect();
    Ok(Release {
        model: model.to_string(),
        version,
        digests: digests?,
    })
}

/// The new version's manifest, as robots will see it.
pub(super) async fn manifest(
    tx: &mut AnyConnection,
    signer: &Signer,
    rollout: &Rollout,
) -> Result<Manifest, OrderError> {
    let release = &rollout.head.candidate;
    let model = Name::new(&release.model).map_err(StoreError::corrupt)?;
    let order = Order::everybody(
        rollout.group.clone(),
        model,
        release.version,
        rollout.chunk_size,
    );
    let composed = compose(tx, signer, &order).await?;
    match composed.releases.into_iter().next() {
        Some(manifest) => Ok(manifest),
        None => Ok(stand_in(release)?),
    }
}

/// A manifest that says no more than the name: for a rollout whose group's message names its new version no longer.
pub(super) fn stand_in(release: &Release) -> Result<Manifest, StoreError> {
    Ok(Manifest {
        model: Name::new(&release.model).map_err(StoreError::corrupt)?,
        version: release.version,
        floor: 0,
        expires_s: None,
        artifacts: Default::default(),
        deltas: Default::default(),
        url: None,
    })
}
