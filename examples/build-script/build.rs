//! Compiles the digits model to a module in `OUT_DIR`.

fn main() -> Result<(), onnx2crate::Error> {
    onnx2crate::Compiler::new("../digits/digits.onnx").dim("batch", "1..512")?.emit_module_for_build_script()
}
