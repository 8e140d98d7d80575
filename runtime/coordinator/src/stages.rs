//! Stages of versions: who may run where, and how a version comes to production.
//!
//! A version is in staging, in production, or archived. One version of a model is in production; another that comes
//! there archives it. An archived version keeps running where it runs, and is given to nobody anew.

use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use utoipa::ToSchema;

use crate::clock::now_ms;
use crate::store::audit::{self, Entry};
use crate::store::events::{self, Note};
use crate::store::{StoreError, models};

/// The group that stands for every one.
pub const EVERY_GROUP: &str = "*";

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// New, or to be tried.
    Staging,
    /// The one that robots should have.
    Production,
    /// Not to be given to robots any more.
    Archived,
}

impl Stage {
    /// Every one.
    pub const ALL: [Stage; 3] = [Stage::Staging, Stage::Production, Stage::Archived];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Staging => "staging",
            Stage::Production => "production",
            Stage::Archived => "archived",
        }
    }

    /// The stage with that name.
    pub fn from_word(word: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.word() == word)
    }

    fn act(self) -> &'static str {
        match self {
            Stage::Staging => "staged",
            Stage::Production => "promoted",
            Stage::Archived => "archived",
        }
    }
}

/// Why a version is not given to a group.
#[derive(Debug, thiserror::Error)]
pub enum NotHere {
    /// It is archived.
    #[error(
        "{name} v{version} is archived and is not given to robots; choose another version (`sanderling models --name {name}`), or take it back with `sanderling models promote {name} --version {version} --to staging`"
    )]
    Archived {
        /// The model.
        name: Name,
        /// Its version.
        version: u32,
    },
    /// The group takes versions in production only.
    #[error(
        "group {group} takes only versions in production (--only-production), and {name} v{version} is in staging; `sanderling models promote {name} --version {version} --to production` checks and promotes it"
    )]
    NotInProduction {
        /// The group.
        group: Name,
        /// The model.
        name: Name,
        /// Its version.
        version: u32,
    },
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a version may be given to a group. One that is not registered may: others say so.
pub async fn may_run(
    tx: &mut AnyConnection,
    only_production: &[String],
    group: &Name,
    name: &Name,
    version: u32,
) -> Result<(), NotHere> {
    let Some(model) = models::get(tx, name, version).await? else {
        return Ok(());
    };
    let name = name.clone();
    let strict = only_production
        .iter()
        .any(|only| only == EVERY_GROUP || only == group.as_str());
    match Stage::from_word(&model.stage) {
        Some(Stage::Archived) => Err(NotHere::Archived { name, version }),
        Some(Stage::Production) => Ok(()),
        _ if strict => Err(NotHere::NotInProduction {
            group: group.clone(),
            name,
            version,
        }),
        _ => Ok(()),
    }
}

/// Puts a version into a stage and writes it down. Gives the versions that left production for it.
pub async fn set(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    stage: Stage,
    by: &str,
    why: &str,
) -> Result<Vec<u32>, StoreError> {
    let mut archived = Vec::new();
    if stage == Stage::Production {
        for model in models::list(tx, Some(name)).await? {
            if model.stage == Stage::Production.word() && model.version != version {
                models::set_stage(tx, name, model.version, Stage::Archived.word()).await?;
                let why = format!("v{version} takes its place");
                write_down(tx, name, model.version, Stage::Archived, by, &why).await?;
                archived.push(model.version);
            }
        }
    }
    models::set_stage(tx, name, version, stage.word()).await?;
    write_down(tx, name, version, stage, by, why).await?;
    Ok(archived)
}

async fn write_down(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    stage: Stage,
    by: &str,
    why: &str,
) -> Result<(), StoreError> {
    let text = format!("{name} v{version} is {}: {why}", in_stage(stage));
    tracing::info!("{text}, by {by}");
    line(tx, stage.act(), (name.as_str(), Some(version)), by, &text).await?;
    let note = Note {
        kind: "stage",
        device: None,
        group: None,
        text: &text,
    };
    events::add(tx, note).await
}

fn in_stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Staging => "in staging",
        Stage::Production => "in production",
        Stage::Archived => "archived",
    }
}

/// Adds a line about a model, or one version of it, to the audit log.
pub async fn line(
    tx: &mut AnyConnection,
    act: &str,
    model: (&str, Option<u32>),
    by: &str,
    text: &str,
) -> Result<(), StoreError> {
    let entry = Entry {
        at_ms: now_ms(),
        by,
        act,
        rollout: None,
        group: None,
        model: Some(model),
        text,
    };
    audit::add(tx, &entry).await
}
