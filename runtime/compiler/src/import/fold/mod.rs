//! Constant folding on the file's own nodes, before anything looks for quantized operators.
//!
//! Exporters write weights as `float → QuantizeLinear → Clip → Cast → Transpose →
//! DequantizeLinear` and in a dozen similar ways. ONNX Runtime evaluates all of it but the
//! DequantizeLinear, and so does this pass: what depends on no input becomes an initializer, bit
//! for bit what ONNX Runtime's kernels compute. Behind DequantizeLinear the integers are kept
//! ([`quantized`]): what moves or scales the real numbers is applied to them and to their scales.
//! An `If` whose condition turns out constant is replaced by its branch.
//!
//! tract folds too, but neither quantizes nor takes integers where ONNX does.

mod array;
mod evaluate;
mod gemm;
mod node;
mod order;
mod places;
mod quantized;
#[cfg(test)]
mod tests;

use super::inline;
use array::{Array, Values, count};
use evaluate::Steps;
use node::Attributes;
use order::{Readers, reads, sorted};
use quantized::Quantized;
use std::collections::{HashMap, HashSet, VecDeque};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Elements that folding may read and make for each one that the file has, and beside that:
/// chains of nodes over large constants, and Expand, would otherwise cost what they like.
const ELEMENTS_EACH: usize = 32;
const ELEMENTS_MORE: usize = 1 << 22;

/// Folds what is constant.
pub fn fold(graph: &mut GraphProto) {
    let initializers = std::mem::take(&mut graph.initializer);
    let elements: usize = (initializers.iter())
        .map(|tensor| {
            tensor
                .dims
                .iter()
                .map(|&d| d.max(0) as usize)
                .fold(1, usize::saturating_mul)
        })
        .fold(0, usize::saturating_add);
    let nodes = sorted(std::mem::take(&mut graph.node));
    let mut folding = Folding {
        readers: Readers::of(&nodes),
        outputs: graph.output.iter().map(|o| o.name.clone()).collect(),
        order: initializers.iter().map(|t| t.name.clone()).collect(),
        original: HashSet::new(),
        constants: initializers
            .into_iter()
            .map(|t| (t.name.clone(), t))
            .collect(),
        dequantized: HashMap::new(),
        left: elements
            .saturating_mul(ELEMENTS_EACH)
            .saturating_add(ELEMENTS_MORE),
    };
    folding.original = folding.order.iter().cloned().collect();
    let mut queue: VecDeque<NodeProto> = nodes.into();
    while let Some(node) = queue.pop_front() {
        match folding.step(&node) {
            Folded::Kept => {
                if Attributes(&node).operator() == "DequantizeLinear"
                    && folding.is_constant(&node)
                    && let [output] = node.output.as_slice()
                {
                    folding.dequantized.insert(output.clone(), node.clone());
                }
                graph.node.push(node);
            }
            Folded::Gone => {}
            Folded::Nodes(nodes) => {
                for node in sorted(nodes).into_iter().rev() {
                    queue.push_front(node);
                }
            }
        }
    }
    folding.finish(graph);
}

/// What became of a node.
enum Folded {
    /// It stays.
    Kept,
    /// Its outputs are constants now.
    Gone,
    /// These stand for it.
    Nodes(Vec<NodeProto>),
}

struct Folding {
    /// Who reads what in the file.
    readers: Readers,
    /// The model's outputs, which stay what a node computes.
    outputs: HashSet<String>,
    constants: HashMap<String, TensorProto>,
    /// Names of the constants, in the order of the file and then as they were made.
    order: Vec<String>,
    /// Those of the file.
    original: HashSet<String>,
    /// Nodes that dequantize a constant, by output.
    dequantized: HashMap<String, NodeProto>,
    /// Elements that may still be read or made.
    left: usize,
}

impl Folding {
    fn step(&mut self, node: &NodeProto) -> Folded {
        let attributes = Attributes(node);
        let operator = attributes.operator();
        let folded = match operator {
            "Constant" => self.constant(node),
            "ConstantOfShape" => self.filled(node),
            "If" => self.branch(node),
            "QuantizeLinear" => self.quantized(node),
            "Cast" => self.cast(node),
            "Mul" | "Div" if self.scales(node) => self.scaled(node).or_else(|| self.binary(node)),
            "Gemm" => self.gemm(node),
            _ if places::MOVEMENTS.contains(&operator) => self.moved(node),
            _ if evaluate::UNARY.contains(&operator) => self.unary(node),
            _ if evaluate::BINARY.contains(&operator) => self.binary(node),
            _ => None,
        };
        folded.unwrap_or(Folded::Kept)
    }

    // What nodes read.

    /// Whether everything that a node reads is a constant.
    fn is_constant(&self, node: &NodeProto) -> bool {
        (node.input.iter()).all(|name| name.is_empty() || self.constants.contains_key(name))
    }

    /// A constant's elements, as long as there is work left to do.
    fn array(&mut self, name: &str) -> Option<Array> {
        let tensor = self.constants.get(name)?;
        let dims: Vec<usize> = (tensor.dims.iter())
            .map(|&dim| usize::try_from(dim).ok())
            .collect::<Option<_>>()?;
        self.left = self.left.checked_sub(count(&dims)?)?;
        Array::read(tensor)
    }

    /// Input number `input` of a node, where it is constant; `Some(None)` where it is left out.
    fn optional(&mut self, node: &NodeProto, input: usize) -> Option<Option<Array>> {
        match node.input.get(input).filter(|name| !name.is_empty()) {
            Some(name) => self.array(name).map(Some),
            None => Some(None),
        }
    }

    /// What a DequantizeLinear of constants reads, its parameters, and whether it has zero points.
    fn behind(&mut self, name: &str) -> Option<(Array, Steps, DataType, bool)> {
        let node = self.dequantized.get(name)?.clone();
        let ints = self.array(node.input.first()?)?;
        let scale = self.array(node.input.get(1)?)?;
        let points = self.optional(&node, 2)?;
        let steps = Steps::of(&Attributes(&node), &ints.dims, &scale, points.as_ref())?;
        Some((ints, steps, scale.kind, points.is_some()))
    }

    /// A quantized constant whose scales are `float`.
    fn integers(&mut self, name: &str) -> Option<Quantized> {
        let (ints, steps, kind, has_points) = self.behind(name)?;
        if kind != DataType::Float {
            return None;
        }
        Quantized::new(ints, &steps, has_points)
    }

    /// A constant's elements, dequantized where need be.
    fn value(&mut self, name: &str) -> Option<Array> {
        if self.constants.contains_key(name) {
            return self.array(name);
        }
        let (ints, steps, kind, _) = self.behind(name)?;
        evaluate::dequantize(&ints, &steps, kind)
    }

    // What becomes of them.

    /// The node's outputs are these constants.
    fn are(&mut self, node: &NodeProto, arrays: Vec<Array>) -> Option<Folded> {
        if node.output.len() > arrays.len() || self.is_output(node) {
            return None;
        }
        let made: usize = arrays.iter().map(Array::len).sum();
        self.left = self.left.checked_sub(made)?;
        for (name, array) in node.output.iter().zip(&arrays) {
            if !name.is_empty() {
                self.insert(array.write(name));
            }
        }
        Some(Folded::Gone)
    }

    fn is_output(&self, node: &NodeProto) -> bool {
        node.output.iter().any(|name| self.outputs.contains(name))
    }

    fn insert(&mut self, tensor: TensorProto) {
        self.order.push(tensor.name.clone());
        self.constants.insert(tensor.name.clone(), tensor);
    }

    /// The node's outputs are dequantized constants.
    fn dequantize(&mut self, node: &NodeProto, parts: Vec<Quantized>) -> Option<Folded> {
        let mut nodes = Vec::with_capacity(parts.len());
        let mut tensors = Vec::new();
        for (output, part) in node.output.iter().zip(&parts) {
            if output.is_empty() {
                continue;
            }
            self.left = self.left.checked_sub(count(part.dims())?)?;
            let (dequantize, made) = part.node(node, output)?;
            nodes.push(dequantize);
            tensors.extend(made);
        }
        for tensor in tensors {
            self.insert(tensor);
        }
        Some(Folded::Nodes(nodes))
    }

    // Operators.

    fn constant(&mut self, node: &NodeProto) -> Option<Folded> {
        let [output] = node.output.as_slice() else {
            return None;
        };
        let [attribute] = node.attribute.as_slice() else {
            return None;
        };
        if self.is_output(node) {
            return None;
        }
        let ints = |dims: Vec<usize>, values: Vec<i64>| Array {
            dims,
            kind: DataType::Int64,
            values: Values::Int(values),
        };
        let tensor = match attribute.name.as_str() {
            "value" => TensorProto {
                name: output.clone(),
                ..attribute.t.clone()?
            },
            "value_float" => Array {
                dims: Vec::new(),
                ..Array::list(vec![attribute.f])
            }
            .write(output),
            "value_floats" => Array::list(attribute.floats.clone()).write(output),
            "value_int" => ints(Vec::new(), vec![attribute.i]).write(output),
            "value_ints" => ints(vec![attribute.ints.len()], attribute.ints.clone()).write(output),
            _ => return None,
        };
        self.insert(tensor);
        Some(Folded::Gone)
    }

    fn filled(&mut self, node: &NodeProto) -> Option<Folded> {
        let shape = self.array(node.input.first()?)?;
        let dims = (shape.ints()?.iter())
            .map(|&extent| usize::try_from(extent).ok())
            .collect::<Option<Vec<_>>>()?;
        let elements = count(&dims).filter(|&n| n <= self.left)?;
        let value = match Attributes(node).attribute("value") {
            Some(attribute) => Array::read(attribute.t.as_ref()?)?,
            None => Array::list(vec![0.0]),
        };
        let array = (value.len() == 1).then(|| value.picked(dims, &vec![0; elements]))?;
        self.are(node, vec![array])
    }

    fn branch(&mut self, node: &NodeProto) -> Option<Folded> {
        let condition = self.array(node.input.first()?)?;
        let &[condition] = condition.ints()? else {
            return None;
        };
        let graph = inline::branch(node, condition != 0)?;
        for tensor in graph.initializer {
            self.insert(tensor);
        }
        Some(Folded::Nodes(graph.node))
    }

    fn quantized(&mut self, node: &NodeProto) -> Option<Folded> {
        let attributes = Attributes(node);
        let x = self.value(node.input.first()?)?;
        let scale = self.array(node.input.get(1)?)?;
        let points = self.optional(node, 2)?;
        let kind = match (&points, attributes.int("output_dtype").unwrap_or(0)) {
            (Some(points), _) => points.kind,
            (None, 0) => DataType::Uint8,
            (None, given) => DataType::try_from(i32::try_from(given).ok()?).ok()?,
        };
        if attributes.int("precision").unwrap_or(0) != 0 {
            return None;
        }
        let steps = Steps::of(&attributes, &x.dims, &scale, points.as_ref())?;
        let array = evaluate::quantize(&x, &steps, kind)?;
        self.are(node, vec![array])
    }

    /// A Cast; one to `float` behind a `float16` scale is the same integers with a `float` scale,
    /// unless `float16` has rounded a product.
    fn cast(&mut self, node: &NodeProto) -> Option<Folded> {
        let to = Attributes(node).int("to")?;
        let kind = DataType::try_from(i32::try_from(to).ok()?).ok()?;
        let name = node.input.first()?.clone();
        if self.constants.contains_key(&name) {
            let array = evaluate::cast(&self.array(&name)?, kind)?;
            return self.are(node, vec![array]);
        }
        let (ints, steps, from, has_points) = self.behind(&name)?;
        let exact = evaluate::dequantize(&ints, &steps, kind)?;
        let through = evaluate::cast(&evaluate::dequantize(&ints, &steps, from)?, kind)?;
        if kind != DataType::Float || exact != through {
            return None;
        }
        let part = Quantized::new(ints, &steps, has_points)?;
        self.dequantize(node, vec![part])
    }

    /// Whether a node multiplies quantized weights by real constants. Elsewhere the product is
    /// rounded before anything else happens to it, so that it has to be evaluated.
    fn scales(&self, node: &NodeProto) -> bool {
        let ([a, b], [output]) = (node.input.as_slice(), node.output.as_slice()) else {
            return false;
        };
        if !self.readers.are_products(output) {
            return false;
        }
        let quantized = |name: &String| self.dequantized.contains_key(name);
        let real = |name: &String| self.constants.contains_key(name);
        quantized(a) && real(b) || node.op_type == "Mul" && real(a) && quantized(b)
    }

    fn scaled(&mut self, node: &NodeProto) -> Option<Folded> {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        let (quantized, factors) = match self.dequantized.contains_key(a) {
            true => (a, b),
            false => (b, a),
        };
        let part = self.integers(quantized)?;
        let factors = self.array(factors)?;
        let part = part.scaled(&factors, node.op_type == "Div")?;
        self.dequantize(node, vec![part])
    }

    fn moved(&mut self, node: &NodeProto) -> Option<Folded> {
        let attributes = Attributes(node);
        let data = match attributes.operator() {
            "Concat" => node.input.len(),
            _ => 1,
        };
        let names = node.input.get(..data)?;
        let plain = names.iter().all(|name| self.constants.contains_key(name));
        let quantized = names.iter().all(|name| self.dequantized.contains_key(name));
        if !plain && !quantized {
            return None;
        }
        let mut beside = Vec::new();
        for name in node.input.iter().skip(data) {
            beside.push(match name.is_empty() {
                true => None,
                false => {
                    let array = self.array(name)?;
                    Some((array.dims.clone(), array.ints()?.to_vec()))
                }
            });
        }
        let constant = |input: usize| beside.get(input.checked_sub(data)?)?.clone();
        if plain {
            let parts = (names.iter())
                .map(|name| self.array(name))
                .collect::<Option<Vec<_>>>()?;
            let dims: Vec<Vec<usize>> = parts.iter().map(|part| part.dims.clone()).collect();
            let places = places::moves(&attributes, &dims, &constant, self.left)?;
            let joined = joined(parts)?;
            let arrays = (places.into_iter())
                .map(|places| joined.picked(places.dims, &places.from))
                .collect();
            return self.are(node, arrays);
        }
        let parts = (names.iter())
            .map(|name| self.integers(name))
            .collect::<Option<Vec<_>>>()?;
        let dims: Vec<Vec<usize>> = parts.iter().map(|part| part.dims().to_vec()).collect();
        let places = places::moves(&attributes, &dims, &constant, self.left)?;
        let moved = (places.into_iter())
            .map(|places| Quantized::moved(&parts, places))
            .collect::<Option<Vec<_>>>()?;
        self.dequantize(node, moved)
    }

    fn unary(&mut self, node: &NodeProto) -> Option<Folded> {
        let x = self.value(node.input.first()?)?;
        let bounds = [self.optional(node, 1)?, self.optional(node, 2)?];
        let bounds = [bounds[0].as_ref(), bounds[1].as_ref()];
        let array = evaluate::unary(&Attributes(node), &x, bounds)?;
        self.are(node, vec![array])
    }

    /// Two constants of which at least one is plain: with two quantized ones, ONNX Runtime runs
    /// an integer operator of its own.
    fn binary(&mut self, node: &NodeProto) -> Option<Folded> {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        if !self.constants.contains_key(a) && !self.constants.contains_key(b) {
            return None;
        }
        let (x, y) = (self.value(a)?, self.value(b)?);
        let array = evaluate::binary(Attributes(node).operator(), &x, &y, self.left)?;
        self.are(node, vec![array])
    }

    /// Leaves out what nobody reads any more, and puts the constants back into the graph.
    fn finish(mut self, graph: &mut GraphProto) {
        loop {
            let read = self.read(graph);
            let before = graph.node.len();
            graph.node.retain(|node| {
                let made = |name: &String| self.dequantized.contains_key(name);
                !node.output.iter().all(made) || node.output.iter().any(|name| read.contains(name))
            });
            if graph.node.len() == before {
                break;
            }
        }
        let read = self.read(graph);
        for name in std::mem::take(&mut self.order) {
            // A constant that only folded nodes read is gone with them.
            if read.contains(&name)
                && let Some(tensor) = self.constants.remove(&name)
            {
                graph.initializer.push(tensor);
            }
        }
        let inputs: HashSet<&String> = graph.initializer.iter().map(|t| &t.name).collect();
        let original = &self.original;
        (graph.input).retain(|i| !original.contains(&i.name) || inputs.contains(&i.name));
    }

    /// Every name that a node or the model's outputs read.
    fn read(&self, graph: &GraphProto) -> HashSet<String> {
        let mut read = self.outputs.clone();
        for node in &graph.node {
            read.extend(reads(node).into_iter().cloned());
        }
        read
    }
}

/// Tensors one behind the other.
fn joined(parts: Vec<Array>) -> Option<Array> {
    let mut parts = parts.into_iter();
    let mut all = parts.next()?;
    for part in parts {
        if part.kind != all.kind {
            return None;
        }
        match (&mut all.values, part.values) {
            (Values::Real(all), Values::Real(more)) => all.extend(more),
            (Values::Int(all), Values::Int(more)) => all.extend(more),
            _ => return None,
        }
    }
    Some(all)
}
