//! A partly float ONNX file: its integer regions in the engine, the rest in tract.
//!
//! The compiler cuts the file (see [`sanderling_compiler::regions`]); in what it gives back
//! each region is one node with its plan, and tract runs that graph with the node's operator
//! registered as [`region::RegionOp`]. The rest holds no QuantizeLinear and
//! DequantizeLinear that the engine could run, so that what tract's optimizer does to them
//! matters no more, and it is optimized like any float model, but for [`division`].

mod division;
mod region;

use crate::guard::without_panic;
use crate::onnx::{Onnx, refused};
use crate::tract::TractModel;
use crate::{ModelError, TensorInfo};
use region::{Region, RegionOp};
use sanderling_compiler::Options;
use sanderling_compiler::import::guarded_tract;
use sanderling_compiler::regions::{self, CutReport};
use sanderling_plan::Target;
use std::sync::Arc;

/// A model of which the engine runs the regions.
pub(crate) struct MixedModel {
    pub(crate) tract: TractModel,
    pub(crate) report: CutReport,
    regions: Vec<Arc<Region>>,
}

impl MixedModel {
    /// Cuts and loads the file.
    pub(crate) fn load(name: &str, onnx: &Onnx<'_>, target: Target) -> Result<Self, ModelError> {
        let options = Options {
            target,
            golden: 1,
            ..Options::default()
        };
        let cut = without_panic(name, "cannot read it", || {
            regions::cut(onnx.bytes, &options).map_err(refused(name))
        })?;
        let rest = Onnx {
            name,
            bytes: onnx.bytes,
            model: cut.model,
            unread: Vec::new(),
        };
        let mut framework = guarded_tract();
        framework
            .op_register
            .insert(regions::OPERATOR, region::read);
        framework
            .op_register
            .insert(division::OPERATOR, division::read);
        let mut tract = TractModel::load(name, &rest, framework)?;
        let regions: Vec<Arc<Region>> = (tract.operators::<RegionOp>())
            .map(RegionOp::region)
            .collect();
        for region in &regions {
            quantize(&mut tract.inputs, &region.inputs);
            quantize(&mut tract.outputs, &region.outputs);
        }
        Ok(MixedModel {
            tract,
            report: cut.report,
            regions,
        })
    }

    /// Runs the golden vectors of every region; answers how many there were.
    pub(crate) fn self_test(&self, name: &str) -> Result<usize, ModelError> {
        self.regions.iter().map(|r| r.self_test(name)).sum()
    }

    /// Why this, as the end of a sentence.
    pub(crate) fn reason(&self) -> String {
        let report = &self.report;
        let share = match report.macs {
            0 => String::new(),
            macs => format!(
                " with {:.1} % of the multiply-accumulates",
                report.region_macs as f64 / macs as f64 * 100.0
            ),
        };
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        format!(
            "it was asked for; the engine runs {} of {}{share}, tract {}",
            count(report.regions.len(), "region"),
            count(report.regions.iter().map(|r| r.nodes.len()).sum(), "node"),
            count(report.rest.len(), "node"),
        )
    }
}

/// Gives a border of the model the scale that a region has for it.
fn quantize(borders: &mut [TensorInfo], of_region: &[TensorInfo]) {
    for border in borders {
        if let Some(info) = of_region.iter().find(|info| info.name == border.name) {
            border.scale = info.scale;
            border.zero_point = info.zero_point;
        }
    }
}
