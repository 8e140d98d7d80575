//! `sanderling register`: compiles a model and gives its plans to the coordinator.

use super::who::Who;
use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field, segment};
use crate::signing::{delta, key, release};
use crate::text;
use anyhow::{Context, bail};
use clap::Args;
use sanderling_executor::is_plan;
use sanderling_plan::Target;
use sanderling_trust::Role;
use sanderling_wire::{Manifest, Signed, decode};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sanderling register terrain.onnx --name terrain
      compiles for every board and registers as the next version
  sanderling register terrain.onnx --name terrain --version 2 --targets generic,cortex-m4 \\
      --label floor=hall-2 --metric accuracy=0.981
  sanderling register terrain-m4.plan --name terrain --version 2
      adds a plan that was compiled before
  sanderling register terrain.onnx --name terrain --key keys/release.key
      signs it too, for a fleet whose robots have a root";

/// Compile a model and register it with the coordinator
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Register {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The quantized ONNX model, or a plan
    model: PathBuf,
    /// The name to register it under
    #[arg(long)]
    name: String,
    /// Its version, from 1 [default: one more than the newest]
    #[arg(long)]
    version: Option<u32>,
    /// The boards to compile it for
    #[arg(long, value_delimiter = ',', default_value = "generic", value_parser = super::target)]
    targets: Vec<Target>,
    /// Golden vectors to put into each plan
    #[arg(long, default_value_t = 1)]
    golden: usize,
    /// staging, production, or archived [default: staging]; production only where the model's
    /// policy asks for no holdout: `sanderling models promote` checks and promotes
    #[arg(long)]
    stage: Option<String>,
    /// What you call it; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// How it was measured; may be given several times
    #[arg(long = "metric", value_name = "KEY=NUMBER", value_parser = pair)]
    metrics: Vec<(String, String)>,
    /// Sign it with this release key; may be given several times
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    terms: release::Terms,
    /// What `sanderling sign` wrote for this version
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    manifest: Option<PathBuf>,
}

/// A plan to upload, with what to say about it.
struct Upload {
    plan: Vec<u8>,
    text: String,
    report: Value,
}

impl Register {
    /// Compiles everything first, then uploads.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        if !self.terms.delta_from.is_empty() && self.keys.is_empty() {
            bail!(
                "--delta-from needs --key, which signs the delta too; where nobody signs, the coordinator makes deltas itself"
            );
        }
        let about = self.about()?;
        let uploads = self.uploads()?;
        let signers: Vec<_> = self
            .keys
            .iter()
            .map(|path| key::read(path, Role::Release))
            .collect::<Result<_, _>>()?;
        let plans_sent: Vec<Vec<u8>> = uploads.iter().map(|upload| upload.plan.clone()).collect();
        let mut version = self.version;
        let mut text = String::new();
        let mut plans = Vec::new();
        let mut model = Value::Null;
        for upload in uploads {
            let number = version.map(|v| v.to_string());
            let mut query = vec![("name", self.name.as_str())];
            query.extend(number.as_deref().map(|v| ("version", v)));
            query.extend(about.iter().map(|(key, value)| (*key, value.as_str())));
            let answer = coordinator.post("/v1/models", &query, &upload.plan)?;
            model = field(&answer, "model")?;
            // Plans for further boards belong to the version that the first one made.
            let registered: u32 = field(&model, "version")?;
            version = Some(registered);
            let artifact: Value = field(&answer, "artifact")?;
            let created: bool = field(&answer, "created")?;
            // An older coordinator says none.
            let warnings: Vec<String> = field(&answer, "warnings").unwrap_or_default();
            for warning in &warnings {
                eprintln!("warning: {}: {warning}", self.model.display());
            }
            text.push_str(&upload.text);
            text.push_str(&format!(
                "{} v{registered} for {}: {}, {}\n",
                self.name,
                field::<String>(&artifact, "target")?,
                field::<String>(&artifact, "digest")?,
                if created {
                    "registered"
                } else {
                    "was registered before"
                },
            ));
            plans
                .push(json!({ "artifact": artifact, "created": created, "report": upload.report, "warnings": warnings }));
        }
        let signed = match (&self.manifest, version) {
            (Some(path), _) => Some(sealed(path)?),
            (None, Some(version)) if !signers.is_empty() => {
                let made = delta::from(&self.terms.delta_from, &plans_sent)?;
                let manifest =
                    release::manifest(&self.name, version, &plans_sent, &self.terms, &made)?;
                let statement = release::statement(&manifest)?;
                let signed = release::signed(&statement, &[], &signers)?;
                Some((signed, made.into_iter().map(|made| made.bytes).collect()))
            }
            _ => None,
        };
        let mut attached = Value::Null;
        if let (Some((signed, deltas)), Some(version)) = (signed, version) {
            for file in &deltas {
                coordinator.put_file("/v1/deltas", file)?;
            }
            let path = format!("/v1/models/{}/{version}/manifest", segment(&self.name));
            coordinator.put_file(&path, &signed)?;
            let (words, json) = release::describe(&signed)?;
            text.push_str(&words);
            attached = json;
        }
        let json = json!({ "model": model, "plans": plans, "manifest": attached });
        Ok(Answer::new(text, json))
    }

    /// One plan per target, or the plan that was given.
    fn uploads(&self) -> anyhow::Result<Vec<Upload>> {
        let name = self.model.display();
        let bytes = fs::read(&self.model).with_context(|| format!("cannot read {name}"))?;
        if !is_plan(&bytes) {
            return self
                .targets
                .iter()
                .map(|&target| compiled(&self.model, target, self.golden))
                .collect();
        }
        if self.targets != [Target::Generic] {
            bail!("{name} is a plan already; --targets is for ONNX models");
        }
        let text = format!("{name}: {}\n", text::bytes(bytes.len()));
        Ok(vec![Upload {
            plan: bytes,
            text,
            report: Value::Null,
        }])
    }

    /// The query parameters that describe the model, each a word or a JSON object.
    fn about(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut about = vec![("by", self.who.name())];
        about.extend(self.stage.clone().map(|stage| ("stage", stage)));
        if !self.labels.is_empty() {
            let labels: Map<String, Value> = self
                .labels
                .iter()
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect();
            about.push(("labels", Value::Object(labels).to_string()));
        }
        if !self.metrics.is_empty() {
            let mut metrics = Map::new();
            for (key, value) in &self.metrics {
                let number: f64 = value
                    .parse()
                    .with_context(|| format!("metric `{key}` is no number: `{value}`"))?;
                metrics.insert(key.clone(), json!(number));
            }
            about.push(("metrics", Value::Object(metrics).to_string()));
        }
        let file = self
            .model
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let provenance =
            json!({ "file": file, "by": concat!("sanderling ", env!("CARGO_PKG_VERSION")) });
        about.push(("provenance", provenance.to_string()));
        Ok(about)
    }
}

/// A signed manifest, and those of the deltas it names that lie beside it. Others may be with the coordinator already.
fn sealed(path: &Path) -> anyhow::Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let name = path.display();
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let signed: Signed<'_> =
        decode(&bytes).with_context(|| format!("{name} is no signed manifest"))?;
    let manifest: Manifest = signed.read().with_context(|| name.to_string())?;
    let (deltas, missing) = delta::found(path, &manifest)?;
    for file in missing {
        eprintln!("note: {} is not here", file.display());
    }
    Ok((bytes, deltas))
}

#[cfg(feature = "tract")]
fn compiled(model: &Path, target: Target, golden: usize) -> anyhow::Result<Upload> {
    let options = sanderling_compiler::Options {
        target,
        golden,
        ..Default::default()
    };
    let (plan, report) = super::compile::compile(model, &options)?;
    let text = format!(
        "{} for {target}: {} steps, {} MACs, flash {}, arena {}\n",
        model.display(),
        report.steps.len(),
        text::count(report.macs),
        text::bytes(report.flash_bytes),
        text::bytes(report.arena_bytes),
    );
    Ok(Upload {
        plan,
        text,
        report: serde_json::to_value(&report)?,
    })
}

#[cfg(not(feature = "tract"))]
fn compiled(model: &Path, _: Target, _: usize) -> anyhow::Result<Upload> {
    bail!(
        "{} is no plan, and this build does not compile; make a plan of it elsewhere with \
         `sanderling compile`",
        model.display()
    )
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
