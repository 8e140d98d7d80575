//! What an input or output of a model looks like.

use sanderling_plan::{Dtype, Plan, Tensor};

/// An input or output: its bytes are little-endian, dense, and in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name in the ONNX file.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, outermost first, the batch of 1 included.
    pub shape: Vec<usize>,
    /// Real value of one step; 0 where the tensor is not quantized or tract runs it.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
}

impl TensorInfo {
    /// What `plan` says about one of its tensors.
    pub fn of_plan<B: AsRef<[u8]>>(plan: &Plan<B>, tensor: &Tensor) -> Self {
        TensorInfo {
            name: plan.tensor_name(tensor).to_owned(),
            dtype: tensor.dtype,
            shape: tensor.shape.dims().iter().map(|&n| n as usize).collect(),
            scale: tensor.scale,
            zero_point: tensor.zero_point,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }

    /// Shape of one frame: the shape without a leading batch of 1.
    pub fn frame_shape(&self) -> &[usize] {
        match self.shape.as_slice() {
            [1, rest @ ..] => rest,
            all => all,
        }
    }
}
