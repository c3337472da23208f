//! The checked-in message types are what the generator writes.

#[test]
fn proto_is_current() {
    let root = onnx_proto::root();
    let include = root.join("target/onnx-suite/1.22.0/proto");
    if !include.is_dir() {
        println!("skipped: {} is missing, run tests/conformance/fetch.sh", include.display());
        return;
    }
    let path = root.join("compiler/onnx/src/proto.rs");
    let expected = onnx_proto::generate(&include).unwrap();
    if std::fs::read_to_string(&path).unwrap_or_default() != expected {
        std::fs::write(&path, expected).unwrap();
        panic!("rewritten, run again: {}", path.display());
    }
}
