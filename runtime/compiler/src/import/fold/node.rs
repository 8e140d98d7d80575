//! A file's node, asked for what folding wants to know.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A node's operator, attributes, and which inputs it has.
pub struct Attributes<'a>(pub &'a NodeProto);

impl Attributes<'_> {
    /// The operator, where it is ONNX's own; those that quantize are in another domain too.
    pub fn operator(&self) -> &str {
        let operator = self.0.op_type.as_str();
        match self.0.domain.as_str() {
            "" | "ai.onnx" => operator,
            "com.microsoft" if matches!(operator, "QuantizeLinear" | "DequantizeLinear") => {
                operator
            }
            _ => "",
        }
    }

    /// Whether an input is there.
    pub fn has_input(&self, input: usize) -> bool {
        self.0.input.get(input).is_some_and(|name| !name.is_empty())
    }

    /// How many outputs the node has.
    pub fn outputs(&self) -> usize {
        self.0.output.len()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.find(name, AttributeType::Int).map(|a| a.i)
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.find(name, AttributeType::Float).map(|a| a.f)
    }

    /// An attribute of several integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.find(name, AttributeType::Ints)
            .map(|a| a.ints.as_slice())
    }

    /// An attribute of any type.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.0.attribute.iter().find(|a| a.name == name)
    }

    fn find(&self, name: &str, kind: AttributeType) -> Option<&AttributeProto> {
        let attribute = self.attribute(name)?;
        (attribute.r#type == kind as i32).then_some(attribute)
    }
}
