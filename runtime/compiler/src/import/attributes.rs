//! What the compiler understands of each operator, by its domain, name, and operator set
//! (operators.txt). A node of another domain is another operator, whatever it is called; an
//! attribute that is not declared and not at its default is a refusal.

use super::keep::node_name;
use crate::error::{CompileError, Refusal};
use std::collections::HashMap;
use std::sync::LazyLock;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;

/// The operator sets of ONNX that are declared; newer ones may change what an operator means.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=27;

/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";

/// The declarations, by domain and name, the newest operator set last.
static DECLARED: LazyLock<HashMap<(&str, &str), Vec<Declared>>> = LazyLock::new(|| {
    let mut declared: HashMap<_, Vec<Declared>> = HashMap::new();
    let mut domain = "";
    for line in include_str!("operators.txt").lines() {
        if line == "[tract]" {
            break;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            domain = title;
        } else if let Some((name, operator)) = Declared::parse(line) {
            declared.entry((domain, name)).or_default().push(operator);
        }
    }
    declared
});

/// Attributes that tract does not read, by operator, each with the values it computes as.
static UNREAD_BY_TRACT: LazyLock<HashMap<&str, Vec<(&str, &str)>>> = LazyLock::new(|| {
    let lines = include_str!("operators.txt").lines();
    let lines = lines.skip_while(|line| *line != "[tract]").skip(1);
    let unread = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        Some((
            name,
            words.filter_map(|word| word.split_once('=')).collect(),
        ))
    });
    unread.collect()
});

/// One line of operators.txt.
struct Declared {
    since: i64,
    inputs: Count,
    outputs: Count,
    attributes: Vec<Attribute>,
}

/// How many there may be.
#[derive(Clone, Copy)]
struct Count {
    least: usize,
    most: usize,
}

struct Attribute {
    name: &'static str,
    kind: AttributeType,
    /// The one value that is understood.
    only: Option<&'static str>,
}

impl Declared {
    fn parse(line: &'static str) -> Option<(&'static str, Self)> {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| !name.starts_with('#'))?;
        Some((
            name,
            Declared {
                since: words.next()?.parse().ok()?,
                inputs: Count::parse(words.next()?)?,
                outputs: Count::parse(words.next()?)?,
                attributes: words.filter_map(Attribute::parse).collect(),
            },
        ))
    }
}

impl Count {
    fn parse(text: &str) -> Option<Self> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let most = match most {
            "" => usize::MAX,
            number => number.parse().ok()?,
        };
        let least = least.parse().ok()?;
        Some(Count { least, most })
    }

    fn check(self, given: usize, of: &str) -> Result<(), String> {
        if (self.least..=self.most).contains(&given) {
            return Ok(());
        }
        let wanted = match self.most {
            most if most == self.least => most.to_string(),
            usize::MAX => format!("at least {}", self.least),
            most => format!("{} to {most}", self.least),
        };
        Err(format!("it has {given} {of}, and takes {wanted}"))
    }
}

impl Attribute {
    fn parse(word: &'static str) -> Option<Self> {
        let (name, kind) = word.split_once(':')?;
        let (kind, only) = match kind.split_once('=') {
            Some((kind, only)) => (kind, Some(only)),
            None => (kind, None),
        };
        let kind = match kind {
            "int" => AttributeType::Int,
            "float" => AttributeType::Float,
            "text" => AttributeType::String,
            "ints" => AttributeType::Ints,
            _ => AttributeType::Floats,
        };
        Some(Attribute { name, kind, only })
    }
}

/// The names of the declared operators of a domain, `ai.onnx` or `com.microsoft`.
pub fn declared(domain: &str) -> impl Iterator<Item = &'static str> {
    let of_domain = |key: &&(&str, &str)| key.0 == domain;
    let mut names: Vec<&str> = DECLARED.keys().filter(of_domain).map(|key| key.1).collect();
    names.sort_unstable();
    names.into_iter()
}

/// A node that the engine does not take as it is written, known by its first output.
#[derive(Clone, Debug)]
pub struct Undeclared {
    /// Its first output.
    pub output: String,
    /// Which node and why.
    pub refusal: Refusal,
}

/// Nodes of declared operators that say what is not declared. Operators that are not declared
/// at all are not in the list.
///
/// # Errors
///
/// [`CompileError::OperatorSet`] where the file's operator set is not among the declared ones.
pub fn check(model: &pb::ModelProto) -> Result<Vec<Undeclared>, CompileError> {
    let version = operator_set(model);
    if !OPERATOR_SETS.contains(&version) {
        return Err(CompileError::OperatorSet {
            version,
            oldest: *OPERATOR_SETS.start(),
            newest: *OPERATOR_SETS.end(),
        });
    }
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let refused = nodes.filter_map(|node| {
        let why = node_fault(node, version)?;
        Some(Undeclared {
            output: node.output.first().cloned().unwrap_or_default(),
            refusal: Refusal::new(node_name(node), title(node), why),
        })
    });
    Ok(refused.collect())
}

/// Why tract would compute a node as something else: it does not read one of its attributes.
pub fn unread_by_tract(node: &pb::NodeProto) -> Option<String> {
    let unread = UNREAD_BY_TRACT.get(node.op_type.as_str())?;
    unread.iter().find_map(|&(name, values)| {
        let given = node.attribute.iter().find(|given| given.name == name)?;
        let value = written(given);
        if values.split('|').any(|known| known == value) {
            return None;
        }
        let values = match values {
            "-" => "without it".to_owned(),
            values => format!("with {}", values.replace('|', " or ")),
        };
        Some(format!(
            "its attribute `{name}` is {value}, which tract does not read; export it {values}"
        ))
    })
}

/// An attribute's value as operators.txt writes it.
fn written(attribute: &pb::AttributeProto) -> String {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let joined = |values: Vec<String>| values.join(",");
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Int) => attribute.i.to_string(),
        Ok(AttributeType::Float) => attribute.f.to_string(),
        Ok(AttributeType::String) => text(&attribute.s),
        Ok(AttributeType::Ints) => joined(attribute.ints.iter().map(i64::to_string).collect()),
        Ok(AttributeType::Floats) => joined(attribute.floats.iter().map(f32::to_string).collect()),
        Ok(AttributeType::Strings) => joined(attribute.strings.iter().map(text).collect()),
        _ => "of another type".to_owned(),
    }
}

/// The version of ONNX's own operator set that the file imports; 0 where it imports none.
pub fn operator_set(model: &pb::ModelProto) -> i64 {
    (model.opset_import.iter())
        .find(|set| is_standard(&set.domain))
        .map_or(0, |set| set.version)
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// An operator as messages name it: with its domain, where that is not ONNX's.
pub fn title(node: &pb::NodeProto) -> String {
    match is_standard(&node.domain) {
        true => node.op_type.clone(),
        false => format!("{}::{}", node.domain, node.op_type),
    }
}

/// Whether a node is one of the operators that are known by their name: those of ONNX and of
/// ONNX Runtime.
pub fn has_known_domain(node: &pb::NodeProto) -> bool {
    let (domain, name) = (node.domain.as_str(), node.op_type.as_str());
    match domain {
        "" | "ai.onnx" => !OF_MICROSOFT.contains(&name) && !only_of_microsoft(name),
        MICROSOFT => {
            // tract tells ONNX's and ONNX Runtime's RotaryEmbedding apart.
            name == "RotaryEmbedding"
                || OF_MICROSOFT.contains(&name)
                || DECLARED.contains_key(&(MICROSOFT, name))
        }
        "ai.onnx.ml" => OF_LEARNING.contains(&name),
        _ => false,
    }
}

fn only_of_microsoft(name: &str) -> bool {
    DECLARED.contains_key(&(MICROSOFT, name)) && !DECLARED.contains_key(&("ai.onnx", name))
}

/// Operators of com.microsoft that tract has and the engine has not.
const OF_MICROSOFT: &[&str] = &[
    "BiasGelu",
    "GatherBlockQuantized",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Operators of ai.onnx.ml that tract has.
const OF_LEARNING: &[&str] = &[
    "ArrayFeatureExtractor",
    "CategoryMapper",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "TreeEnsembleClassifier",
];

/// What in a node of a declared operator is not declared.
fn node_fault(node: &pb::NodeProto, version: i64) -> Option<String> {
    let standard = is_standard(&node.domain);
    let domain = if standard { "ai.onnx" } else { &node.domain };
    let lines = DECLARED.get(&(domain, node.op_type.as_str()))?;
    let version = if standard { version } else { 1 };
    let Some(operator) = lines.iter().rev().find(|line| line.since <= version) else {
        let since = lines.first().map_or(0, |line| line.since);
        return Some(format!(
            "it is an operator from operator set {since} on, and the model says {version}; export \
             it with a newer one"
        ));
    };
    fault_of(node, operator, version).err()
}

fn fault_of(node: &pb::NodeProto, operator: &Declared, version: i64) -> Result<(), String> {
    operator.inputs.check(node.input.len(), "inputs")?;
    operator.outputs.check(node.output.len(), "outputs")?;
    for given in &node.attribute {
        let name = &given.name;
        let declared = operator.attributes.iter().find(|a| a.name == name);
        let Some(declared) = declared else {
            return Err(format!(
                "it has the attribute `{name}`, which this operator has not in operator set \
                 {version}"
            ));
        };
        // Files of old exporters leave the type out.
        let kind = AttributeType::try_from(given.r#type).unwrap_or(AttributeType::Undefined);
        if kind != declared.kind {
            return Err(format!(
                "its attribute `{name}` is of type {}, and should be {}",
                kind.as_str_name(),
                declared.kind.as_str_name()
            ));
        }
        // A slice to the end is written as the largest number; nothing else is so large.
        let bounded = !matches!(name.as_str(), "starts" | "ends" | "seed");
        let large = |value: &&i64| i32::try_from(**value).is_err();
        if let Some(value) = given.ints.iter().chain([&given.i]).find(large)
            && bounded
        {
            return Err(format!(
                "its attribute `{name}` has the value {value}, which is no size"
            ));
        }
        let Some(only) = declared.only else {
            continue;
        };
        let value = written(given);
        if value != only {
            return Err(format!(
                "its attribute `{name}` is {value}; only {only} is supported"
            ));
        }
    }
    Ok(())
}
