//! Whether a desired model fits this robot: asked before a byte of it is pulled.

use sanderling_slots::{Image, Label};
use sanderling_trust::{Limits, Misfit};
use sanderling_wire::{Delta, FailureCode, Manifest, Name};

use super::guard::Task;
use crate::config::UpdateConfig;

/// A desired model that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What to pull.
    pub image: Image,
    /// The wish's number.
    pub serial: u64,
    /// The size of the chunks to ask for, in bytes.
    pub chunk_size: u32,
    /// The model, and the lowest version that may replace this one once it is active.
    pub floor: Option<(Name, u32)>,
    /// Ways to it from models that this robot may hold.
    pub deltas: Vec<Delta>,
    /// Where it can be had by HTTP range requests.
    pub url: Option<String>,
}

/// Why a desired model does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Unfit {
    /// The class of the reason.
    pub code: FailureCode,
    /// One line that says what to do.
    pub text: String,
}

/// Takes from a manifest what this robot would run.
pub fn fit(manifest: &Manifest, task: &Task, config: &UpdateConfig) -> Result<Wish, Unfit> {
    let Manifest { model, version, .. } = manifest;
    let limits = Limits {
        targets: &config.targets,
        arena: config.arena_limit,
        flash: config.model_limit,
    };
    let artifact = sanderling_trust::fit(manifest, &limits).map_err(|misfit| match misfit {
        Misfit::Target => Unfit {
            code: FailureCode::Target,
            text: format!(
                "{model} {version} is packed for {}, and this robot runs {}; compile it with --target {}",
                list(manifest.artifacts.iter().map(|artifact| &artifact.target)),
                list(&config.targets),
                config.targets.last().map_or("generic", Name::as_str),
            ),
        },
        Misfit::Arena { needs } => too_large(format!(
            "{model} {version} needs an arena of {needs} bytes, and this robot gives {}; raise --arena-limit or choose a smaller model",
            config.arena_limit
        )),
        Misfit::Flash { needs } => too_large(format!(
            "{model} {version} has {needs} bytes, and this robot takes {}; raise --model-limit or choose a smaller model",
            config.model_limit
        )),
    })?;
    let size = u32::try_from(artifact.size)
        .map_err(|_| too_large(format!("{model} {version} has more than 4 GiB")))?;
    let image = Image {
        digest: artifact.digest.0,
        size,
        version: u64::from(*version),
        name: Label::cut(model),
    };
    let made_of = |delta: &&Delta| {
        let made = manifest.artifacts.get(usize::from(delta.artifact));
        made.is_some_and(|made| made.digest == artifact.digest)
    };
    Ok(Wish {
        image,
        deltas: manifest.deltas.iter().filter(made_of).cloned().collect(),
        serial: task.serial,
        chunk_size: task.chunk_size.min(config.chunk),
        floor: Some((model.clone(), manifest.floor)),
        url: manifest.url.as_ref().map(|url| url.as_str().to_owned()),
    })
}

fn too_large(text: String) -> Unfit {
    Unfit {
        code: FailureCode::TooLarge,
        text,
    }
}

fn list<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    names
        .into_iter()
        .map(Name::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{check, complete};
    use crate::settings::Settings;
    use sanderling_wire::{Artifact, Digest};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn manifest(change: impl FnOnce(&mut Manifest, &mut Artifact)) -> Manifest {
        let mut artifact = Artifact {
            target: name("generic"),
            digest: Digest([1; 32]),
            size: 1000,
            arena: 2000,
            flash: 1000,
            golden: Digest([2; 32]),
        };
        let mut manifest = Manifest {
            model: name("terrain"),
            version: 2,
            floor: 1,
            expires_s: None,
            artifacts: heapless::Vec::new(),
            deltas: heapless::Vec::new(),
            url: None,
        };
        change(&mut manifest, &mut artifact);
        manifest.artifacts.push(artifact).expect("room for one");
        manifest
    }

    fn verdict(manifest: &Manifest) -> Result<Wish, FailureCode> {
        let settings = Settings {
            targets: Some(vec!["x86-64".into(), "generic".into()]),
            ..Settings::default()
        };
        let config = check(&complete(settings, "robot")).expect("sound").update;
        let task = Task {
            serial: 3,
            chunk_size: 65536,
            run: None,
            shadow: None,
            ahead_s: None,
        };
        fit(manifest, &task, &config).map_err(|unfit| unfit.code)
    }

    #[test]
    fn what_fits_is_taken_with_the_smaller_chunk() {
        let wish = verdict(&manifest(|_, _| {})).expect("it fits");
        assert_eq!(
            (
                wish.image.version,
                wish.image.name.as_str(),
                wish.chunk_size
            ),
            (2, "terrain", 32768)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_for_its_reason() {
        type Change = dyn Fn(&mut Manifest, &mut Artifact);
        let cases: [(&Change, FailureCode); 4] = [
            (&|_, a| a.target = name("cortex-m4"), FailureCode::Target),
            (&|_, a| a.arena = 1 << 40, FailureCode::TooLarge),
            (&|_, a| a.flash = u64::MAX, FailureCode::TooLarge),
            (&|_, a| a.arena = u64::MAX, FailureCode::TooLarge),
        ];
        for (change, code) in cases {
            assert_eq!(verdict(&manifest(change)), Err(code));
        }
    }
}
