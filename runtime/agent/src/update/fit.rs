//! Whether a desired model fits this robot: asked before a byte of it is pulled.

use sanderling_slots::{Image, Label};
use sanderling_wire::{Artifact, FailureCode, Manifest, Name};

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

/// Takes from a manifest what this robot would run. `now_s` is the time in seconds since 1970.
pub fn fit(
    manifest: &Manifest,
    group: &Name,
    config: &UpdateConfig,
    now_s: u64,
) -> Result<Wish, Unfit> {
    let unfit = |code, text| Err(Unfit { code, text });
    let Manifest { model, version, .. } = manifest;
    if manifest.group != *group {
        let text = format!(
            "the manifest is for group {}, and this robot is in {group}; it is ignored",
            manifest.group
        );
        return unfit(FailureCode::Refused, text);
    }
    if manifest.expires_s.is_some_and(|expires| expires < now_s) {
        let text = format!(
            "the manifest for {model} {version} has expired; publish it again, or set this robot's clock"
        );
        return unfit(FailureCode::Refused, text);
    }
    let Some(artifact) = manifest.artifact_for(&config.targets) else {
        let text = format!(
            "{model} {version} is packed for {}, and this robot runs {}; compile it with --target {}",
            list(manifest.artifacts.iter().map(|artifact| &artifact.target)),
            list(&config.targets),
            config.targets.last().map_or("generic", Name::as_str),
        );
        return unfit(FailureCode::Target, text);
    };
    let Artifact {
        size,
        arena,
        digest,
        ..
    } = artifact;
    if *arena > config.arena_limit {
        let text = format!(
            "{model} {version} needs an arena of {arena} bytes, and this robot gives {}; raise --arena-limit or choose a smaller model",
            config.arena_limit
        );
        return unfit(FailureCode::TooLarge, text);
    }
    let Some(size) = u32::try_from(*size)
        .ok()
        .filter(|&size| u64::from(size) <= config.model_limit)
    else {
        let text = format!(
            "{model} {version} has {size} bytes, and this robot takes {}; raise --model-limit or choose a smaller model",
            config.model_limit
        );
        return unfit(FailureCode::TooLarge, text);
    };
    let image = Image {
        digest: digest.0,
        size,
        version: u64::from(*version),
        name: Label::cut(model),
    };
    Ok(Wish {
        image,
        serial: manifest.serial,
        chunk_size: manifest.chunk_size.min(config.chunk),
    })
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
    use sanderling_wire::Digest;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn manifest(change: impl FnOnce(&mut Manifest, &mut Artifact)) -> Manifest {
        let mut artifact = Artifact {
            target: name("generic"),
            digest: Digest([1; 32]),
            size: 1000,
            arena: 2000,
        };
        let mut manifest = Manifest {
            serial: 3,
            group: name("all"),
            model: name("terrain"),
            version: 2,
            chunk_size: 65536,
            expires_s: None,
            artifacts: heapless::Vec::new(),
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
        fit(manifest, &name("all"), &config, 1000).map_err(|unfit| unfit.code)
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
        let cases: [(&Change, FailureCode); 5] = [
            (&|m, _| m.group = name("others"), FailureCode::Refused),
            (&|m, _| m.expires_s = Some(999), FailureCode::Refused),
            (&|_, a| a.target = name("cortex-m4"), FailureCode::Target),
            (&|_, a| a.arena = 1 << 40, FailureCode::TooLarge),
            (&|_, a| a.size = u64::MAX, FailureCode::TooLarge),
        ];
        for (change, code) in cases {
            assert_eq!(verdict(&manifest(change)), Err(code));
        }
    }
}
