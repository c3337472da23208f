//! The kinds of problems: a stable number, a title and a next step each.

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    Read,
    Decode,
    IrVersion,
    Opset,
    NoGraph,
    Training,
    DefinedTwice,
    Undefined,
    Cycle,
    NoOutput,
    Unsorted,
    DefaultInput,
    UnknownOperator,
    OperatorVersion,
    Inputs,
    Outputs,
    UnknownAttr,
    AttrType,
    MissingAttr,
    AttrValue,
    Operand,
    OperandDType,
    Shapes,
    Unsupported,
    Build,
    DType,
    Dims,
    DataLength,
    DataField,
    Sparse,
    Text,
    Location,
    Link,
    Bounds,
    ExternalKeys,
    FunctionCycle,
    Function,
    Expansion,
    TypeMissing,
    DeclaredOutput,
    DimOption,
    Limit,
    Verifier,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub code: Code,
    /// Stable: never reused, never renumbered.
    pub id: &'static str,
    /// One line of what it means.
    pub title: &'static str,
    /// A next step; may be empty.
    pub help: &'static str,
}

const fn row(code: Code, id: &'static str, title: &'static str, help: &'static str) -> Property {
    Property { code, id, title, help }
}

/// All codes, in the order of the enum.
#[rustfmt::skip]
pub const TABLE: [Property; 43] = [
    row(Code::Read, "O2C0101", "a file cannot be read", ""),
    row(Code::Decode, "O2C0102", "a file is not the expected ONNX message",
        "check that the file is complete and is a binary ONNX model"),
    row(Code::IrVersion, "O2C0103", "the IR version is not supported",
        "convert the model with onnx.version_converter or export it again"),
    row(Code::Opset, "O2C0104", "an operator set is missing or not supported",
        "convert the model with onnx.version_converter or export it again"),
    row(Code::NoGraph, "O2C0105", "the model has no graph", ""),
    row(Code::Training, "O2C0106", "training information is ignored", ""),
    row(Code::DefinedTwice, "O2C0201", "a name is defined twice", "give every value of a graph its own name"),
    row(Code::Undefined, "O2C0202", "a name is used but nothing defines it", ""),
    row(Code::Cycle, "O2C0203", "nodes depend on each other in a circle", ""),
    row(Code::NoOutput, "O2C0204", "a declared output is not produced", ""),
    row(Code::Unsorted, "O2C0205", "nodes are not sorted", ""),
    row(Code::DefaultInput, "O2C0206", "an input with a default value became a constant",
        "remove the initializer to keep it an input"),
    row(Code::UnknownOperator, "O2C0301", "an operator is not supported",
        "replace it by supported operators, or add a model-local function of this name"),
    row(Code::OperatorVersion, "O2C0302", "an operator is not in the imported operator set",
        "import the operator set that the node was written for"),
    row(Code::Inputs, "O2C0303", "a node has the wrong number of inputs", ""),
    row(Code::Outputs, "O2C0304", "a node has the wrong number of outputs", ""),
    row(Code::UnknownAttr, "O2C0305", "a node has an attribute that its operator does not know", ""),
    row(Code::AttrType, "O2C0306", "an attribute has the wrong type", ""),
    row(Code::MissingAttr, "O2C0307", "a required attribute is missing", ""),
    row(Code::AttrValue, "O2C0308", "an attribute has a wrong value", ""),
    row(Code::Operand, "O2C0309", "an input does not suit the operator", ""),
    row(Code::OperandDType, "O2C0310", "an input has a dtype that the operator does not take", ""),
    row(Code::Shapes, "O2C0311", "shapes do not fit", ""),
    row(Code::Unsupported, "O2C0312", "a form of an operator is not supported", ""),
    row(Code::Build, "O2C0313", "a node cannot be built", "this may be a fault of the compiler: please report it"),
    row(Code::DType, "O2C0401", "a tensor has an unsupported dtype", ""),
    row(Code::Dims, "O2C0402", "a tensor has unusable dims", ""),
    row(Code::DataLength, "O2C0403", "a tensor's data do not have the length of its shape", ""),
    row(Code::DataField, "O2C0404", "a tensor's data are in the wrong field or form", ""),
    row(Code::Sparse, "O2C0405", "a sparse tensor is malformed", ""),
    row(Code::Text, "O2C0406", "a string is not UTF-8", ""),
    row(Code::Location, "O2C0501", "external data are outside the model's folder or cannot be opened", 
        "put the data file into the folder of the model"),
    row(Code::Link, "O2C0502", "external data are behind a link",
        "copy the file, or pass --allow-external-links if you trust the model"),
    row(Code::Bounds, "O2C0503", "external data lie outside their file", ""),
    row(Code::ExternalKeys, "O2C0504", "external data are described wrongly", ""),
    row(Code::FunctionCycle, "O2C0601", "functions call each other in a circle", ""),
    row(Code::Function, "O2C0602", "a function is malformed or called wrongly", ""),
    row(Code::Expansion, "O2C0603", "inlined functions make too many nodes", "raise it with --limit-nodes"),
    row(Code::TypeMissing, "O2C0701", "the type of a border value is missing or unusable",
        "run onnx.shape_inference or declare the shape; unknown sizes may have names"),
    row(Code::DeclaredOutput, "O2C0702", "a declared output type is refuted", "correct or remove the declared shape"),
    row(Code::DimOption, "O2C0703", "--dim does not fit the model", ""),
    row(Code::Limit, "O2C0801", "a limit is exceeded", "raise it with the --limit-… flag of this name"),
    row(Code::Verifier, "O2C0901", "the import made a malformed graph",
        "this is a fault of the compiler: please report it with the model"),
];

impl Code {
    /// The row of the table.
    pub fn property(self) -> &'static Property {
        &TABLE[self as usize]
    }

    /// The stable number.
    pub fn id(self) -> &'static str {
        self.property().id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_enum_order_and_numbers_are_unique() {
        let mut ids: Vec<&str> = Vec::new();
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.code as usize, index);
            ids.push(row.id);
        }
        let sorted = {
            let mut s = ids.clone();
            s.sort_unstable();
            s.dedup();
            s
        };
        assert_eq!(ids, sorted);
    }
}
